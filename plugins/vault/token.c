/* Happy path: installed by a login, renewed at two thirds of its life for as long as Vault gives
 * the whole life again.
 *
 * What ends it: a maximum (a renewal gives less than was asked, though it goes on saying
 * "renewable"), being not renewable at all, a policy that denies renewing: then its end is
 * announced, and in time comes a new login, or a configured token is read again. Revoked or
 * expired: its leases are dead now. Tokens that were replaced are kept because leases hang on them.
 * They end by themselves; when there are too many of them the end of the one that ends first is
 * announced to be near, and if it is ours it is revoked then. */
#include "token.h"

#include "kept.h"
#include "login.h"
#include "op.h"
#include "own.h"
#include "rights.h"
#include "source.h"
#include "unwrap.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define STEP_MIN_MS 1000U
#define SLACK_S 1
#define ROOM_MS 60000U /* for replacing the leases of a token that is ended early */

static uint64_t earlier(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

bool vault_token_is_usable(const struct leased_instance *vault)
{
    return vault->token.bytes != NULL &&
           vault->token.expires_ms > vault->host->now_ms(vault->context);
}

const struct vault_token *vault_token_find(const struct leased_instance *vault, uint64_t generation)
{
    if (vault->token.bytes != NULL && vault->token.generation == generation) {
        return &vault->token;
    }
    for (size_t i = 0; i < vault->old_count; i++) {
        if (vault->old[i].generation == generation) {
            return &vault->old[i];
        }
    }
    return NULL;
}

const struct vault_token *vault_token_find_accessor(const struct leased_instance *vault,
                                                    struct leased_str accessor)
{
    if (vault->token.bytes != NULL && accessor.len > 0 &&
        plugin_str_eq(accessor, vault->token.accessor)) {
        return &vault->token;
    }
    for (size_t i = 0; i < vault->old_count && accessor.len > 0; i++) {
        if (plugin_str_eq(accessor, vault->old[i].accessor)) {
            return &vault->old[i];
        }
    }
    return NULL;
}

static void token_free(struct leased_instance *vault, struct vault_token *token)
{
    vault->host->secret_free(token->bytes);
    *token = (struct vault_token){0};
}

void vault_token_free_all(struct leased_instance *vault)
{
    token_free(vault, &vault->token);
    while (vault->old_count > 0) {
        token_free(vault, &vault->old[--vault->old_count]);
    }
}

/* --- old ones --------------------------------------------------------------------------------- */

static void drop_old(struct leased_instance *vault, size_t index)
{
    struct vault_token *old = &vault->old[index];

    vault->is_unkept = true;
    if (old->is_given_up && vault_config_makes_tokens(&vault->config)) {
        vault_token_discard(vault, old->bytes);
        old->bytes = NULL;
    }
    token_free(vault, old);
    *old = vault->old[--vault->old_count];
    vault->old[vault->old_count] = (struct vault_token){0};
}

static void drop_expired(struct leased_instance *vault, uint64_t now_ms)
{
    for (size_t i = vault->old_count; i > 0; i--) {
        if (vault->old[i - 1].expires_ms <= now_ms) {
            drop_old(vault, i - 1);
        }
    }
}

/* Is there a place for the token that a login would replace? Without one the old token that ends
 * first has to end early, but not before its leases could be replaced: the login waits. */
static bool has_room(struct leased_instance *vault, uint64_t now_ms)
{
    struct vault_token *first = &vault->old[0];
    uint64_t end_ms;

    if (vault->token.bytes == NULL || vault->old_count < VAULT_OLD_TOKENS_MAX) {
        return true;
    }
    for (size_t i = 1; i < vault->old_count; i++) {
        first = vault->old[i].expires_ms < first->expires_ms ? &vault->old[i] : first;
    }
    end_ms = now_ms + earlier(ROOM_MS, (vault->token.expires_ms - now_ms) / 2U);
    if (first->expires_ms > end_ms) {
        first->expires_ms = end_ms;
        first->is_given_up = true;
        vault->is_unkept = true;
        vault->host->anchor_ends(
            vault->context, first->generation, first->expires_ms,
            PLUGIN_STR("the token that it hangs on makes room: too many were replaced"));
    }
    vault->login_at_ms = first->expires_ms;
    return false;
}

/* Tells when the token's leases end at the latest. */
static void bound(struct leased_instance *vault, const char *reason)
{
    struct vault_token *token = &vault->token;

    vault->is_unkept = vault->is_unkept || token->is_renewable;
    token->is_renewable = false;
    if (!token->is_bounded && token->expires_ms != VAULT_NEVER) {
        token->is_bounded = true;
        vault->is_unkept = true;
        vault->host->anchor_ends(vault->context, token->generation, token->expires_ms,
                                 plugin_str(reason));
    }
}

/* Its leases live until it ends. There is room: a login begins only then. */
static void keep_old(struct leased_instance *vault)
{
    if (vault->token.bytes == NULL) {
        return;
    }
    assert(vault->old_count < VAULT_OLD_TOKENS_MAX);
    bound(vault, "the token that it hangs on was replaced");
    vault->old[vault->old_count++] = vault->token;
    vault->token = (struct vault_token){0};
}

/* --- moments ---------------------------------------------------------------------------------- */

/* Two thirds of what is left, with a tenth of it as splay. */
static uint64_t in_two_thirds(struct leased_instance *vault, uint64_t now_ms)
{
    uint64_t left_ms = vault->token.expires_ms - now_ms;
    uint64_t splay_ms = left_ms / 10U;
    uint64_t delay_ms = left_ms / 3U * 2U - splay_ms / 2U + vault_random(vault, splay_ms + 1U);

    return now_ms + (delay_ms > STEP_MIN_MS ? delay_ms : STEP_MIN_MS);
}

static void schedule(struct leased_instance *vault, uint64_t now_ms)
{
    vault->renew_at_ms = VAULT_NEVER;
    vault->login_at_ms = VAULT_NEVER;
    if (vault->token.expires_ms == VAULT_NEVER) {
        return;
    }
    if (vault->token.is_renewable) {
        vault->renew_at_ms = in_two_thirds(vault, now_ms);
    } else {
        vault->login_at_ms = in_two_thirds(vault, now_ms);
    }
}

/* Two runs never draw the same one, so that leases of an earlier run hang on nothing of this one.
 */
static uint64_t draw_generation(struct leased_instance *vault)
{
    uint64_t generation = 0;

    while (generation == 0 || vault_token_find(vault, generation) != NULL) {
        vault->host->random(vault->context, &generation, sizeof(generation));
    }
    return generation;
}

static uint64_t end_of(uint64_t start_ms, int64_t ttl_s)
{
    return ttl_s == 0 ? VAULT_NEVER : start_ms + (uint64_t)ttl_s * 1000U;
}

/* --- events ----------------------------------------------------------------------------------- */

void vault_token_not_renewable(struct leased_instance *vault)
{
    bound(vault, "the token that it hangs on can't be renewed");
    schedule(vault, vault->host->now_ms(vault->context));
}

static void note_facts(struct vault_token *token, const struct vault_token_facts *facts)
{
    token->life_s = facts->life_s;
    token->is_periodic = token->is_periodic || facts->is_periodic;
    if (facts->accessor.len > 0 && facts->accessor.len < sizeof(token->accessor)) {
        memcpy(token->accessor, facts->accessor.ptr, facts->accessor.len);
        token->accessor[facts->accessor.len] = '\0';
    }
}

int vault_token_install(struct leased_instance *vault, struct leased_str bytes,
                        const struct vault_token_facts *facts)
{
    struct vault_token *token = &vault->token;
    uint64_t now_ms = vault->host->now_ms(vault->context);
    bool is_same = token->bytes != NULL && plugin_str_eq(bytes, token->bytes);
    char *copy;

    if (!is_same) {
        copy = plugin_secret_dup(vault->host, bytes);
        if (copy == NULL) {
            return -1;
        }
        keep_old(vault);
        token->bytes = copy;
        token->generation = draw_generation(vault);
        vault->rights = (struct vault_rights){.http = vault->rights.http, .at_ms = now_ms};
    }
    note_facts(token, facts);
    vault->is_unkept = true;
    vault->is_kept_unproved = false;
    token->expires_ms = end_of(vault->own_sent_ms, facts->ttl_s);
    /* One that had reached its maximum goes on saying that it is renewable. */
    token->is_renewable = facts->is_renewable && facts->ttl_s > 0 && !token->is_bounded;
    token->is_bounded = false;
    vault->login_failures = 0;
    vault->login_refusals = 0;
    vault->renew_failures = 0;
    vault->verified_ms = now_ms;
    vault->login_failure = (struct vault_failure){0};
    if (!token->is_renewable) {
        bound(vault, "the token that it hangs on can't be renewed");
    }
    schedule(vault, now_ms);
    vault->host->login_expires(vault->context, token->expires_ms);
    vault->host->metric_add(vault->context, PLUGIN_STR("logins"), 1);
    if (!is_same) {
        vault_log(vault, LEASED_LOG_INFO, "vault.login.done", "");
    }
    return 0;
}

void vault_token_renewed(struct leased_instance *vault, int64_t ttl_s, bool is_renewable,
                         bool is_capped)
{
    struct vault_token *token = &vault->token;
    uint64_t now_ms = vault->host->now_ms(vault->context);

    token->expires_ms = end_of(vault->own_sent_ms, ttl_s);
    vault->renew_failures = 0;
    vault->verified_ms = now_ms;
    vault->is_unkept = true;
    vault->host->login_expires(vault->context, token->expires_ms);
    vault->host->metric_add(vault->context, PLUGIN_STR("token_renewals"), 1);
    is_capped = is_capped || (ttl_s != 0 && ttl_s + SLACK_S < token->life_s);
    token->is_renewable = is_renewable && !is_capped && ttl_s != 0;
    if (!token->is_renewable) {
        bound(vault, "the token that it hangs on has reached its maximum life");
    }
    schedule(vault, now_ms);
    if (is_capped && vault_config_makes_tokens(&vault->config)) {
        /* At once, so that as few leases as possible hang on a token that ends soon. */
        vault->login_at_ms = now_ms;
    }
}

void vault_token_lost(struct leased_instance *vault, const char *reason)
{
    uint64_t now_ms = vault->host->now_ms(vault->context);
    uint64_t generation = vault->token.generation;

    token_free(vault, &vault->token);
    vault->is_unkept = true;
    vault->renew_at_ms = VAULT_NEVER;
    if (vault->login_failures == 0 || vault->login_at_ms == VAULT_NEVER) {
        vault->login_at_ms = now_ms;
    }
    vault->host->login_expires(vault->context, 0);
    vault_log(vault, LEASED_LOG_WARN, "vault.token.lost", reason);
    vault->host->anchor_ends(vault->context, generation, 0, plugin_str(reason));
}

void vault_token_restore(struct leased_instance *vault, const struct vault_token *token,
                         bool is_current)
{
    uint64_t now_ms = vault->host->now_ms(vault->context);

    if (!is_current) {
        vault->old[vault->old_count++] = *token;
    } else {
        vault->token = *token;
        vault->is_kept_unproved = true;
        vault->is_verify_wanted = true;
        vault->rights.at_ms = now_ms;
        schedule(vault, now_ms);
        vault->host->login_expires(vault->context, token->expires_ms);
    }
    if (token->is_bounded) {
        vault->retell_at_ms = now_ms;
    }
}

/* Whoever took leases over from an earlier run has to hear when they end; and not before it has. */
static void retell(struct leased_instance *vault)
{
    const struct leased_str reason = PLUGIN_STR("the token that it hangs on ends");

    vault->retell_at_ms = VAULT_NEVER;
    if (vault->token.bytes != NULL && vault->token.is_bounded) {
        vault->host->anchor_ends(vault->context, vault->token.generation, vault->token.expires_ms,
                                 reason);
    }
    for (size_t i = 0; i < vault->old_count; i++) {
        if (vault->old[i].is_bounded) {
            vault->host->anchor_ends(vault->context, vault->old[i].generation,
                                     vault->old[i].expires_ms, reason);
        }
    }
}

void vault_token_discard(struct leased_instance *vault, char *bytes)
{
    if (bytes != NULL) {
        vault->host->secret_free(vault->unwanted);
        vault->unwanted = bytes;
    }
}

/* --- step ------------------------------------------------------------------------------------- */

static void timer_ran(void *user)
{
    struct leased_instance *vault = user;

    vault->timer = NULL;
    if (vault->retell_at_ms <= vault->host->now_ms(vault->context)) {
        retell(vault);
    }
    vault_token_step(vault);
}

static uint64_t next_moment(const struct leased_instance *vault)
{
    uint64_t next_ms = VAULT_NEVER;

    if (vault->own == VAULT_OWN_NONE) {
        /* While an exchange runs its end brings the next step. */
        next_ms = earlier(vault->login_at_ms, vault->renew_at_ms);
        next_ms = earlier(next_ms, earlier(vault->unwrap_at_ms, vault->watch_at_ms));
    }
    next_ms = earlier(next_ms, vault->retell_at_ms);
    if (vault->rights.http == NULL && vault->token.bytes != NULL) {
        next_ms = earlier(next_ms, vault->rights.at_ms);
    }
    if (vault->token.bytes != NULL) {
        next_ms = earlier(next_ms, vault->token.expires_ms);
    }
    for (size_t i = 0; i < vault->old_count; i++) {
        next_ms = earlier(next_ms, vault->old[i].expires_ms);
    }
    return next_ms;
}

static void arm(struct leased_instance *vault, uint64_t now_ms)
{
    uint64_t next_ms = next_moment(vault);

    if (vault->timer != NULL) {
        vault->host->timer_stop(vault->context, vault->timer);
        vault->timer = NULL;
    }
    if (next_ms != VAULT_NEVER) {
        vault->timer =
            vault->host->timer_start(vault->context, next_ms > now_ms ? next_ms - now_ms : 0,
                                     timer_ran, vault);
    }
}

/* Begins the exchange that is due, if there is one. */
static void begin_due(struct leased_instance *vault, uint64_t now_ms)
{
    char *unwanted = vault->unwanted;

    if (unwanted != NULL) {
        vault->unwanted = NULL;
        (void)vault_own_logout(vault, unwanted);
        vault->host->secret_free(unwanted);
    }
    if (vault->own != VAULT_OWN_NONE) {
        return;
    }
    if (vault->is_verify_wanted) {
        vault_own_verify(vault);
    } else if (vault->renew_at_ms <= now_ms) {
        vault_own_renew(vault);
    } else if (vault->unwrap_at_ms <= now_ms) {
        vault_unwrap_start(vault);
    } else if (vault->login_at_ms <= now_ms && has_room(vault, now_ms)) {
        vault_login_start(vault);
    }
}

void vault_token_step(struct leased_instance *vault)
{
    uint64_t now_ms = vault->host->now_ms(vault->context);

    if (vault->is_closing) {
        return;
    }
    drop_expired(vault, now_ms);
    if (vault->token.bytes != NULL && vault->token.expires_ms <= now_ms) {
        vault_token_lost(vault, "the token that it hangs on has expired");
    }
    if (vault->own == VAULT_OWN_NONE) {
        if (vault->watch_at_ms <= now_ms) {
            vault->watch_at_ms = now_ms + VAULT_WATCH_MS;
            vault_source_look(vault);
        }
        begin_due(vault, now_ms);
    }
    vault_rights_step(vault, now_ms);
    vault_kept_step(vault);
    arm(vault, now_ms);
}
