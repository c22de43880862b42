/* Credentials that are read again and again: their answers are written once and kept, for at most a
 * second, in secret memory. Who asks and whether he may is decided each time; what is kept is the
 * text of the answer. Internal to serve/. */
#ifndef LEASED_SERVE_ANSWERS_H
#define LEASED_SERVE_ANSWERS_H

#include "env/server.h"
#include "lease/core.h"

#define ANSWERS_MAX 32
#define ANSWERS_BODY_MAX_BYTES                                                                     \
    2000U /* so that all of them leave most of secret memory to others                             \
           */
#define ANSWERS_KEPT_MS 1000U

/* Everything that an answer is made from. */
struct answer_key {
    const struct lease_role *role;
    uint64_t expires_ms;
    uint64_t version;
    uint32_t api; /* SERVE_API_*: each has words of its own */
    bool is_renewable;
    char lease[LEASE_ID_BYTES];
    char grant[LEASE_ID_BYTES];
};

struct answers {
    struct env *env;
    struct env_timer timer;
    struct answer_entry {
        struct answer_key key; /* of whom the place is; grant[0] == 0: nobody's */
        uint64_t since_ms;
        struct env_answer *answer; /* NULL: asked for once so far */
        const struct env_request_ops *ops;
    } entries[ANSWERS_MAX];
};

void answers_init(struct answers *answers, struct env *env);

/* Forgets all of them; what they are made from may have changed. */
void answers_clear(struct answers *answers);

void answer_key_fill(struct answer_key *key, uint32_t api, const struct lease_view *lease,
                     const char *grant);

/* Sends the answer that is kept for this key. False: there is none. */
bool answers_send(struct answers *answers, const struct answer_key *key,
                  struct env_request *request);

/* This answer is about to be given: it is kept if it was asked for within the last second, too. */
void answers_note(struct answers *answers, const struct answer_key *key,
                  const struct env_request *request, const struct env_reply *reply);

#endif
