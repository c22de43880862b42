/* The core: its making and end, and the turn.
 *
 * Whatever happens (an answer, a request, a deadline) changes leases and grants at once and calls
 * core_touch. At the end of that turn of the loop core_turn does what is due once: sends the calls
 * that were queued, tells those who waited, frees what has ended, and arms the one timer for the
 * wheel's next deadline. So no caller is called back from inside its own call, and no step finds
 * the world changed under it.
 *
 * The end: lease_core_close cancels the calls and closes the watches; when the last of them has
 * come back everything is freed and `closed` runs. */
#include "base/mem.h"
#include "env/ledger.h"
#include "lease/core_internal.h"
#include "lease/watched.h"

#include <stdio.h>
#include <string.h>

#define LEASES_MAX_DEFAULT 100000U
#define GRANTS_MAX_DEFAULT 200000U
#define WAITING_MAX_DEFAULT 256U
#define SKEW_DEFAULT_MS 2000U
#define ACQUIRE_TIMEOUT_DEFAULT_MS 30000U
#define WALL_JITTER_MS 50

void core_touch(struct lease_core *core)
{
    env_defer(core->env, &core->turn);
}

uint64_t core_random(struct lease_core *core)
{
    uint64_t random;

    env_random(core->env, &random, sizeof(random));
    return random;
}

void core_make_id(struct lease_core *core, char prefix, char out[LEASE_ID_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char random[16];
    size_t i;

    static_assert(LEASE_ID_BYTES == 2 + 2 * sizeof(random), "prefix, dash, digits");
    env_random(core->env, random, sizeof(random));
    out[0] = prefix;
    out[1] = '-';
    for (i = 0; i < sizeof(random); i++) {
        out[2 + 2 * i] = digits[random[i] >> 4];
        out[3 + 2 * i] = digits[random[i] & 0x0f];
    }
    out[LEASE_ID_BYTES] = '\0';
}

uint64_t core_id_hash(const struct index *ids, const char *id)
{
    uint64_t part;

    memcpy(&part, id + 2, sizeof(part));
    return index_hash(ids->seed, part);
}

int lease_core_may_hand_out(const struct lease_core *core, struct err *e)
{
    struct err why = {.code = 0};
    int r = audit_failure(core->audit, e != NULL ? &why : NULL);

    if (r == 0 && core->ledger != NULL && !env_ledger_is_ready(core->ledger, &why)) {
        r = ERR_IO;
    }
    return r != 0 ? err_set(e, ERR_IO, "%s: no credential leaves", why.text) : 0;
}

/* What lies between the two clocks. They aren't read at the same moment, so it is kept until it
 * differs by more than that: the wall clock was set. */
int64_t core_wall_offset_ms(struct lease_core *core)
{
    int64_t offset_ms = (int64_t)((uint64_t)env_wall_ms(core->env) - core_now_ms(core));
    int64_t step_ms = offset_ms - core->wall_offset_ms;

    if (step_ms > WALL_JITTER_MS || step_ms < -WALL_JITTER_MS) {
        core->wall_offset_ms = offset_ms;
    }
    return core->wall_offset_ms;
}

int64_t core_wall_of(struct lease_core *core, uint64_t when_ms)
{
    return when_ms != UINT64_MAX ? (int64_t)(when_ms + (uint64_t)core_wall_offset_ms(core)) : 0;
}

uint64_t core_when_of(struct lease_core *core, int64_t wall_ms)
{
    int64_t when_ms = (int64_t)((uint64_t)wall_ms - (uint64_t)core_wall_offset_ms(core));

    return when_ms > 0 ? (uint64_t)when_ms : 1;
}

/* --- time --- */

static void core_fire(struct wheel *wheel, struct wheel_entry *entry)
{
    struct lease_core *core = CONTAINER_OF(wheel, struct lease_core, wheel);

    switch ((enum core_entry)entry->kind) {
    case CORE_ENTRY_LEASE:
        lease_due(OBJ_CAST(CONTAINER_OF(entry, struct lease, due), struct lease, LEASE_MAGIC));
        break;
    case CORE_ENTRY_GRANT:
        grant_due(OBJ_CAST(CONTAINER_OF(entry, struct grant, due), struct grant, GRANT_MAGIC));
        break;
    case CORE_ENTRY_QUEUE:
        break; /* the turn pumps all queues */
    case CORE_ENTRY_READS:
        reads_flush(core);
        break;
    case CORE_ENTRY_DRAIN:
        drain_due(core);
        break;
    case CORE_ENTRY_ACQUIRES:
        acquire_due(core);
        break;
    case CORE_ENTRY_ADOPTED:
        adopted_due(core);
        break;
    case CORE_ENTRY_VERIFY:
        verify_due(OBJ_CAST(CONTAINER_OF(entry, struct verify, due), struct verify, VERIFY_MAGIC));
        break;
    case CORE_ENTRY_DRILL:
        drill_due(entry);
        break;
    case CORE_ENTRY_WINDOWS:
        windows_due(core);
        break;
    }
}

static void core_timer(struct env_timer *timer)
{
    struct lease_core *core = OBJ_CAST(timer->user, struct lease_core, LEASE_CORE_MAGIC);

    core->timer_ms = WHEEL_NEVER;
    wheel_advance(&core->wheel, core_now_ms(core));
    core_touch(core);
}

static void core_arm_timer(struct lease_core *core)
{
    uint64_t when_ms = wheel_next_ms(&core->wheel);

    if (when_ms == core->timer_ms) {
        return;
    }
    core->timer_ms = when_ms;
    if (when_ms == WHEEL_NEVER) {
        env_timer_disarm(core->env, &core->timer);
    } else {
        env_timer_arm(core->env, &core->timer, when_ms);
    }
}

/* --- life --- */

static void core_fini_maps(struct lease_core *core)
{
    map_fini(&core->roles);
    index_fini(&core->lease_ids);
    index_fini(&core->grant_ids);
    index_fini(&core->grant_keys);
    index_fini(&core->holders);
    accounts_fini(core);
    rates_fini(&core->rates);
    map_fini(&core->texts);
    left_forget(core);
    map_fini(&core->left);
    index_fini(&core->watched);
}

static void core_free(struct lease_core *core)
{
    struct grant *grant;
    struct lease *lease;
    struct map_entry *entry;
    struct list *node;

    while (list_pop_front(&core->observers) != NULL) {
    }
    while ((grant = lease_core_next_grant(core, NULL)) != NULL) {
        grant_free(grant);
    }
    while ((lease = lease_core_next_lease(core, NULL)) != NULL) {
        lease_free(lease);
    }
    while ((entry = map_first(&core->roles)) != NULL) {
        role_free(MAP_ENTRY(entry, struct role, entry));
    }
    while (!list_is_empty(&core->issuers)) {
        node = core->issuers.next;
        issuer_free(LIST_ENTRY(node, struct issuer, node));
    }
    CHECK(core->holders.count == 0 && map_count(&core->texts) == 0);
    core_fini_maps(core);
    env_undefer(&core->turn);
    env_timer_disarm(core->env, &core->timer);
    secret_free(core->token_key);
    mem_free(core);
}

static void core_close_check(struct lease_core *core)
{
    void (*closed)(void *user) = core->closed;
    void *user = core->closed_user;

    if (calls_are_in_flight(core) || core->closing_watch_count > 0 ||
        !list_is_empty(&core->loans)) {
        return;
    }
    waits_tell(core, true);
    core_free(core);
    closed(user);
}

static void core_turn(struct env_deferred *deferred)
{
    struct lease_core *core = OBJ_CAST(deferred->user, struct lease_core, LEASE_CORE_MAGIC);

    if (core->is_closing) {
        core_close_check(core); /* the core may be gone */
        return;
    }
    calls_pump(core);
    drain_check(core);
    observe_tell(core);
    drill_tell(core);
    ended_trim(core);
    core_arm_timer(core);
    waits_tell(
        core,
        false); /* may call anything, also lease_core_close; the core lives on to the next turn */
}

static uint32_t or_default(uint32_t value, uint32_t default_value)
{
    return value > 0 ? value : default_value;
}

static void core_set_options(struct lease_core *core, const struct lease_core_options *options)
{
    core->options = *options;
    core->options.env = core->env;
    core->options.audit = core->audit;
    core->options.ledger = core->ledger;
    core->options.verifier = core->verifier;
    core->options.leases_max = or_default(options->leases_max, LEASES_MAX_DEFAULT);
    core->options.grants_max = or_default(options->grants_max, GRANTS_MAX_DEFAULT);
    core->options.waiting_max = or_default(options->waiting_max, WAITING_MAX_DEFAULT);
    core->options.acquire_timeout_ms =
        options->acquire_timeout_ms > 0 ? options->acquire_timeout_ms : ACQUIRE_TIMEOUT_DEFAULT_MS;
    core->options.skew_ms = options->skew_ms > 0 ? options->skew_ms : SKEW_DEFAULT_MS;
}

void lease_core_set_options(struct lease_core *core, const struct lease_core_options *options)
{
    core_set_options(core, options);
    account_set_rates(core);
}

static void core_init(struct lease_core *core, const struct lease_core_options *options)
{
    size_t i;

    core->magic = LEASE_CORE_MAGIC;
    core->env = options->env;
    core->audit = options->audit;
    core->ledger = options->ledger;
    core->verifier = options->verifier;
    core_set_options(core, options);
    wheel_init(&core->wheel, core_now_ms(core), core_fire);
    core->timer.fn = core_timer;
    core->timer.user = core;
    core->timer_ms = WHEEL_NEVER;
    core->turn.fn = core_turn;
    core->turn.user = core;
    core->reads_due.kind = CORE_ENTRY_READS;
    core->drain_due.kind = CORE_ENTRY_DRAIN;
    core->acquires_due.kind = CORE_ENTRY_ACQUIRES;
    core->adopted_due.kind = CORE_ENTRY_ADOPTED;
    core->windows_due.kind = CORE_ENTRY_WINDOWS;
    list_init(&core->acquires);
    list_init(&core->issuers);
    list_init(&core->leases_by_age);
    list_init(&core->grants_by_age);
    list_init(&core->durables);
    list_init(&core->links);
    list_init(&core->read_grants);
    list_init(&core->finishing);
    list_init(&core->loans);
    list_init(&core->observers);
    list_init(&core->drills);
    list_init(&core->waits);
    list_init(&core->waits_done);
    for (i = 0; i < LEASE_STATE_COUNT; i++) {
        list_init(&core->leases_by_state[i]);
    }
    for (i = 0; i < GRANT_STATE_COUNT; i++) {
        list_init(&core->grants_by_state[i]);
    }
}

int lease_core_new(const struct lease_core_options *options, struct lease_core **ret_core,
                   struct err *e)
{
    struct lease_core *core = mem_calloc(1, sizeof(*core));
    int r;

    if (core == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    core_init(core, options);
    r = token_init(core);
    if (r != 0) {
        secret_free(core->token_key);
        mem_free(core);
        return err_set(e, r, "%s", err_str(r));
    }
    map_init(&core->roles, core_random(core));
    index_init(&core->lease_ids, core_random(core), lease_id_hash);
    index_init(&core->grant_ids, core_random(core), grant_id_hash);
    index_init(&core->grant_keys, core_random(core), grant_key_hash);
    index_init(&core->holders, core_random(core), holder_hash);
    index_init(&core->accounts, core_random(core), account_hash);
    list_init(&core->unheld_accounts);
    rates_init(&core->rates, core->accounts.seed);
    map_init(&core->texts, core_random(core));
    map_init(&core->left, 0); /* the ids in it are our own */
    index_init(&core->watched, core_random(core), watched_hash);
    *ret_core = core;
    return 0;
}

void lease_core_close(struct lease_core *core, void (*closed)(void *user), void *user)
{
    struct grant *grant = NULL;
    struct lease *lease = NULL;

    CHECK(!core->is_closing);
    acquire_cancel_all(core, true);
    reads_flush(core); /* of grants that don't end here */
    core->is_draining = true;
    core->is_closing = true;
    core->closed = closed;
    core->closed_user = user;
    env_timer_disarm(core->env, &core->timer);
    while ((grant = lease_core_next_grant(core, grant)) != NULL) {
        grant_unbind(grant);
        handout_forget(grant);
    }
    while ((lease = lease_core_next_lease(core, lease)) != NULL) {
        if (lease->issuing != NULL) {
            audit_write_forget(&lease->issuing->write);
            lease->issuing->durable = NULL; /* forgotten with all the others */
        }
    }
    durable_forget_all(&core->durables);
    calls_cancel_all(core);
    core_touch(core);
}
