/* Happy path: idempotency_answer makes an entry → the handler answers → idempotency_note keeps that
 * → the same again, and idempotency_answer gives it.
 *
 * Failure paths: the client goes away before there is an answer, or the answer is a problem: the
 * key is free again. The first one is still under way: 409, come again. The key was used for
 * something else: 422. Too many keys: 429, and nothing is done. */
#include "serve/idempotency.h"

#include "base/mem.h"
#include "serve/exchange.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define HASH_BYTES 32
#define RETRY_BUSY_MS 1000
#define RETRY_FULL_MS 60000

struct idempotent {
    struct map_entry entry;
    uint64_t until_ms;
    unsigned char asked[HASH_BYTES]; /* hash over what was asked for */
    bool is_answered;
    char grant[LEASE_ID_BYTES + 1]; /* "": another answer */
    uint32_t status;
    char *body; /* NULL: none is kept */
    size_t body_len;
    size_t caller_len; /* of the text */
    char text[];       /* caller, a line break, its key */
};

static void entry_free(struct idempotency *table, struct idempotent *it)
{
    map_remove(&table->entries, &it->entry);
    mem_free(it->body);
    mem_free(it);
}

void idempotency_init(struct idempotency *table, struct env *env, uint64_t seed)
{
    *table = (struct idempotency){.env = env};
    map_init(&table->entries, seed);
}

void idempotency_fini(struct idempotency *table)
{
    struct map_entry *entry;

    while ((entry = map_first(&table->entries)) != NULL) {
        entry_free(table, MAP_ENTRY(entry, struct idempotent, entry));
    }
    map_fini(&table->entries);
}

/* --- asking --- */

static bool key_is_good(struct str key)
{
    size_t i;

    for (i = 0; i < key.len; i++) {
        if ((unsigned char)key.ptr[i] <= 0x20 || (unsigned char)key.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return key.len > 0 && key.len <= IDEMPOTENCY_KEY_MAX_BYTES;
}

static bool hash_request(const struct env_request *request, unsigned char out[HASH_BYTES])
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool is_well = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
                   EVP_DigestUpdate(hash, request->path.ptr, request->path.len) == 1 &&
                   EVP_DigestUpdate(hash, "?", 1) == 1 &&
                   EVP_DigestUpdate(hash, request->query.ptr, request->query.len) == 1 &&
                   EVP_DigestUpdate(hash, "\n", 1) == 1 &&
                   EVP_DigestUpdate(hash, request->body.ptr, request->body.len) == 1 &&
                   EVP_DigestFinal_ex(hash, out, NULL) == 1;

    EVP_MD_CTX_free(hash);
    return is_well;
}

/* Forgets what is too old, and counts what this caller has. */
static size_t sweep(struct idempotency *table, struct str caller)
{
    uint64_t now_ms = env_now_ms(table->env);
    struct map_entry *next = map_first(&table->entries);
    struct map_entry *entry;
    size_t count = 0;

    while ((entry = next) != NULL) {
        struct idempotent *it = MAP_ENTRY(entry, struct idempotent, entry);

        next = map_next(&table->entries, entry);
        if (it->is_answered && it->until_ms <= now_ms) {
            entry_free(table, it);
        } else {
            count += str_eq((struct str){.ptr = it->text, .len = it->caller_len}, caller) ? 1 : 0;
        }
    }
    return count;
}

/* Makes an entry for what is asked. NULL: it has been answered. */
static struct idempotent *entry_new(struct exchange *x, struct str text,
                                    const unsigned char asked[HASH_BYTES])
{
    struct idempotency *table = &x->serve->idempotency;
    struct str caller = str_of(x->key);
    struct idempotent *it = NULL;

    if (sweep(table, caller) >= IDEMPOTENCY_MAX_OF_CALLER ||
        map_count(&table->entries) >= IDEMPOTENCY_MAX) {
        exchange_fail(x, &(struct exchange_problem){
                             .status = 429,
                             .code = "limit_exceeded",
                             .detail = "too many Idempotency-Keys are in use: each for 10 minutes",
                             .hint = "send keys with what is tried again only",
                             .retry_after_ms = RETRY_FULL_MS});
        return NULL;
    }
    it = mem_calloc(1, sizeof(*it) + text.len);
    if (it == NULL) {
        exchange_fail_nomem(x);
        return NULL;
    }
    memcpy(it->text, text.ptr, text.len);
    memcpy(it->asked, asked, HASH_BYTES);
    it->caller_len = caller.len;
    it->until_ms = env_now_ms(table->env) + IDEMPOTENCY_KEPT_MS;
    if (map_add(&table->entries, &it->entry, (struct str){.ptr = it->text, .len = text.len}) != 0) {
        mem_free(it);
        exchange_fail_nomem(x);
        return NULL;
    }
    return it;
}

/* How it has ended; GRANT_END_NONE: it lives. */
static enum grant_end ended_by(const struct grant *grant)
{
    struct grant_view view;

    grant_view(grant, &view);
    return view.end;
}

/* Is this of no use any more: too old, or made for an answer that never arrived? */
static bool is_void(const struct idempotency *table, const struct serve *serve,
                    const struct idempotent *it)
{
    const struct grant *grant =
        it->grant[0] != '\0' ? lease_core_find_grant(serve->options.core, str_of(it->grant)) : NULL;

    return it->is_answered && (it->until_ms <= env_now_ms(table->env) ||
                               (grant != NULL && ended_by(grant) == GRANT_END_UNDELIVERED));
}

/* The credential of the grant that was made, if that lives. True: it has been answered. */
static bool repeat_grant(struct exchange *x, const struct idempotent *it)
{
    struct grant *grant = lease_core_find_grant(x->serve->options.core, str_of(it->grant));

    if (grant == NULL || ended_by(grant) != GRANT_END_NONE) {
        exchange_fail(x, &(struct exchange_problem){
                             .status = 409,
                             .code = "invalid",
                             .detail = "the grant that was made for this Idempotency-Key has ended",
                             .hint = "send another key to get a new one"});
        return true;
    }
    x->named = grant;
    x->is_repeated = true;
    return false;
}

/* True: it has been answered. */
static bool repeat(struct exchange *x, const struct idempotent *it,
                   const unsigned char asked[HASH_BYTES])
{
    struct env_reply reply = {.status = it->status, .content_type = "application/json"};

    if (memcmp(it->asked, asked, HASH_BYTES) != 0) {
        exchange_fail(x, &(struct exchange_problem){
                             .status = 422,
                             .code = "invalid",
                             .detail = "this Idempotency-Key was sent with another request",
                             .hint = "send a new key with each new request"});
        return true;
    }
    if (!it->is_answered) {
        exchange_fail(x, &(struct exchange_problem){
                             .status = 409,
                             .code = "busy",
                             .detail = "the request with this Idempotency-Key is under way",
                             .hint = "send it again in a moment",
                             .retry_after_ms = RETRY_BUSY_MS});
        return true;
    }
    if (it->grant[0] != '\0') {
        return repeat_grant(x, it);
    }
    buf_reset(&x->serve->body);
    buf_add(&x->serve->body, it->body, it->body_len);
    exchange_send(x, &reply);
    exchange_release(x);
    return true;
}

bool idempotency_answer(struct exchange *x)
{
    struct idempotency *table = &x->serve->idempotency;
    struct str key = env_request_header(x->request, "idempotency-key");
    char text[ACCESS_KEY_MAX_BYTES + 1 + IDEMPOTENCY_KEY_MAX_BYTES + 1];
    unsigned char asked[HASH_BYTES];
    struct map_entry *entry;
    struct str whole;

    if (key.ptr == NULL) {
        return false;
    }
    if (!key_is_good(key)) {
        exchange_fail(x, &(struct exchange_problem){
                             .status = 400,
                             .code = "invalid",
                             .detail = "Idempotency-Key is 1 to 255 printable characters without "
                                       "blanks"});
        return true;
    }
    if (!hash_request(x->request, asked)) {
        exchange_fail_nomem(x);
        return true;
    }
    (void)snprintf(text, sizeof(text), "%s\n%.*s", x->key, STR_ARG(key));
    whole = str_of(text);
    entry = map_find(&table->entries, whole);
    if (entry != NULL) {
        struct idempotent *it = MAP_ENTRY(entry, struct idempotent, entry);

        if (!is_void(table, x->serve, it)) {
            return repeat(x, it, asked);
        }
        entry_free(table, it);
    }
    x->keyed = entry_new(x, whole, asked);
    return x->keyed == NULL;
}

/* --- answering --- */

void idempotency_note_grant(struct exchange *x, const char *grant)
{
    if (x->keyed != NULL) {
        (void)snprintf(x->keyed->grant, sizeof(x->keyed->grant), "%s", grant);
        x->keyed->is_answered = true;
        x->keyed = NULL;
    }
}

void idempotency_note(struct exchange *x, const struct env_reply *reply, struct str body)
{
    struct idempotent *it = x->keyed;
    /* With a Location it is a request that waits: asking again finds it, as it is then. */
    bool is_good = reply->status / 100 == 2 && reply->header_count == 0;

    if (it == NULL || !is_good || body.len > IDEMPOTENCY_BODY_MAX_BYTES) {
        return;
    }
    it->body = mem_alloc(body.len);
    if (it->body != NULL) {
        memcpy(it->body, body.ptr, body.len);
        it->body_len = body.len;
        it->status = reply->status;
        it->is_answered = true;
        x->keyed = NULL;
    }
}

void idempotency_end(struct exchange *x)
{
    if (x->keyed != NULL) {
        entry_free(&x->serve->idempotency, x->keyed);
    }
    x->keyed = NULL;
}
