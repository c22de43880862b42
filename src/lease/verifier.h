/* What the lease layer needs of whoever tries a new credential out before anybody gets it.
 * backend/ implements it over HTTP and TCP; tests over a script. */
#ifndef LEASED_LEASE_VERIFIER_H
#define LEASED_LEASE_VERIFIER_H

#include "lease/issuer.h"

/* One try. Everything but `user` is borrowed until the start returns. */
struct lease_trial {
    const char *role;
    const char *verify_json; /* the role's */
    const struct lease_field *fields;
    size_t field_count;
    uint64_t timeout_ms; /* of this try; > 0 */
    /* 0: it works. ERR_DENIED: whoever it is for refuses it. ERR_UNAVAILABLE: nobody could say.
     * Both are worth another try: a new credential needs a while to be known everywhere. `detail`,
     * for people and without secrets, is borrowed until the callback returns. */
    void (*fn)(void *user, int status, const char *detail);
    void *user;
};

struct lease_verifier;

struct lease_verifier_ops {
    /* `fn` runs once, from the loop, unless the try is cancelled before. ERR_NOMEM, ERR_LIMIT,
     * ERR_INVALID (a field isn't there, or isn't fit for its place): then it doesn't run. */
    int (*start)(struct lease_verifier *verifier, const struct lease_trial *trial,
                 void **ret_running, struct err *e);
    /* `fn` doesn't run any more. */
    void (*cancel)(struct lease_verifier *verifier, void *running);
};

struct lease_verifier {
    const struct lease_verifier_ops *ops;
};

#endif
