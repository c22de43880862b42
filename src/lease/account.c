/* The limits of one caller: grants a second, leases at once, requests that wait at once. The order
 * in which the issues of several callers are sent is the queue's. */
#include "lease/account.h"

#include "base/mem.h"
#include "lease/core_internal.h"

#include <inttypes.h>

#define BURST 2U
#define ISSUE_TOKENS 10U /* a grant that needs an issue counts as much as ten that need none */
#define SWEPT_AT_ONCE 2

static bool account_match(struct index_entry *entry, const void *caller)
{
    return CONTAINER_OF(entry, struct account, entry)->caller == *(const uint64_t *)caller;
}

/* Callers with the same hash would share their limits, nothing else. */
static uint64_t caller_of(const struct lease_core *core, const struct access_identity *identity)
{
    const char *name = identity->kind == ENV_PEER_TLS ? identity->sans : identity->user;

    if (identity->kind != ENV_PEER_TLS && identity->kind != ENV_PEER_SELF) {
        return identity->uid;
    }
    return index_hash_text(core->accounts.seed, name) | 1ULL << 63;
}

/* A bucket holds what its rate gives at once, so one of twice the size fills in twice the time. */
static struct units_rate rate_with_burst(const struct lease_core *core)
{
    const struct units_rate rate = core->options.grants_per_uid;

    return (struct units_rate){.count = rate.count * BURST * ISSUE_TOKENS,
                               .per_ms = rate.per_ms * BURST};
}

uint64_t account_hash(const struct index *index, struct index_entry *entry)
{
    return index_hash(index->seed, CONTAINER_OF(entry, struct account, entry)->caller);
}

static struct account *account_by(const struct lease_core *core, uint64_t caller)
{
    struct index_entry *entry = index_find(&core->accounts, index_hash(core->accounts.seed, caller),
                                           account_match, &caller);

    return entry != NULL ? CONTAINER_OF(entry, struct account, entry) : NULL;
}

struct account *account_find(const struct lease_core *core, const struct access_identity *identity)
{
    return account_by(core, caller_of(core, identity));
}

static void account_free(struct lease_core *core, struct account *account)
{
    list_remove(&account->unheld);
    index_remove(&core->accounts, &account->entry);
    mem_free(account);
}

/* The hand of a clock, as in rates.c: they go sooner than new ones come. */
static void sweep(struct lease_core *core)
{
    int i;

    for (i = 0; i < SWEPT_AT_ONCE && !list_is_empty(&core->unheld_accounts); i++) {
        struct account *account = LIST_ENTRY(core->unheld_accounts.next, struct account, unheld);

        if (queue_bucket_is_full(&account->grants, core_now_ms(core))) {
            account_free(core, account);
        } else {
            list_move_back(&core->unheld_accounts, &account->unheld);
        }
    }
}

struct account *account_get(struct lease_core *core, const struct access_identity *identity)
{
    uint64_t caller = caller_of(core, identity);
    struct account *account = account_by(core, caller);

    if (account != NULL) {
        list_remove(&account->unheld);
        return account;
    }
    sweep(core);
    account = mem_calloc(1, sizeof(*account));
    if (account == NULL) {
        return NULL;
    }
    account->caller = caller;
    if (index_add(&core->accounts, &account->entry) != 0) {
        mem_free(account);
        return NULL;
    }
    list_init(&account->holders);
    list_init(&account->unheld);
    queue_bucket_init(&account->grants, rate_with_burst(core), core_now_ms(core));
    return account;
}

static void role_set_rates(const struct role *role, struct units_rate rate)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&role->holders, node, following) {
        queue_bucket_set(&LIST_ENTRY(node, struct holder, by_role)->account->grants, rate,
                         core_now_ms(role->core));
    }
}

void account_set_rates(struct lease_core *core)
{
    struct map_entry *entry;
    struct list *node;
    struct list *following;

    for (entry = map_first(&core->roles); entry != NULL; entry = map_next(&core->roles, entry)) {
        role_set_rates(MAP_ENTRY(entry, struct role, entry), rate_with_burst(core));
    }
    LIST_EACH (&core->unheld_accounts, node, following) {
        queue_bucket_set(&LIST_ENTRY(node, struct account, unheld)->grants, rate_with_burst(core),
                         core_now_ms(core));
    }
}

void account_put(struct lease_core *core, struct account *account)
{
    if (list_is_empty(&account->holders)) {
        CHECK(account->lease_count == 0 && account->grant_count == 0);
        CHECK(account->waiting_count == 0);
        list_push_back(&core->unheld_accounts, &account->unheld);
        if (queue_bucket_is_full(&account->grants, core_now_ms(core))) {
            account_free(core, account);
        }
    }
}

void accounts_fini(struct lease_core *core)
{
    while (!list_is_empty(&core->unheld_accounts)) {
        account_free(core, LIST_ENTRY(core->unheld_accounts.next, struct account, unheld));
    }
    index_fini(&core->accounts);
}

static uint64_t grant_tokens(bool is_issued)
{
    return is_issued ? ISSUE_TOKENS : 1;
}

static int check_rate(const struct lease_core *core, struct account *account, uint64_t tokens,
                      uint64_t *ret_retry_after_ms, struct err *e)
{
    uint64_t wait_ms = queue_bucket_wait_ms(&account->grants, tokens, core_now_ms(core));

    if (wait_ms > 0) {
        *ret_retry_after_ms = wait_ms;
        return err_set(e, ERR_LIMIT, "you ask for too much at once (limits.grants_per_uid)");
    }
    return 0;
}

int account_check_grants(const struct lease_core *core, struct account *account, bool is_issued,
                         uint64_t *ret_retry_after_ms, struct err *e)
{
    uint32_t max = core->options.grants_live_per_uid;

    if (max > 0 && account->grant_count >= max) {
        return err_set(e, ERR_LIMIT,
                       "you have %" PRIu32
                       " live grants, more are not allowed (limits.grants_live_per_uid)",
                       account->grant_count);
    }
    return check_rate(core, account, grant_tokens(is_issued), ret_retry_after_ms, e);
}

void account_take_grant(const struct lease_core *core, struct account *account, bool is_issued)
{
    queue_bucket_take(&account->grants, grant_tokens(is_issued), core_now_ms(core));
}

int lease_core_charge(struct lease_core *core, const struct access_identity *identity,
                      uint64_t *ret_retry_after_ms, struct err *e)
{
    struct account *account = account_get(core, identity);
    int r;

    if (account == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    r = check_rate(core, account, grant_tokens(true), ret_retry_after_ms, e);
    if (r == 0) {
        account_take_grant(core, account, true);
    }
    account_put(core, account);
    return r;
}

int account_check_leases(const struct lease_core *core, const struct account *account,
                         struct err *e)
{
    uint32_t max = core->options.leases_per_uid;

    if (max > 0 && account->lease_count >= max) {
        return err_set(e, ERR_LIMIT,
                       "you have %" PRIu32
                       " live leases, more are not allowed (limits.leases_per_uid)",
                       account->lease_count);
    }
    return 0;
}

int account_check_waiting(const struct lease_core *core, const struct account *account,
                          struct err *e)
{
    if (account->waiting_count >= core->options.waiting_max) {
        return err_set(e, ERR_BUSY, "%" PRIu32 " of your requests wait already",
                       account->waiting_count);
    }
    return 0;
}
