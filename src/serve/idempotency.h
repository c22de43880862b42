/* Idempotency-Key: a POST that is sent again does nothing again.
 *
 * What was answered well to a caller under a key is answered again for ten minutes. Of a credential
 * only the grant is kept, and the credential read anew: no secret stays here, and a grant that has
 * ended gives nothing. What failed has done nothing, and is tried again. All of it is in memory: a
 * restart forgets it. Internal to serve/. */
#ifndef LEASED_SERVE_IDEMPOTENCY_H
#define LEASED_SERVE_IDEMPOTENCY_H

#include "base/list.h"
#include "base/map.h"
#include "env/env.h"
#include "env/server.h"

struct exchange;

#define IDEMPOTENCY_MAX 4096
#define IDEMPOTENCY_MAX_OF_CALLER 256
#define IDEMPOTENCY_KEPT_MS 600000U
#define IDEMPOTENCY_KEY_MAX_BYTES 255
#define IDEMPOTENCY_BODY_MAX_BYTES 8192U /* what is longer isn't kept */

struct idempotency {
    struct env *env;
    struct map entries; /* caller and key → struct idempotent, the oldest first */
};

void idempotency_init(struct idempotency *table, struct env *env, uint64_t seed);
void idempotency_fini(struct idempotency *table);

/* Before a POST is handled: does it have a key? True: it has been answered, with what was answered
 * before or with why not. False: go on; where x->is_repeated is set, x->named is the grant that
 * was made for it the first time. */
bool idempotency_answer(struct exchange *x);

/* This grant is what the request has made. */
void idempotency_note_grant(struct exchange *x, const char *grant);

/* This is what it is answered with; kept if it is good, and no credential. */
void idempotency_note(struct exchange *x, const struct env_reply *reply, struct str body);

/* The request is over: without a good answer its key is free again. */
void idempotency_end(struct exchange *x);

#endif
