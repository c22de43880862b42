/* Job tokens.
 *
 * Happy path: the header's token is checked with keys that are here → its claims are the
 * exchange's, and its identity borrows them. Or the keys have to be fetched: the exchange waits,
 * and begins anew when they are here.
 *
 * Failures. A token that isn't good denies, even where the user alone would do, because whoever
 * sends one wants it to count. Nothing can be said about it while its issuer can't be reached: the
 * caller is to come again. The client goes away while it waits. */
#include "serve/job_token.h"

#include "serve/acquire.h"
#include "serve/metrics.h"

#include <strings.h>

#define SCHEME "Bearer "

/* The token; ptr NULL: none came. */
static struct str token_of(const struct env_request *request)
{
    struct str value = env_request_header(request, "authorization");
    size_t len = strlen(SCHEME);

    if (value.len < len || strncasecmp(value.ptr, SCHEME, len) != 0) {
        return (struct str){.ptr = NULL};
    }
    return str_trim((struct str){.ptr = value.ptr + len, .len = value.len - len});
}

static void keys_came(struct access_issuer_wait *wait)
{
    struct exchange *x = OBJ_CAST(wait->user, struct exchange, EXCHANGE_MAGIC);

    x->request->finished = NULL;
    serve_request_go_on(x);
}

static void client_gone(struct env_request *request, bool delivered)
{
    struct exchange *x = OBJ_CAST(request->user, struct exchange, EXCHANGE_MAGIC);

    (void)delivered;
    x->request = NULL;
    access_issuer_unwait(&x->token_wait);
    exchange_release(x);
}

static void refuse(struct exchange *x, int status, const struct err *e)
{
    if (status == ERR_UNAVAILABLE) {
        exchange_fail(x,
                      &(struct exchange_problem){.status = 503,
                                                 .code = "issuer_unavailable",
                                                 .detail = e->text,
                                                 .retry_after_ms = 5000,
                                                 .hint = "leased keeps trying; try again later"});
        return;
    }
    if (status == ERR_NOMEM) {
        exchange_fail_nomem(x);
        return;
    }
    acquire_refuse(x, e->text, "send the token that the CI gives this job for leased, or none");
}

bool job_token_take(struct exchange *x)
{
    struct str token = token_of(x->request);
    struct err e = {.code = 0};
    int r;

    if (token.ptr == NULL) {
        return true;
    }
    x->token_wait.fn = keys_came;
    x->token_wait.user = x;
    r = x->serve->issuers != NULL
            ? access_issuers_check(x->serve->issuers, token, &x->token_wait, &x->claims, &e)
            : err_set(&e, ERR_UNAVAILABLE, "issuers can't be looked at: out of memory");
    if (r == 0) {
        x->identity.claims = x->claims;
        return true;
    }
    if (r == ERR_BUSY) {
        exchange_keep(x, client_gone);
    } else {
        refuse(x, r, &e);
    }
    return false;
}
