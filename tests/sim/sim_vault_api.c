/* Requests to the model Vault and its answers: one table from path to handler. Texts are OpenBao
 * 2.7.2's, seen by running it. */
#include "sim_vault.h"

#include "base/mem.h"
#include "base/units.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define DENIED_BY_POLICY "1 error occurred:\n\t* permission denied\n\n"
#define VERSION "2.7.2"

/* One request on its way through the table. */
struct exchange {
    struct sim_vault *vault;
    const struct sim_call *call;
    struct sim_answer *answer;
    struct str path; /* without "/v1/" */
    struct str arg;  /* what stands for the path's last segment, where the route asks */
    struct sim_vault_token *token; /* NULL: the route needs none */
    json_t *body;                  /* an object; empty if there was none */
};

/* --- answers ---------------------------------------------------------------------------------- */

/* `root` is taken. */
static void answer_json(struct exchange *x, uint32_t status, json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT);

    CHECK(text != NULL);
    x->answer->status = status;
    buf_add_c(&x->answer->body, text);
    mem_free(text);
    json_decref(root);
}

static void answer_error(struct exchange *x, uint32_t status, const char *message)
{
    answer_json(x, status, json_pack("{s:[s]}", "errors", message));
}

static void answer_nothing(struct exchange *x, uint32_t status)
{
    x->answer->status = status;
}

/* The envelope, with all of its keys. Values are taken; NULL is null. */
static json_t *envelope(struct exchange *x, json_t *data, json_t *auth, json_t *warnings)
{
    char id[40];

    sim_vault_draw_id(x->vault, "", 32, id, sizeof(id));
    return json_pack("{s:s, s:s, s:b, s:i, s:o?, s:n, s:o?, s:o?}", "request_id", id, "lease_id",
                     "", "renewable", 0, "lease_duration", 0, "data", data, "wrap_info", "warnings",
                     warnings, "auth", auth);
}

static void envelope_lease(json_t *root, const struct sim_vault_lease *lease, uint64_t now_ms)
{
    (void)json_object_set_new(root, "lease_id", json_string(lease->id));
    (void)json_object_set_new(root, "renewable", json_boolean(lease->role->is_renewable));
    (void)json_object_set_new(root, "lease_duration",
                              json_integer((json_int_t)((lease->expires_ms - now_ms) / 1000)));
}

static int64_t wall_ms_of(uint64_t when_ms)
{
    return SIM_START_WALL_MS + (int64_t)when_ms - (int64_t)SIM_START_MS;
}

static json_t *time_json(uint64_t when_ms)
{
    char text[UNITS_TIME_MAX_BYTES];

    if (when_ms == 0 || when_ms == SIM_VAULT_NEVER) {
        return json_null();
    }
    return json_string(units_format_time(wall_ms_of(when_ms), text));
}

static json_int_t seconds_until(uint64_t when_ms, uint64_t now_ms)
{
    return when_ms == SIM_VAULT_NEVER ? 0 : (json_int_t)((when_ms - now_ms) / 1000);
}

static json_t *capped_warning(uint64_t asked_ms, uint64_t max_ms)
{
    char asked[UNITS_DURATION_MAX_BYTES];
    char max[UNITS_DURATION_MAX_BYTES];

    return json_pack("[o]",
                     json_sprintf("TTL of \"%s\" exceeded the effective max_ttl of \"%s\"; TTL "
                                  "value is capped accordingly",
                                  units_format_duration(asked_ms, asked),
                                  units_format_duration(max_ms, max)));
}

/* `increment`: seconds, or a duration; 0: not given. */
static uint64_t increment_ms(const struct exchange *x)
{
    const json_t *increment = json_object_get(x->body, "increment");
    uint64_t ms = 0;

    if (json_is_integer(increment) && json_integer_value(increment) > 0) {
        return (uint64_t)json_integer_value(increment) * 1000;
    }
    if (json_is_string(increment) &&
        units_parse_duration(str_of(json_string_value(increment)), &ms) == 0) {
        return ms;
    }
    return 0;
}

/* --- sys -------------------------------------------------------------------------------------- */

static void sys_health(struct exchange *x)
{
    bool is_sealed = x->vault->is_sealed;
    const char *mode = is_sealed ? "unknown" : "disabled";
    json_t *root = json_pack("{s:b, s:b, s:b, s:s, s:s, s:I, s:s}", "initialized", 1, "sealed",
                             is_sealed, "standby", is_sealed, "replication_performance_mode", mode,
                             "replication_dr_mode", mode, "server_time_utc",
                             (json_int_t)(wall_ms_of(x->vault->now_ms) / 1000), "version", VERSION);

    if (!is_sealed) {
        (void)json_object_set_new(root, "cluster_name", json_string("vault-cluster-model"));
        (void)json_object_set_new(root, "cluster_id", json_string("model"));
    }
    answer_json(x, is_sealed ? 503 : 200, root);
}

/* --- tokens ----------------------------------------------------------------------------------- */

static json_t *token_policies(const struct sim_vault_token *token)
{
    return token->options.is_root ? json_pack("[s]", "root") : json_pack("[ss]", "app", "default");
}

static json_t *token_meta(const struct sim_vault_token *token)
{
    return token->is_login ? json_pack("{s:s}", "role_name", "app") : json_null();
}

static json_t *token_auth(const struct sim_vault_token *token, uint64_t now_ms)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:b, s:s, s:s, s:b, s:n, s:i}", "client_token",
                     token->id, "accessor", token->accessor, "policies", token_policies(token),
                     "token_policies", token_policies(token), "metadata", token_meta(token),
                     "lease_duration", seconds_until(token->expires_ms, now_ms), "renewable",
                     token->options.is_renewable, "entity_id", "", "token_type", "service",
                     "orphan", token->is_login, "mfa_requirement", "num_uses", 0);
}

static void approle_login(struct exchange *x)
{
    const char *role_id = json_string_value(json_object_get(x->body, "role_id"));
    const char *secret_id = json_string_value(json_object_get(x->body, "secret_id"));
    struct sim_vault_token *token;

    if (role_id == NULL) {
        answer_error(x, 500, "missing role_id");
    } else if (secret_id == NULL) {
        answer_error(x, 400, "missing secret_id");
    } else if (strcmp(role_id, SIM_VAULT_ROLE_ID) != 0 ||
               strcmp(secret_id, SIM_VAULT_SECRET_ID) != 0 || x->vault->denies_login) {
        answer_error(x, 400, "invalid role or secret ID");
    } else {
        token = sim_vault_add_token(x->vault, &x->vault->login);
        token->is_login = true;
        x->vault->login_total++;
        answer_json(x, 200, envelope(x, NULL, token_auth(token, x->vault->now_ms), NULL));
    }
}

static void token_lookup(struct exchange *x)
{
    const struct sim_vault_token *token = x->token;
    uint64_t now_ms = x->vault->now_ms;
    json_int_t ttl_s = (json_int_t)((token->options.period_ms > 0 ? token->options.period_ms
                                                                  : token->options.ttl_ms) /
                                    1000);
    json_t *data = json_pack(
        "{s:s, s:I, s:I, s:s, s:s, s:o, s:i, s:s, s:o, s:o, s:i, s:b, s:s, s:o, s:b, s:I, s:s}",
        "accessor", token->accessor, "creation_time",
        (json_int_t)(wall_ms_of(token->issued_ms) / 1000), "creation_ttl", ttl_s, "display_name",
        token->is_login ? "approle" : "token", "entity_id", "", "expire_time",
        time_json(token->expires_ms), "explicit_max_ttl", 0, "id", token->id, "issue_time",
        time_json(token->issued_ms), "meta", token_meta(token), "num_uses", 0, "orphan",
        token->is_login || token->options.is_root, "path",
        token->is_login ? "auth/approle/login" : "auth/token/create", "policies",
        token_policies(token), "renewable", token->options.is_renewable, "ttl",
        seconds_until(token->expires_ms, now_ms), "type", "service");

    if (token->renewed_ms > 0) {
        (void)json_object_set_new(data, "last_renewal", time_json(token->renewed_ms));
        (void)json_object_set_new(data, "last_renewal_time",
                                  json_integer((json_int_t)(wall_ms_of(token->renewed_ms) / 1000)));
    }
    if (token->options.period_ms > 0) {
        (void)json_object_set_new(data, "period", json_integer(ttl_s));
    }
    answer_json(x, 200, envelope(x, data, NULL, NULL));
}

static void token_renew(struct exchange *x)
{
    struct sim_vault_token *token = x->token;
    uint64_t now_ms = x->vault->now_ms;
    uint64_t ttl_ms = increment_ms(x);
    json_t *warnings = NULL;

    if (!token->options.is_renewable) {
        answer_error(x, 400, "lease is not renewable");
        return;
    }
    if (token->options.period_ms > 0) {
        ttl_ms = token->options.period_ms;
    } else if (ttl_ms == 0) {
        ttl_ms = token->options.ttl_ms;
    }
    token->expires_ms = now_ms + ttl_ms;
    if (token->expires_ms > token->max_expires_ms) {
        token->expires_ms = token->max_expires_ms;
        token->is_capped = true;
        warnings = capped_warning(ttl_ms, token->options.max_ttl_ms);
    }
    token->renewed_ms = now_ms;
    answer_json(x, 200, envelope(x, NULL, token_auth(token, now_ms), warnings));
}

static void token_revoke(struct exchange *x)
{
    x->token->is_revoked = true;
    answer_nothing(x, 204);
}

/* --- the database engine ---------------------------------------------------------------------- */

static void creds_read(struct exchange *x)
{
    struct sim_vault_role *role = sim_vault_find_role(x->vault, x->arg);
    struct sim_vault_lease *lease;
    json_t *root;

    if (x->vault->denies_issue && !x->token->options.is_root) {
        answer_error(x, 403, DENIED_BY_POLICY);
        return;
    }
    if (!str_eq_c(x->call->method, "GET")) {
        answer_error(x, 405, "1 error occurred:\n\t* unsupported operation\n\n");
        return;
    }
    if (role == NULL) {
        char message[96];

        (void)snprintf(message, sizeof(message), "unknown role: %.*s", STR_ARG(x->arg));
        answer_error(x, 400, message);
        return;
    }
    x->vault->issue_total++;
    lease = sim_vault_add_lease(x->vault, role, x->token, x->call->id);
    root =
        envelope(x,
                 json_pack("{s:s, s:s}", "password", lease->password, "username", lease->username),
                 NULL, NULL);
    envelope_lease(root, lease, x->vault->now_ms);
    answer_json(x, 200, root);
}

/* --- leases ----------------------------------------------------------------------------------- */

/* The lease that the body names, if it is valid; else NULL, with `is_named` false and an answer
 * when the body names none. */
static struct sim_vault_lease *lease_of_body(struct exchange *x, bool *is_named)
{
    const char *id = json_string_value(json_object_get(x->body, "lease_id"));
    struct sim_vault_lease *lease;

    *is_named = id != NULL && id[0] != '\0';
    if (!*is_named) {
        answer_error(x, 400, "lease_id must be specified");
        return NULL;
    }
    lease = sim_vault_find_lease(x->vault, str_of(id));
    return lease != NULL && sim_vault_valid_until_ms(lease, x->vault->now_ms) != 0 ? lease : NULL;
}

static void lease_lookup(struct exchange *x)
{
    bool is_named;
    struct sim_vault_lease *lease = lease_of_body(x, &is_named);
    char path[64];

    if (lease == NULL) {
        if (is_named) {
            answer_error(x, 400, "invalid lease");
        }
        return;
    }
    (void)snprintf(path, sizeof(path), "database/creds/%s", lease->role->name);
    answer_json(x, 200,
                envelope(x,
                         json_pack("{s:o, s:s, s:o, s:o, s:s, s:b, s:I}", "expire_time",
                                   time_json(lease->expires_ms), "id", lease->id, "issue_time",
                                   time_json(lease->issued_ms), "last_renewal",
                                   time_json(lease->renewed_ms), "path", path, "renewable",
                                   lease->role->is_renewable, "ttl",
                                   seconds_until(lease->expires_ms, x->vault->now_ms)),
                         NULL, NULL));
}

static void lease_renew(struct exchange *x)
{
    bool is_named;
    struct sim_vault_lease *lease = lease_of_body(x, &is_named);
    uint64_t now_ms = x->vault->now_ms;
    uint64_t ttl_ms = increment_ms(x);
    json_t *warnings = NULL;
    json_t *root;

    if (lease == NULL) {
        if (is_named) {
            answer_error(x, 400, "lease not found");
        }
        return;
    }
    if (!lease->role->is_renewable) {
        answer_error(x, 400, "lease is not renewable");
        return;
    }
    ttl_ms = ttl_ms > 0 ? ttl_ms : lease->role->default_ttl_ms;
    lease->expires_ms = now_ms + ttl_ms;
    if (lease->expires_ms > lease->issued_ms + lease->role->max_ttl_ms) {
        lease->expires_ms = lease->issued_ms + lease->role->max_ttl_ms;
        warnings = capped_warning(ttl_ms, lease->role->max_ttl_ms);
    }
    lease->renewed_ms = now_ms;
    x->vault->renew_total++;
    root = envelope(x, NULL, NULL, warnings);
    envelope_lease(root, lease, now_ms);
    answer_json(x, 200, root);
}

static void lease_revoke(struct exchange *x)
{
    bool is_named;
    struct sim_vault_lease *lease = lease_of_body(x, &is_named);
    bool is_sync = !json_is_false(json_object_get(x->body, "sync"));

    if (!is_named) {
        return;
    }
    if (lease != NULL && sim_random_chance(x->vault->random, x->vault->faults.revoke_failed)) {
        answer_error(x, 400,
                     "failed to revoke entry: resp: (*logical.Response)(nil) err: could not drop "
                     "role: the database is busy");
        return;
    }
    if (lease != NULL) {
        lease->is_revoked = true;
        x->vault->revoke_total++;
    }
    answer_nothing(x, is_sync ? 204 : 202);
}

/* --- routes ----------------------------------------------------------------------------------- */

struct route {
    const char *path;    /* a trailing slash: one segment more */
    const char *methods; /* separated by blanks; NULL: the handler looks */
    bool is_open;        /* needs no token */
    bool works_sealed;
    void (*handler)(struct exchange *x);
};

static const struct route routes[] = {
    {"sys/health", "GET HEAD", true, true, sys_health},
    {"auth/approle/login", "POST PUT", true, false, approle_login},
    {"auth/token/lookup-self", "GET", false, false, token_lookup},
    {"auth/token/renew-self", "POST PUT", false, false, token_renew},
    {"auth/token/revoke-self", "POST PUT", false, false, token_revoke},
    {"database/creds/", NULL, false, false, creds_read},
    {"sys/leases/lookup", "POST PUT", false, false, lease_lookup},
    {"sys/leases/renew", "POST PUT", false, false, lease_renew},
    {"sys/leases/revoke", "POST PUT", false, false, lease_revoke},
};

static bool route_matches(const struct route *route, struct str path, struct str *ret_arg)
{
    if (!str_ends_with(str_of(route->path), "/")) {
        return str_eq_c(path, route->path);
    }
    if (!str_starts_with(path, route->path)) {
        return false;
    }
    *ret_arg = (struct str){path.ptr + strlen(route->path), path.len - strlen(route->path)};
    return true;
}

static const struct route *route_find(struct exchange *x)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (route_matches(&routes[i], x->path, &x->arg)) {
            return &routes[i];
        }
    }
    return NULL;
}

static bool method_fits(const struct route *route, struct str method)
{
    struct str rest = str_of(route->methods);

    while (rest.ptr != NULL && rest.len > 0) {
        if (str_eq(str_cut(&rest, ' '), method)) {
            return true;
        }
    }
    return route->methods == NULL;
}

static bool is_denied(const struct exchange *x, const struct route *route)
{
    return route->handler == lease_renew && x->vault->denies_renew && !x->token->options.is_root;
}

static void route_run(struct exchange *x)
{
    const struct route *route = route_find(x);
    char message[160];

    x->token = sim_vault_find_token(x->vault, x->call->token);
    if (x->vault->is_sealed && (route == NULL || !route->works_sealed)) {
        answer_error(x, 503, "Vault is sealed");
    } else if ((route == NULL || !route->is_open) && x->token == NULL) {
        answer_error(x, 403, "permission denied");
    } else if (route == NULL) {
        (void)snprintf(message, sizeof(message),
                       "no handler for route \"%.*s\". route entry not found.", STR_ARG(x->path));
        answer_error(x, 404, message);
    } else if (!method_fits(route, x->call->method)) {
        answer_error(x, 405, "1 error occurred:\n\t* unsupported operation\n\n");
    } else if (is_denied(x, route)) {
        answer_error(x, 403, DENIED_BY_POLICY);
    } else {
        route->handler(x);
    }
}

void sim_vault_answer(void *user, const struct sim_call *call, struct sim_answer *answer)
{
    struct sim_vault *vault = user;
    struct exchange x = {.vault = vault, .call = call, .answer = answer, .path = call->path};

    vault->now_ms = call->now_ms;
    if (str_starts_with(x.path, "/v1/")) {
        x.path = (struct str){x.path.ptr + 4, x.path.len - 4};
    }
    x.body = json_loadb(call->body.ptr, call->body.len, 0, NULL);
    if (!json_is_object(x.body)) {
        json_decref(x.body);
        x.body = json_object();
    }
    if (sim_random_chance(vault->random, vault->faults.limited)) {
        answer->retry_after_s = 1 + (uint32_t)sim_random_below(vault->random, 9);
        answer_error(&x, 429, "request path: rate limit quota exceeded");
    } else if (sim_random_chance(vault->random, vault->faults.failed)) {
        answer_error(&x, 500, "internal error");
    } else {
        route_run(&x);
    }
    json_decref(x.body);
}
