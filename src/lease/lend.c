/* Credentials for the daemon's own backends: a grant of each, and when it is given back. */
#include "lease/lend.h"

#include "lease/core_internal.h"

#include <stdio.h>
#include <string.h>

/* What is new at its issuer may be refused because it isn't known everywhere yet; another one would
 * be as new. */
#define REFUSED_AGE_MS 60000U

/* --- who borrows ------------------------------------------------------------------------------ */

static void identify(struct lease_core *core, const char *backend, struct access_identity *identity)
{
    *identity = (struct access_identity){.kind = ENV_PEER_SELF,
                                         .listener = "",
                                         .uid = ENV_NO_ID,
                                         .gid = ENV_NO_ID,
                                         .env = core->env};
    (void)snprintf(identity->user, sizeof(identity->user), "backend:%s", backend);
}

bool lend_is_own(const struct holder *holder)
{
    return holder->kind == ENV_PEER_SELF;
}

/* --- one loan --------------------------------------------------------------------------------- */

static void end(struct lease_loan *loan, int status, const struct lease_lent *lent)
{
    loan->fn(loan, status, lent); /* the loan may be gone */
}

static void fail(struct lease_loan *loan, int status, const char *text)
{
    (void)err_set(&loan->error, status, "%s", text);
    end(loan, status, NULL);
}

static void lend(struct lease_loan *loan, struct grant *grant)
{
    const struct lease *lease = grant->lease;
    struct lease_credential credential;
    struct lease_lent lent = {.expires_ms = lease->expires_ms};
    int r = lease_credential_open(loan->core, lease, &credential);

    if (r != 0) {
        fail(loan, r, err_str(r));
        return;
    }
    lent.fields = credential.fields;
    lent.field_count = credential.field_count;
    end(loan, 0, &lent);
    lease_credential_close(&credential);
}

static void acquired(struct lease_acquire *acquire, int status, struct grant *grant)
{
    struct lease_loan *loan = acquire->user;

    if (status == 0) {
        lease_core_delivered(loan->core, grant, true);
        lend(loan, grant);
        return;
    }
    loan->retry_after_ms = acquire->retry_after_ms;
    fail(loan, status, acquire->error.text);
}

static void acquire(struct lease_loan *loan)
{
    int r = lease_acquire_start(loan->core, &loan->acquire);

    if (r != 0) {
        fail(loan, r, err_str(r));
    }
}

static void rotated(struct lease_wait *wait, int status)
{
    struct lease_loan *loan = wait->user;

    (void)status; /* where there is no other one it gets the same again */
    loan->is_rotating = false;
    acquire(loan);
}

static bool is_rotated(struct lease_loan *loan, struct lease *lease)
{
    if (!loan->is_refused ||
        schedule_left_ms(core_now_ms(loan->core), lease->issued_ms) < REFUSED_AGE_MS) {
        return false;
    }
    loan->rotation = (struct lease_wait){.fn = rotated, .user = loan};
    loan->is_rotating = lease_rotate_start(loan->core, lease, &loan->rotation) == 0;
    return loan->is_rotating;
}

static void begin(struct lease_loan *loan)
{
    struct lease_core *core = loan->core;
    struct lease_ask *ask = &loan->acquire.ask;
    struct grant *grant;

    ask->role = lease_core_role(core, str_of(loan->role));
    if (ask->role == NULL) {
        fail(loan, ERR_INVALID, "it isn't configured any more");
        return;
    }
    identify(core, loan->backend, &loan->identity);
    (void)snprintf(loan->reason, sizeof(loan->reason), "the source of backend %s", loan->backend);
    loan->decision = (struct access_decision){.outcome = ACCESS_ALLOW,
                                              .bindings = {{.kind = ACCESS_BINDING_NONE}},
                                              .binding_count = 1};
    ask->identity = &loan->identity;
    ask->decision = &loan->decision;
    loan->acquire.policy_digest = "";
    loan->acquire.reason = loan->reason;
    loan->acquire.fn = acquired;
    loan->acquire.user = loan;
    grant = lease_core_cached(core, ask);
    if (grant == NULL) {
        acquire(loan);
    } else if (!is_rotated(loan, grant->lease)) {
        lend(loan, grant);
    }
}

static void loan_due(struct env_deferred *deferred)
{
    struct lease_loan *loan = deferred->user;

    list_remove(&loan->node);
    if (loan->is_cancelled || loan->core->is_closing) {
        core_touch(loan->core);
        fail(loan, ERR_CANCELED, err_str(ERR_CANCELED));
    } else {
        begin(loan);
    }
}

static void loan_defer(struct lease_loan *loan)
{
    list_push_back(&loan->core->loans, &loan->node);
    env_defer(loan->core->env, &loan->deferred);
}

int lease_lend_start(struct lease_core *core, struct lease_loan *loan)
{
    if (core->is_closing) {
        return ERR_CLOSED;
    }
    loan->core = core;
    loan->deferred = (struct env_deferred){.fn = loan_due, .user = loan};
    loan->acquire = (struct lease_acquire){.fn = acquired};
    loan->retry_after_ms = 0;
    loan->error = (struct err){.code = 0};
    loan->is_rotating = loan->is_cancelled = false;
    loan_defer(loan);
    return 0;
}

void lease_lend_cancel(struct lease_loan *loan)
{
    if (loan->is_cancelled) {
        return;
    }
    loan->is_cancelled = true;
    if (loan->is_rotating) {
        loan->is_rotating = false;
        lease_wait_forget(&loan->rotation);
        loan_defer(loan);
    } else if (!list_is_linked(&loan->node)) {
        lease_acquire_cancel(loan->core, &loan->acquire);
    }
}

/* --- giving back ------------------------------------------------------------------------------ */

static bool borrows(const struct issuer *issuer, const struct holder *holder)
{
    const struct lease_issuer *config = issuer->config;
    struct access_identity identity;

    if (config->borrows == NULL || strcmp(config->borrows, holder->role->name) != 0) {
        return false;
    }
    identify(issuer->core, config->name, &identity);
    return strcmp(identity.user, holder->user) == 0;
}

/* While the daemon stops it is for what is still to be revoked. */
static bool is_at_work(const struct issuer *issuer)
{
    return !issuer->core->is_draining || issuer->lease_count > issuer->left_count;
}

bool lend_is_needed(const struct lease_core *core, const struct holder *holder)
{
    struct list *node;

    for (node = core->issuers.next; node != &core->issuers && lend_is_own(holder);
         node = node->next) {
        const struct issuer *issuer = LIST_ENTRY(node, struct issuer, node);

        if (is_at_work(issuer) && borrows(issuer, holder)) {
            return true;
        }
    }
    return false;
}

bool lend_holds(const struct lease *lease)
{
    const struct grant *grant = NULL;

    while ((grant = lease_next_grant(lease, grant)) != NULL) {
        if (lend_is_own(grant->holder)) {
            return true;
        }
    }
    return false;
}

static void give_back(struct lease_core *core, struct holder *holder)
{
    enum grant_end end = core->is_draining ? GRANT_END_STOPPING : GRANT_END_RELEASED;
    struct list *node;
    struct list *following;

    if (lend_is_needed(core, holder)) {
        return;
    }
    LIST_EACH (&holder->grants, node, following) {
        struct grant *grant = LIST_ENTRY(node, struct grant, by_holder);

        if (grant->state != GRANT_STATE_ENDED && !drain_keeps(grant)) {
            lease_end_grant(core, grant, end, NULL);
        }
    }
}

void lend_settle(struct lease_core *core, const struct lease_issuer *config)
{
    struct map_entry *entry =
        config->borrows != NULL ? map_find(&core->roles, str_of(config->borrows)) : NULL;
    struct access_identity identity;
    struct holder *holder;

    if (entry == NULL) {
        return;
    }
    identify(core, config->name, &identity);
    holder = holder_find(core, MAP_ENTRY(entry, struct role, entry), &identity);
    if (holder != NULL) {
        (void)holder_again(holder); /* it must outlive its grants */
        give_back(core, holder);
        holder_put(core, holder);
    }
}

void lend_drain(struct lease_core *core)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&core->issuers, node, following) {
        lend_settle(core, LIST_ENTRY(node, struct issuer, node)->config);
    }
}

void lend_recovered(struct lease_core *core)
{
    struct grant *grant = NULL;

    while ((grant = lease_core_next_grant(core, grant)) != NULL) {
        if (grant->state != GRANT_STATE_ENDED && lend_is_own(grant->holder) &&
            !lend_is_needed(core, grant->holder)) {
            lease_end_grant(core, grant, GRANT_END_RELEASED, NULL);
        }
    }
}
