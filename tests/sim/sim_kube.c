/* The model API server: tokens of service accounts, which end by themselves, or with the Secret
 * that they are bound to.
 *
 * A Secret is a credential of its own until somebody has the token that is bound to it: so one that
 * was made in vain may not be left behind. */
#include "sim_issuer.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define TOKEN SIM_MARK "-kubernetes"
#define NAMESPACE "/api/v1/namespaces/team"
#define SECRETS NAMESPACE "/secrets"
#define ACCOUNTS NAMESPACE "/serviceaccounts/"
#define TTL_DEFAULT_S 3600
#define TTL_LEAST_S 600
#define TTL_MOST_S 7200
#define VARIANT_UNBOUND 192U /* both bits: a quarter of them */

int32_t leased_plugin_entry_kubernetes(const struct leased_host *host,
                                       const struct leased_plugin **ret_plugin);

struct secret_object {
    struct sim_credential credential; /* first; its secret is the Secret's name */
    char uid[40];
    bool is_held; /* a token that is bound to it has arrived */
};

struct token {
    struct sim_credential credential; /* first */
    struct secret_object *object;     /* that it is bound to; NULL: nothing */
};

static struct sim_issuer *create(struct sim *sim, uint32_t variant)
{
    struct sim_issuer *issuer = mem_calloc(1, sizeof(*issuer));

    CHECK(issuer != NULL);
    issuer->sim = sim;
    issuer->variant = variant;
    issuer->is_on_record = (variant & VARIANT_UNBOUND) != VARIANT_UNBOUND;
    sim_issuer_init(issuer, &sim_kube_kind, &sim->random);
    return issuer;
}

static void config(const struct sim_issuer *issuer, char *out, size_t out_size)
{
    (void)issuer;
    (void)snprintf(out, out_size, "{\"token_file\":\"" TOKEN "\"}");
}

static void params(const struct sim_issuer *issuer, const char *role, char *out, size_t out_size)
{
    (void)snprintf(out, out_size, "{\"namespace\":\"team\",\"service_account\":\"%s\"%s}", role,
                   issuer->is_on_record ? ",\"revoke\":\"bound-secret\"" : "");
}

static bool asks(struct sim_issuer *issuer, const struct sim_call *call,
                 char ret_role[SIM_ISSUER_ROLE_MAX_BYTES])
{
    size_t before = strlen(ACCOUNTS);
    size_t behind = strlen("/token");

    (void)issuer;
    if (!str_starts_with(call->path, ACCOUNTS) || !str_ends_with(call->path, "/token")) {
        return false;
    }
    (void)snprintf(ret_role, SIM_ISSUER_ROLE_MAX_BYTES, "%.*s",
                   (int)(call->path.len - before - behind), call->path.ptr + before);
    return true;
}

/* --- the truth -------------------------------------------------------------------------------- */

/* NULL: it is a token. Only these never end by themselves. */
static const struct secret_object *object_of(const struct sim_credential *credential)
{
    return credential->expires_ms == SIM_NEVER ? (const struct secret_object *)credential : NULL;
}

static uint64_t valid_until_ms(const struct sim_credential *credential, uint64_t now_ms)
{
    const struct secret_object *object = object_of(credential);
    const struct token *token = (const struct token *)credential;

    if (object != NULL ? object->is_held /* it goes by its token from then on */
                       : token->object != NULL && token->object->credential.is_revoked) {
        return 0;
    }
    return sim_issuer_until_ms(credential, now_ms);
}

static void ended(struct sim_issuer *issuer, uint64_t exchange)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&issuer->living, node, following) {
        struct token *token = (struct token *)LIST_ENTRY(node, struct sim_credential, node);

        if (token->credential.exchange == exchange && object_of(&token->credential) == NULL &&
            token->object != NULL && token->credential.fate == SIM_DELIVERED) {
            token->object->is_held = true;
        }
    }
}

/* What an issue may have left is ended by its record, and by its answer if that comes late. */
static bool may_end_twice(const struct sim_credential *credential)
{
    const struct secret_object *object = object_of(credential);

    return object != NULL && !object->is_held;
}

/* --- requests --------------------------------------------------------------------------------- */

static void refuse(struct sim_answer *answer, uint32_t status, const char *reason,
                   const char *message)
{
    sim_answer_json(answer, status,
                    json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "kind", "Status", "apiVersion",
                              "v1", "status", "Failure", "message", message, "reason", reason,
                              "code", (int)status));
}

static struct secret_object *named(struct sim_issuer *issuer, struct str name)
{
    struct sim_credential *credential = sim_issuer_find(issuer, name);

    return credential != NULL && object_of(credential) != NULL ? (struct secret_object *)credential
                                                               : NULL;
}

static void make_secret(struct sim_issuer *issuer, const struct sim_call *call, const json_t *body,
                        struct sim_answer *answer)
{
    const char *name =
        json_string_value(json_object_get(json_object_get(body, "metadata"), "name"));
    struct secret_object *object;

    if (name == NULL || strcmp(json_string_value(json_object_get(body, "kind")), "Secret") != 0) {
        refuse(answer, 422, "Invalid", "metadata.name: Required value");
        return;
    }
    if (named(issuer, str_of(name)) != NULL) {
        refuse(answer, 409, "AlreadyExists", "secrets already exists");
        return;
    }
    object = mem_calloc(1, sizeof(*object));
    CHECK(object != NULL);
    sim_draw_id(issuer->random, "uid-", 20, object->uid, sizeof(object->uid));
    (void)snprintf(object->credential.secret, sizeof(object->credential.secret), "%.90s", name);
    (void)snprintf(object->credential.id, sizeof(object->credential.id), "secrets/%.80s", name);
    object->credential.expires_ms = SIM_NEVER;
    object->credential.is_revocable = object->credential.is_findable = true;
    sim_issuer_add(issuer, &object->credential, call);
    sim_answer_json(answer, 201,
                    json_pack("{s:s, s:s, s:{s:s, s:s}}", "kind", "Secret", "apiVersion", "v1",
                              "metadata", "name", name, "uid", object->uid));
}

static struct sim_credential *ends(struct sim_issuer *issuer, const struct sim_call *call)
{
    size_t before = strlen(SECRETS "/");
    struct secret_object *object = NULL;

    if (str_eq_c(call->method, "DELETE") && str_starts_with(call->path, SECRETS "/")) {
        object = named(issuer, (struct str){call->path.ptr + before, call->path.len - before});
    }
    return object != NULL ? &object->credential : NULL;
}

static void delete_secret(struct sim_issuer *issuer, const struct sim_call *call,
                          struct sim_answer *answer)
{
    struct secret_object *object = (struct secret_object *)ends(issuer, call);

    if (object == NULL || object->credential.is_revoked) {
        refuse(answer, 404, "NotFound", "secrets not found");
        return;
    }
    if (sim_random_chance(issuer->random, issuer->faults.revoke_failed)) {
        refuse(answer, 500, "InternalError", "etcdserver: request timed out");
        return;
    }
    object->credential.is_revoked = true;
    issuer->revoke_total++;
    sim_answer_json(answer, 200, json_pack("{s:s, s:s}", "kind", "Status", "status", "Success"));
}

/* NULL: what it is to be bound to isn't there, and that is answered. */
static struct secret_object *bound_object(struct sim_issuer *issuer, const json_t *ref,
                                          struct sim_answer *answer)
{
    const char *name = json_string_value(json_object_get(ref, "name"));
    const char *uid = json_string_value(json_object_get(ref, "uid"));
    struct secret_object *object = name != NULL ? named(issuer, str_of(name)) : NULL;

    if (object == NULL || object->credential.is_revoked) {
        refuse(answer, 404, "NotFound", "secrets not found");
        return NULL;
    }
    if (uid == NULL || strcmp(uid, object->uid) != 0) {
        refuse(answer, 409, "Conflict", "the UID in the bound object reference does not match");
        return NULL;
    }
    return object;
}

static void give_token(struct sim_issuer *issuer, const struct sim_call *call, const json_t *body,
                       struct sim_answer *answer)
{
    const json_t *spec = json_object_get(body, "spec");
    const json_t *ref = json_object_get(spec, "boundObjectRef");
    const json_t *asked = json_object_get(spec, "expirationSeconds");
    int64_t ttl_s = asked != NULL ? json_integer_value(asked) : TTL_DEFAULT_S;
    int64_t ends_s;
    struct secret_object *object = ref != NULL ? bound_object(issuer, ref, answer) : NULL;
    struct token *token;
    char role[SIM_ISSUER_ROLE_MAX_BYTES];
    char ends_text[24];

    if (ref != NULL && object == NULL) {
        return;
    }
    if (ttl_s < TTL_LEAST_S) {
        refuse(answer, 422, "Invalid", "may not specify a duration less than 10 minutes");
        return;
    }
    (void)asks(issuer, call, role);
    ends_s = sim_issuer_now_s(call) + (ttl_s < TTL_MOST_S ? ttl_s : TTL_MOST_S);
    token = mem_calloc(1, sizeof(*token));
    CHECK(token != NULL);
    token->object = object;
    token->credential.is_revocable = object != NULL; /* what can be found is its Secret */
    sim_issuer_issue(issuer, &token->credential, call, role,
                     sim_issuer_moment_ms(ends_s) - call->now_ms);
    sim_issuer_rfc3339(ends_s, ends_text);
    sim_answer_json(answer, 201,
                    json_pack("{s:s, s:{s:s, s:s}}", "kind", "TokenRequest", "status", "token",
                              token->credential.secret, "expirationTimestamp", ends_text));
}

static void route(struct sim_issuer *issuer, const struct sim_call *call, const json_t *body,
                  struct sim_answer *answer)
{
    char role[SIM_ISSUER_ROLE_MAX_BYTES];

    if (issuer->denies_login || strcmp(sim_call_bearer(call), TOKEN) != 0) {
        refuse(answer, 401, "Unauthorized", "Unauthorized");
    } else if (str_eq_c(call->path, "/readyz")) {
        answer->status = 200;
        buf_add_c(&answer->body, "ok");
    } else if (str_starts_with(call->path, SECRETS "/")) {
        delete_secret(issuer, call, answer);
    } else if (issuer->denies_issue) {
        refuse(answer, 403, "Forbidden", "leased cannot create it");
    } else if (str_eq_c(call->path, SECRETS)) {
        make_secret(issuer, call, body, answer);
    } else if (asks(issuer, call, role)) {
        give_token(issuer, call, body, answer);
    } else {
        refuse(answer, 404, "NotFound", "the server could not find the requested resource");
    }
}

static void answer(struct sim_issuer *issuer, const struct sim_call *call,
                   struct sim_answer *answer)
{
    uint32_t status = sim_issuer_ill_status(issuer, answer);
    json_t *body = json_loadb(call->body.ptr, call->body.len, JSON_REJECT_DUPLICATES, NULL);

    sim_answer_date(answer, call);
    if (status != 0) {
        refuse(answer, status, status == 429 ? "TooManyRequests" : "InternalError", "not now");
    } else {
        route(issuer, call, body, answer);
    }
    json_decref(body);
}

static struct sim_credential *find(struct sim_issuer *issuer, const json_t *fields)
{
    return sim_issuer_find_field(issuer, fields, "token");
}

const struct sim_issuer_kind sim_kube_kind = {
    .name = "kubernetes",
    .places = (const char *const[]){"https://kubernetes.default.svc/", NULL},
    .entry = leased_plugin_entry_kubernetes,
    .create = create,
    .destroy = sim_issuer_destroy,
    .config = config,
    .params = params,
    .answer = answer,
    .ended = ended,
    .valid_until_ms = valid_until_ms,
    .asks = asks,
    .ends = ends,
    .may_end_twice = may_end_twice,
    .find = find,
};
