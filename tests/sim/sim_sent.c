/* The checks of what is sent to the issuer: S2, S4, S7, S9. */
#include "sim_check.h"

#include <jansson.h>

#define IN_FLIGHT_DEFAULT 32
#define OWN_CALLS_MAX 24 /* of a backend and its plugin, beside the calls for leases */

static struct sim_vault_lease *lease_of_call(struct sim_check *check, const struct sim_call *call)
{
    json_t *body = json_loadb(call->body.ptr, call->body.len, 0, NULL);
    const char *id = json_string_value(json_object_get(body, "lease_id"));
    struct sim_vault_lease *lease =
        id != NULL ? sim_vault_find_lease(&check->world->vault, str_of(id)) : NULL;

    json_decref(body);
    return lease;
}

static const struct lease_role *role_of_path(const struct sim_check *check, struct str path)
{
    static const char prefix[] = "/v1/database/creds/";
    size_t index;

    if (!str_starts_with(path, prefix)) {
        return NULL;
    }
    index = sim_world_role_index(check->world, (struct str){path.ptr + sizeof(prefix) - 1,
                                                            path.len - (sizeof(prefix) - 1)});
    return index < check->world->role_count ? &check->world->roles[index] : NULL;
}

/* S4: no more calls at once than the backend's limit; the plugin's own (login, health, sweeps)
 * come on top. */
static void check_places(struct sim_check *check)
{
    const struct sim_world *world = check->world;
    size_t most = (world->in_flight > 0 ? world->in_flight : IN_FLIGHT_DEFAULT) + OWN_CALLS_MAX;
    size_t count = sim_net_in_flight_all(&world->sim);

    if (count > most) {
        sim_fail(&check->world->sim, "S4: %zu calls are in flight, at most %zu may be", count,
                 most);
    }
}

/* S2: what is confirmed isn't asked for again. */
static void check_revocation(struct sim_check *check, struct sim_vault_lease *lease)
{
    /* After that the token that it was issued under is revoked, and if that fails, both again. */
    if (lease->revoke_confirmed_to == check->world->start_count && !lease->token->is_child) {
        sim_fail(&check->world->sim, "S2: %s is revoked again after that was confirmed", lease->id);
    }
    lease->is_revoke_sent = true;
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

void sim_check_executed(struct sim_check *check, const struct sim_call *call,
                        const struct sim_answer *answer)
{
    struct sim_vault *vault = &check->world->vault;
    struct sim_news news = {.exchange = call->id};

    sim_check_canceled(check, call->id); /* delivered twice: the second answer counts */
    if (answer->status == 204 && str_eq_c(call->path, "/v1/sys/leases/revoke")) {
        news.revoked = lease_of_call(check, call);
    }
    if (answer->status == 200 && str_eq_c(call->path, "/v1/auth/token/renew-self")) {
        news.capped = sim_vault_find_token(vault, call->token);
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
    size_t asked = sim_net_issues(&world->sim) + 1;
    size_t count = 0;

    if (world->limits.ledger != NULL) {
        (void)env_ledger_each(world->limits.ledger, ENV_LEDGER_LEASE, count_record, &count, NULL);
        if (count < asked) {
            sim_fail(&world->sim, "I2: %zu issues are sent, the ledger knows of %zu leases", asked,
                     count);
        }
    }
}

void sim_check_sent(struct sim_check *check, const struct sim_call *call)
{
    struct sim *sim = &check->world->sim;
    const struct lease_role *role;
    struct sim_vault_lease *lease;

    check_places(check);
    if (str_eq_c(call->path, "/v1/sys/leases/revoke")) {
        lease = lease_of_call(check, call);
        if (lease != NULL) {
            sim_trace(sim, "net %s: to be revoked", lease->id);
            check_revocation(check, lease);
        }
        return;
    }
    if (str_eq_c(call->path, "/v1/sys/leases/renew")) {
        lease = lease_of_call(check, call);
        if (lease != NULL && lease->is_revoke_sent) {
            sim_fail(sim, "S7: %s is renewed after its revocation was sent", lease->id);
        }
        return;
    }
    role = role_of_path(check, call->path);
    if (role != NULL) {
        check_intent(check);
    }
    if (role != NULL && role->share == LEASE_SHARE_ROLE &&
        sim_net_in_flight(sim, call->method, call->path) > 0) {
        sim_check_trace_leases(check);
        sim_fail(sim, "S9: a second issue for the shared role %s is sent", role->name);
    }
}
