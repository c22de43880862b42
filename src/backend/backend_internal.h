/* A backend from inside: for backend.c, which makes and ends it, and status.c, which looks at it.
 */
#ifndef LEASED_BACKEND_BACKEND_INTERNAL_H
#define LEASED_BACKEND_BACKEND_INTERNAL_H

#include "backend/backend.h"
#include "backend/host.h"
#include "backend/op.h"

#define BACKEND_MAGIC 0x6261636bU
#define BOUNDED_ANCHORS_MAX 32U

/* An anchor whose end was announced. Leases issued under it later have the same end, which whoever
 * holds them must be told as well. */
struct bounded_anchor {
    uint64_t anchor; /* 0: free */
    uint64_t when_ms;
};

struct backend {
    uint32_t magic;
    struct lease_issuer issuer;
    struct env *env;
    const struct leased_plugin *plugin;
    char *name;
    char *addresses[BACKEND_ADDRESSES_MAX];
    size_t address_count;
    char *ca_file;
    char *cert_file;
    char *key_file;
    char *server_name;
    char *proxy;
    char *config_json;
    char *borrows;
    struct leased_host_context host;
    struct ops ops;
    bool is_host_set_up;
    bool is_closing;
    uint32_t opened_in_flight; /* what the operations' pool has room for */
    uint64_t health_interval_ms;
    struct env_timer health_timer;
    struct bounded_anchor bounded[BOUNDED_ANCHORS_MAX];
    void (*anchor_ends)(void *user, struct backend *backend, uint64_t anchor, uint64_t when_ms,
                        const char *reason);
    int (*keep_state)(void *user, struct backend *backend, struct str state);
    int (*borrow_start)(void *user, struct lease_loan *loan);
    void (*borrow_cancel)(void *user, struct lease_loan *loan);
    void *user;
    void (*closed)(void *user);
    void *closed_user;
};

#endif
