/* Happy path: make the query from the role's keys → get the source's credentials (or the web
 * identity's token) → ask → answered.
 *
 * What a lost answer leaves is a session that nobody has the keys of and that ends by itself: it
 * may be asked again. A session that was issued while the role's older ones were being denied may
 * be dead already: it isn't given to anybody. */
#include "issue.h"

#include "moment.h"
#include "query.h"
#include "request.h"
#include "revoke.h"
#include "source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FALLBACK_NAME "leased"
#define AGAIN_MS 100U
#define REF_MAX_BYTES 1025
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const actions[] = {
    [AWS_ACTION_ASSUME_ROLE] = "AssumeRole",
    [AWS_ACTION_WEB_IDENTITY] = "AssumeRoleWithWebIdentity",
    [AWS_ACTION_SESSION_TOKEN] = "GetSessionToken",
    [AWS_ACTION_FEDERATION_TOKEN] = "GetFederationToken",
};

/* --- the result ------------------------------------------------------------------------------- */

/* What revoke is given. The access key's id is its name: CloudTrail has it, too. */
static void write_ref(const struct aws_op *op, const struct aws_keys *keys, int64_t issued_s,
                      char out[REF_MAX_BYTES])
{
    if (op->params.denies_older) {
        (void)snprintf(out, REF_MAX_BYTES, "%s\n%s %" PRId64, keys->id, op->params.role_arn,
                       issued_s);
    } else {
        (void)snprintf(out, REF_MAX_BYTES, "%s", keys->id);
    }
}

/* How long they live, from when the answer was made; 0: not at all. */
static uint64_t lifetime_s(const struct aws_op *op, const struct aws_keys *keys, int64_t issued_s)
{
    uint64_t most_s = op->duration_s > 0
                          ? op->duration_s
                          : aws_query_duration_s(op->params.action, UINT64_MAX, false);
    uint64_t life_s = keys->expires_s > issued_s ? (uint64_t)(keys->expires_s - issued_s) : 0;

    return life_s < most_s ? life_s : most_s;
}

static void finish(struct aws_op *op, const struct aws_keys *keys, int64_t issued_s)
{
    char expiration[AWS_MOMENT_ISO_BYTES];
    char ref[REF_MAX_BYTES];
    struct plugin_text capped;
    const struct leased_kv fields[] = {
        {.key = PLUGIN_STR("access_key_id"), .value = plugin_str(keys->id)},
        {.key = PLUGIN_STR("secret_access_key"),
         .value = plugin_str(keys->secret),
         .flags = LEASED_KV_SECRET},
        {.key = PLUGIN_STR("session_token"),
         .value = plugin_str(keys->token),
         .flags = LEASED_KV_SECRET},
        {.key = PLUGIN_STR("expiration"), .value = {expiration, sizeof(expiration) - 1}},
    };
    struct leased_result result = {.size = sizeof(result),
                                   .lifetime_ms = lifetime_s(op, keys, issued_s) * 1000,
                                   .fields = fields,
                                   .field_count = COUNT(fields),
                                   .asked_ms = op->work.sent_ms};
    struct leased_str warning;

    if (result.lifetime_ms == 0) {
        plugin_work_fail(&op->work, LEASED_RETRY, "AWS gave a session that has ended already");
        return;
    }
    aws_moment_iso(keys->expires_s, expiration);
    write_ref(op, keys, issued_s, ref);
    result.issuer_ref = plugin_str(ref);
    if (op->params.denies_older) {
        result.flags = LEASED_RESULT_REVOCABLE;
        result.anchor = aws_role_anchor(plugin_str(op->params.role_arn));
    }
    if (op->duration_s > 0 && op->duration_s < op->ttl_ms / 1000) {
        plugin_text_set(&capped, "AWS gives at most %" PRIu64 " s here", op->duration_s);
        warning = plugin_str(capped.bytes);
        result.warnings = &warning;
        result.warning_count = 1;
        result.flags |= LEASED_RESULT_CAPPED;
    }
    plugin_work_end(&op->work, LEASED_OK, &result);
}

/* The answer's Date can be a second later than the session, so it doesn't prove by itself that the
 * session isn't among the older ones. */
static bool was_denied_meanwhile(const struct aws_op *op, int64_t issued_s)
{
    int64_t denied_s = aws_denied_before_s(op->aws, op->params.role_arn);

    return denied_s > issued_s || denied_s != op->denied_s ||
           aws_denial_is_busy(op->aws, op->params.role_arn);
}

static void answered(struct aws_op *op, const struct aws_answer *answer)
{
    const struct leased_host *host = op->aws->works.host;
    int64_t issued_s = answer->date_s >= 0 ? answer->date_s : aws_now_s(op->aws);
    const char *problem = "";
    struct aws_keys *keys;
    struct plugin_text text;

    if (!aws_answer_is_ok(answer)) {
        aws_request_refused(op, answer);
        return;
    }
    keys = aws_answer_keys(host, answer, actions[op->params.action], &problem);
    if (keys == NULL) {
        plugin_text_set(&text, "the answer to %s can't be used: %s", actions[op->params.action],
                        problem);
        plugin_work_fail(&op->work, LEASED_RETRY, text.bytes);
    } else if (op->params.denies_older && was_denied_meanwhile(op, issued_s)) {
        plugin_work_fail(&op->work, LEASED_RETRY,
                         "the role's older sessions were denied when this one was issued");
    } else {
        finish(op, keys, issued_s); /* op is gone */
    }
    host->secret_free(keys);
}

/* --- asking ----------------------------------------------------------------------------------- */

static void ask(struct aws_op *op)
{
    struct plugin_form *form = aws_request_form(op);
    bool is_chained = op->keys != NULL && op->keys->is_role_session;

    op->duration_s = aws_query_duration_s(op->params.action, op->ttl_ms, is_chained);
    plugin_form_add(form, plugin_form_str(&op->query));
    form->is_failed = form->is_failed || op->query.is_failed;
    if (op->duration_s > 0) {
        aws_query_number(form, "DurationSeconds", op->duration_s);
    }
    if (op->params.action == AWS_ACTION_WEB_IDENTITY) {
        plugin_form_pair(form, "WebIdentityToken", (struct leased_str){op->token, op->token_len});
    }
    aws_request_send(op, AWS_SERVICE_STS, actions[op->params.action], answered);
}

static void begin(struct aws_op *op);

static void begin_again(struct plugin_work *work)
{
    begin((struct aws_op *)work);
}

/* What is issued while the role's older sessions are being denied would be taken for one of them,
 * and so would be what is issued in the same second. 0: it needn't wait. */
static uint64_t wait_ms(struct aws_op *op)
{
    int64_t now_s = aws_now_s(op->aws);

    if (!op->params.denies_older) {
        return 0;
    }
    op->denied_s = aws_denied_before_s(op->aws, op->params.role_arn);
    if (aws_denial_is_busy(op->aws, op->params.role_arn)) {
        return AGAIN_MS;
    }
    return op->denied_s > now_s ? (uint64_t)(op->denied_s - now_s) * 1000 : 0;
}

static void begin(struct aws_op *op)
{
    uint64_t wait = wait_ms(op);

    if (wait > 0) {
        if (plugin_work_wait(&op->work, wait, begin_again) != 0) {
            plugin_work_fail(&op->work, LEASED_RETRY, "out of memory");
        }
    } else if (op->params.action != AWS_ACTION_WEB_IDENTITY) {
        aws_source_get(op, ask);
    } else if (op->aws->config.source != AWS_SOURCE_WEB_IDENTITY) {
        plugin_work_fail(&op->work, LEASED_INVALID,
                         "action: assume_role_with_web_identity needs a backend with source.type "
                         "web_identity");
    } else if (aws_source_read_token(op)) {
        ask(op);
    }
}

/* Who asks, where the role doesn't say how the session is called. */
static struct leased_str caller_name(const struct leased_issue *request)
{
    for (size_t i = 0; i < request->caller_count; i++) {
        if (plugin_str_eq(request->caller[i].key, "user") && request->caller[i].value.len > 0) {
            return request->caller[i].value;
        }
    }
    return PLUGIN_STR(FALLBACK_NAME);
}

int32_t aws_issue(struct leased_instance *aws, const struct leased_issue *request,
                  leased_op *handle)
{
    struct aws_op *op = aws_op_new(aws, handle, begin);
    struct plugin_text detail = {{0}};
    int rc;

    if (op == NULL) {
        return -LEASED_RETRY;
    }
    op->ttl_ms = request->ttl_ms;
    rc = aws_params_parse(request->params, &op->params, &detail);
    if (rc != 0) {
        return plugin_work_fail_soon(&op->work, -rc, detail.bytes);
    }
    if (op->params.denies_older && aws->config.source == AWS_SOURCE_WEB_IDENTITY &&
        aws->config.web_role.arn[0] == '\0') {
        return plugin_work_fail_soon(&op->work, LEASED_INVALID,
                                     "revoke: deny-older needs a backend with source.role_arn: the "
                                     "policy is put under that role");
    }
    aws_query_begin(&op->query, &op->params, caller_name(request));
    return aws_op_start(op);
}
