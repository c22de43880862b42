/* How long what an engine gave lives, and what can be done about it: one rule an engine, decided
 * from the answer. */
#ifndef VAULT_ENGINE_H
#define VAULT_ENGINE_H

#include "op.h"

#define VAULT_REFRESH_DEFAULT_S 300     /* secrets that say nothing about their life */
#define VAULT_SECRET_LIFE_S (24 * 3600) /* how long secrets are served on while Vault is down */
#define VAULT_DATA_KEY_LIFE_S 300
#define VAULT_CODE_LIFE_S 5  /* of a one-time code whose end isn't told */
#define VAULT_CODE_LEAST_S 2 /* a code that ends now can still be entered */

struct vault_answer {
    const struct vault_op *op;
    const struct vault_reply *reply;
    int64_t age_s; /* how long a cache has kept it */
    int64_t now_s; /* unix time by the issuer's clock, where it told */
};

/* LEASED_OK, or a class with the reason. */
int32_t vault_engine_decide(const struct vault_answer *answer, struct vault_life *ret_life,
                            struct plugin_text *ret_detail);

/* Makes a failed issue's text say what to do, where the path or the answer tells
 * (engine_explain.c). */
void vault_engine_explain(const struct vault_op *op, const struct leased_http_reply *http,
                          struct vault_failure *failure);

/* The issuer's unix time: its Date header, else this host's clock. */
int64_t vault_engine_now_s(struct leased_instance *vault, const struct leased_http_reply *http);

#endif
