/* What is passed on for one request, and what it needs: read from the request and from nothing
 * else. Internal to serve/. */
#ifndef LEASED_SERVE_VAULT_PASS_H
#define LEASED_SERVE_VAULT_PASS_H

#include "backend/call.h"
#include "serve/vault.h"

#define VAULT_PASS_HEADERS_MAX 4
#define VAULT_VERB_MAX_BYTES 32

struct vault_pass_request {
    const char *method;   /* static */
    char *target;         /* "/v1/", the namespace, the path as it was sent, the query */
    char *path;           /* as policies judge it */
    char *namespace_path; /* with its slash; "" if none */
    char *body_bytes;     /* NULL: none */
    struct str body;
    uint32_t needs;                  /* ACCESS_CAN_* */
    char verb[VAULT_VERB_MAX_BYTES]; /* the same in words */
    bool is_read;                    /* it creates nothing, by all that can be told from here */
    bool wraps;                      /* the answer is to be wrapped */
    bool is_unwrap;                  /* the answer is what somebody has wrapped elsewhere */
};

/* ERR_UNSUPPORTED (the method), ERR_INVALID, ERR_DENIED (whatever a rule says), with a text;
 * ERR_NOMEM. */
int serve_vault_pass_request_init(const struct vault_request *v,
                                  struct vault_pass_request *ret_request,
                                  struct err *e) ATTR_MUST_USE;
void serve_vault_pass_request_fini(struct vault_pass_request *request);

/* A path.called, without the path's hash; borrows from all of them. */
void serve_vault_record_fill(struct audit_record *record, const struct exchange *x,
                             const struct vault_pass_request *request,
                             const struct access_decision *decision);

/* Puts the denial on record, and answers with it. */
void serve_vault_pass_deny(struct exchange *x, const struct vault_pass_request *request,
                           const struct access_decision *decision);

#endif
