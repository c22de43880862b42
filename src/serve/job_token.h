/* Job tokens (JWT) that come with requests: as `Authorization: Bearer …`, and where an API's own
 * clients have a place for a secret that they were given. Internal to serve/. */
#ifndef LEASED_SERVE_JOB_TOKEN_H
#define LEASED_SERVE_JOB_TOKEN_H

#include "serve/exchange.h"

/* Makes what an issuer vouches for part of x->identity, whose other facts are there already. True
 * also where no token came. False: it isn't good, which is on record, and the exchange has been
 * answered; or its issuer's keys have to be fetched first, and serve_request_go_on is called then.
 */
bool job_token_take(struct exchange *x);

/* The same for a token that came in another way than with the head. */
bool job_token_check(struct exchange *x, struct str token);

/* The job token in the request's head; ptr NULL: none came. */
struct str job_token_of(const struct exchange *x);

#endif
