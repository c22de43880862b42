/* What one caller uses of the core: a uid, over all of its identities, the names in a
 * certificate, or a backend of our own. So one that asks for everything can't keep the others from
 * asking. Exists while a holder of the caller does, and until the rate that it has used up has come
 * back: who holds nothing is counted, too. */
#ifndef LEASED_LEASE_ACCOUNT_H
#define LEASED_LEASE_ACCOUNT_H

#include "lease/core.h"
#include "lease/index.h"
#include "lease/queue.h"

struct account {
    struct index_entry entry; /* by caller */
    uint64_t caller;          /* the uid; else a hash beyond all uids */
    struct list holders;      /* of all its identities and roles */
    struct list unheld;       /* in the core's list while it has none */
    uint32_t lease_count;     /* issued for it and not over */
    uint32_t grant_count;     /* that haven't ended */
    uint32_t waiting_count;   /* its acquires that aren't answered */
    struct queue_bucket grants;
};

/* The hash by which the core's index knows it. */
uint64_t account_hash(const struct index *index, struct index_entry *entry);

/* The caller's account, for account_put unless it gets a holder. NULL when out of memory. */
struct account *account_get(struct lease_core *core, const struct access_identity *identity);
/* The same where there is one; else NULL. */
struct account *account_find(const struct lease_core *core, const struct access_identity *identity);
/* The rate of new grants has changed. */
void account_set_rates(struct lease_core *core);
/* A holder has left; an account without any is freed, now or when its rate is whole again. */
void account_put(struct lease_core *core, struct account *account);
/* All without holders, with the core. */
void accounts_fini(struct lease_core *core);

/* May the caller have one more grant now? ERR_LIMIT; where it is its rate that is used up with the
 * time after which it may. A grant on a lease that is there already costs a tenth: it costs the
 * issuer nothing. */
int account_check_grants(const struct lease_core *core, struct account *account, bool is_issued,
                         uint64_t *ret_retry_after_ms, struct err *e) ATTR_MUST_USE;

/* It has one more; only when account_check_grants said that it may. */
void account_take_grant(const struct lease_core *core, struct account *account, bool is_issued);

/* May one more lease be issued for the caller? ERR_LIMIT. */
int account_check_leases(const struct lease_core *core, const struct account *account,
                         struct err *e) ATTR_MUST_USE;

/* May one more of its requests wait? ERR_BUSY. */
int account_check_waiting(const struct lease_core *core, const struct account *account,
                          struct err *e) ATTR_MUST_USE;

#endif
