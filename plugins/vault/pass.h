/* Passing a client's request on, under the instance's own token and namespace. */
#ifndef VAULT_PASS_H
#define VAULT_PASS_H

#include "op.h"

#define VAULT_PASS_BODY_MAX_BYTES (256U * 1024U)
#define VAULT_PASS_PATH_MAX_BYTES 4096U

int32_t vault_pass(struct leased_instance *vault, const struct leased_call *request,
                   leased_op *handle);

/* Whatever the exchange brought, but a 403: that one waits for a look-up of the token. False: it is
 * such a 403, and has been kept. */
bool vault_pass_answered(struct vault_op *op, const struct leased_http_reply *http);

/* The token is alive: hands the kept 403 over; the operation is gone. */
void vault_pass_denied(struct vault_op *op);

/* NULL, or why a path ("/v1/…" with its query) isn't passed on. */
const char *vault_pass_path_problem(struct leased_str path);

#endif
