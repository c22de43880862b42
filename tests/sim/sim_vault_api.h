/* Inside the model Vault's API: one request on its way, and how it is answered. */
#ifndef LEASED_TESTS_SIM_VAULT_API_H
#define LEASED_TESTS_SIM_VAULT_API_H

#include "sim_vault.h"

#include <jansson.h>

#define DENIED_BY_POLICY "1 error occurred:\n\t* permission denied\n\n"

/* One request on its way through the table. */
struct exchange {
    struct sim_vault *vault;
    const struct sim_call *call;
    struct sim_answer *answer;
    struct str path; /* without "/v1/" */
    struct str arg;  /* what stands for the path's last segment, where the route asks */
    struct sim_vault_token *token; /* NULL: the route needs none */
    json_t *body;                  /* an object; empty if there was none */
};

/* `root` is taken. */
void sim_vault_answer_json(struct exchange *x, uint32_t status, json_t *root);
void sim_vault_answer_error(struct exchange *x, uint32_t status, const char *message);
void sim_vault_answer_nothing(struct exchange *x, uint32_t status);

/* The envelope, with all of its keys. Values are taken; NULL is null. */
json_t *sim_vault_envelope(struct exchange *x, json_t *data, json_t *auth, json_t *warnings);

int64_t sim_vault_wall_ms(uint64_t when_ms);
json_t *sim_vault_time_json(uint64_t when_ms);
json_int_t sim_vault_seconds_until(uint64_t when_ms, uint64_t now_ms);
json_t *sim_vault_capped_warning(uint64_t asked_ms, uint64_t max_ms);

/* A duration in the body: seconds, or a text; 0: not given. */
uint64_t sim_vault_duration_ms(const struct exchange *x, const char *key);

/* --- tokens (sim_vault_token.c) ---------------------------------------------------------------
 */

void sim_vault_approle_login(struct exchange *x);
void sim_vault_token_lookup(struct exchange *x);
void sim_vault_token_renew(struct exchange *x);
void sim_vault_token_revoke(struct exchange *x);
void sim_vault_token_create(struct exchange *x);
void sim_vault_accessor_lookup(struct exchange *x);
void sim_vault_accessor_renew(struct exchange *x);
void sim_vault_accessor_revoke(struct exchange *x);
void sim_vault_capabilities(struct exchange *x);

#endif
