/* Requests to Vault: path, body, headers. */
#ifndef VAULT_REQUEST_H
#define VAULT_REQUEST_H

#include "params.h"
#include "common/text.h"

struct leased_instance;

#define VAULT_PASSED_HEADERS_MAX 4U

/* A request without its token. */
struct vault_request {
    struct leased_str method; /* static */
    char *path;               /* owned; begins with "/v1/" */
    char *body;               /* owned; NULL: none */
    size_t body_len;
    /* Of a client: names are static, values owned. */
    struct leased_http_header passed[VAULT_PASSED_HEADERS_MAX];
    size_t passed_count;
    uint64_t timeout_ms; /* 0: the backend's */
    bool creates;        /* never sent twice */
    bool is_repeatable;  /* …but for this: a second sending leaves nothing that lasts */
    bool is_root;        /* not in the configured namespace */
};

/* 0, or -1 when out of memory; then nothing is held. `path` is without "/v1/"; `body` (may be NULL)
 * is taken, even on error. */
int vault_request_init(const struct leased_host *host, const char *path, json_t *body,
                       struct vault_request *ret_request);

#define VAULT_RENEW_ACCESSOR "auth/token/renew-accessor"
#define VAULT_REVOKE_ACCESSOR "auth/token/revoke-accessor"
#define VAULT_LOOKUP_ACCESSOR "auth/token/lookup-accessor"

/* One of these, about the token that has the accessor. `increment_s`: 0 leaves it out. As of
 * vault_request_init. */
int vault_request_init_about(const struct leased_host *host, const char *path, const char *accessor,
                             int64_t increment_s, struct vault_request *ret_request);

/* What a role's parameters ask for. */
int vault_request_init_params(const struct leased_host *host, const struct vault_params *params,
                              struct vault_request *ret_request);

/* The known method's own text; empty: there is no such method. */
struct leased_str vault_request_method(struct leased_str method);

/* A client's request, with those of its headers that are harmless. */
int vault_request_init_pass(const struct leased_host *host, const struct leased_call *call,
                            struct vault_request *ret_request);
void vault_request_fini(const struct leased_host *host, struct vault_request *request);

/* Is it sent so that a redirect proves that it wasn't executed? */
bool vault_request_is_movable(const struct leased_instance *vault,
                              const struct vault_request *request);

/* Sends it; `token` may be NULL. NULL when it couldn't be started. */
leased_http *vault_request_send(struct leased_instance *vault, const struct vault_request *request,
                                const char *token, leased_http_fn fn, void *user);

#endif
