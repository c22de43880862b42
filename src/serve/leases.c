/* Leases and grants: list, show, renew, rotate, acknowledge, end.
 *
 * An effect that takes the issuer's time is waited for as long as `?wait=` says; then the answer is
 * 202 with the state as it is, and the effect goes on by itself. */
#include "lease/observe.h"
#include "serve/page.h"
#include "serve/wait.h"

#include <stdio.h>
#include <string.h>

static void not_found(struct exchange *x)
{
    exchange_fail(x,
                  &(struct exchange_problem){.status = 404,
                                             .code = "not_found",
                                             .detail = "there is no such lease or grant, or it is "
                                                       "not yours"});
}

/* The lease of the path that the caller may see; NULL after a 404. */
static struct lease *lease_of_path(struct exchange *x)
{
    struct lease *lease = lease_core_find_lease(x->serve->options.core, x->path_arg);

    if (lease == NULL || !view_may_see_lease(x, lease)) {
        not_found(x);
        return NULL;
    }
    return lease;
}

static struct grant *grant_of_path(struct exchange *x)
{
    struct grant *grant = lease_core_find_grant(x->serve->options.core, x->path_arg);

    if (grant == NULL || !view_may_see_grant(x, grant)) {
        not_found(x);
        return NULL;
    }
    return grant;
}

static void reply_lease(struct exchange *x, uint32_t status, const struct lease *lease)
{
    struct json_out json;

    exchange_json(x, &json);
    view_write_lease(x, &json, lease);
    exchange_reply(x, status);
}

static void reply_grant(struct exchange *x, uint32_t status, const struct grant *grant)
{
    struct json_out json;

    exchange_json(x, &json);
    view_write_grant(&json, grant);
    exchange_reply(x, status);
}

void serve_leases_show(struct exchange *x)
{
    struct lease *lease = lease_of_path(x);

    if (lease != NULL) {
        reply_lease(x, 200, lease);
    }
}

void serve_grants_show(struct exchange *x)
{
    struct grant *grant = grant_of_path(x);

    if (grant != NULL) {
        reply_grant(x, 200, grant);
    }
}

/* --- lists ------------------------------------------------------------------------------------ */

static bool may_see_all(const struct exchange *x)
{
    return (x->admin & ACCESS_ADMIN_READ) != 0;
}

static struct lease *next_lease(const struct exchange *x, const struct lease *after)
{
    struct lease_core *core = x->serve->options.core;

    return may_see_all(x) ? lease_core_next_lease(core, after)
                          : lease_core_next_own_lease(core, &x->identity, after);
}

static struct grant *next_grant(const struct exchange *x, const struct grant *after)
{
    struct lease_core *core = x->serve->options.core;

    return may_see_all(x) ? lease_core_next_grant(core, after)
                          : lease_core_next_own_grant(core, &x->identity, after);
}

void serve_leases_list(struct exchange *x)
{
    struct lease_core *core = x->serve->options.core;
    struct str cursor = str_of(x->params.cursor);
    struct lease *lease = cursor.len > 0 ? lease_core_find_lease(core, cursor) : NULL;
    struct json_out json;
    struct lease_view view;
    const char *next = NULL;
    uint32_t count = 0;

    if (cursor.len > 0 && (lease == NULL || !view_may_see_lease(x, lease))) {
        page_fail(x);
        return;
    }
    page_begin(x, &json);
    while ((lease = next_lease(x, lease)) != NULL) {
        if (page_is_full(x, count++)) {
            next = x->id;
            break;
        }
        view_write_lease(x, &json, lease);
        lease_view(lease, &view);
        (void)snprintf(x->id, sizeof(x->id), "%s", view.id);
    }
    page_end(x, &json, next);
}

void serve_grants_list(struct exchange *x)
{
    struct lease_core *core = x->serve->options.core;
    struct str cursor = str_of(x->params.cursor);
    struct grant *grant = cursor.len > 0 ? lease_core_find_grant(core, cursor) : NULL;
    struct json_out json;
    struct grant_view view;
    const char *next = NULL;
    uint32_t count = 0;

    if (cursor.len > 0 && (grant == NULL || !view_may_see_grant(x, grant))) {
        page_fail(x);
        return;
    }
    page_begin(x, &json);
    while ((grant = next_grant(x, grant)) != NULL) {
        if (page_is_full(x, count++)) {
            next = x->id;
            break;
        }
        view_write_grant(&json, grant);
        grant_view(grant, &view);
        (void)snprintf(x->id, sizeof(x->id), "%s", view.id);
    }
    page_end(x, &json, next);
}

/* --- effects ---------------------------------------------------------------------------------- */

/* Shows the lease or grant that x->id names, as it is now. */
static void wait_answer(struct exchange *x, bool is_done)
{
    struct lease_core *core = x->serve->options.core;
    struct grant *grant = lease_core_find_grant(core, str_of(x->id));
    struct lease *lease = lease_core_find_lease(core, str_of(x->id));
    uint32_t status = is_done ? 200 : 202;

    if (grant != NULL) {
        reply_grant(x, status, grant);
    } else if (lease != NULL) {
        reply_lease(x, status, lease);
    } else {
        not_found(x);
    }
}

static const struct exchange_failure wait_failures[] = {
    {ERR_UNSUPPORTED, 409, "invalid", NULL},
    {ERR_GONE, 409, "invalid", NULL},
    {ERR_BUSY, 409, "busy", "a renewal of the lease is under way"},
    {ERR_LIMIT, 429, "limit_exceeded", NULL},
    {ERR_DENIED, 502, "issuer_unavailable", "the issuer refuses leased itself"},
    {ERR_INVALID, 500, "invalid", "the role's configuration must be mended"},
    {ERR_NOMEM, 503, "busy", NULL},
    {ERR_CANCELED, 503, "degraded", "leased is stopping"},
    {0, 503, "issuer_unavailable", "leased goes on trying"},
};

static const struct serve_wait effect_wait = {.answer = wait_answer, .failures = wait_failures};

/* The caller's own grant on this lease that is still held and comes after `after` (NULL: the first
 * one), or NULL. */
static struct grant *own_grant(const struct exchange *x, const struct lease *lease,
                               const struct grant *after)
{
    struct grant *grant = lease_next_own_grant(lease, &x->identity, after);
    struct grant_view view;

    for (; grant != NULL; grant = lease_next_own_grant(lease, &x->identity, grant)) {
        grant_view(grant, &view);
        if (view.state == GRANT_STATE_HELD) {
            return grant;
        }
    }
    return NULL;
}

static bool may_revoke(const struct exchange *x)
{
    return (x->admin & ACCESS_ADMIN_REVOKE) != 0;
}

bool serve_lease_is_held(const struct exchange *x, const struct lease *lease)
{
    return own_grant(x, lease, NULL) != NULL || may_revoke(x);
}

static void not_a_holder(struct exchange *x)
{
    exchange_fail(x, &(struct exchange_problem){.status = 403,
                                                .code = "denied",
                                                .detail = "you hold no grant on this lease",
                                                .hint = "an admin that may revoke could do it"});
}

/* Renewal and rotation: asked for by a holder, or an admin that may revoke. Each costs whoever asks
 * as much as a new grant, so a loop of them keeps nobody else from the issuer. */
static void lease_effect(struct exchange *x,
                         int (*start)(struct lease_core *core, struct lease *lease,
                                      struct lease_wait *wait))
{
    struct lease *lease = lease_of_path(x);
    struct lease_view view;
    uint64_t retry_after_ms = 0;
    struct err e = {.code = 0};
    int r;

    if (lease == NULL) {
        return;
    }
    if (!serve_lease_is_held(x, lease)) {
        not_a_holder(x);
        return;
    }
    r = lease_core_charge(x->serve->options.core, &x->identity, &retry_after_ms, &e);
    if (r != 0) {
        exchange_fail_status(x, wait_failures, r, &e, retry_after_ms);
        return;
    }
    lease_view(lease, &view);
    serve_wait_begin(x, &effect_wait, view.id,
                     x->params.wait_ms > 0 ? x->params.wait_ms : PARAMS_EFFECT_WAIT_MS);
    r = start(x->serve->options.core, lease, &x->wait);
    if (r != 0) {
        serve_wait_refused(x);
        exchange_fail_status(x, wait_failures, r, &x->wait.error, 0);
    }
}

void serve_leases_renew(struct exchange *x)
{
    lease_effect(x, lease_renew_start);
}

void serve_leases_rotate(struct exchange *x)
{
    lease_effect(x, lease_rotate_start);
}

static const struct exchange_failure ack_failures[] = {
    {ERR_BUSY, 409, "invalid", "read the successor first: GET /credentials/{role}"},
    {0, 409, "invalid", NULL},
};

/* The caller has moved over to what it has read last. Who has, once more, hears the same. */
void serve_leases_ack(struct exchange *x)
{
    static const struct err behind = {.code = ERR_BUSY,
                                      .text = "you haven't read the successor yet"};
    struct lease_core *core = x->serve->options.core;
    struct lease *lease = lease_core_find_lease(core, x->path_arg);
    struct str grant_id = {.ptr = NULL};
    int r = ERR_NOT_FOUND;

    if (x->params.grant[0] != '\0') {
        grant_id = str_of(x->params.grant);
    }
    if (lease != NULL) {
        r = lease_core_ack(core, lease, &x->identity, grant_id);
    }
    if (r == 0) {
        reply_lease(x, 200, lease);
    } else if (r == ERR_BUSY) {
        exchange_fail_status(x, ack_failures, r, &behind, 0);
    } else if (lease != NULL && view_may_see_lease(x, lease)) {
        not_a_holder(x);
    } else {
        not_found(x);
    }
}

/* Where an end reports to: nobody, unless the client wants to wait for it. */
static struct lease_wait *end_begin(struct exchange *x, const char *id)
{
    if (x->params.wait_ms == 0) {
        return NULL;
    }
    serve_wait_begin(x, &effect_wait, id, x->params.wait_ms);
    return &x->wait;
}

void serve_grants_delete(struct exchange *x)
{
    struct grant *grant = grant_of_path(x);
    struct grant_view view;
    struct lease_wait *wait;
    bool is_own;

    if (grant == NULL) {
        return;
    }
    grant_view(grant, &view);
    is_own = str_eq_c(str_of(view.identity_key), x->key);
    if (!is_own && !may_revoke(x)) {
        exchange_fail(x, &(struct exchange_problem){.status = 403,
                                                    .code = "denied",
                                                    .detail = "the grant is another caller's"});
        return;
    }
    wait = end_begin(x, view.id);
    lease_end_grant(x->serve->options.core, grant, is_own ? GRANT_END_RELEASED : GRANT_END_REVOKED,
                    wait);
    if (wait == NULL) {
        reply_grant(x, 202, grant);
    }
}

/* Nobody holds the lease any more that was issued for the caller alone: it may be kept for its next
 * request, or be on its way out. */
static bool is_left_over(const struct exchange *x, const struct lease_view *lease)
{
    return lease->grant_count == 0 && str_eq_c(str_of(lease->identity_key), x->key);
}

static void end_own_grants(struct exchange *x, struct lease *lease, struct lease_wait *wait)
{
    struct grant *grant = own_grant(x, lease, NULL);
    struct grant *next;

    for (; grant != NULL; grant = next) {
        next = own_grant(x, lease, grant);
        lease_end_grant(x->serve->options.core, grant, GRANT_END_RELEASED,
                        next == NULL ? wait : NULL);
    }
}

/* It gives back what is its own alone, and takes from others what they hold. */
static enum grant_end end_of_all(const struct exchange *x, const struct lease *lease)
{
    const struct grant *grant = lease_next_grant(lease, NULL);
    struct grant_view view;

    for (; grant != NULL; grant = lease_next_grant(lease, grant)) {
        grant_view(grant, &view);
        if (!str_eq_c(str_of(view.identity_key), x->key)) {
            return GRANT_END_REVOKED;
        }
    }
    return GRANT_END_RELEASED;
}

static bool ends_all(const struct exchange *x, const struct lease *lease)
{
    struct lease_view view;

    lease_view(lease, &view);
    return may_revoke(x) || is_left_over(x, &view);
}

bool serve_lease_may_end(const struct exchange *x, const struct lease *lease)
{
    return ends_all(x, lease) || own_grant(x, lease, NULL) != NULL;
}

void serve_lease_end(struct exchange *x, struct lease *lease, struct lease_wait *wait)
{
    if (ends_all(x, lease)) {
        lease_end(x->serve->options.core, lease, end_of_all(x, lease), wait);
    } else {
        end_own_grants(x, lease, wait);
    }
}

/* An owner's DELETE ends its grants, an admin's the lease. An owner may ask again, to wait for the
 * issuer's word. */
void serve_leases_delete(struct exchange *x)
{
    struct lease *lease = lease_of_path(x);
    struct lease_view view;
    struct lease_wait *wait;

    if (lease == NULL) {
        return;
    }
    if (!serve_lease_may_end(x, lease)) {
        not_a_holder(x);
        return;
    }
    lease_view(lease, &view);
    wait = end_begin(x, view.id);
    serve_lease_end(x, lease, wait);
    if (wait == NULL) {
        reply_lease(x, 202, lease);
    }
}
