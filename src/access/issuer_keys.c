/* Keys of an issuer, kept fresh.
 *
 * Happy path: the first token of the issuer finds no keys → discovery document → key set → who
 * waited checks again. Later tokens find the keys here; when these are no longer fresh the next
 * token has them fetched anew beside its own check. A file is read at once instead.
 *
 * Failures. A token names a key that isn't there: the keys are fetched early, but no more often
 * than FORCED_MS allows, else the token is refused. The issuer can't be reached, or answers with
 * what is no key set: the old keys are good until STALE_MS are over, then nothing can be said about
 * a token; the next one that comes after RETRY_MS tries again. */
#include "access/issuer_keys.h"

#include "base/mem.h"
#include "env/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEYS_MAGIC 0x69736b79U
#define FRESH_MIN_MS (5ULL * 60 * 1000)
#define FRESH_MAX_MS (24ULL * 3600 * 1000)
#define FRESH_DEFAULT_MS (10ULL * 60 * 1000) /* where the answer doesn't say */
#define STALE_MS (24ULL * 3600 * 1000)
#define FORCED_MS (30ULL * 1000)
#define RETRY_MS (5ULL * 1000)
#define TIMEOUT_MS (5ULL * 1000) /* somebody waits */
#define URL_MAX_BYTES 1024U
#define DISCOVERY_MAX_BYTES (64U * 1024U)
#define PROBLEM_MAX_BYTES 256U

struct issuer_keys {
    uint32_t magic;
    struct env *env;
    const struct access_issuer_config *config;
    struct access_jwks *jwks; /* NULL: none yet */
    uint64_t fetched_ms;
    uint64_t fresh_until_ms;
    uint64_t next_fetch_ms;          /* earlier nobody makes us fetch */
    char problem[PROBLEM_MAX_BYTES]; /* of the last fetch; "": none */
    struct list waits;               /* as many as requests can be under way */
    bool is_fetching;
    bool is_ended;
    struct env_http http;
    struct env_http_tls tls;
    char url[URL_MAX_BYTES];
};

struct issuer_keys *issuer_keys_new(struct env *env, const struct access_issuer_config *config)
{
    struct issuer_keys *keys = mem_calloc(1, sizeof(*keys));

    if (keys != NULL) {
        keys->magic = KEYS_MAGIC;
        keys->env = env;
        keys->config = config;
        list_init(&keys->waits);
    }
    return keys;
}

static void wake_all(struct issuer_keys *keys)
{
    struct list woken;
    struct list *node;

    list_init(&woken);
    list_splice(&woken, &keys->waits);
    while ((node = list_pop_front(&woken)) != NULL) {
        struct access_issuer_wait *wait = LIST_ENTRY(node, struct access_issuer_wait, node);

        wait->was_woken = true;
        wait->fn(wait); /* it may be gone */
    }
}

static void keys_release(struct issuer_keys *keys)
{
    access_jwks_free(keys->jwks);
    mem_free(keys);
}

void issuer_keys_free(struct issuer_keys *keys)
{
    if (keys == NULL) {
        return;
    }
    keys->is_ended = true;
    if (keys->is_fetching) {
        env_http_cancel(keys->env, &keys->http);
        wake_all(keys);
        return; /* its callback frees */
    }
    wake_all(keys);
    keys_release(keys);
}

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

void issuer_keys_inherit(struct issuer_keys *keys, struct issuer_keys *old)
{
    if (!is_same_text(keys->config->url, old->config->url) ||
        !is_same_text(keys->config->jwks_file, old->config->jwks_file) ||
        !is_same_text(keys->config->jwks_url, old->config->jwks_url)) {
        return;
    }
    keys->jwks = old->jwks;
    keys->fetched_ms = old->fetched_ms;
    keys->fresh_until_ms = old->fresh_until_ms;
    keys->next_fetch_ms = old->next_fetch_ms;
    old->jwks = NULL;
}

/* --- fetching --- */

/* How long an answer says that it is good for (RFC 9111, 5.2.2.1). */
static uint64_t fresh_ms(const struct env_http_reply *reply)
{
    struct str rest = env_http_reply_header(reply, "cache-control");
    uint64_t seconds;

    while (rest.len > 0) {
        struct str word = str_trim(str_cut(&rest, ','));

        if (str_starts_with(word, "max-age=") &&
            str_parse_u64((struct str){.ptr = word.ptr + 8, .len = word.len - 8}, &seconds) == 0) {
            seconds = seconds < FRESH_MAX_MS / 1000 ? seconds : FRESH_MAX_MS / 1000;
            return seconds * 1000 > FRESH_MIN_MS ? seconds * 1000 : FRESH_MIN_MS;
        }
    }
    return FRESH_DEFAULT_MS;
}

static void fetch_failed(struct issuer_keys *keys, const char *step, const char *why)
{
    keys->is_fetching = false;
    keys->next_fetch_ms = env_now_ms(keys->env) + RETRY_MS;
    (void)snprintf(keys->problem, sizeof(keys->problem), "%s: %s", step, why);
    wake_all(keys);
}

static void keys_take(struct issuer_keys *keys, struct access_jwks *jwks, uint64_t good_ms)
{
    uint64_t now_ms = env_now_ms(keys->env);

    access_jwks_free(keys->jwks);
    keys->jwks = jwks;
    keys->fetched_ms = now_ms;
    keys->fresh_until_ms = now_ms + good_ms;
    keys->next_fetch_ms = now_ms + FORCED_MS;
    keys->problem[0] = '\0';
}

/* True: the answer is one to be read. Else the fetch has ended, and keys may be gone. */
static bool has_answered(struct issuer_keys *keys, const char *step, int status,
                         const struct env_http_reply *reply, const char *detail)
{
    char text[64];

    if (keys->is_ended) {
        keys_release(keys);
        return false;
    }
    if (status == 0 && reply->status == 200) {
        return true;
    }
    (void)snprintf(text, sizeof(text), "it answered with status %" PRIu32, reply->status);
    fetch_failed(keys, step, status != 0 ? detail : text);
    return false;
}

static int fetch(struct issuer_keys *keys, const char *url, size_t reply_max_bytes,
                 void (*fn)(struct env_http *http, int status, const struct env_http_reply *reply,
                            const char *detail),
                 struct err *e)
{
    static const struct env_http_header accept = {.name = {.ptr = "Accept", .len = 6},
                                                  .value = {.ptr = "application/json", .len = 16}};

    if (keys->url != url &&
        snprintf(keys->url, sizeof(keys->url), "%s", url) >= (int)sizeof(keys->url)) {
        return err_set(e, ERR_INVALID, "its address is too long");
    }
    keys->tls = (struct env_http_tls){.ca_file = keys->config->ca_file};
    keys->http = (struct env_http){
        .method = "GET",
        .url = keys->url,
        .headers = &accept,
        .header_count = 1,
        .tls = &keys->tls,
        .timeout_ms = TIMEOUT_MS,
        .reply_max_bytes = reply_max_bytes,
        .fn = fn,
        .user = keys,
    };
    return env_http_start(keys->env, &keys->http, e);
}

static void keys_came(struct env_http *http, int status, const struct env_http_reply *reply,
                      const char *detail)
{
    struct issuer_keys *keys = OBJ_CAST(http->user, struct issuer_keys, KEYS_MAGIC);
    struct access_jwks *jwks;
    struct err e = {.code = 0};

    if (!has_answered(keys, "its keys", status, reply, detail)) {
        return; /* keys may be gone */
    }
    if (access_jwks_parse(reply->body, &jwks, &e) != 0) {
        fetch_failed(keys, "its keys", e.text);
        return;
    }
    keys_take(keys, jwks, fresh_ms(reply));
    keys->is_fetching = false;
    wake_all(keys);
}

/* The document must be the issuer's own: what it calls itself is what its tokens say. */
static int discovered(struct issuer_keys *keys, struct str body, struct err *e)
{
    json_t *document = json_loadb(body.len > 0 ? body.ptr : "", body.len, 0, NULL);
    const char *issuer = json_string_value(json_object_get(document, "issuer"));
    const char *url = json_string_value(json_object_get(document, "jwks_uri"));
    int r;

    if (issuer == NULL || strcmp(issuer, keys->config->url) != 0) {
        r = err_set(e, ERR_INVALID, "the document isn't of the issuer %s", keys->config->url);
    } else if (url == NULL) {
        r = err_set(e, ERR_INVALID, "the document names no jwks_uri");
    } else {
        r = fetch(keys, url, ACCESS_JWKS_MAX_BYTES, keys_came, e);
    }
    json_decref(document);
    return r;
}

static void discovery_came(struct env_http *http, int status, const struct env_http_reply *reply,
                           const char *detail)
{
    struct issuer_keys *keys = OBJ_CAST(http->user, struct issuer_keys, KEYS_MAGIC);
    struct err e = {.code = 0};

    if (has_answered(keys, "its discovery document", status, reply, detail) &&
        discovered(keys, reply->body, &e) != 0) {
        fetch_failed(keys, "its discovery document", e.text);
    }
}

static int discovery_url(struct issuer_keys *keys, struct err *e)
{
    struct str base = str_of(keys->config->url);
    int len;

    base.len -= str_ends_with(base, "/") ? 1 : 0;
    len = snprintf(keys->url, sizeof(keys->url), "%.*s/.well-known/openid-configuration",
                   STR_ARG(base));
    return len < (int)sizeof(keys->url) ? 0 : err_set(e, ERR_INVALID, "its address is too long");
}

static void fetch_start(struct issuer_keys *keys)
{
    struct err e = {.code = 0};
    int r;

    if (keys->config->jwks_url != NULL) {
        r = fetch(keys, keys->config->jwks_url, ACCESS_JWKS_MAX_BYTES, keys_came, &e);
    } else {
        r = discovery_url(keys, &e);
        r = r == 0 ? fetch(keys, keys->url, DISCOVERY_MAX_BYTES, discovery_came, &e) : r;
    }
    if (r != 0) {
        fetch_failed(keys, "its keys", e.text);
        return;
    }
    keys->is_fetching = true;
}

static void file_read(struct issuer_keys *keys)
{
    char source[URL_MAX_BYTES];
    struct access_jwks *jwks = NULL;
    struct secret text;
    struct err e = {.code = 0};
    int r;

    secret_init(&text);
    (void)snprintf(source, sizeof(source), "shared-file:%s", keys->config->jwks_file);
    r = env_secret_read(keys->env, str_of(source), &text, &e);
    r = r == 0 ? access_jwks_parse(secret_view(&text), &jwks, &e) : r;
    secret_fini(&text);
    if (r == 0) {
        keys_take(keys, jwks, FRESH_DEFAULT_MS);
    } else {
        fetch_failed(keys, keys->config->jwks_file, e.text);
    }
}

/* --- checking --- */

/* Has newer keys fetched, if it is time. */
static void renew(struct issuer_keys *keys)
{
    if (keys->is_fetching || env_now_ms(keys->env) < keys->next_fetch_ms) {
        return;
    }
    if (keys->config->jwks_file != NULL) {
        file_read(keys);
    } else {
        fetch_start(keys);
    }
}

static bool is_usable(const struct issuer_keys *keys)
{
    return keys->jwks != NULL && env_now_ms(keys->env) < keys->fresh_until_ms + STALE_MS;
}

/* What the keys that are here say; ERR_NOT_FOUND: nothing. */
static int verify(const struct issuer_keys *keys, const struct access_jwt *jwt, struct err *e)
{
    return is_usable(keys) ? access_jwks_verify(keys->jwks, jwt, e) : ERR_NOT_FOUND;
}

static int refuse(const struct issuer_keys *keys, struct err *e)
{
    if (!is_usable(keys)) {
        return err_set(e, ERR_UNAVAILABLE, "the keys of issuer %s aren't to be had: %s",
                       keys->config->name, keys->problem);
    }
    return err_set(e, ERR_DENIED,
                   "issuer %s has no key for it (its keys were fetched %" PRIu64 " s ago%s%s)",
                   keys->config->name, (env_now_ms(keys->env) - keys->fetched_ms) / 1000,
                   keys->problem[0] != '\0' ? "; since then: " : "", keys->problem);
}

int issuer_keys_verify(struct issuer_keys *keys, const struct access_jwt *jwt,
                       struct access_issuer_wait *wait, struct err *e)
{
    int r = verify(keys, jwt, e);

    if (r != ERR_NOT_FOUND) {
        if (env_now_ms(keys->env) >= keys->fresh_until_ms) {
            renew(keys);
        }
        return r;
    }
    renew(keys);
    if (keys->is_fetching && !wait->was_woken) {
        list_push_back(&keys->waits, &wait->node);
        return ERR_BUSY;
    }
    r = keys->config->jwks_file != NULL ? verify(keys, jwt, e) : r;
    return r == ERR_NOT_FOUND ? refuse(keys, e) : r;
}
