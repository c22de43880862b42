/* Random histories: clients come, read, leave and die, the issuer fails in every way, the trail
 * stops and comes back. After each step the core checks itself; at the end, with the faults gone,
 * nothing may live on at the issuer but what no answer told us of.
 *
 * SEED=n runs that history alone. */
#include "unit/lease/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lease/observe.h"
#include "support/slowdown.h"

#define STEPS 1500
#define HISTORIES 24
#define CLIENTS 30

static uint64_t random_state;

static uint64_t next_random(uint64_t below)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return (z ^ (z >> 31)) % below;
}

static bool is_busy[CLIENTS];

/* I4: what is handed out is valid at the issuer for as long as was promised, unless the issuer has
 * just lost it. */
static void check_handed_out(struct client *client)
{
    struct lease *lease = grant_lease(client->grant);
    uint64_t needed_ms = lease_needed_ms(lease, client->acquire.ask.min_remaining_ms);
    struct str number = str_of(client->password);
    const struct model_lease *truth;
    uint64_t index;

    assert_true(str_starts_with(number, "MARKER-password-"));
    number.ptr += strlen("MARKER-password-");
    number.len -= strlen("MARKER-password-");
    assert_int_equal(str_parse_u64(number, &index), 0);
    truth = &f.model.leases[index];
    assert_true(truth->is_forgotten || model_is_live(&f.model, index));
    assert_true(truth->is_forgotten || truth->expires_ms - f.fake.now_ms >= needed_ms);
    assert_true(audit_is_ready(f.audit));
}

static void client_ask(size_t index)
{
    struct lease_role *const roles[] = {&f.role, &f.shared, &f.personal};
    struct client *client = fixture_client(index);

    if (is_busy[index]) {
        return;
    }
    client->acquire.ask.is_new_grant = next_random(8) == 0;
    client->acquire.ask.min_remaining_ms = next_random(4) == 0 ? next_random(HOUR_MS) : 0;
    client->is_answer_kept = next_random(4) == 0;
    client->decision.duration_ms = next_random(3) == 0 ? next_random(HOUR_MS) : 12 * HOUR_MS;
    client->call_count = 0;
    fixture_ask(client, roles[next_random(3)]);
    is_busy[index] = true;
}

static void client_look(size_t index)
{
    struct client *client = &f.clients[index];

    if (!is_busy[index] || client->call_count == 0) {
        return;
    }
    assert_int_equal(client->call_count, 1);
    is_busy[index] = false;
    if (client->status == 0 && client->is_answer_kept) {
        lease_core_delivered(f.core, client->grant, next_random(2) == 0);
    }
}

static void client_die(size_t index)
{
    int32_t pid = 1000 + (int32_t)index;

    fake_env_end_process(&f.fake, pid);
    (void)fake_env_add_process(&f.fake, pid, 100000 + random_state % 1000000, 1,
                               f.clients[index].identity.uid);
    f.clients[index].identity.start_ticks = 100000 + random_state % 1000000;
}

static struct grant *any_grant(void)
{
    uint64_t skip = next_random(20);
    struct grant *grant = lease_core_next_grant(f.core, NULL);

    while (grant != NULL && skip-- > 0) {
        grant = lease_core_next_grant(f.core, grant);
    }
    return grant;
}

static void end_something(void)
{
    struct grant *grant = any_grant();
    enum grant_end end = next_random(3) == 0 ? GRANT_END_POLICY : GRANT_END_RELEASED;

    if (grant == NULL) {
        return;
    }
    if (next_random(4) == 0) {
        lease_end(f.core, grant_lease(grant), end, NULL);
    } else {
        lease_end_grant(f.core, grant, end, NULL);
    }
}

static void waited(struct lease_wait *wait, int status)
{
    (void)status;
    free(wait);
}

static void operate(void)
{
    struct grant *grant = any_grant();
    struct lease_wait *wait;
    int r;

    if (grant == NULL) {
        return;
    }
    wait = calloc(1, sizeof(*wait));
    assert_non_null(wait);
    wait->fn = waited;
    r = next_random(2) == 0 ? lease_renew_start(f.core, grant_lease(grant), wait)
                            : lease_rotate_start(f.core, grant_lease(grant), wait);
    if (r != 0) {
        free(wait);
    }
}

/* Those that are followed say when they have moved over, or don't. */
static void on_event(struct lease_observer *observer, const struct lease_event *event)
{
    struct lease_view view;

    (void)observer;
    lease_view(event->lease, &view);
    if (event->kind == LEASE_EVENT_CREDENTIAL) {
        assert_true(fsm_lease_is_live(view.state));
    }
    assert_true((event->reason != NULL) == (event->kind != LEASE_EVENT_CREDENTIAL));
}

static void on_told(struct lease_observer *observer, uint64_t position)
{
    (void)observer;
    assert_true(position <= lease_core_position(f.core));
}

static bool follows(struct lease_observer *observer, const struct grant *grant)
{
    (void)observer;
    (void)grant;
    return random_state % 3 != 0;
}

static struct lease_observer observer = {.event = on_event, .told = on_told, .follows = follows};

static void acknowledge(void)
{
    struct client *client = &f.clients[next_random(CLIENTS)];
    struct grant *grant = any_grant();

    if (grant != NULL && client->identity.pid != 0) {
        (void)!lease_core_ack(f.core, grant_lease(grant), &client->identity,
                              (struct str){.ptr = NULL});
    }
}

static void observe_or_not(void)
{
    if (list_is_linked(&observer.node)) {
        lease_unobserve(&observer);
    } else {
        lease_observe(f.core, &observer);
    }
}

static void change_the_issuer(void)
{
    enum lease_call_kind kind = (enum lease_call_kind)next_random(MODEL_KINDS);

    f.model.outcomes[kind] = (enum lease_outcome)next_random(LEASE_OUTCOME_CANCELED);
    f.model.outcome_counts[kind] = (uint32_t)next_random(6);
    f.model.is_held[kind] = next_random(4) == 0;
    f.model.retry_after_ms = next_random(4) == 0 ? next_random(MINUTE_MS) : 0;
    f.model.start_status = next_random(12) == 0 ? ERR_LIMIT : 0;
    f.model.is_renewable = next_random(4) != 0;
    f.model.is_revocable = next_random(6) != 0;
    f.model.says_capped = next_random(8) == 0;
    f.model.anchor = next_random(4);
}

static void change_the_world(void)
{
    switch (next_random(6)) {
    case 0:
        f.trail->fail_status = next_random(3) == 0 ? -28 : 0;
        break;
    case 1:
        f.trail->is_held = next_random(4) == 0;
        break;
    case 2:
        lease_core_anchor_ends(f.core, &f.model.issuer, 1 + next_random(3),
                               next_random(3) == 0 ? f.fake.now_ms + next_random(HOUR_MS)
                                                   : UINT64_MAX,
                               "by chance");
        break;
    default:
        change_the_issuer();
        break;
    }
}

static void step(void)
{
    size_t index = next_random(CLIENTS);

    switch (next_random(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
        client_ask(index);
        break;
    case 4:
        if (is_busy[index] && f.clients[index].call_count == 0) {
            lease_acquire_cancel(f.core, &f.clients[index].acquire);
        }
        break;
    case 5:
        if (f.clients[index].identity.pid != 0 && !is_busy[index]) {
            client_die(index);
        }
        break;
    case 6:
        end_something();
        break;
    case 7:
        operate();
        break;
    case 8:
        change_the_world();
        break;
    case 9:
        model_answer_all(&f.model);
        if (next_random(4) == 0) {
            observe_or_not();
        }
        break;
    case 11:
        acknowledge();
        break;
    case 10:
        fixture_advance(next_random(20 * MINUTE_MS));
        break;
    default:
        fixture_advance(next_random(5 * SECOND_MS));
        break;
    }
    for (index = 0; index < CLIENTS; index++) {
        client_look(index);
    }
}

static void heal(void)
{
    size_t i;

    f.trail->is_held = false;
    f.trail->fail_status = 0;
    f.model.start_status = 0;
    f.model.retry_after_ms = 0;
    f.model.is_revocable = true;
    for (i = 0; i < MODEL_KINDS; i++) {
        f.model.outcomes[i] = LEASE_OUTCOME_OK;
        f.model.is_held[i] = false;
    }
    model_answer_all(&f.model);
    fixture_advance(10 * MINUTE_MS);
    for (i = 0; i < CLIENTS; i++) {
        client_look(i);
        assert_false(is_busy[i]);
    }
}

static void check_the_issuer(void)
{
    size_t i;

    for (i = 0; i < f.model.lease_count; i++) {
        const struct model_lease *lease = &f.model.leases[i];

        if (model_is_live(&f.model, i) && !lease->is_lost && lease->is_revocable) {
            fail_msg("credential %zu lives on at the issuer", i);
        }
    }
}

static void run_history(uint64_t seed)
{
    void *state = NULL;
    size_t i;

    (void)fixture_setup(&state);
    random_state = seed;
    memset(is_busy, 0, sizeof(is_busy));
    f.role.linger_ms = next_random(2) * 5 * MINUTE_MS;
    f.shared.linger_ms = next_random(2) * 5 * MINUTE_MS;
    f.personal.max_ttl_ms = 3 * HOUR_MS;
    f.model.max_life_ms = next_random(2) * 2 * HOUR_MS;
    f.handed_out = check_handed_out;
    fixture_open();
    for (i = 0; i < STEPS; i++) {
        step();
        lease_core_check(f.core);
    }
    heal();
    lease_core_drain(f.core, f.fake.now_ms + HOUR_MS, false, fixture_wait());
    fixture_advance(30 * MINUTE_MS);
    assert_int_equal(f.wait_status, 0);
    check_the_issuer();
    (void)fixture_teardown(&state);
}

static void test_random_histories_leave_nothing_behind(void **state)
{
    const char *seed = getenv("SEED");
    uint64_t count = slowed(HISTORIES);
    uint64_t i;

    (void)state;
    if (seed != NULL) {
        run_history(strtoull(seed, NULL, 10));
        return;
    }
    for (i = 1; i <= count; i++) {
        print_message("SEED=%llu\n", (unsigned long long)i);
        run_history(i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_histories_leave_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
