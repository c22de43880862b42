/* Who may wait for a credential: from a request to a grant that somebody waits for.
 *
 * Happy path: lease_acquire_start → the caller's bindings are resolved → its own grant, or a new
 * one on a lease that it may share, or on a new lease (issue.c) → acquire.c takes it from there.
 *
 * Failure paths, all before anything is made: the role is gone, the trail isn't ready, there is
 * nothing to bind to, too many wait (for this lease, or of this uid), a number or a rate is used
 * up, the issuer has just refused. */
#include "lease/core_internal.h"

#include <inttypes.h>

static int acquire_new_lease(struct lease_acquire *acquire, struct role *role,
                             struct holder *holder, struct lease **ret_lease)
{
    struct lease *lease = lease_new(role, holder, acquire->reason);

    if (lease == NULL) {
        return ERR_NOMEM;
    }
    lease->rule_ttl_ms = acquire->ask.decision->ttl_ms;
    sharing_offer(lease);
    *ret_lease = lease;
    return 0;
}

/* One caller may fill a crowd; who waits for nothing else finds a place beside it. */
static int check_crowd(struct lease_acquire *acquire, const struct lease *lease,
                       const struct account *account)
{
    uint64_t max = acquire->core->options.waiting_max;

    if (lease->waiting_count >= (account->waiting_count > 0 ? max : 2 * max)) {
        return err_set(&acquire->error, ERR_BUSY,
                       "%" PRIu32 " requests wait for this credential already",
                       lease->waiting_count);
    }
    return 0;
}

static int check_room(struct lease_acquire *acquire)
{
    const struct lease_core *core = acquire->core;
    uint64_t live_count =
        core->grant_counts[GRANT_STATE_PENDING] + core->grant_counts[GRANT_STATE_HELD];

    if (live_count >= core->options.grants_max) {
        return err_set(&acquire->error, ERR_LIMIT,
                       "%" PRIu32 " grants are live, more are not allowed",
                       core->options.grants_max);
    }
    return 0;
}

/* A refusal costs no token, so who asks again too early is told why it has to wait, and for how
 * long; who has no token left doesn't take the place of one that tries for all. */
static int check_new_grant(struct lease_acquire *acquire, struct role *role, struct holder *holder,
                           const struct lease *shared)
{
    int r = check_room(acquire);

    if (r == 0) {
        r = account_check_grants(acquire->core, holder->account, shared == NULL,
                                 &acquire->retry_after_ms, &acquire->error);
    }
    if (r == 0) {
        r = rates_check(acquire->core, &acquire->ask, &acquire->retry_after_ms, &acquire->error);
    }
    if (r == 0) {
        r = shared != NULL ? check_crowd(acquire, shared, holder->account)
                           : issue_check(role, holder, &acquire->retry_after_ms, &acquire->error);
    }
    return r;
}

static int acquire_new_grant(struct lease_acquire *acquire, struct role *role,
                             struct holder *holder, const struct binding_found *found)
{
    struct lease *shared = sharing_find(role, holder);
    struct lease *lease = shared;
    int r = check_new_grant(acquire, role, holder, shared);

    if (r == 0) {
        r = rates_take(acquire->core, &acquire->ask, &acquire->error);
    }
    if (r == 0 && shared == NULL) {
        r = acquire_new_lease(acquire, role, holder, &lease);
    }
    if (r != 0) {
        return r;
    }
    account_take_grant(acquire->core, holder->account, shared == NULL);
    r = grant_new(&(struct grant_making){.lease = lease,
                                         .holder = holder,
                                         .acquire = acquire,
                                         .found = found},
                  &acquire->grant);
    if (r != 0 && shared == NULL) {
        lease_free(lease); /* nobody has heard of it */
    } else if (shared == NULL) {
        issue_start(lease);
    }
    return r;
}

static int acquire_grant(struct lease_acquire *acquire, struct role *role, struct holder *holder,
                         const struct binding_found *found)
{
    int r = account_check_waiting(acquire->core, holder->account, &acquire->error);

    if (r != 0) {
        return r;
    }
    acquire->grant =
        acquire->ask.is_new_grant ? NULL : grant_find(acquire->core, holder, &found->set);
    return acquire->grant != NULL ? check_crowd(acquire, acquire->grant->lease, holder->account)
                                  : acquire_new_grant(acquire, role, holder, found);
}

static void acquire_wait(struct lease_acquire *acquire)
{
    struct lease_core *core = acquire->core;

    acquire->grant->acquire_count++;
    acquire->grant->holder->account->waiting_count++;
    acquire->grant->lease->waiting_count++;
    list_push_back(&acquire->grant->waiting, &acquire->node);
    list_push_back(&core->acquires, &acquire->by_age);
    if (!wheel_is_armed(&core->acquires_due)) {
        wheel_arm(&core->wheel, &core->acquires_due, acquire->deadline_ms);
    }
}

/* The grant that the caller's identity and its bindings lead to. */
static int acquire_keyed(struct lease_acquire *acquire, struct role *role)
{
    struct lease_core *core = acquire->core;
    struct binding_found found;
    struct holder *holder;
    int r = binding_resolve(core->env, &acquire->ask, &found, &acquire->error);

    if (r != 0) {
        return r;
    }
    holder = holder_get(core, role, acquire->ask.identity);
    if (holder == NULL) {
        return ERR_NOMEM;
    }
    r = acquire_grant(acquire, role, holder, &found);
    holder_put(core, holder); /* the grant has it, too */
    return r;
}

/* The grant that the caller's token names. */
static int acquire_named(struct lease_acquire *acquire, struct grant *named)
{
    const struct account *account = named->holder->account;
    int r = account_check_waiting(acquire->core, account, &acquire->error);

    acquire->grant = named;
    return r == 0 ? check_crowd(acquire, named->lease, account) : r;
}

static int acquire_find(struct lease_acquire *acquire)
{
    struct role *role = role_of(acquire->ask.role);
    struct grant *named = reads_named(&acquire->ask);
    int r;

    if (role->is_removed) {
        return err_set(&acquire->error, ERR_INVALID, "role %s isn't configured any more",
                       role->name);
    }
    r = lease_core_may_hand_out(acquire->core, &acquire->error);
    if (r != 0) {
        return r;
    }
    r = named != NULL ? acquire_named(acquire, named) : acquire_keyed(acquire, role);
    if (r == 0) {
        acquire_wait(acquire);
    } else {
        acquire->grant = NULL;
    }
    return r;
}

int lease_acquire_start(struct lease_core *core, struct lease_acquire *acquire)
{
    int r;

    if (core->is_closing || (core->is_draining && acquire->ask.identity->kind != ENV_PEER_SELF)) {
        return ERR_CLOSED;
    }
    acquire->core = core;
    acquire->grant = NULL;
    acquire->node = (struct list){.next = NULL};
    acquire->by_age = (struct list){.next = NULL};
    acquire->deadline_ms = schedule_add_ms(core_now_ms(core), core->options.acquire_timeout_ms);
    acquire->deferred = (struct env_deferred){.fn = acquire_finished, .user = acquire};
    acquire->status = 0;
    acquire->retry_after_ms = 0;
    acquire->error = (struct err){.code = 0};
    acquire->is_finishing = acquire->has_renewed = acquire->has_rotated = false;
    r = acquire_find(acquire);
    if (r != 0) {
        if (acquire->error.code == 0) {
            (void)err_set(&acquire->error, r, "%s", err_str(r));
        }
        acquire_finish(acquire, r);
    } else {
        acquire_step(acquire);
    }
    core_touch(core);
    return 0;
}

void lease_acquire_cancel(struct lease_core *core, struct lease_acquire *acquire)
{
    if (acquire->is_finishing && acquire->status != 0) {
        return;
    }
    acquire_fail(acquire, &(struct acquire_failure){.status = ERR_CANCELED});
    core_touch(core);
}
