/* Tries new credentials out, as a role's `verify` says, so that nobody gets one that isn't known
 * everywhere yet: the lease layer's verifier, over the world's HTTP client and its helper process.
 *
 *   {"tcp": "db.internal:5432"}
 *       Somebody takes a connection there. Nothing is sent.
 *   {"http": "https://rabbit.internal:15671/api/whoami", "basic_auth": "${username}:${password}",
 *    "headers": {"Authorization": "Bearer ${token}"}, "ca_file": "/etc/leased/rabbit.pem"}
 *       A GET is answered with 2xx, and at most 1 MiB. ${field} is a field of the credential, in
 * basic_auth (RFC 7617) and in the values of headers.
 *   {"exec": ["/usr/local/libexec/try-login", "--quick"], "user": "nobody"}
 *       The program gets the credential's fields as a JSON object on stdin, and exits with 0; with
 *       77 (EX_NOPERM) where it was refused. The helper process knows it from the start, by the
 *       names below.
 *
 * `timeout` belongs to the lease layer. */
#ifndef LEASED_BACKEND_VERIFIER_H
#define LEASED_BACKEND_VERIFIER_H

#include "env/env.h"
#include "lease/verifier.h"

/* How the helper process knows a role's program: "verify/ROLE", "exec". */
#define BACKEND_VERIFY_OWNER "verify/"
#define BACKEND_VERIFY_OWNER_MAX_BYTES 128U
#define BACKEND_VERIFY_PROGRAM "exec"

struct backend_verifier {
    struct lease_verifier verifier; /* first */
    struct env *env;
};

/* Tries that run when it goes end by themselves; the environment must outlive them. */
void backend_verifier_init(struct backend_verifier *verifier, struct env *env);

/* Is it one of the forms above, with keys of the right types? ERR_INVALID with a text that begins
 * with the key that it is about ("http: …"), ERR_NOMEM. */
int backend_verify_check(const char *verify_json, struct err *e) ATTR_MUST_USE;

#endif
