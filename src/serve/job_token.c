/* Job tokens.
 *
 * Happy path: the token is checked with keys that are here → its claims are the
 * exchange's, and its identity borrows them. Or the keys have to be fetched: the exchange waits,
 * and begins anew when they are here.
 *
 * Failures. A token that isn't good denies, even where the user alone would do, because whoever
 * sends one wants it to count. Nothing can be said about it while its issuer can't be reached: that
 * is on record too, and the caller is to come again. The client goes away while it waits. */
#include "serve/job_token.h"

#include "access/jwt.h"
#include "serve/acquire.h"
#include "serve/metrics.h"

#include <strings.h>

#define SCHEME "Bearer "

/* Where job tokens may stand. Where other words may stand too, what has the form of a JWT is one,
 * if there are issuers at all. */
static const struct place {
    uint32_t apis;
    const char *header;
    bool needs_scheme;
    bool has_other_words;
} places[] = {
    {SERVE_API_NATIVE | SERVE_API_GCP | SERVE_API_AZURE, "authorization", true, false},
    {SERVE_API_VAULT, "authorization", true, true},
    {SERVE_API_VAULT, "x-vault-token", false, true},
    {SERVE_API_AWS, "authorization", false, true},
    {SERVE_API_AZURE, "x-identity-header", false, true},
};

static struct str token_at(const struct exchange *x, const struct place *place)
{
    static const struct str none = {.ptr = NULL};
    struct str value = env_request_header(x->request, place->header);
    size_t len = strlen(SCHEME);

    if (value.len >= len && strncasecmp(value.ptr, SCHEME, len) == 0) {
        value = str_trim((struct str){.ptr = value.ptr + len, .len = value.len - len});
    } else if (value.len == len - 1 && strncasecmp(value.ptr, SCHEME, len - 1) == 0) {
        value = (struct str){.ptr = value.ptr + value.len, .len = 0}; /* a bad one, not none */
    } else if (place->needs_scheme) {
        return none;
    }
    if (place->has_other_words &&
        (!access_jwt_is_one(value) || access_issuers_count(x->serve->issuers) == 0)) {
        return none;
    }
    return value;
}

/* False: there are two different ones. */
static bool token_find(const struct exchange *x, struct str *ret_token)
{
    struct str found = {.ptr = NULL};
    size_t i;

    for (i = 0; i < ARRAY_LEN(places); i++) {
        struct str token = {.ptr = NULL};

        if ((places[i].apis & x->api) != 0) {
            token = token_at(x, &places[i]);
        }
        if (token.ptr != NULL && found.ptr != NULL && !str_eq(token, found)) {
            return false;
        }
        found = token.ptr != NULL ? token : found;
    }
    *ret_token = found;
    return true;
}

struct str job_token_of(const struct exchange *x)
{
    struct str token = {.ptr = NULL};

    (void)token_find(x, &token);
    return token;
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
        acquire_note_refusal(x, e->text);
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

bool job_token_check(struct exchange *x, struct str token)
{
    struct err e = {.code = 0};
    int r;

    x->token_wait.fn = keys_came;
    x->token_wait.user = x;
    r = x->serve->issuers != NULL
            ? access_issuers_check(x->serve->issuers, token, &x->token_wait, &x->claims, &e)
            : err_set(&e, ERR_UNAVAILABLE, "issuers can't be looked at: out of memory");
    if (r == 0) {
        x->identity.claims = x->claims;
        (void)access_identity_key(&x->identity, x->key);
        return true;
    }
    if (r == ERR_BUSY) {
        exchange_keep(x, client_gone);
    } else {
        refuse(x, r, &e);
    }
    return false;
}

bool job_token_take(struct exchange *x)
{
    struct str token = {.ptr = NULL};

    if (!token_find(x, &token)) {
        acquire_refuse(x, "two job tokens came with one request", "send one of them");
        return false;
    }
    return token.ptr == NULL || job_token_check(x, token);
}
