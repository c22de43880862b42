/* Requests to the model Vault and its answers: one table from path to handler. Texts are OpenBao
 * 2.7.2's, seen by running it. */
#include "sim_vault_api.h"

#include "base/mem.h"
#include "base/units.h"

#include <stdio.h>
#include <string.h>

#define VERSION "2.7.2"

/* --- answers ---------------------------------------------------------------------------------- */

/* `root` is taken. */
void sim_vault_answer_json(struct exchange *x, uint32_t status, json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT);

    CHECK(text != NULL);
    x->answer->status = status;
    buf_add_c(&x->answer->body, text);
    mem_free(text);
    json_decref(root);
}

void sim_vault_answer_error(struct exchange *x, uint32_t status, const char *message)
{
    sim_vault_answer_json(x, status, json_pack("{s:[s]}", "errors", message));
}

void sim_vault_answer_nothing(struct exchange *x, uint32_t status)
{
    x->answer->status = status;
}

/* The envelope, with all of its keys. Values are taken; NULL is null. */
json_t *sim_vault_envelope(struct exchange *x, json_t *data, json_t *auth, json_t *warnings)
{
    char id[40];

    sim_draw_id(x->vault->random, "", 32, id, sizeof(id));
    return json_pack("{s:s, s:s, s:b, s:i, s:o?, s:n, s:o?, s:o?}", "request_id", id, "lease_id",
                     "", "renewable", 0, "lease_duration", 0, "data", data, "wrap_info", "warnings",
                     warnings, "auth", auth);
}

static void envelope_lease(json_t *root, const struct sim_vault_lease *lease, uint64_t now_ms)
{
    (void)json_object_set_new(root, "lease_id", json_string(lease->credential.id));
    (void)json_object_set_new(root, "renewable", json_boolean(lease->role->is_renewable));
    (void)json_object_set_new(root, "lease_duration",
                              json_integer(
                                  (json_int_t)((lease->credential.expires_ms - now_ms) / 1000)));
}

int64_t sim_vault_wall_ms(uint64_t when_ms)
{
    return SIM_START_WALL_MS + (int64_t)when_ms - (int64_t)SIM_START_MS;
}

json_t *sim_vault_time_json(uint64_t when_ms)
{
    char text[UNITS_TIME_MAX_BYTES];

    if (when_ms == 0 || when_ms == SIM_VAULT_NEVER) {
        return json_null();
    }
    return json_string(units_format_time(sim_vault_wall_ms(when_ms), text));
}

json_int_t sim_vault_seconds_until(uint64_t when_ms, uint64_t now_ms)
{
    return when_ms == SIM_VAULT_NEVER ? 0 : (json_int_t)((when_ms - now_ms) / 1000);
}

json_t *sim_vault_capped_warning(uint64_t asked_ms, uint64_t max_ms)
{
    char asked[UNITS_DURATION_MAX_BYTES];
    char max[UNITS_DURATION_MAX_BYTES];

    return json_pack("[o]",
                     json_sprintf("TTL of \"%s\" exceeded the effective max_ttl of \"%s\"; TTL "
                                  "value is capped accordingly",
                                  units_format_duration(asked_ms, asked),
                                  units_format_duration(max_ms, max)));
}

uint64_t sim_vault_duration_ms(const struct exchange *x, const char *key)
{
    const json_t *value = json_object_get(x->body, key);
    uint64_t ms = 0;

    if (json_is_integer(value) && json_integer_value(value) > 0) {
        return (uint64_t)json_integer_value(value) * 1000;
    }
    if (json_is_string(value) && units_parse_duration(str_of(json_string_value(value)), &ms) == 0) {
        return ms;
    }
    return 0;
}

/* --- sys -------------------------------------------------------------------------------------- */

static void sys_health(struct exchange *x)
{
    bool is_sealed = x->vault->is_sealed;
    const char *mode = is_sealed ? "unknown" : "disabled";
    json_t *root =
        json_pack("{s:b, s:b, s:b, s:s, s:s, s:I, s:s}", "initialized", 1, "sealed", is_sealed,
                  "standby", is_sealed, "replication_performance_mode", mode, "replication_dr_mode",
                  mode, "server_time_utc", (json_int_t)(sim_vault_wall_ms(x->vault->now_ms) / 1000),
                  "version", VERSION);

    if (!is_sealed) {
        (void)json_object_set_new(root, "cluster_name", json_string("vault-cluster-model"));
        (void)json_object_set_new(root, "cluster_id", json_string("model"));
    }
    sim_vault_answer_json(x, is_sealed ? 503 : 200, root);
}

/* --- the database engine ---------------------------------------------------------------------- */

static void creds_read(struct exchange *x)
{
    struct sim_vault_role *role = sim_vault_find_role(x->vault, x->arg);
    struct sim_vault_lease *lease;
    json_t *root;

    if (x->vault->issuer.denies_issue && !x->token->options.is_root) {
        sim_vault_answer_error(x, 403, DENIED_BY_POLICY);
        return;
    }
    if (!str_eq_c(x->call->method, "GET")) {
        sim_vault_answer_error(x, 405, "1 error occurred:\n\t* unsupported operation\n\n");
        return;
    }
    if (role == NULL) {
        char message[96];

        (void)snprintf(message, sizeof(message), "unknown role: %.*s", STR_ARG(x->arg));
        sim_vault_answer_error(x, 400, message);
        return;
    }
    if (x->token->uses_left == 1) {
        sim_vault_answer_error(x, 400,
                               "Secret cannot be returned; token had one use left, so leased "
                               "credentials were immediately revoked.");
        return;
    }
    lease = sim_vault_add_lease(x->vault, role, x->token, x->call);
    root = sim_vault_envelope(x,
                              json_pack("{s:s, s:s}", "password", lease->credential.secret,
                                        "username", lease->username),
                              NULL, NULL);
    envelope_lease(root, lease, x->vault->now_ms);
    sim_vault_answer_json(x, 200, root);
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
        sim_vault_answer_error(x, 400, "lease_id must be specified");
        return NULL;
    }
    lease = sim_vault_find_lease(x->vault, str_of(id));
    return lease != NULL && sim_vault_valid_until_ms(&lease->credential, x->vault->now_ms) != 0
               ? lease
               : NULL;
}

static void lease_lookup(struct exchange *x)
{
    bool is_named;
    struct sim_vault_lease *lease = lease_of_body(x, &is_named);
    char path[64];

    if (lease == NULL) {
        if (is_named) {
            sim_vault_answer_error(x, 400, "invalid lease");
        }
        return;
    }
    (void)snprintf(path, sizeof(path), "database/creds/%s", lease->role->name);
    sim_vault_answer_json(
        x, 200,
        sim_vault_envelope(
            x,
            json_pack("{s:o, s:s, s:o, s:o, s:s, s:b, s:I}", "expire_time",
                      sim_vault_time_json(lease->credential.expires_ms), "id", lease->credential.id,
                      "issue_time", sim_vault_time_json(lease->credential.issued_ms),
                      "last_renewal", sim_vault_time_json(lease->credential.renewed_ms), "path",
                      path, "renewable", lease->role->is_renewable, "ttl",
                      sim_vault_seconds_until(lease->credential.expires_ms, x->vault->now_ms)),
            NULL, NULL));
}

static void lease_renew(struct exchange *x)
{
    bool is_named;
    struct sim_vault_lease *lease = lease_of_body(x, &is_named);
    uint64_t now_ms = x->vault->now_ms;
    uint64_t ttl_ms = sim_vault_duration_ms(x, "increment");
    json_t *warnings = NULL;
    json_t *root;

    if (lease == NULL) {
        if (is_named) {
            sim_vault_answer_error(x, 400, "lease not found");
        }
        return;
    }
    if (!lease->role->is_renewable) {
        sim_vault_answer_error(x, 400, "lease is not renewable");
        return;
    }
    ttl_ms = ttl_ms > 0 ? ttl_ms : lease->role->default_ttl_ms;
    lease->credential.expires_ms = now_ms + ttl_ms;
    if (lease->credential.expires_ms > lease->credential.issued_ms + lease->role->max_ttl_ms) {
        lease->credential.expires_ms = lease->credential.issued_ms + lease->role->max_ttl_ms;
        warnings = sim_vault_capped_warning(ttl_ms, lease->role->max_ttl_ms);
    }
    lease->credential.renewed_ms = now_ms;
    x->vault->renew_total++;
    root = sim_vault_envelope(x, NULL, NULL, warnings);
    envelope_lease(root, lease, now_ms);
    sim_vault_answer_json(x, 200, root);
}

static void lease_revoke(struct exchange *x)
{
    bool is_named;
    struct sim_vault_lease *lease = lease_of_body(x, &is_named);
    bool is_sync = !json_is_false(json_object_get(x->body, "sync"));

    if (!is_named) {
        return;
    }
    if (lease != NULL &&
        sim_random_chance(x->vault->random, x->vault->issuer.faults.revoke_failed)) {
        sim_vault_answer_error(
            x, 400,
            "failed to revoke entry: resp: (*logical.Response)(nil) err: could not drop "
            "role: the database is busy");
        return;
    }
    if (lease != NULL) {
        lease->credential.is_revoked = true;
        x->vault->issuer.revoke_total++;
    }
    sim_vault_answer_nothing(x, is_sync ? 204 : 202);
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
    {"auth/approle/login", "POST PUT", true, false, sim_vault_approle_login},
    {"auth/token/lookup-self", "GET", false, false, sim_vault_token_lookup},
    {"auth/token/renew-self", "POST PUT", false, false, sim_vault_token_renew},
    {"auth/token/revoke-self", "POST PUT", false, false, sim_vault_token_revoke},
    {"auth/token/create", "POST PUT", false, false, sim_vault_token_create},
    {"auth/token/create/", "POST PUT", false, false, sim_vault_token_create},
    {"auth/token/lookup-accessor", "POST PUT", false, false, sim_vault_accessor_lookup},
    {"auth/token/renew-accessor", "POST PUT", false, false, sim_vault_accessor_renew},
    {"auth/token/revoke-accessor", "POST PUT", false, false, sim_vault_accessor_revoke},
    {"sys/capabilities-self", "POST PUT", false, false, sim_vault_capabilities},
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
    bool is_child =
        route->handler == sim_vault_token_create || route->handler == sim_vault_accessor_renew ||
        route->handler == sim_vault_accessor_revoke || route->handler == sim_vault_accessor_lookup;

    if (x->token == NULL || x->token->options.is_root) {
        return false;
    }
    return (route->handler == lease_renew && x->vault->denies_renew) ||
           (is_child && x->vault->denies_child);
}

static void route_run(struct exchange *x)
{
    const struct route *route = route_find(x);
    char message[160];

    x->token = sim_vault_find_token(x->vault, x->call->token);
    if (x->vault->is_sealed && (route == NULL || !route->works_sealed)) {
        sim_vault_answer_error(x, 503, "Vault is sealed");
    } else if ((route == NULL || !route->is_open) && x->token == NULL) {
        sim_vault_answer_error(x, 403, "permission denied");
    } else if (route == NULL) {
        (void)snprintf(message, sizeof(message),
                       "no handler for route \"%.*s\". route entry not found.", STR_ARG(x->path));
        sim_vault_answer_error(x, 404, message);
    } else if (!method_fits(route, x->call->method)) {
        sim_vault_answer_error(x, 405, "1 error occurred:\n\t* unsupported operation\n\n");
    } else if (is_denied(x, route)) {
        sim_vault_answer_error(x, 403, DENIED_BY_POLICY);
    } else {
        route->handler(x);
    }
    if (x->token != NULL && (route == NULL || !route->is_open)) {
        sim_vault_token_used(x->vault, x->token);
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
    if (sim_random_chance(vault->random, vault->issuer.faults.limited)) {
        answer->retry_after_s = 1 + (uint32_t)sim_random_below(vault->random, 9);
        sim_vault_answer_error(&x, 429, "request path: rate limit quota exceeded");
    } else if (sim_random_chance(vault->random, vault->issuer.faults.failed)) {
        sim_vault_answer_error(&x, 500, "internal error");
    } else {
        route_run(&x);
    }
    json_decref(x.body);
}
