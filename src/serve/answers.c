/* A small table by the end of the grant's id, which is random. One that is asked for once leaves
 * its key only; the second time within a second its answer is kept. Nothing is kept for longer than
 * a second, however often it is asked for, so that it is as true as one written anew. */
#include "serve/answers.h"

#include <string.h>

static void entry_clear(struct answer_entry *entry)
{
    if (entry->answer != NULL) {
        entry->ops->answer_free(entry->answer);
    }
    *entry = (struct answer_entry){.answer = NULL};
}

void answers_clear(struct answers *answers)
{
    for (size_t i = 0; i < ANSWERS_MAX; i++) {
        entry_clear(&answers->entries[i]);
    }
    env_timer_disarm(answers->env, &answers->timer);
}

static bool is_over(const struct answer_entry *entry, uint64_t now_ms)
{
    return now_ms >= entry->since_ms + ANSWERS_KEPT_MS;
}

static void on_timer(struct env_timer *timer)
{
    struct answers *answers = timer->user;
    uint64_t now_ms = env_now_ms(answers->env);
    bool has_some = false;

    for (size_t i = 0; i < ANSWERS_MAX; i++) {
        struct answer_entry *entry = &answers->entries[i];

        if (is_over(entry, now_ms)) {
            entry_clear(entry);
        }
        has_some = has_some || entry->answer != NULL;
    }
    if (has_some) {
        env_timer_arm(answers->env, &answers->timer, now_ms + ANSWERS_KEPT_MS / 2);
    }
}

void answers_init(struct answers *answers, struct env *env)
{
    *answers = (struct answers){.env = env};
    answers->timer.fn = on_timer;
    answers->timer.user = answers;
}

void answer_key_fill(struct answer_key *key, uint32_t api, const struct lease_view *lease,
                     const char *grant)
{
    *key = (struct answer_key){.role = lease->role,
                               .expires_ms = lease->expires_ms,
                               .version = lease->version,
                               .api = api,
                               .is_renewable = lease->is_renewable};
    memcpy(key->lease, lease->id, LEASE_ID_BYTES);
    memcpy(key->grant, grant, LEASE_ID_BYTES);
}

static struct answer_entry *place_of(struct answers *answers, const struct answer_key *key)
{
    unsigned char last = (unsigned char)key->grant[LEASE_ID_BYTES - 1];
    unsigned char before = (unsigned char)key->grant[LEASE_ID_BYTES - 2];

    /* Two hex digits, mixed. */
    return &answers->entries[(last + 7U * before) % ANSWERS_MAX];
}

static bool is_of(const struct answer_entry *entry, const struct answer_key *key)
{
    const struct answer_key *own = &entry->key;

    return own->expires_ms == key->expires_ms && own->version == key->version &&
           own->role == key->role && own->api == key->api &&
           own->is_renewable == key->is_renewable &&
           memcmp(own->grant, key->grant, sizeof(key->grant)) == 0 &&
           memcmp(own->lease, key->lease, sizeof(key->lease)) == 0;
}

bool answers_send(struct answers *answers, const struct answer_key *key,
                  struct env_request *request)
{
    struct answer_entry *entry = place_of(answers, key);

    return entry->answer != NULL && is_of(entry, key) &&
           !is_over(entry, env_now_ms(answers->env)) && env_answer_send(request, entry->answer);
}

void answers_note(struct answers *answers, const struct answer_key *key,
                  const struct env_request *request, const struct env_reply *reply)
{
    struct answer_entry *entry = place_of(answers, key);
    uint64_t now_ms = env_now_ms(answers->env);
    bool is_again = is_of(entry, key) && !is_over(entry, now_ms) && entry->answer == NULL;

    entry_clear(entry);
    entry->key = *key;
    entry->since_ms = now_ms;
    if (!is_again || reply->body.len > ANSWERS_BODY_MAX_BYTES) {
        return;
    }
    entry->answer = env_answer_new(request, reply);
    entry->ops = request->ops;
    if (entry->answer != NULL && answers->timer.heap_index == 0) {
        env_timer_arm(answers->env, &answers->timer, now_ms + ANSWERS_KEPT_MS);
    }
}
