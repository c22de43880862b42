/* Asking for a credential, whatever API it is asked for by. Internal to serve/. */
#ifndef LEASED_SERVE_ACQUIRE_H
#define LEASED_SERVE_ACQUIRE_H

#include "serve/exchange.h"

/* How an API words what it answers with. */
struct serve_form {
    const char *api; /* in the trail */
    bool
        is_file; /* a grant hangs on the file that the credential becomes, whatever its role says */
    /* Sends the credential that the grant is for with this status; the exchange lives on. Not 0:
     * nothing was sent, ERR_UNSUPPORTED: it is no credential for this API. */
    int (*send)(struct exchange *x, uint32_t status, const struct grant *grant);
    /* The same for one that its holder has read before. */
    int (*send_again)(struct exchange *x, const struct grant *grant);
    /* Writes a problem into the answer's body, and what kind of text that is into the reply. */
    void (*problem)(struct exchange *x, const struct exchange_problem *problem,
                    struct env_reply *reply);
};

/* The grant token that came with the request, for acquire_start and the trail. False: it names no
 * live grant of the caller's, which is on record; the exchange has been answered. */
bool acquire_name_grant(struct exchange *x, struct str token);

/* Puts on record that the caller gets nothing; and answers so, too. */
void acquire_note_refusal(struct exchange *x, const char *why);
void acquire_refuse(struct exchange *x, const char *why, const char *hint);

/* Puts on record that the caller doesn't get what x->decision says, and answers so. */
void acquire_deny(struct exchange *x, const struct lease_role *role);

/* Decides, finds or issues, and answers by x->form: now or later. What is asked for stands in
 * x->params. `role` must stay known until the loop turns. */
void acquire_start(struct exchange *x, const struct lease_role *role, bool is_new_grant);

#endif
