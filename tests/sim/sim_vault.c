/* State of the model Vault: tokens, leases, and when they end. */
#include "sim_vault.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define MAP_SEED 1
#define SPREAD_STEP_MS 1777U

void sim_vault_init(struct sim_vault *vault, struct sim_random *random)
{
    *vault = (struct sim_vault){
        .random = random,
        .now_ms = SIM_START_MS,
        .login = {.ttl_ms = 3600000, .max_ttl_ms = 86400000, .is_renewable = true},
    };
    map_init(&vault->tokens, MAP_SEED);
    map_init(&vault->accessors, MAP_SEED);
    map_init(&vault->leases_by_id, MAP_SEED);
    sim_issuer_init(&vault->issuer, NULL, random);
    (void)sim_vault_add_token(vault, &(struct sim_vault_token_options){.id = SIM_VAULT_ROOT,
                                                                       .is_root = true});
}

void sim_vault_fini(struct sim_vault *vault)
{
    struct map_entry *entry;

    while ((entry = map_first(&vault->leases_by_id)) != NULL) {
        map_remove(&vault->leases_by_id, entry);
    }
    sim_issuer_fini(&vault->issuer);
    while ((entry = map_first(&vault->tokens)) != NULL) {
        struct sim_vault_token *token = MAP_ENTRY(entry, struct sim_vault_token, entry);

        map_remove(&vault->tokens, entry);
        map_remove(&vault->accessors, &token->by_accessor);
        json_decref(token->meta);
        mem_free(token);
    }
    map_fini(&vault->tokens);
    map_fini(&vault->accessors);
    map_fini(&vault->leases_by_id);
}

/* --- roles ------------------------------------------------------------------------------------ */

struct sim_vault_role *sim_vault_add_role(struct sim_vault *vault, const char *name,
                                          uint64_t default_ttl_ms, uint64_t max_ttl_ms,
                                          bool is_renewable)
{
    struct sim_vault_role *role = &vault->roles[vault->role_count++];

    CHECK(vault->role_count <= SIM_VAULT_ROLES_MAX);
    *role = (struct sim_vault_role){.default_ttl_ms = default_ttl_ms,
                                    .max_ttl_ms = max_ttl_ms,
                                    .is_renewable = is_renewable};
    (void)snprintf(role->name, sizeof(role->name), "%s", name);
    return role;
}

struct sim_vault_role *sim_vault_find_role(struct sim_vault *vault, struct str name)
{
    for (size_t i = 0; i < vault->role_count; i++) {
        if (str_eq_c(name, vault->roles[i].name)) {
            return &vault->roles[i];
        }
    }
    return NULL;
}

/* --- tokens ----------------------------------------------------------------------------------- */

static bool token_is_valid(const struct sim_vault_token *token, uint64_t now_ms)
{
    return !token->is_revoked && token->expires_ms > now_ms &&
           (token->options.parent == NULL || token_is_valid(token->options.parent, now_ms));
}

/* With those that it hangs on. */
static uint64_t token_ends_ms(const struct sim_vault_token *token)
{
    uint64_t ends_ms = token->expires_ms;

    while ((token = token->options.parent) != NULL) {
        ends_ms = token->expires_ms < ends_ms ? token->expires_ms : ends_ms;
    }
    return ends_ms;
}

bool sim_vault_was_killed(const struct sim_vault_token *token)
{
    while (token != NULL && !token->was_killed) {
        token = token->options.parent;
    }
    return token != NULL;
}

bool sim_vault_lives_on(const struct sim_vault_token *token)
{
    while (token != NULL && token->options.is_renewable && !token->was_told) {
        token = token->options.parent;
    }
    return token == NULL;
}

void sim_vault_token_used(struct sim_vault *vault, struct sim_vault_token *token)
{
    (void)vault;
    if (token->uses_left > 0 && --token->uses_left == 0) {
        token->is_revoked = true;
    }
}

struct sim_vault_token *sim_vault_find_accessor(struct sim_vault *vault, struct str accessor)
{
    struct map_entry *entry = map_find(&vault->accessors, accessor);
    struct sim_vault_token *token =
        entry != NULL ? MAP_ENTRY(entry, struct sim_vault_token, by_accessor) : NULL;

    return token != NULL && token_is_valid(token, vault->now_ms) ? token : NULL;
}

struct sim_vault_token *sim_vault_add_token(struct sim_vault *vault,
                                            const struct sim_vault_token_options *options)
{
    struct sim_vault_token *token = mem_calloc(1, sizeof(*token));
    uint64_t ttl_ms = options->period_ms > 0 ? options->period_ms : options->ttl_ms;

    CHECK(token != NULL);
    token->options = *options;
    token->uses_left = options->uses;
    token->issued_ms = vault->now_ms;
    token->expires_ms = ttl_ms > 0 ? vault->now_ms + ttl_ms : SIM_VAULT_NEVER;
    token->max_expires_ms = options->max_ttl_ms > 0 && options->period_ms == 0
                                ? vault->now_ms + options->max_ttl_ms
                                : SIM_VAULT_NEVER;
    sim_draw_id(vault->random, "", 24, token->accessor, sizeof(token->accessor));
    if (options->id != NULL) {
        (void)snprintf(token->id, sizeof(token->id), "%s", options->id);
    } else {
        sim_draw_id(vault->random, "s." SIM_VAULT_MARK, 18, token->id, sizeof(token->id));
    }
    CHECK(map_add(&vault->tokens, &token->entry, str_of(token->id)) == 0);
    CHECK(map_add(&vault->accessors, &token->by_accessor, str_of(token->accessor)) == 0);
    return token;
}

struct sim_vault_token *sim_vault_find_token(struct sim_vault *vault, struct str id)
{
    struct map_entry *entry = map_find(&vault->tokens, id);
    struct sim_vault_token *token =
        entry != NULL ? MAP_ENTRY(entry, struct sim_vault_token, entry) : NULL;

    return token != NULL && token_is_valid(token, vault->now_ms) ? token : NULL;
}

void sim_vault_kill_tokens(struct sim_vault *vault)
{
    struct map_entry *entry = NULL;

    for (entry = map_first(&vault->tokens); entry != NULL;
         entry = map_next(&vault->tokens, entry)) {
        struct sim_vault_token *token = MAP_ENTRY(entry, struct sim_vault_token, entry);

        if (token->is_login && !token->is_revoked) {
            token->is_revoked = true;
            token->was_killed = true;
        }
    }
}

/* --- leases ----------------------------------------------------------------------------------- */

struct sim_vault_lease *sim_vault_add_lease(struct sim_vault *vault, struct sim_vault_role *role,
                                            struct sim_vault_token *token,
                                            const struct sim_call *call)
{
    struct sim_vault_lease *lease = mem_calloc(1, sizeof(*lease));
    struct sim_credential *credential = &lease->credential;
    char prefix[64];
    uint64_t ends_ms;

    CHECK(lease != NULL);
    lease->role = role;
    lease->token = token;
    /* By its number, so that no seed without it means anything else. */
    credential->known_ms = vault->now_ms + call->id * SPREAD_STEP_MS % (role->spread_ms + 1);
    credential->expires_ms = vault->now_ms + role->default_ttl_ms;
    credential->is_revocable = true;
    credential->is_findable = !vault->denies_child;
    (void)snprintf(credential->role, sizeof(credential->role), "%s", role->name);
    (void)snprintf(prefix, sizeof(prefix), "database/creds/%s/" SIM_VAULT_MARK, role->name);
    sim_draw_id(vault->random, prefix, 18, credential->id, sizeof(credential->id));
    (void)snprintf(prefix, sizeof(prefix), "v-" SIM_VAULT_MARK "-%s-", role->name);
    sim_draw_id(vault->random, prefix, 20, lease->username, sizeof(lease->username));
    sim_draw_id(vault->random, "pw-" SIM_VAULT_MARK "-", 20, credential->secret,
                sizeof(credential->secret));
    CHECK(map_add(&vault->leases_by_id, &lease->by_id, str_of(credential->id)) == 0);
    /* A child lives on with its lease, if it is one that is handed out; so what it hangs on counts.
     */
    ends_ms = token->is_child && token->options.parent == NULL ? SIM_VAULT_NEVER
              : token->is_child ? token_ends_ms(token->options.parent)
                                : token->expires_ms;
    credential->granted_ms =
        credential->expires_ms < ends_ms ? role->default_ttl_ms : ends_ms - vault->now_ms;
    sim_issuer_add(&vault->issuer, credential, call);
    role->issue_count++;
    return lease;
}

uint64_t sim_vault_valid_until_ms(const struct sim_credential *credential, uint64_t now_ms)
{
    const struct sim_vault_lease *lease = (const struct sim_vault_lease *)credential;
    uint64_t until_ms = credential->expires_ms;

    if (credential->is_revoked || !token_is_valid(lease->token, now_ms)) {
        return 0;
    }
    if (token_ends_ms(lease->token) < until_ms) {
        until_ms = token_ends_ms(lease->token);
    }
    return until_ms > now_ms ? until_ms : 0;
}

struct sim_vault_lease *sim_vault_find_password(struct sim_vault *vault, struct str password)
{
    return (struct sim_vault_lease *)sim_issuer_find(&vault->issuer, password);
}

struct sim_vault_lease *sim_vault_find_lease(struct sim_vault *vault, struct str id)
{
    struct map_entry *entry = map_find(&vault->leases_by_id, id);

    return entry != NULL ? MAP_ENTRY(entry, struct sim_vault_lease, by_id) : NULL;
}

size_t sim_vault_valid_count(struct sim_vault *vault, uint64_t now_ms)
{
    struct sim_credential *credential = NULL;
    size_t count = 0;

    while ((credential = sim_issuer_next_valid(&vault->issuer, now_ms, credential)) != NULL) {
        count++;
    }
    return count;
}

void sim_vault_ended(void *user, uint64_t exchange, bool is_delivered)
{
    sim_issuer_ended(&((struct sim_vault *)user)->issuer, exchange, is_delivered);
}
