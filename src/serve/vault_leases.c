/* sys/leases/…: looking at, renewing and ending leases by our ids. A caller has to do with its own
 * alone; an admin that may, with all.
 *
 * A renewal asks the issuer only where the lease isn't fresh: clients renew the moment that they
 * have a lease, and leased renews by itself, too. One that has a successor goes on to its end, and
 * says so. */
#include "serve/vault.h"
#include "serve/wait.h"

#include <stdio.h>
#include <string.h>

#define LEASE_ID_TEXT_MAX_BYTES 512

struct lease_body {
    char id[LEASE_ID_TEXT_MAX_BYTES];
    bool is_sync;
};

static bool as_true(const json_t *value)
{
    const char *text = json_string_value(value);

    return json_is_true(value) || (text != NULL && strcmp(text, "true") == 0);
}

/* The lease's id stands in the path or in the body. False: it has been answered. */
static bool read_body(struct vault_request *v, struct lease_body *ret_body)
{
    json_t *root = serve_vault_body(v->x);
    const char *id = json_string_value(json_object_get(root, "lease_id"));
    json_t *sync = json_object_get(root, "sync");

    if (root == NULL) {
        return false;
    }
    if (v->arg.len > 0) {
        (void)snprintf(ret_body->id, sizeof(ret_body->id), "%.*s", STR_ARG(v->arg));
    } else {
        (void)snprintf(ret_body->id, sizeof(ret_body->id), "%s", id != NULL ? id : "");
    }
    ret_body->is_sync = sync == NULL || as_true(sync);
    json_decref(root);
    if (ret_body->id[0] == '\0') {
        serve_vault_fail(v->x, 400, "lease_id must be specified", NULL);
        return false;
    }
    return true;
}

/* NULL: there is none. */
static struct lease *lease_find(const struct exchange *x, const char *id)
{
    return lease_core_find_lease(x->serve->options.core, str_of(id));
}

static bool is_over(const struct lease *lease)
{
    struct lease_view view;

    lease_view(lease, &view);
    return view.state >= LEASE_STATE_REVOKING;
}

static void foreign(struct exchange *x)
{
    serve_vault_fail(x, 403, "the lease is another caller's", NULL);
}

/* The one that the request names and that its caller may see. NULL: it has been answered. */
static struct lease *lease_of_request(struct vault_request *v, const char *unknown)
{
    struct lease_body body;
    struct lease *lease;

    if (!read_body(v, &body)) {
        return NULL;
    }
    lease = lease_find(v->x, body.id);
    if (lease == NULL) {
        serve_vault_fail(v->x, 400, unknown, "leases are known by the ids that leased gives them");
    } else if (!view_may_see_lease(v->x, lease)) {
        foreign(v->x);
        return NULL;
    } else if (is_over(lease)) {
        serve_vault_fail(v->x, 400, unknown, NULL);
        return NULL;
    }
    return lease;
}

void serve_vault_leases_lookup(struct vault_request *v)
{
    static const struct vault_head none = {.lease_id = NULL};
    struct exchange *x = v->x;
    const struct lease *lease = lease_of_request(v, "invalid lease");
    char path[VAULT_ROLE_PATH_MAX_BYTES];
    struct lease_view view;
    struct json_out json;

    if (lease == NULL) {
        return;
    }
    lease_view(lease, &view);
    exchange_json(x, &json);
    serve_vault_reply_open(x, &json, &none);
    json_out_object_open(&json, "data");
    json_out_string_c(&json, "id", view.id);
    json_out_string_c(&json, "path", serve_vault_role_path(view.role, path));
    json_out_time(&json, "issue_time", view.issued_wall_ms);
    json_out_time(&json, "expire_time", view.expires_wall_ms);
    json_out_time(&json, "last_renewal", view.renewed_wall_ms);
    json_out_bool(&json, "renewable", view.is_renewable);
    json_out_u64(&json, "ttl", serve_vault_seconds_left(x, &view, NULL));
    json_out_object_close(&json);
    serve_vault_reply_close(&json, NULL);
    exchange_reply(x, 200);
}

/* --- renewing ----------------------------------------------------------------------------------
 */

static const struct grant *own_grant(const struct exchange *x, const struct lease *lease)
{
    return lease_next_own_grant(lease, &x->identity, NULL);
}

static void renewed(struct exchange *x, const struct lease *lease)
{
    const struct grant *grant = own_grant(x, lease);
    struct vault_head head;
    struct grant_view held;
    struct lease_view view;
    struct json_out json;

    lease_view(lease, &view);
    if (grant != NULL) {
        grant_view(grant, &held);
    }
    head =
        (struct vault_head){.lease_id = view.id,
                            .is_renewable = view.is_renewable,
                            .duration_s =
                                serve_vault_seconds_left(x, &view, grant != NULL ? &held : NULL)};
    exchange_json(x, &json);
    serve_vault_reply_open(x, &json, &head);
    json_out_string_c(&json, "data", NULL);
    serve_vault_reply_close(&json, view.successor != NULL
                                       ? "the lease has a successor: read its path again for it"
                                       : NULL);
    exchange_reply(x, 200);
}

static void renew_answer(struct exchange *x, bool is_done)
{
    const struct lease *lease = lease_find(x, x->id);

    (void)is_done;
    if (lease == NULL || is_over(lease)) {
        serve_vault_fail(x, 400, "lease not found", NULL);
    } else {
        renewed(x, lease);
    }
}

static const struct exchange_failure renew_failures[] = {
    {ERR_UNSUPPORTED, 400, "invalid", "it is not renewable: read its path again before its end"},
    {ERR_GONE, 400, "invalid", "read the path of the credential again"},
    {ERR_LIMIT, 429, "limit_exceeded", NULL},
    {ERR_DENIED, 502, "issuer_unavailable", "the issuer refuses leased itself"},
    {ERR_INVALID, 500, "invalid", "the role's configuration must be mended"},
    {ERR_NOMEM, 503, "busy", NULL},
    {0, 503, "issuer_unavailable", "leased goes on trying"},
};

static const struct serve_wait renew_wait = {.answer = renew_answer, .failures = renew_failures};

/* Two thirds of its life or more are left. */
static bool is_fresh(const struct exchange *x, const struct lease_view *view)
{
    int64_t since_ms = view->renewed_wall_ms > 0 ? view->renewed_wall_ms : view->issued_wall_ms;
    int64_t life_ms = view->expires_wall_ms - since_ms;
    int64_t left_ms = view->expires_wall_ms - env_wall_ms(x->serve->options.env);

    return left_ms >= life_ms / 3 * 2;
}

static void renew(struct exchange *x, struct lease *lease, const char *id)
{
    struct lease_core *core = x->serve->options.core;
    uint64_t retry_after_ms = 0;
    struct err e = {.code = 0};
    int r = lease_core_charge(core, &x->identity, &retry_after_ms, &e);

    if (r != 0) {
        exchange_fail_status(x, renew_failures, r, &e, retry_after_ms);
        return;
    }
    serve_wait_begin(x, &renew_wait, id, PARAMS_EFFECT_WAIT_MS);
    r = lease_renew_start(core, lease, &x->wait);
    if (r == ERR_BUSY) {
        serve_wait_refused(x);
        renewed(x, lease); /* leased is renewing it just now */
    } else if (r != 0) {
        serve_wait_refused(x);
        exchange_fail_status(x, renew_failures, r, &x->wait.error, 0);
    }
}

void serve_vault_leases_renew(struct vault_request *v)
{
    struct exchange *x = v->x;
    struct lease *lease = lease_of_request(v, "lease not found");
    struct lease_view view;

    if (lease == NULL) {
        return;
    }
    if (!serve_lease_is_held(x, lease)) {
        foreign(x);
        return;
    }
    lease_view(lease, &view);
    if (view.state == LEASE_STATE_SUPERSEDED || view.state == LEASE_STATE_RENEWING) {
        renewed(x, lease);
    } else if (!view.is_renewable) {
        serve_vault_fail(x, 400, "lease is not renewable", NULL);
    } else if (is_fresh(x, &view)) {
        renewed(x, lease);
    } else {
        renew(x, lease, view.id);
    }
}

/* --- ending ------------------------------------------------------------------------------------
 */

static void revoke_answer(struct exchange *x, bool is_done)
{
    if (is_done) {
        serve_vault_reply_empty(x, 204);
    } else {
        exchange_fail(x, &(struct exchange_problem){
                             .status = 503,
                             .code = "issuer_unavailable",
                             .detail = "the issuer hasn't confirmed the revocation yet",
                             .hint = "nobody gets the lease any more; leased goes on trying",
                             .retry_after_ms = 1000});
    }
}

static const struct exchange_failure revoke_failures[] = {
    {ERR_CANCELED, 503, "degraded", "leased is stopping"},
    {0, 503, "issuer_unavailable", "leased goes on trying"},
};

static const struct serve_wait revoke_wait = {.answer = revoke_answer, .failures = revoke_failures};

/* What is unknown or over needs no end: 204, as from Vault. */
void serve_vault_leases_revoke(struct vault_request *v)
{
    struct exchange *x = v->x;
    struct lease_body body;
    struct lease *lease;

    if (!read_body(v, &body)) {
        return;
    }
    lease = lease_find(x, body.id);
    if (lease == NULL) {
        serve_vault_reply_empty(x, body.is_sync ? 204 : 202);
    } else if (!view_may_see_lease(x, lease) ||
               (!is_over(lease) && !serve_lease_may_end(x, lease))) {
        foreign(x);
    } else if (!body.is_sync) {
        serve_lease_end(x, lease, NULL);
        serve_vault_reply_empty(x, 202);
    } else {
        serve_wait_begin(x, &revoke_wait, body.id, PARAMS_EFFECT_WAIT_MS);
        serve_lease_end(x, lease, &x->wait);
    }
}
