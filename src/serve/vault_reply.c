/* Answers in Vault's form: the envelope, errors, and a credential as the engine's own answer has
 * it.
 */
#include "serve/acquire.h"
#include "serve/vault.h"

#include "wire/json_bounds.h"

#include <stdio.h>
#include <string.h>

#define BODY_DEPTH_MAX 8
#define BODY_VALUES_MAX 512
#define REFRESH_EXTRA_MS 1000U /* so that whoever comes again then finds the next value */

static void problem_write(struct exchange *x, const struct exchange_problem *problem,
                          struct env_reply *reply)
{
    char text[ACCESS_DETAIL_MAX_BYTES + 32];
    const char *detail = problem->detail != NULL ? problem->detail : "";
    struct json_out json;

    reply->content_type = "application/json";
    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_array_open(&json, "errors");
    if (problem->status == 403) {
        /* Clients look for these words. */
        (void)snprintf(text, sizeof(text), "permission denied%s%s", detail[0] != '\0' ? ": " : "",
                       detail);
        detail = text;
    }
    if (detail[0] != '\0') {
        json_out_string_c(&json, NULL, detail);
    }
    if (problem->hint != NULL) {
        json_out_string_c(&json, NULL, problem->hint);
    }
    json_out_array_close(&json);
    json_out_object_close(&json);
    buf_add_char(&x->serve->body, '\n');
}

void serve_vault_fail(struct exchange *x, uint32_t status, const char *detail, const char *hint)
{
    exchange_fail(x, &(struct exchange_problem){
                         .status = status, .code = "invalid", .detail = detail, .hint = hint});
}

void serve_vault_reply_empty(struct exchange *x, uint32_t status)
{
    struct env_reply reply = {.status = status};
    struct json_out json;

    exchange_json(x, &json);
    exchange_send(x, &reply);
    exchange_release(x);
}

/* --- the envelope ------------------------------------------------------------------------------
 */

void serve_vault_reply_open(struct exchange *x, struct json_out *json,
                            const struct vault_head *head)
{
    json_out_object_open(json, NULL);
    json_out_string_c(json, "request_id", x->request_id);
    json_out_string_c(json, "lease_id", head->lease_id != NULL ? head->lease_id : "");
    json_out_bool(json, "renewable", head->is_renewable);
    json_out_u64(json, "lease_duration", head->duration_s);
}

static void close_with(struct json_out *json, const char *warning)
{
    json_out_string_c(json, "wrap_info", NULL);
    if (warning != NULL) {
        json_out_array_open(json, "warnings");
        json_out_string_c(json, NULL, warning);
        json_out_array_close(json);
    } else {
        json_out_string_c(json, "warnings", NULL);
    }
}

void serve_vault_reply_close(struct json_out *json, const char *warning)
{
    close_with(json, warning);
    json_out_string_c(json, "auth", NULL);
    json_out_object_close(json);
}

static void policies_write(struct json_out *json, const char *key)
{
    json_out_array_open(json, key);
    json_out_string_c(json, NULL, "leased");
    json_out_array_close(json);
}

void serve_vault_reply_close_auth(struct json_out *json, const struct vault_auth *auth)
{
    json_out_string_c(json, "data", NULL);
    close_with(json, NULL);
    json_out_object_open(json, "auth");
    json_out_string(json, "client_token", auth->token);
    json_out_string_c(json, "accessor", "");
    policies_write(json, "policies");
    policies_write(json, "token_policies");
    json_out_string_c(json, "metadata", NULL);
    json_out_u64(json, "lease_duration", auth->ttl_s);
    json_out_bool(json, "renewable", auth->is_renewable);
    json_out_string_c(json, "entity_id", "");
    json_out_string_c(json, "token_type", "service");
    json_out_bool(json, "orphan", true);
    json_out_string_c(json, "mfa_requirement", NULL);
    json_out_u64(json, "num_uses", 0);
    json_out_object_close(json);
    json_out_object_close(json);
}

/* --- credentials -------------------------------------------------------------------------------
 */

uint64_t serve_vault_seconds_left(const struct exchange *x, const struct lease_view *lease,
                                  const struct grant_view *grant)
{
    struct env *env = x->serve->options.env;
    uint64_t now_ms = env_now_ms(env);
    uint64_t end_ms = lease->expires_ms;
    int64_t wall_ms = env_wall_ms(env);
    uint64_t left_ms;

    /* What can neither be renewed nor revoked is read again by its clients when this is over: a
     * secret when it may have changed. */
    if (!lease->is_renewable && lease->refresh_at_ms != 0 && lease->refresh_at_ms != UINT64_MAX &&
        lease->refresh_at_ms + REFRESH_EXTRA_MS < end_ms) {
        end_ms = (lease->refresh_at_ms > now_ms ? lease->refresh_at_ms : now_ms) + REFRESH_EXTRA_MS;
    }
    left_ms = end_ms > now_ms ? end_ms - now_ms : 0;
    if (grant != NULL && grant->until_wall_ms != 0 &&
        grant->until_wall_ms < wall_ms + (int64_t)left_ms) {
        left_ms = grant->until_wall_ms > wall_ms ? (uint64_t)(grant->until_wall_ms - wall_ms) : 0;
    }
    return left_ms / 1000;
}

/* Fields are texts; these are numbers or lists in the engines' answers. A secret of KV keeps its
 * texts: whether "5" was a number there isn't known. */
static bool is_plain_json(struct str name, struct str value)
{
    static const char *const names[] = {"expiration",      "not_before", "key_version",
                                        "rotation_period", "ttl",        "port"};
    uint64_t number;
    size_t i;

    if (str_eq_c(name, "ca_chain")) {
        return str_starts_with(value, "[") && str_ends_with(value, "]");
    }
    for (i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq_c(name, names[i])) {
            return str_parse_u64(value, &number) == 0;
        }
    }
    return false;
}

static void member_write(struct json_out *json, struct str name, struct str value, bool is_secret)
{
    if (!is_secret && is_plain_json(name, value)) {
        json_out_text_at(json, name, value);
    } else {
        json_out_member(json, name, value);
    }
}

#define VERSION "metadata.version"

/* KV version 2: what the plugin has taken apart. */
static void versioned_write(struct json_out *json, const struct lease_credential *credential)
{
    uint64_t version = 0;
    size_t i;

    json_out_object_open(json, "data");
    for (i = 0; i < credential->field_count; i++) {
        const struct lease_field *field = &credential->fields[i];

        if (!str_eq_c(field->name, VERSION)) {
            json_out_member(json, field->name, field->value);
        } else if (str_parse_u64(field->value, &version) != 0) {
            version = 0;
        }
    }
    json_out_object_close(json);
    json_out_object_open(json, "metadata");
    json_out_u64(json, "version", version);
    json_out_object_close(json);
}

static bool is_versioned(const struct lease_view *lease, const struct lease_credential *credential)
{
    char path[VAULT_ROLE_PATH_MAX_BYTES];
    size_t i;

    for (i = 0; i < credential->field_count; i++) {
        if (str_eq_c(credential->fields[i].name, VERSION)) {
            return strstr(serve_vault_role_path(lease->role, path), "/data/") != NULL;
        }
    }
    return false;
}

static int credential_write(struct exchange *x, struct json_out *json, const struct grant *grant,
                            const struct lease_view *lease)
{
    struct lease_credential credential;
    struct grant_view held;
    struct vault_head head;
    /* A secret of KV is the only thing that is neither renewed nor revoked and has a next value. */
    bool is_secret = !lease->is_renewable && !lease->is_revocable && lease->refresh_at_ms != 0 &&
                     lease->refresh_at_ms != UINT64_MAX;
    int r = lease_credential_open(x->serve->options.core, grant_lease(grant), &credential);
    size_t i;

    if (r != 0) {
        return r;
    }
    grant_view(grant, &held);
    head = (struct vault_head){.lease_id = lease->id,
                               .is_renewable = lease->is_renewable,
                               .duration_s = serve_vault_seconds_left(x, lease, &held)};
    serve_vault_reply_open(x, json, &head);
    json_out_object_open(json, "data");
    if (is_versioned(lease, &credential)) {
        versioned_write(json, &credential);
    } else {
        for (i = 0; i < credential.field_count; i++) {
            member_write(json, credential.fields[i].name, credential.fields[i].value, is_secret);
        }
    }
    json_out_object_close(json);
    serve_vault_reply_close(json, NULL);
    buf_add_char(json->out, '\n');
    lease_credential_close(&credential);
    return buf_status(json->out);
}

/* `key` NULL: the answer isn't kept. */
static int send_under(struct exchange *x, const struct grant *grant, const struct answer_key *key)
{
    struct env_reply reply = {.status = 200, .content_type = "application/json"};
    struct lease_view lease;
    struct json_out json;
    int r;

    lease_view(grant_lease(grant), &lease);
    exchange_json(x, &json);
    r = credential_write(x, &json, grant, &lease);
    if (r == 0 && key != NULL) {
        reply.body = buf_str(&x->serve->body);
        answers_note(&x->serve->answers, key, x->request, &reply);
    }
    if (r == 0) {
        exchange_send(x, &reply);
    }
    return r;
}

static int credential_send(struct exchange *x, uint32_t status, const struct grant *grant)
{
    (void)status;
    return send_under(x, grant, NULL);
}

static int credential_send_again(struct exchange *x, const struct grant *grant)
{
    struct answer_key key;
    struct lease_view lease;
    struct grant_view view;

    lease_view(grant_lease(grant), &lease);
    grant_view(grant, &view);
    answer_key_fill(&key, x->api, &lease, view.id);
    if (answers_send(&x->serve->answers, &key, x->request)) {
        exchange_count(x, 200);
        return 0;
    }
    return send_under(x, grant, &key);
}

const struct serve_form serve_vault_form = {
    .api = "vault",
    .send = credential_send,
    .send_again = credential_send_again,
    .problem = problem_write,
};

/* --- bodies ------------------------------------------------------------------------------------
 */

json_t *serve_vault_body(struct exchange *x)
{
    struct str body = str_trim(x->request->body);
    json_t *root = NULL;

    if (body.len == 0 || str_eq_c(body, "null")) {
        root = json_object();
        if (root == NULL) {
            exchange_fail_nomem(x);
        }
        return root;
    }
    if (json_bounds_hold(body, BODY_DEPTH_MAX, BODY_VALUES_MAX)) {
        root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, NULL);
    }
    if (root == NULL || !json_is_object(root)) {
        json_decref(root);
        serve_vault_fail(x, 400, "the body is no JSON object, or is nested too deeply", NULL);
        return NULL;
    }
    return root;
}
