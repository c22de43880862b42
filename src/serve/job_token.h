/* Job tokens (JWT) that come with requests of the native API, as `Authorization: Bearer …`.
 * Internal to serve/. */
#ifndef LEASED_SERVE_JOB_TOKEN_H
#define LEASED_SERVE_JOB_TOKEN_H

#include "serve/exchange.h"

/* Makes what an issuer vouches for part of x->identity, whose other facts are there already. True
 * also where no token came. False: it isn't good, which is on record, and the exchange has been
 * answered; or its issuer's keys have to be fetched first, and serve_request_go_on is called then.
 */
bool job_token_take(struct exchange *x);

#endif
