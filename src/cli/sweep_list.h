/* What `lease ledger sweep` has to do: the leases of one backend, out of a ledger. */
#ifndef LEASED_CLI_SWEEP_LIST_H
#define LEASED_CLI_SWEEP_LIST_H

#include "cli/ledger_file.h"
#include "cli/revocation.h"

enum sweep_result {
    SWEEP_PLANNED, /* not yet, or not to be */
    SWEEP_LEFT,    /* a login that was not asked for */
    SWEEP_FAILED,
    SWEEP_UNKNOWN, /* the issuer doesn't know it; that alone proves nothing */
    SWEEP_GONE,    /* it did know it once: its record is removed */
    SWEEP_REVOKED,
};

struct sweep_item {
    char *id; /* texts are owned */
    char *role;
    char *backend;
    char *user;
    char *reference;
    int64_t ends_wall_ms;
    struct revocation_target target; /* slices of `reference` */
    enum sweep_result result;
    char *why; /* of what isn't revoked, or NULL */
};

struct sweep_list {
    struct sweep_item *items;
    size_t count;
    size_t cap;
    const char *backend; /* NULL: the only one */
    uint64_t unread_count;
    int status;                                                    /* 0 or the first failure */
    void (*tell)(void *user, const char *id, const struct err *e); /* of what can't be read */
    void *user;
};

/* Reads what is of `list->backend`; logins come last, because other leases may hang on them. 0;
 * ERR_RANGE when there are several backends and none was named, ERR_NOT_FOUND when the one that was
 * named has nothing there; or as of ledger_file_each. To be freed whatever comes back. */
int sweep_list_read(struct sweep_list *list, struct ledger_file *file, struct err *e) ATTR_MUST_USE;
void sweep_list_free(struct sweep_list *list);

#endif
