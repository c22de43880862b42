/* Judging tokens: by the terms of their issuer first, which costs nothing, then by its keys. */
#include "access/issuer.h"

#include "access/issuer_keys.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

/* A token that lives longer than any job is a password. */
#define LIFETIME_MAX_S (24.0 * 3600)

struct access_issuers {
    struct env *env;
    size_t count;
    struct issuer {
        const struct access_issuer_config *config;
        struct issuer_keys *keys;
    } items[];
};

static struct issuer *by_name(struct access_issuers *issuers, const char *name)
{
    size_t i;

    for (i = 0; issuers != NULL && i < issuers->count; i++) {
        if (strcmp(issuers->items[i].config->name, name) == 0) {
            return &issuers->items[i];
        }
    }
    return NULL;
}

int access_issuers_new(struct env *env, const struct access_issuer_config *configs, size_t count,
                       struct access_issuers *old, struct access_issuers **ret_issuers)
{
    struct access_issuers *issuers =
        mem_calloc(1, sizeof(*issuers) + count * sizeof(issuers->items[0]));
    size_t i;

    if (issuers == NULL) {
        return ERR_NOMEM;
    }
    issuers->env = env;
    for (i = 0; i < count; i++) {
        struct issuer *before = by_name(old, configs[i].name);

        issuers->items[i].config = &configs[i];
        issuers->items[i].keys = issuer_keys_new(env, &configs[i]);
        issuers->count = i + 1;
        if (issuers->items[i].keys == NULL) {
            access_issuers_free(issuers);
            return ERR_NOMEM;
        }
        if (before != NULL) {
            issuer_keys_inherit(issuers->items[i].keys, before->keys);
        }
    }
    *ret_issuers = issuers;
    return 0;
}

void access_issuers_free(struct access_issuers *issuers)
{
    size_t i;

    for (i = 0; issuers != NULL && i < issuers->count; i++) {
        issuer_keys_free(issuers->items[i].keys);
    }
    mem_free(issuers);
}

size_t access_issuers_count(const struct access_issuers *issuers)
{
    return issuers != NULL ? issuers->count : 0;
}

/* --- the terms --- */

static bool is_meant(const struct access_issuer_config *config, const char *audience)
{
    size_t i;

    for (i = 0; audience != NULL && i < config->audience_count; i++) {
        if (strcmp(config->audiences[i], audience) == 0) {
            return true;
        }
    }
    return false;
}

/* RFC 7519, 4.1.3: a text, or a list of them. */
static int judge_audience(const struct access_issuer_config *config, const json_t *claims,
                          struct err *e)
{
    const json_t *audience = json_object_get(claims, "aud");
    const json_t *one;
    size_t i;
    bool fits = is_meant(config, json_string_value(audience));

    json_array_foreach (audience, i, one) {
        fits = fits || is_meant(config, json_string_value(one));
    }
    return fits ? 0 : err_set(e, ERR_DENIED, "it isn't meant for us: its aud is another");
}

/* Seconds since 1970; NAN where the claim is missing. ERR_DENIED: it is no number. */
static int read_time(const json_t *claims, const char *name, double *ret_seconds, struct err *e)
{
    const json_t *value = json_object_get(claims, name);

    *ret_seconds = NAN;
    if (value == NULL) {
        return 0;
    }
    if (!json_is_number(value)) {
        return err_set(e, ERR_DENIED, "its %s is no number", name);
    }
    *ret_seconds = json_number_value(value);
    return 0;
}

static int judge_times(const struct access_issuer_config *config, const json_t *claims,
                       int64_t wall_ms, struct err *e)
{
    double now_s = (double)wall_ms / 1000;
    double leeway_s = (double)config->leeway_ms / 1000;
    double expires_s;
    double not_before_s;
    double issued_s;
    int r = read_time(claims, "exp", &expires_s, e);

    r = r == 0 ? read_time(claims, "nbf", &not_before_s, e) : r;
    r = r == 0 ? read_time(claims, "iat", &issued_s, e) : r;
    if (r != 0) {
        return r;
    }
    if (isnan(expires_s)) {
        return err_set(e, ERR_DENIED, "it never expires: its exp is missing");
    }
    if (expires_s + leeway_s <= now_s) {
        return err_set(e, ERR_DENIED, "it has expired %.0f s ago", now_s - expires_s);
    }
    if (not_before_s > now_s + leeway_s || issued_s > now_s + leeway_s) {
        return err_set(e, ERR_DENIED, "it isn't valid yet: its %s is in the future",
                       not_before_s > now_s + leeway_s ? "nbf" : "iat");
    }
    /* Without an iat it is no older than now. */
    if (expires_s - (isnan(issued_s) ? now_s : issued_s) > LIFETIME_MAX_S) {
        return err_set(e, ERR_DENIED, "it lives longer than 24 hours");
    }
    return 0;
}

static int judge(const struct access_issuer_config *config, const struct access_jwt *jwt,
                 int64_t wall_ms, struct err *e)
{
    uint32_t allowed = config->algorithms != 0 ? config->algorithms : (uint32_t)ACCESS_JWT_RS256;
    int r;

    if ((jwt->algorithm & allowed) == 0) {
        return err_set(e, ERR_DENIED, "issuer %s may not sign with its algorithm", config->name);
    }
    r = judge_audience(config, jwt->claims, e);
    return r == 0 ? judge_times(config, jwt->claims, wall_ms, e) : r;
}

/* --- a token --- */

static struct issuer *by_url(struct access_issuers *issuers, const char *url)
{
    size_t i;

    for (i = 0; url != NULL && i < issuers->count; i++) {
        if (strcmp(issuers->items[i].config->url, url) == 0) {
            return &issuers->items[i];
        }
    }
    return NULL;
}

static int check(struct access_issuers *issuers, const struct access_jwt *jwt,
                 struct access_issuer_wait *wait, struct access_claims **ret_claims, struct err *e)
{
    struct issuer *issuer = by_url(issuers, json_string_value(json_object_get(jwt->claims, "iss")));
    int r;

    if (issuer == NULL) {
        return err_set(e, ERR_DENIED, "no configured issuer has made it: its iss is another");
    }
    r = judge(issuer->config, jwt, env_wall_ms(issuers->env), e);
    r = r == 0 ? issuer_keys_verify(issuer->keys, jwt, wait, e) : r;
    if (r != 0) {
        return r;
    }
    return access_claims_new(&(struct access_claims_source){.issuer = issuer->config->name,
                                                            .session = issuer->config->session,
                                                            .person = issuer->config->person,
                                                            .all = jwt->claims},
                             ret_claims, e);
}

int access_issuers_check(struct access_issuers *issuers, struct str token,
                         struct access_issuer_wait *wait, struct access_claims **ret_claims,
                         struct err *e)
{
    struct access_jwt jwt;
    int r = access_jwt_parse(token, &jwt, e);

    if (r == 0) {
        r = check(issuers, &jwt, wait, ret_claims, e);
        access_jwt_fini(&jwt);
    }
    return r == ERR_DENIED ? err_wrap(e, r, "the job token is refused") : r;
}

void access_issuer_unwait(struct access_issuer_wait *wait)
{
    list_remove(&wait->node);
}
