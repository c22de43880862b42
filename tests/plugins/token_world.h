/* For tests of plugins that get tokens: keys and certificates made for the run, the parts of what
 * was sent, and a hook that lets one allocation after the other fail. */
#ifndef LEASED_TESTS_PLUGINS_TOKEN_WORLD_H
#define LEASED_TESTS_PLUGINS_TOKEN_WORLD_H

#include "plugins/plugin_world.h"
#include "support/token.h"

/* Gives a secret another value: its file has changed. NULL: it is gone. */
void token_set_secret(struct plugin_world *world, const char *source, const char *value);

/* A field of the form that was sent, decoded; "" if it isn't there. Valid until the next call. */
const char *token_form_field(struct plugin_world *world, const char *name);

/* Header and claims of a JWT whose signature fits the pair's key; fails the test if it doesn't.
 * `alg`: RS256 or PS256. json_decref both. */
void token_verify(const char *jwt, const char *alg, const struct token_pair *pair,
                  json_t **ret_header, json_t **ret_claims);

/* A JWT that nobody signed, with this exp. Valid until the next call. */
const char *token_jwt(int64_t exp_s);

/* Runs `live` for n = 1, 2, …: its n-th allocation (not counting jansson's) fails, until none did.
 * What is left afterwards fails the test. */
void token_fail_each(void (*live)(void));

/* Inside `live`: allocations count between these two. */
void token_fail_begin(void);
void token_fail_end(void);

#endif
