/* What all models share: their credentials, and what became of them. */
#include "sim_issuer.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAP_SEED 1

void sim_issuer_init(struct sim_issuer *issuer, const struct sim_issuer_kind *kind,
                     struct sim_random *random)
{
    issuer->kind = kind;
    issuer->random = random;
    map_init(&issuer->by_secret, MAP_SEED);
    list_init(&issuer->living);
    list_init(&issuer->past);
    list_init(&issuer->unanswered);
}

void sim_issuer_fini(struct sim_issuer *issuer)
{
    struct list *node;

    list_splice(&issuer->living, &issuer->past);
    while ((node = list_pop_front(&issuer->living)) != NULL) {
        struct sim_credential *credential = LIST_ENTRY(node, struct sim_credential, node);

        map_remove(&issuer->by_secret, &credential->by_secret);
        mem_free(credential);
    }
    map_fini(&issuer->by_secret);
}

bool sim_issuer_is_at(const struct sim_issuer_kind *kind, struct str url)
{
    for (size_t i = 0; kind->places[i] != NULL; i++) {
        if (str_starts_with(url, kind->places[i])) {
            return true;
        }
    }
    return false;
}

bool sim_is_leak(struct str text)
{
    static const char *const marks[] = {SIM_MARK, "PRIVATE KEY"};

    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (text.len > 0 && memmem(text.ptr, text.len, marks[i], strlen(marks[i])) != NULL) {
            return true;
        }
    }
    return false;
}

/* --- credentials ------------------------------------------------------------------------------ */

void sim_draw_id(struct sim_random *random, const char *prefix, size_t count, char *out,
                 size_t out_size)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t len = strlen(prefix);

    CHECK(len + count < out_size);
    memcpy(out, prefix, len);
    for (size_t i = 0; i < count; i++) {
        out[len++] = letters[sim_random_below(random, sizeof(letters) - 1)];
    }
    out[len] = '\0';
}

void sim_issuer_add(struct sim_issuer *issuer, struct sim_credential *credential,
                    const struct sim_call *call)
{
    credential->issuer = issuer;
    credential->exchange = call->id;
    credential->issued_ms = call->now_ms;
    CHECK(map_add(&issuer->by_secret, &credential->by_secret, str_of(credential->secret)) == 0);
    list_push_back(&issuer->living, &credential->node);
    list_push_back(&issuer->unanswered, &credential->unanswered);
    issuer->issue_total++;
}

void sim_issuer_issue(struct sim_issuer *issuer, struct sim_credential *credential,
                      const struct sim_call *call, const char *role, uint64_t life_ms)
{
    char prefix[32];

    (void)snprintf(credential->role, sizeof(credential->role), "%s", role);
    (void)snprintf(prefix, sizeof(prefix), "%s-" SIM_MARK "-", issuer->kind->name);
    sim_draw_id(issuer->random, prefix, 20, credential->secret, sizeof(credential->secret));
    (void)snprintf(credential->id, sizeof(credential->id), "%s/%s/%llu", issuer->kind->name, role,
                   (unsigned long long)issuer->issue_total);
    credential->granted_ms = life_ms;
    credential->expires_ms = call->now_ms + life_ms;
    sim_issuer_add(issuer, credential, call);
}

struct sim_credential *sim_issuer_issue_plain(struct sim_issuer *issuer,
                                              const struct sim_call *call, const char *role,
                                              uint64_t life_ms)
{
    struct sim_credential *credential = mem_calloc(1, sizeof(*credential));

    CHECK(credential != NULL);
    sim_issuer_issue(issuer, credential, call, role, life_ms);
    return credential;
}

uint64_t sim_credential_until_ms(const struct sim_credential *credential, uint64_t now_ms)
{
    return credential->issuer->kind->valid_until_ms(credential, now_ms);
}

struct sim_credential *sim_issuer_find(struct sim_issuer *issuer, struct str secret)
{
    struct map_entry *entry = map_find(&issuer->by_secret, secret);

    return entry != NULL ? MAP_ENTRY(entry, struct sim_credential, by_secret) : NULL;
}

struct sim_credential *sim_issuer_next_valid(struct sim_issuer *issuer, uint64_t now_ms,
                                             const struct sim_credential *after)
{
    struct list *node = after != NULL ? after->node.next : issuer->living.next;
    struct list *following;

    for (; node != &issuer->living; node = following) {
        struct sim_credential *credential = LIST_ENTRY(node, struct sim_credential, node);

        following = node->next;
        if (sim_credential_until_ms(credential, now_ms) != 0) {
            return credential;
        }
        list_remove(node);
        list_push_back(&issuer->past, node);
    }
    return NULL;
}

void sim_issuer_ended(struct sim_issuer *issuer, uint64_t exchange, bool is_delivered)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&issuer->unanswered, node, following) {
        struct sim_credential *credential = LIST_ENTRY(node, struct sim_credential, unanswered);

        if (credential->exchange == exchange) {
            credential->fate = is_delivered ? SIM_DELIVERED : SIM_LOST;
            list_remove(node);
        }
    }
    if (issuer->kind != NULL && issuer->kind->ended != NULL) {
        issuer->kind->ended(issuer, exchange);
    }
}

/* --- what models have in common --------------------------------------------------------------- */

uint32_t sim_issuer_ill_status(struct sim_issuer *issuer, struct sim_answer *answer)
{
    if (sim_random_chance(issuer->random, issuer->faults.limited)) {
        answer->retry_after_s = 1 + (uint32_t)sim_random_below(issuer->random, 9);
        return 429;
    }
    return sim_random_chance(issuer->random, issuer->faults.failed) ? 500 : 0;
}

struct sim_credential *sim_issuer_find_field(struct sim_issuer *issuer, const json_t *fields,
                                             const char *name)
{
    const char *secret = json_string_value(json_object_get(fields, name));

    return secret != NULL ? sim_issuer_find(issuer, str_of(secret)) : NULL;
}

uint64_t sim_issuer_until_ms(const struct sim_credential *credential, uint64_t now_ms)
{
    return !credential->is_revoked && credential->expires_ms > now_ms ? credential->expires_ms : 0;
}

struct sim_credential *sim_issuer_ends_none(struct sim_issuer *issuer, const struct sim_call *call)
{
    (void)issuer;
    (void)call;
    return NULL;
}

void sim_issuer_destroy(struct sim_issuer *issuer)
{
    sim_issuer_fini(issuer);
    mem_free(issuer);
}

/* --- time ------------------------------------------------------------------------------------- */

int64_t sim_issuer_now_s(const struct sim_call *call)
{
    return (SIM_START_WALL_MS + (int64_t)call->now_ms - (int64_t)SIM_START_MS) / 1000;
}

uint64_t sim_issuer_moment_ms(int64_t unix_s)
{
    return (uint64_t)(unix_s * 1000 - SIM_START_WALL_MS + (int64_t)SIM_START_MS);
}

static struct tm broken_down(int64_t unix_s)
{
    time_t seconds = (time_t)unix_s;
    struct tm tm = {0};

    (void)gmtime_r(&seconds, &tm);
    return tm;
}

void sim_issuer_rfc3339(int64_t unix_s, char out[24])
{
    struct tm tm = broken_down(unix_s);

    CHECK(strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0);
}

/* --- answers ---------------------------------------------------------------------------------- */

void sim_answer_json(struct sim_answer *answer, uint32_t status, json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT);

    CHECK(text != NULL);
    answer->status = status;
    buf_reset(&answer->body);
    buf_add_c(&answer->body, text);
    mem_free(text);
    json_decref(root);
}

void sim_answer_date(struct sim_answer *answer, const struct sim_call *call)
{
    struct tm tm = broken_down(sim_issuer_now_s(call));

    CHECK(strftime(answer->date, sizeof(answer->date), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
}
