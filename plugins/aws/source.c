/* Happy path: read a file or the environment, or ask who has them → came → (assume_role → came) →
 * op->got_keys.
 *
 * Files and the environment are read at each use, so that a change counts at once; what was asked
 * for is kept until five minutes before its end. Two operations that find nothing kept ask both:
 * that costs a request, and no one waits for another's fate. What another role of this daemon gives
 * is the host's to keep. */
#include "source.h"

#include "profile.h"
#include "query.h"
#include "request.h"

#include <string.h>

#define FRESH_S 300
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A copy of what is kept and has more than five minutes left, or NULL. */
static struct aws_keys *kept(const struct leased_instance *aws, enum aws_cached which)
{
    const struct aws_keys *keys = aws->cached[which];

    return keys != NULL && keys->expires_s - aws_now_s(aws) > FRESH_S
               ? aws_keys_dup(aws->works.host, keys)
               : NULL;
}

static void keep(struct leased_instance *aws, enum aws_cached which, const struct aws_keys *keys)
{
    aws->works.host->secret_free(aws->cached[which]);
    aws->cached[which] = aws_keys_dup(aws->works.host, keys); /* NULL: it is got again, then */
}

void aws_source_forget(struct leased_instance *aws)
{
    for (size_t i = 0; i < COUNT(aws->cached); i++) {
        aws->works.host->secret_free(aws->cached[i]);
        aws->cached[i] = NULL;
    }
}

static void use(struct aws_op *op, struct aws_keys *keys)
{
    op->aws->works.host->secret_free(op->keys);
    op->keys = keys;
}

static void fail(struct aws_op *op, const char *problem)
{
    struct plugin_text text;

    plugin_text_set(&text, "source: %.380s", problem);
    plugin_work_fail(&op->work, LEASED_RETRY, text.bytes);
}

/* --- a role on top ---------------------------------------------------------------------------- */

/* The answer's credentials, or NULL and the operation has ended. */
static struct aws_keys *answered_keys(struct aws_op *op, const struct aws_answer *answer,
                                      const char *action)
{
    const char *problem = "";
    struct aws_keys *keys;

    if (!aws_answer_is_ok(answer)) {
        aws_request_refused(op, answer);
        return NULL;
    }
    keys = aws_answer_keys(op->aws->works.host, answer, action, &problem);
    if (keys == NULL) {
        struct plugin_text text;

        plugin_text_set(&text, "%s: %s", op->what, problem);
        plugin_work_fail(&op->work, LEASED_RETRY, text.bytes);
    }
    return keys;
}

static void chained(struct aws_op *op, const struct aws_answer *answer)
{
    struct aws_keys *keys = answered_keys(op, answer, "AssumeRole");

    if (keys != NULL) {
        keep(op->aws, AWS_CACHED_CHAIN, keys);
        use(op, keys);
        op->got_keys(op);
    }
}

/* With op->keys. */
static void based(struct aws_op *op)
{
    const struct aws_role *chain = &op->aws->config.chain;

    if (chain->arn[0] == '\0') {
        op->got_keys(op);
        return;
    }
    aws_query_role(aws_request_form(op), "AssumeRole", chain);
    aws_request_send(op, AWS_SERVICE_STS, "assume_role", chained);
}

void aws_source_came(struct aws_op *op, struct aws_keys *keys)
{
    if (keys->expires_s > 0) {
        keep(op->aws, AWS_CACHED_BASE, keys);
    }
    use(op, keys);
    based(op);
}

/* --- files and the environment ---------------------------------------------------------------- */

static void came(struct aws_op *op, const struct aws_keys_parts *parts)
{
    const char *problem = "";
    struct aws_keys *keys = aws_keys_new(op->aws->works.host, parts, &problem);

    if (keys == NULL) {
        fail(op, problem);
        return;
    }
    aws_source_came(op, keys);
}

static void read_file(struct aws_op *op)
{
    const struct leased_host *host = op->aws->works.host;
    const struct aws_config *config = &op->aws->config;
    struct aws_keys_parts parts = {.expires_s = 0};
    struct leased_str detail = {0};
    char *bytes = NULL;
    int64_t len = host->secret_read(op->aws->works.context, plugin_str(config->credentials.text),
                                    &bytes, &detail);
    struct plugin_text text;

    if (len < 0) {
        plugin_text_set(&text, "%.*s", (int)detail.len, detail.ptr);
        fail(op, text.bytes);
        return;
    }
    if (aws_profile_find((struct leased_str){bytes, (size_t)len}, config->profile, &parts)) {
        came(op, &parts); /* op may be gone */
    } else {
        plugin_text_set(&text, "the credentials file has no profile \"%s\"", config->profile);
        fail(op, text.bytes);
    }
    host->secret_free(bytes);
}

static void read_environment(struct aws_op *op)
{
    static const char *const names[] = {"env:AWS_ACCESS_KEY_ID", "env:AWS_SECRET_ACCESS_KEY",
                                        "env:AWS_SESSION_TOKEN"};
    const struct leased_host *host = op->aws->works.host;
    char *bytes[COUNT(names)] = {NULL};
    struct leased_str values[COUNT(names)] = {{0}};
    struct aws_keys_parts parts = {.expires_s = 0};

    for (size_t i = 0; i < COUNT(names); i++) {
        struct leased_str detail;
        int64_t len =
            host->secret_read(op->aws->works.context, plugin_str(names[i]), &bytes[i], &detail);

        values[i] = len > 0 ? (struct leased_str){bytes[i], (size_t)len} : values[i];
    }
    parts.id = values[0];
    parts.secret = values[1];
    parts.token = values[2];
    came(op, &parts); /* op may be gone */
    for (size_t i = 0; i < COUNT(names); i++) {
        host->secret_free(bytes[i]);
    }
}

/* --- another role ----------------------------------------------------------------------------- */

/* A field under its name here, or as Vault's engine calls it. */
static struct leased_str lent_field(const struct leased_borrowed *borrowed, const char *name,
                                    const char *other)
{
    struct leased_str found = {0};

    for (size_t i = 0; i < borrowed->field_count; i++) {
        const struct leased_kv *field = &borrowed->fields[i];

        if (plugin_str_eq(field->key, name) ||
            (found.len == 0 && plugin_str_eq(field->key, other))) {
            found = field->value;
        }
    }
    return found;
}

/* When it ends is the host's to see to, so it isn't kept here. */
static void lent(struct plugin_work *work, const struct leased_borrowed *borrowed)
{
    struct aws_op *op = (struct aws_op *)work;
    struct aws_keys_parts parts = {.expires_s = 0};
    struct plugin_text text;

    if (borrowed->status == LEASED_OK) {
        parts.id = lent_field(borrowed, "access_key_id", "access_key");
        parts.secret = lent_field(borrowed, "secret_access_key", "secret_key");
        parts.token = lent_field(borrowed, "session_token", "security_token");
        parts.is_role_session = parts.token.len > 0;
        came(op, &parts); /* op may be gone */
        return;
    }
    plugin_text_set(&text, "source: %.*s", (int)borrowed->detail.len,
                    borrowed->detail.len > 0 ? borrowed->detail.ptr : "");
    plugin_work_fail_by(work, borrowed->status, borrowed->retry_after_ms, text.bytes);
}

static void borrow(struct aws_op *op)
{
    uint32_t flags = op->is_begun_again ? LEASED_BORROW_REFUSED : 0;

    if (plugin_work_borrow(&op->work, flags, lent) != 0) {
        fail(op, "nothing can be borrowed from the role now");
    }
}

/* --- a web identity --------------------------------------------------------------------------- */

bool aws_source_read_token(struct aws_op *op)
{
    const struct leased_host *host = op->aws->works.host;
    struct leased_str detail = {0};
    struct plugin_text text;
    int64_t len;

    host->secret_free(op->token);
    op->token = NULL;
    op->token_len = 0;
    len = host->secret_read(op->aws->works.context, plugin_str(op->aws->config.token.text),
                            &op->token, &detail);
    if (len < 0) {
        plugin_text_set(&text, "%.*s", (int)detail.len, detail.ptr);
        fail(op, text.bytes);
        return false;
    }
    op->token_len = (size_t)len;
    return true;
}

static void exchanged(struct aws_op *op, const struct aws_answer *answer)
{
    struct aws_keys *keys = answered_keys(op, answer, "AssumeRoleWithWebIdentity");

    if (keys != NULL) {
        aws_source_came(op, keys);
    }
}

static void exchange(struct aws_op *op)
{
    const struct aws_role *role = &op->aws->config.web_role;
    struct plugin_form *form;

    if (role->arn[0] == '\0') {
        plugin_work_fail(&op->work, LEASED_INVALID,
                         "source.role_arn: without a role a web identity can only do "
                         "assume_role_with_web_identity");
        return;
    }
    if (!aws_source_read_token(op)) {
        return; /* op is gone */
    }
    use(op, NULL);
    form = aws_request_form(op);
    aws_query_role(form, "AssumeRoleWithWebIdentity", role);
    plugin_form_pair(form, "WebIdentityToken", (struct leased_str){op->token, op->token_len});
    aws_request_send(op, AWS_SERVICE_STS, "the exchange of the web identity", exchanged);
}

/* --- which ------------------------------------------------------------------------------------ */

static void get_base(struct aws_op *op)
{
    struct aws_keys *keys = kept(op->aws, AWS_CACHED_BASE);

    if (keys != NULL) {
        use(op, keys);
        based(op);
        return;
    }
    switch (op->aws->config.source) {
    case AWS_SOURCE_FILE:
        read_file(op);
        break;
    case AWS_SOURCE_ENVIRONMENT:
        read_environment(op);
        break;
    case AWS_SOURCE_WEB_IDENTITY:
        exchange(op);
        break;
    case AWS_SOURCE_CONTAINER:
        aws_source_ask_container(op);
        break;
    case AWS_SOURCE_ROLE:
        borrow(op);
        break;
    case AWS_SOURCE_INSTANCE_METADATA:
    default:
        aws_source_ask_instance(op);
        break;
    }
}

void aws_source_get(struct aws_op *op, aws_step_fn got)
{
    struct aws_keys *keys = kept(op->aws, AWS_CACHED_CHAIN);

    op->got_keys = got;
    if (keys != NULL) {
        use(op, keys);
        got(op);
        return;
    }
    get_base(op);
}
