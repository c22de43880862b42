/* Vault's API under /v1/: paths of roles are leased, a token's and a lease's own affairs are
 * answered here, and the rest is passed on where a rule allows it. Internal to serve/. */
#ifndef LEASED_SERVE_VAULT_H
#define LEASED_SERVE_VAULT_H

#include "serve/exchange.h"
#include "serve/vault_path.h"

#include <jansson.h>

/* What logins answer with and lookup-self shows. It means nothing: who the caller is, the kernel
 * says. */
#define VAULT_TOKEN "leased"
#define VAULT_TOKEN_TTL_S 2764800U /* 32 days, as Vault's own default */
/* SDKs compare it with that of Vault. */
#define VAULT_VERSION "1.20.0+leased"

/* One request while it is answered. */
struct vault_request {
    struct exchange *x;
    const struct vault_path *path;
    struct str arg; /* what a route's pattern leaves over */
};

/* Is it a path of Vault's API? */
bool serve_vault_is_path(struct str path);

/* Does the exchange log in, at whatever mount? */
bool serve_vault_is_login(const struct exchange *x);

/* Answers; the guards hold, and who asks is known. */
void serve_vault_request(struct exchange *x);

/* --- vault_reply.c --- */

/* How Vault words what it answers with: {"errors": […]}, and the engine's own names in `data`. */
extern const struct serve_form serve_vault_form;

/* The envelope of an answer; texts are borrowed until serve_vault_reply_close. */
struct vault_head {
    const char *lease_id; /* NULL: none */
    bool is_renewable;
    uint64_t duration_s;
};

/* A token as the answer to a login has it. */
struct vault_auth {
    struct str token;
    uint64_t ttl_s;
    bool is_renewable;
};

/* Begins the answer's body up to where `data` or null is to be written, and ends it. `auth` is
 * written by the caller after vault_reply_open_auth. */
void serve_vault_reply_open(struct exchange *x, struct json_out *json,
                            const struct vault_head *head);
void serve_vault_reply_close(struct json_out *json, const char *warning);
void serve_vault_reply_close_auth(struct json_out *json, const struct vault_auth *auth);

/* An answer without a body. */
void serve_vault_reply_empty(struct exchange *x, uint32_t status);

/* How long the holder may rely on it, in whole seconds; `grant` may be NULL. */
uint64_t serve_vault_seconds_left(const struct exchange *x, const struct lease_view *lease,
                                  const struct grant_view *grant);

/* The body as a JSON object (json_decref); an empty one where there is none. NULL: it is no object
 * within bounds, and the exchange has been answered. */
json_t *serve_vault_body(struct exchange *x);

/* 400 or another status with one text. */
void serve_vault_fail(struct exchange *x, uint32_t status, const char *detail, const char *hint);

/* The backend that the listener speaks for; NULL: there is none of that name. */
struct backend *serve_vault_backend(const struct exchange *x);

/* --- handlers --- */

void serve_vault_leases_lookup(struct vault_request *v);
void serve_vault_leases_renew(struct vault_request *v);
void serve_vault_leases_revoke(struct vault_request *v);
void serve_vault_token_lookup(struct vault_request *v);
void serve_vault_token_renew(struct vault_request *v);
void serve_vault_token_revoke(struct vault_request *v);
void serve_vault_login(struct vault_request *v);
void serve_vault_health(struct vault_request *v);
void serve_vault_seal_status(struct vault_request *v);
void serve_vault_leader(struct vault_request *v);
void serve_vault_init(struct vault_request *v);
void serve_vault_mounts(struct vault_request *v);
void serve_vault_capabilities(struct vault_request *v);

/* Passes the request on. `needs_rule`: where a rule allows it; else it has been decided. */
void serve_vault_pass(struct vault_request *v, bool needs_rule);

#endif
