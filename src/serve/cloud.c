/* What the clouds' credential APIs have in common: their guards, which role answers, and how long
 * what is handed out may be kept. */
#include "serve/cloud.h"

#include "lease/token.h"
#include "serve/decide.h"
#include "wire/query.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

/* --- guards ----------------------------------------------------------------------------------- */

/* A browser sends Basic to whatever address a page writes it into. */
static bool has_authorization(const struct env_request *request)
{
    struct str value = env_request_header(request, "authorization");

    return value.len > 0 && !(value.len >= 5 && strncasecmp(value.ptr, "basic", 5) == 0);
}

static bool has_flavor(const struct env_request *request)
{
    return str_eq_c(env_request_header(request, "metadata-flavor"), "Google");
}

static bool has_flavor_or_own(const struct env_request *request)
{
    return has_flavor(request) || str_eq_c(env_request_header(request, "x-leased-request"), "1");
}

static bool has_identity_header(const struct env_request *request)
{
    return env_request_header(request, "x-identity-header").len > 0;
}

static bool has_metadata(const struct env_request *request)
{
    struct str value = env_request_header(request, "metadata");

    return value.len == 4 && strncasecmp(value.ptr, "true", 4) == 0;
}

const struct serve_guard *cloud_guard_broken(const struct exchange *x)
{
    static const struct {
        enum serve_api api;
        const char *path; /* that begins so */
        bool (*holds)(const struct env_request *request);
        struct serve_guard guard;
    } table[] = {
        {SERVE_API_AWS,
         "/aws/",
         has_authorization,
         {401, "the Authorization header is missing",
          "set AWS_CONTAINER_AUTHORIZATION_TOKEN: to a grant token, or to any word"}},
        {SERVE_API_GCP,
         "/gcp/",
         has_flavor_or_own,
         {403, "the header \"Metadata-Flavor: Google\" is missing",
          "send it, or \"X-Leased-Request: 1\""}},
        {SERVE_API_GCP,
         "/",
         has_flavor,
         {403, "the header \"Metadata-Flavor: Google\" is missing", "send it"}},
        {SERVE_API_AZURE,
         "/azure/",
         has_identity_header,
         {401, "the header X-IDENTITY-HEADER is missing",
          "set IDENTITY_HEADER: to a grant token, or to any word"}},
        {SERVE_API_AZURE,
         "/metadata/",
         has_metadata,
         {400, "the header \"Metadata: true\" is missing", "send it"}},
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].api == x->api && str_starts_with(x->request->path, table[i].path)) {
            return table[i].holds(x->request) ? NULL : &table[i].guard;
        }
    }
    return NULL;
}

/* --- what was asked for ----------------------------------------------------------------------- */

bool cloud_query(const struct exchange *x, const char *name, char out[CLOUD_TEXT_MAX_BYTES])
{
    struct str query = x->request->query;
    struct str key;
    struct str value;
    BUF_AUTO decoded;

    buf_init(&decoded, CLOUD_TEXT_MAX_BYTES - 1);
    while (query_next(&query, &key, &value)) {
        if (str_eq_c(key, name)) {
            if (query_decode(value, true, &decoded) != 0) {
                return false;
            }
            *str_put(out, buf_str(&decoded)) = '\0';
            return true;
        }
    }
    return false;
}

bool cloud_role_text(const struct lease_role *role, const char *name,
                     char out[CLOUD_TEXT_MAX_BYTES])
{
    json_t *root = json_loads(role->params_json, JSON_REJECT_DUPLICATES, NULL);
    const json_t *value = json_object_get(root, name);
    bool is_there = json_is_string(value) && json_string_length(value) < CLOUD_TEXT_MAX_BYTES;

    if (is_there) {
        *str_put(out, str_of(json_string_value(value))) = '\0';
    }
    json_decref(root);
    return is_there;
}

static bool is_of_plugin(const struct serve *serve, const struct lease_role *role,
                         const char *plugin)
{
    struct backend_status status;
    size_t i;

    for (i = 0; i < serve->options.backend_count; i++) {
        backend_status(serve->options.backends[i], &status);
        if (strcmp(status.name, role->issuer->name) == 0) {
            return strcmp(status.plugin, plugin) == 0;
        }
    }
    return false;
}

const struct lease_role *cloud_role(struct exchange *x, struct str name)
{
    const struct lease_role *role = lease_core_role(x->serve->options.core, name);

    if (role == NULL) {
        serve_role_unknown(x, name);
    }
    return role;
}

const struct lease_role *cloud_pick_role(struct exchange *x, const struct cloud_pick *pick)
{
    const struct lease_role *role = NULL;

    if (pick->configured != NULL) {
        return cloud_role(x, str_of(pick->configured));
    }
    while ((role = lease_core_next_role(x->serve->options.core, role)) != NULL) {
        if (is_of_plugin(x->serve, role, pick->plugin) &&
            (pick->fits == NULL || pick->fits(role, pick->user)) && decide_may_have(x, role)) {
            return role;
        }
    }
    acquire_refuse(x, "no role of this cloud that fits is allowed to the caller",
                   "ask an operator for a rule that allows one, or name the role in the address");
    return NULL;
}

void cloud_ask(struct exchange *x, const struct lease_role *role, struct str token,
               uint64_t min_remaining_ms)
{
    x->params.min_remaining_ms = min_remaining_ms;
    if (!lease_token_is_one(token) || acquire_name_grant(x, token)) {
        acquire_start(x, role, false);
    }
}

/* --- what is answered ------------------------------------------------------------------------- */

int cloud_open(struct exchange *x, const struct grant *grant,
               struct cloud_credential *ret_credential)
{
    struct lease_core *core = x->serve->options.core;
    int64_t now_ms = env_wall_ms(x->serve->options.env);
    struct lease_view lease;
    struct grant_view view;
    int r = lease_credential_open(core, grant_lease(grant), &ret_credential->opened);

    if (r != 0) {
        return r;
    }
    lease_view(grant_lease(grant), &lease);
    grant_view(grant, &view);
    ret_credential->expires_wall_ms = lease.expires_wall_ms;
    if (view.until_wall_ms != 0 && view.until_wall_ms < lease.expires_wall_ms) {
        ret_credential->expires_wall_ms = view.until_wall_ms;
    }
    ret_credential->left_s = ret_credential->expires_wall_ms > now_ms
                                 ? (uint64_t)(ret_credential->expires_wall_ms - now_ms) / 1000
                                 : 0;
    return 0;
}

void cloud_close(struct cloud_credential *credential)
{
    lease_credential_close(&credential->opened);
}

struct str cloud_field(const struct cloud_credential *credential, const char *const *names)
{
    const struct lease_credential *opened = &credential->opened;
    size_t i;

    for (; *names != NULL; names++) {
        for (i = 0; i < opened->field_count; i++) {
            if (str_eq_c(opened->fields[i].name, *names)) {
                return opened->fields[i].value;
            }
        }
    }
    return (struct str){.ptr = NULL, .len = 0};
}

void cloud_problem_text(struct json_out *json, const char *key,
                        const struct exchange_problem *problem)
{
    char text[ERR_TEXT_MAX_BYTES + 256];

    (void)snprintf(text, sizeof(text), "%s%s%s",
                   problem->detail != NULL ? problem->detail : problem->code,
                   problem->hint != NULL ? ": " : "", problem->hint != NULL ? problem->hint : "");
    json_out_string_c(json, key, text);
}
