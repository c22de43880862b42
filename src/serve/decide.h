/* The one place in serve/ where it is decided what a caller may have of a role, whatever it was
 * asked for by. Internal to serve/. */
#ifndef LEASED_SERVE_DECIDE_H
#define LEASED_SERVE_DECIDE_H

#include "serve/exchange.h"

/* What the exchange's parameters ask of the role, for the policy. */
void decide_request(const struct exchange *x, const struct lease_role *role, uint32_t live_count,
                    struct access_request *ret_request);

/* Decides for anybody. Nothing goes on record, so this will do to look ahead. */
void decide(const struct serve *serve, const struct access_identity *identity,
            const struct access_request *request, struct access_decision *ret_decision);

/* Decides for the caller of an exchange what its parameters ask of the role. `live_count`: grants
 * that it holds for it. */
void decide_exchange(const struct exchange *x, const struct lease_role *role, uint32_t live_count,
                     struct access_decision *ret_decision);

/* What a caller asks of a path of the backend that its listener speaks for. */
struct decide_path {
    struct str path;
    uint32_t needs;   /* ACCESS_CAN_* */
    const char *verb; /* the same in words, for the trail */
};

/* May the caller of an exchange pass that on? It is remembered for plans; where the observed policy
 * would have said something else, that is on record. */
void decide_path(struct exchange *x, const struct decide_path *asked,
                 struct access_decision *ret_decision);

/* Is the caller blocked, whatever policy says? */
bool decide_is_blocked(const struct exchange *x, const struct lease_role *role);

/* Remembers for plans who has asked for the role, and how. */
void decide_remember(struct exchange *x, const struct lease_role *role);

/* What was decided is compared with what the observed policy would have: where the caller would get
 * something else, that is on record. Costs nothing where nothing is observed. */
void decide_observe(struct exchange *x, const struct lease_role *role, uint32_t live_count,
                    const struct access_decision *decision);

/* Looks ahead: would the caller get the role as it asks for it, while it holds nothing? */
bool decide_may_have(const struct exchange *x, const struct lease_role *role);

#endif
