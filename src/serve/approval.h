/* What an acquire has to do with approvals: the one that stands for it, and the request for one.
 * Internal to serve/. */
#ifndef LEASED_SERVE_APPROVAL_H
#define LEASED_SERVE_APPROVAL_H

#include "serve/exchange.h"

/* Who asks, and what for, as requests are looked for and made. Borrows from the exchange. */
void approval_ask(const struct exchange *x, const struct lease_role *role,
                  struct request_ask *ret_ask);

/* As decide_exchange, into x->decision. Where a request of this caller's stands for it, what the
 * caller leaves unsaid is what it has asked for then, and it is decided by that. */
void approval_decide(struct exchange *x, const struct lease_role *role, uint32_t live_count);

/* Has a grant used it already, which the caller holds? Then there is no other one by it. */
bool approval_is_used(const struct exchange *x);

/* Is it an approval, or breaking the glass, that is missing for what was decided? */
bool approval_is_missing(const struct exchange *x);

/* It is: then it is asked for, if the caller asks for a new grant, waits, or breaks the glass; the
 * answer follows, or acquire_again. Else it is answered. */
void approval_request(struct exchange *x, const struct lease_role *role, bool is_new_grant);

/* What the caller can do where it is denied, if that is more than what is true for everybody: about
 * an approval that it has asked for, or a break-glass rule. */
struct approval_hint {
    struct buf text;     /* empty: nothing */
    const char *request; /* id of the caller's that it is about, borrowed from that; NULL: none */
};

void approval_hint_init(struct approval_hint *hint);
void approval_hint_fini(struct approval_hint *hint);
void approval_hint_write(const struct exchange *x, const struct lease_role *role,
                         const struct access_decision *decision, struct approval_hint *hint);

/* What the core is given with the acquire; NULL: its grant needs no approval. */
struct lease_approval *approval_of(struct exchange *x);

/* The acquire is over, and nobody has got anything by it: an approval that it has used is given
 * back. */
void approval_settle(struct exchange *x);

/* What the request has become, as an answer of this status; the exchange is gone. `state` instead
 * of its own; NULL: its own. */
void approval_reply(struct exchange *x, uint32_t status, const struct request *request,
                    const char *state);

/* Makes the request that the decision asks for. False: it couldn't be, and that was answered. */
bool approval_make(struct exchange *x, const struct lease_role *role, struct request **ret_request);

/* Waits for the request as x->request_wait says, at most until x->decide_until_ms (0: without end);
 * then `decided` runs, with what status says in struct request_wait, or ERR_TIMEOUT. The client may
 * go away meanwhile: then nothing runs. */
void approval_wait(struct exchange *x, struct request *request,
                   void (*decided)(struct exchange *x, int status));

/* How a request that could not be made, or written, is answered. */
void approval_fail(struct exchange *x, int status, const struct err *why);

#endif
