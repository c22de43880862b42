/* Happy path: every exchange is served, nothing is kept back, no timer runs.
 *
 * Failure paths. An address fails: it is left alone and probed after a back-off, while the others
 * serve. All fail, again and again: the breaker opens, calls are refused at once, one probe at a
 * time goes to whichever address is due; when one is served the breaker closes, and what waited
 * comes back at the lease layer's pace. The issuer asks for a pause (429): calls are kept back for
 * that long, without doubt in its health. A probe that can't be started is due again a little
 * later. */
#include "backend/guard.h"

#include "backend/host.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

#define GUARD_MAGIC 0x67756172U
#define PROBE_AGAIN_MS 1000U
#define MOVED_WAIT_MS 30000U /* an address that only names another one is asked this often */
#define SPREAD_PART 4U       /* those that are kept back come again within this part more */
#define WAIT_LEAST_MS 200U   /* what a probe under way may take */

static void timer_set(struct guard *guard);

static uint64_t random_of(struct guard *guard)
{
    uint64_t value;

    env_random(guard->env, &value, sizeof(value));
    return value;
}

/* --- log -------------------------------------------------------------------------------------- */

static void log_breaker(struct guard *guard, enum breaker_state before)
{
    bool was_closed = before == BREAKER_CLOSED;
    bool is_closed = guard->breaker.state == BREAKER_CLOSED;
    char retry_ms[24];

    if (was_closed == is_closed) {
        return;
    }
    if (is_closed) {
        log_event(LOG_LEVEL_INFO, "backend.breaker.closed", "backend", guard->name, NULL);
        return;
    }
    (void)snprintf(retry_ms, sizeof(retry_ms), "%" PRIu64,
                   guard->breaker.probe_at_ms - env_now_ms(guard->env));
    log_event(LOG_LEVEL_WARN, "backend.breaker.opened", "backend", guard->name, "err",
              guard->last_error, "retry_ms", retry_ms, NULL);
}

static void log_address(const struct guard *guard, const struct address *address, bool was_failing)
{
    if (guard->addresses.count < 2 || was_failing == address->is_failing) {
        return;
    }
    if (address->is_failing) {
        log_event(LOG_LEVEL_WARN, "backend.address.failed", "backend", guard->name, "path",
                  address->text, "err", address->last_error, NULL);
    } else {
        log_event(LOG_LEVEL_INFO, "backend.address.restored", "backend", guard->name, "path",
                  address->text, NULL);
    }
}

/* --- news ------------------------------------------------------------------------------------- */

void guard_note_error(struct guard *guard, const char *text)
{
    (void)host_line(host_leased_str(str_of(text)), guard->last_error, sizeof(guard->last_error));
    guard->last_error_ms = env_now_ms(guard->env);
}

static void heard_of_address(struct guard *guard, const struct guard_news *news)
{
    struct address *address = &guard->addresses.items[news->address];
    bool was_failing = address->is_failing;
    uint64_t now_ms = env_now_ms(guard->env);

    if (news->is_moved) {
        address_failed(address, news->text, MOVED_WAIT_MS, now_ms, random_of(guard));
    } else if (news->verdict == GUARD_DOWN) {
        address_failed(address, news->text, news->retry_after_ms, now_ms, random_of(guard));
    } else if (news->verdict == GUARD_SERVED || news->verdict == GUARD_LIMITED) {
        address_served(address);
    } else if (news->verdict == GUARD_FAULT && news->is_probe) {
        address_failed(address, news->text, 0, now_ms, random_of(guard));
    } else if (news->verdict == GUARD_FAULT && guard->addresses.count > 1 && guard->probe != NULL) {
        address_doubted(address, now_ms);
    }
    log_address(guard, address, was_failing);
}

static void fail(struct guard *guard, bool is_doubtful, uint64_t retry_after_ms)
{
    enum breaker_state before = guard->breaker.state;

    breaker_failed(&guard->breaker, &(struct breaker_failure){
                                        .is_doubtful = is_doubtful && guard->probe != NULL,
                                        .retry_after_ms = retry_after_ms,
                                        .now_ms = env_now_ms(guard->env),
                                        .random = random_of(guard),
                                    });
    log_breaker(guard, before);
}

static void heard_limit(struct guard *guard, uint64_t retry_after_ms)
{
    uint64_t now_ms = env_now_ms(guard->env);
    uint64_t wait_ms =
        retry_after_ms < BREAKER_RETRY_AFTER_MAX_MS ? retry_after_ms : BREAKER_RETRY_AFTER_MAX_MS;

    if (wait_ms == 0) {
        wait_ms = breaker_backoff_ms(guard->limited_count, random_of(guard));
    }
    if (guard->pause_until_ms <= now_ms) {
        guard->limited_count++; /* answers to what was sent before it don't count again */
        log_event(LOG_LEVEL_INFO, "backend.paused", "backend", guard->name, "detail",
                  "the issuer asks for fewer requests", NULL);
    }
    if (guard->pause_until_ms < now_ms + wait_ms) {
        guard->pause_until_ms = now_ms + wait_ms;
    }
}

static void heard_of_issuer(struct guard *guard, const struct guard_news *news)
{
    switch (news->verdict) {
    case GUARD_SERVED:
        guard->is_serving = true;
        guard->limited_count = 0;
        breaker_served(&guard->breaker, env_now_ms(guard->env));
        break;
    case GUARD_LIMITED:
        guard->is_serving = true;
        guard_note_error(guard, news->text);
        breaker_served(&guard->breaker, env_now_ms(guard->env));
        heard_limit(guard, news->retry_after_ms);
        break;
    case GUARD_FAULT:
        guard_note_error(guard, news->text);
        fail(guard, true, 0);
        break;
    case GUARD_DOWN:
        guard->is_serving = false;
        guard_note_error(guard, news->text);
        fail(guard, false, news->retry_after_ms);
        break;
    case GUARD_UNKNOWN:
        break;
    }
}

void guard_heard(struct guard *guard, const struct guard_news *news)
{
    heard_of_address(guard, news);
    if (news->is_final && !news->is_probe) {
        heard_of_issuer(guard, news);
    }
    timer_set(guard);
}

/* --- operations ------------------------------------------------------------------------------- */

uint64_t guard_wait_ms(const struct guard *guard, bool is_pause_counted)
{
    uint64_t now_ms = env_now_ms(guard->env);
    uint64_t pause_ms = guard->pause_until_ms > now_ms ? guard->pause_until_ms - now_ms : 0;
    uint64_t probe_ms = 0;

    if (pause_ms <= GUARD_PATIENCE_MS && !is_pause_counted) {
        pause_ms = 0;
    }
    if (guard->breaker.state == BREAKER_OPEN && guard->breaker.probe_at_ms > now_ms) {
        probe_ms = guard->breaker.probe_at_ms - now_ms;
    } else if (guard->breaker.state == BREAKER_OPEN && guard->probe == NULL) {
        return pause_ms; /* whoever comes now is the probe */
    }
    if (guard->breaker.state != BREAKER_CLOSED) {
        probe_ms += WAIT_LEAST_MS;
    }
    return pause_ms > probe_ms ? pause_ms : probe_ms;
}

bool guard_refuses(struct guard *guard, struct lease_result *ret_result,
                   char text[BACKEND_ERROR_MAX_BYTES], bool *ret_is_probe)
{
    uint64_t wait_ms = guard_wait_ms(guard, true);
    bool is_closed = guard->breaker.state == BREAKER_CLOSED;

    *ret_is_probe = false;
    if (wait_ms == 0) {
        if (guard->breaker.state == BREAKER_OPEN) {
            breaker_probe_started(&guard->breaker);
            guard->probed = ADDRESS_NONE;
            *ret_is_probe = true;
        }
        return false;
    }
    guard->refused_total++;
    (void)snprintf(text, BACKEND_ERROR_MAX_BYTES, "%s: %.320s",
                   is_closed ? "the issuer asked to be left alone for now"
                             : "not asked, because the issuer could not serve before",
                   guard->last_error[0] != '\0' ? guard->last_error : "no reason is known");
    *ret_result = (struct lease_result){
        /* Sealed: nobody should be kept waiting for it. */
        .outcome = is_closed ? LEASE_OUTCOME_RETRY : LEASE_OUTCOME_SEALED,
        .retry_after_ms = wait_ms + random_of(guard) % (wait_ms / SPREAD_PART + 1),
        .detail = text,
    };
    return true;
}

static bool is_served(const struct lease_result *result)
{
    switch (result->outcome) {
    case LEASE_OUTCOME_RETRY:
    case LEASE_OUTCOME_SEALED:
    case LEASE_OUTCOME_LOST:
    case LEASE_OUTCOME_CANCELED:
        return false;
    default:
        return true;
    }
}

static void note_failure(struct guard *guard, const struct lease_result *result)
{
    guard_note_error(guard, result->detail != NULL ? result->detail : "no reason is known");
    if (result->outcome == LEASE_OUTCOME_SEALED) {
        guard->is_serving = false;
    }
}

/* Of a probe, whatever it was. */
static void probed(struct guard *guard, const struct lease_result *result)
{
    enum breaker_state before = guard->breaker.state;
    uint64_t now_ms = env_now_ms(guard->env);
    const struct breaker_failure failure = {.retry_after_ms = result->retry_after_ms,
                                            .now_ms = now_ms,
                                            .random = random_of(guard)};

    if (result->outcome == LEASE_OUTCOME_CANCELED) {
        breaker_probe_dropped(&guard->breaker, now_ms + PROBE_AGAIN_MS);
    } else {
        breaker_probe_ended(&guard->breaker, is_served(result) ? NULL : &failure, now_ms);
    }
    log_breaker(guard, before);
}

void guard_call_ended(struct guard *guard, const struct lease_result *result)
{
    if (is_served(result)) {
        breaker_served(&guard->breaker, env_now_ms(guard->env));
        breaker_call_served(&guard->breaker);
    }
    if (result->outcome == LEASE_OUTCOME_OK) {
        guard->is_serving = true;
        guard->last_error[0] = '\0';
    } else if (!is_served(result) && result->outcome != LEASE_OUTCOME_CANCELED) {
        note_failure(guard, result);
        if (guard->addresses.count == 0) {
            /* No exchange tells; the plugin's word is all there is. */
            fail(guard, result->outcome != LEASE_OUTCOME_SEALED, result->retry_after_ms);
        }
    }
    timer_set(guard);
}

void guard_timed_out(struct guard *guard)
{
    guard_note_error(guard, "an operation took too long");
    fail(guard, true, 0);
    timer_set(guard);
}

/* --- probes ----------------------------------------------------------------------------------- */

void guard_health_ended(struct guard *guard, const struct lease_result *result)
{
    if (is_served(result)) {
        guard->is_serving = true;
        guard->last_error[0] = '\0';
    } else if (result->outcome != LEASE_OUTCOME_CANCELED) {
        note_failure(guard, result);
        guard->is_serving = false;
    }
}

/* The plugin may have answered without asking the address. */
static void address_probed(struct guard *guard, const struct lease_result *result)
{
    struct address *address = &guard->addresses.items[guard->probed];
    bool was_failing = address->is_failing;
    uint64_t now_ms = env_now_ms(guard->env);

    if (address->probe_at_ms != UINT64_MAX) {
        return; /* its exchange has told */
    }
    if (result->outcome == LEASE_OUTCOME_CANCELED) {
        address->probe_at_ms = now_ms + PROBE_AGAIN_MS;
    } else if (is_served(result)) {
        address_served(address);
    } else {
        address_failed(address, result->detail != NULL ? result->detail : "", 0, now_ms,
                       random_of(guard));
    }
    log_address(guard, address, was_failing);
}

void guard_probe_ended(struct guard *guard, const struct lease_result *result)
{
    guard->is_probing = false;
    if (guard->is_ended) {
        return;
    }
    if (guard->probed == ADDRESS_NONE) {
        probed(guard, result);
        guard_health_ended(guard, result);
    } else {
        address_probed(guard, result);
    }
    timer_set(guard);
}

/* What is due first: the breaker's, or, while it is closed and there is a choice, an address's. */
static uint64_t next_probe(const struct guard *guard, size_t *ret_address)
{
    uint64_t when_ms = breaker_probe_at_ms(&guard->breaker);
    uint64_t address_ms = UINT64_MAX;
    size_t address = ADDRESS_NONE;

    if (guard->breaker.state == BREAKER_CLOSED && guard->addresses.count > 1) {
        address = addresses_next_probe(&guard->addresses, &address_ms);
    }
    *ret_address = address_ms < when_ms ? address : ADDRESS_NONE;
    return address_ms < when_ms ? address_ms : when_ms;
}

static void timer_set(struct guard *guard)
{
    size_t address;
    uint64_t when_ms = next_probe(guard, &address);

    if (guard->probe == NULL || guard->is_probing || guard->is_ended || when_ms == UINT64_MAX) {
        env_timer_disarm(guard->env, &guard->timer);
    } else {
        env_timer_arm(guard->env, &guard->timer, when_ms);
    }
}

static void probe_due(struct env_timer *timer)
{
    struct guard *guard = OBJ_CAST(timer->user, struct guard, GUARD_MAGIC);
    const struct lease_result dropped = {.outcome = LEASE_OUTCOME_CANCELED};
    size_t address;

    if (next_probe(guard, &address) > env_now_ms(guard->env)) {
        timer_set(guard);
        return;
    }
    guard->is_probing = true;
    guard->probed = address;
    if (address == ADDRESS_NONE) {
        breaker_probe_started(&guard->breaker);
    } else {
        guard->addresses.items[address].probe_at_ms = UINT64_MAX;
    }
    if (guard->probe(guard->user, address) != 0) {
        guard_probe_ended(guard, &dropped);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

void guard_init(struct guard *guard, struct env *env, const char *name, const char *const *texts,
                size_t count)
{
    *guard = (struct guard){.magic = GUARD_MAGIC, .env = env, .name = name, .is_serving = true};
    addresses_init(&guard->addresses, texts, count);
    guard->timer.fn = probe_due;
    guard->timer.user = guard;
}

void guard_set_probe(struct guard *guard, int (*probe)(void *user, size_t address), void *user)
{
    guard->probe = probe;
    guard->user = user;
    guard->addresses.has_probe = true;
}

void guard_end(struct guard *guard)
{
    guard->is_ended = true;
    env_timer_disarm(guard->env, &guard->timer);
}
