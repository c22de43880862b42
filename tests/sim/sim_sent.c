/* The checks of what is sent to the issuer: S2, S4, S7, S9. */
#include "sim_check.h"

#include <string.h>

#define IN_FLIGHT_DEFAULT 32
#define OWN_CALLS_MAX 24 /* of a backend and its plugin, beside the calls for leases */

/* --- calls of one kind ------------------------------------------------------------------------ */

/* What is counted: calls to this issuer; those that ask it for a credential of this role, or that
 * ask any issuer for something that is on record before. */
struct sought {
    const struct sim_world *world;
    const struct sim_issuer *issuer; /* NULL: any */
    const char *role;                /* NULL with that */
};

static bool is_to(void *user, const struct sim_call *call)
{
    const struct sought *sought = user;

    return !call->is_for_target && sim_issuer_is_at(sought->issuer->kind, call->url);
}

static bool asks(void *user, const struct sim_call *call)
{
    const struct sought *sought = user;
    struct sim_issuer *issuer = sim_world_issuer_at(sought->world, call);
    char role[SIM_ISSUER_ROLE_MAX_BYTES];

    if (call->is_late || issuer == NULL || !issuer->kind->asks(issuer, call, role)) {
        return false;
    }
    return sought->issuer != NULL ? issuer == sought->issuer && strcmp(role, sought->role) == 0
                                  : issuer->is_on_record;
}

static const struct lease_role *role_called(const struct sim_check *check, const char *name)
{
    size_t index = sim_world_role_index(check->world, str_of(name));

    return index < check->world->role_count ? &check->world->roles[index] : NULL;
}

/* S4: no more calls at once than the backend's limit; the plugin's own (login, health, sweeps)
 * come on top. */
static void check_places(struct sim_check *check, const struct sim_issuer *issuer)
{
    const struct sim_world *world = check->world;
    struct sought sought = {.world = world, .issuer = issuer};
    size_t most = (world->in_flight > 0 ? world->in_flight : IN_FLIGHT_DEFAULT) + OWN_CALLS_MAX;
    size_t count = sim_net_count(&world->sim, is_to, &sought);

    if (count > most) {
        sim_fail(&check->world->sim, "S4: %zu calls are in flight, at most %zu may be", count,
                 most);
    }
}

/* S2: what is confirmed isn't asked for again. */
static void check_revocation(struct sim_check *check, struct sim_credential *credential)
{
    const struct sim_issuer_kind *kind = credential->issuer->kind;

    if (credential->revoke_confirmed_to == check->world->start_count &&
        (kind->may_end_twice == NULL || !kind->may_end_twice(credential))) {
        sim_fail(&check->world->sim, "S2: %s is revoked again after that was confirmed",
                 credential->id);
    }
    credential->is_revoke_sent = true;
}

/* --- what answers tell the daemon ------------------------------------------------------------- */

static struct sim_news *find_news(struct sim_check *check, uint64_t exchange)
{
    for (size_t i = 0; i < SIM_NEWS; i++) {
        if (check->news[i].exchange == exchange) {
            return &check->news[i];
        }
    }
    return NULL;
}

static bool is_done(const struct sim_answer *answer)
{
    return answer->status == 200 || answer->status == 204 || answer->status == 0;
}

void sim_check_executed(struct sim_check *check, const struct sim_call *call,
                        const struct sim_answer *answer)
{
    struct sim_issuer *issuer = sim_world_issuer_at(check->world, call);
    struct sim_news news = {.exchange = call->id};

    sim_check_canceled(check, call->id); /* delivered twice: the second answer counts */
    if (is_done(answer)) {
        news.revoked = issuer->kind->ends(issuer, call);
    }
    if (answer->status == 200 && issuer == &check->world->vault.issuer &&
        str_eq_c(call->path, "/v1/auth/token/renew-self")) {
        news.capped = sim_vault_find_token(&check->world->vault, call->token);
    }
    if (news.revoked != NULL || news.capped != NULL) {
        check->news[check->news_count++ % SIM_NEWS] = news;
    }
}

void sim_check_canceled(struct sim_check *check, uint64_t exchange)
{
    struct sim_news *news = find_news(check, exchange);

    if (news != NULL) {
        *news = (struct sim_news){.exchange = 0};
    }
}

void sim_check_exchange_ended(struct sim_check *check, uint64_t exchange, bool is_delivered)
{
    const struct sim_news *news = find_news(check, exchange);

    if (news == NULL || !is_delivered) {
        return;
    }
    if (news->revoked != NULL) {
        news->revoked->revoke_confirmed_to = check->world->start_count;
    }
    if (news->capped != NULL && news->capped->is_capped) {
        news->capped->was_told = true;
    }
}

void sim_check_issue_lost(struct sim_check *check, struct str lease)
{
    sim_trail_lost(&check->trail, lease);
}

static int count_record(void *user, struct str id, struct str body)
{
    (void)id;
    (void)body;
    ++*(size_t *)user;
    return 0;
}

/* I2: what is asked for is in the ledger. Not which record is whose, but that there are enough. */
static void check_intent(struct sim_check *check)
{
    struct sim_world *world = check->world;
    struct sought sought = {.world = world};
    size_t asked = sim_net_count(&world->sim, asks, &sought) + 1;
    size_t count = 0;

    if (world->limits.ledger != NULL) {
        (void)env_ledger_each(world->limits.ledger, ENV_LEDGER_LEASE, count_record, &count, NULL);
        if (count < asked) {
            sim_fail(&world->sim, "I2: %zu issues are sent, the ledger knows of %zu leases", asked,
                     count);
        }
    }
}

static void check_issue(struct sim_check *check, const struct sim_issuer *issuer,
                        const char *issuer_role)
{
    struct sim *sim = &check->world->sim;
    const struct lease_role *role = role_called(check, issuer_role);
    struct sought sought = {.world = check->world, .issuer = issuer, .role = issuer_role};

    if (role == NULL) {
        return;
    }
    if (issuer->is_on_record) {
        check_intent(check);
    }
    if (role->share == LEASE_SHARE_ROLE && sim_net_count(sim, asks, &sought) > 0) {
        sim_check_trace_leases(check);
        sim_fail(sim, "S9: a second issue for the shared role %s is sent", role->name);
    }
}

void sim_check_sent(struct sim_check *check, const struct sim_call *call)
{
    struct sim *sim = &check->world->sim;
    struct sim_issuer *issuer = sim_world_issuer_at(check->world, call);
    char role[SIM_ISSUER_ROLE_MAX_BYTES];
    struct sim_credential *credential;

    if (issuer == NULL) {
        sim_fail(sim, "a request to nobody: %.*s", STR_ARG(call->url));
    }
    check_places(check, issuer);
    credential = issuer->kind->ends(issuer, call);
    if (credential != NULL) {
        sim_trace(sim, "net %s: to be revoked", credential->id);
        check_revocation(check, credential);
        return;
    }
    credential = issuer->kind->renews != NULL ? issuer->kind->renews(issuer, call) : NULL;
    if (credential != NULL && credential->is_revoke_sent) {
        sim_fail(sim, "S7: %s is renewed after its revocation was sent", credential->id);
    }
    if (issuer->kind->asks(issuer, call, role)) {
        check_issue(check, issuer, role);
    }
}
