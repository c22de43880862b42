/* The leak drill: what somebody has ever read ends, and the others get something else. */
#include "lease/drill.h"

#include "unit/lease/ledger_fixture.h"

#include <string.h>

/* One drill at a time, and what it has told. */
static struct {
    struct access_match *match;
    struct lease_drill *drill;
    struct lease_drill_counts counts;
    int told[LEASE_DRILL_UNCONFIRMED + 1];
    char last[LEASE_ID_BYTES + 1];
    int64_t expires_wall_ms;
} drill;

static bool is_meant(void *user, const struct access_identity *identity)
{
    (void)user;
    return access_match_fits_identity(drill.match, identity, NULL);
}

static void news(void *user)
{
    struct lease_drill_event event;

    (void)user;
    while (lease_drill_next(drill.drill, &event)) {
        drill.told[event.kind]++;
        drill.expires_wall_ms = event.expires_wall_ms;
        memcpy(drill.last, event.lease, sizeof(drill.last));
    }
    lease_drill_counts(drill.drill, &drill.counts);
}

static void begin_at(const char *json, uint64_t begun_ms)
{
    json_t *value = json_loads(json, 0, NULL);
    const struct lease_drill_options options = {.is_meant = is_meant,
                                                .news = news,
                                                .begun_ms = begun_ms};
    struct lease_drill_options with_match = options;
    const char *identifier;
    char ref[AUDIT_REF_MAX_BYTES];

    memset(&drill, 0, sizeof(drill));
    assert_int_equal(access_match_new(value, &drill.match, NULL), 0);
    json_decref(value);
    identifier = access_match_identifier(drill.match);
    if (identifier != NULL) {
        (void)audit_ref(f.audit, str_of(identifier), ref);
        assert_int_equal(access_match_set_identifier(drill.match, ref), 0);
    }
    with_match.match = drill.match;
    assert_int_equal(lease_drill_new(f.core, &with_match, &drill.drill), 0);
    fixture_run();
}

static void begin(const char *json)
{
    begin_at(json, 0);
}

static void end(void)
{
    lease_drill_free(drill.drill);
    access_match_free(drill.match);
}

/* Two users, each with one client, on one lease. */
static void share(struct client **ret_a, struct client **ret_b)
{
    *ret_a = fixture_client(0);
    *ret_b = fixture_client(10);
    fixture_get(*ret_a, &f.shared);
    fixture_get(*ret_b, &f.shared);
    assert_string_equal((*ret_a)->password, (*ret_b)->password);
}

static void test_all_that_a_user_has_ends(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(10);

    (void)state;
    fixture_get(a, &f.role);
    fixture_get(b, &f.role);
    begin("{\"subject\":{\"user\":\"user500\"}}");
    assert_int_equal(drill.counts.lease_count, 1);
    assert_int_equal(drill.counts.revoked_count, 1);
    assert_int_equal(drill.counts.grant_count, 1);
    assert_true(drill.counts.is_over);
    assert_false(model_is_live(&f.model, 0));
    assert_true(model_is_live(&f.model, 1));
    end();
}

static void test_who_shares_with_him_gets_a_successor(void **state)
{
    struct client *a;
    struct client *b;

    (void)state;
    share(&a, &b);
    begin("{\"subject\":{\"user\":\"user500\"}}");
    assert_false(model_is_live(&f.model, 0)); /* no overlap */
    assert_true(model_is_live(&f.model, 1));
    assert_true(drill.counts.is_over);
    fixture_get(b, &f.shared);
    assert_int_equal(b->status, 0);
    assert_string_equal(b->password, "MARKER-password-1");
    end();
}

static void test_what_lingers_ends_too(void **state)
{
    struct client *a = fixture_client(0);

    (void)state;
    f.role.linger_ms = HOUR_MS;
    fixture_get(a, &f.role);
    lease_end_grant(f.core, a->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 1);
    begin("{\"subject\":{\"uid\":500}}");
    assert_int_equal(drill.counts.revoked_count, 1);
    assert_int_equal(model_live_count(&f.model), 0);
    end();
}

static void test_a_reader_whose_grant_has_ended_still_counts(void **state)
{
    struct client *a;
    struct client *b;

    (void)state;
    share(&a, &b);
    lease_end_grant(f.core, b->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    begin("{\"subject\":{\"user\":\"user501\"}}");
    assert_int_equal(drill.counts.lease_count, 1);
    assert_int_equal(drill.counts.grant_count, 0);
    assert_false(model_is_live(&f.model, 0));
    fixture_get(a, &f.shared);
    assert_string_equal(a->password, "MARKER-password-1");
    end();
}

static void test_an_old_lease_in_its_overlap_ends_at_once(void **state)
{
    struct client *a;
    struct client *b;

    (void)state;
    share(&a, &b);
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(a), fixture_wait()), 0);
    fixture_run();
    fixture_get(a, &f.shared); /* b hasn't read the successor yet */
    lease_end_grant(f.core, a->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 2);
    begin("{\"subject\":{\"user\":\"user500\"}}");
    assert_false(model_is_live(&f.model, 0));
    assert_false(model_is_live(&f.model, 1));
    assert_int_equal(drill.counts.revoked_count, 2);
    fixture_get(b, &f.shared);
    assert_int_equal(b->status, 0);
    end();
}

static void test_without_a_successor_it_lives_for_the_overlap(void **state)
{
    struct client *a;
    struct client *b;

    (void)state;
    share(&a, &b);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_RETRY;
    begin("{\"subject\":{\"user\":\"user500\"}}");
    assert_int_equal(drill.told[LEASE_DRILL_PENDING], 1);
    fixture_advance(9 * MINUTE_MS);
    assert_true(model_is_live(&f.model, 0));
    fixture_advance(2 * MINUTE_MS);
    assert_false(model_is_live(&f.model, 0));
    assert_true(drill.counts.is_over);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    fixture_advance(10 * MINUTE_MS);
    fixture_get(b, &f.shared);
    assert_int_equal(b->status, 0);
    end();
}

static void test_an_issuer_that_is_down_leaves_it_pending(void **state)
{
    struct client *a = fixture_client(0);

    (void)state;
    fixture_get(a, &f.role);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_RETRY;
    begin("{\"role\":\"d*\"}");
    assert_int_equal(drill.told[LEASE_DRILL_PENDING], 1);
    assert_false(drill.counts.is_over);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_OK;
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(drill.told[LEASE_DRILL_REVOKED], 1);
    assert_true(drill.counts.is_over);
    end();
}

static void test_what_cannot_be_revoked_says_until_when_it_lives(void **state)
{
    struct client *a = fixture_client(0);

    (void)state;
    f.model.is_revocable = false;
    fixture_get(a, &f.role);
    begin("{\"all\":true}");
    assert_int_equal(drill.told[LEASE_DRILL_EXPIRES], 1);
    assert_int_equal(drill.counts.revoked_count, 0);
    assert_true(drill.expires_wall_ms > f.fake.wall_ms);
    assert_true(drill.counts.expires_wall_ms == drill.expires_wall_ms);
    assert_int_equal(fixture_state(a), LEASE_STATE_EXPIRED);
    end();
    begin("{\"all\":true}"); /* let go, and still good */
    assert_int_equal(drill.told[LEASE_DRILL_EXPIRES], 1);
    end();
}

static void test_a_credential_is_found_by_its_name(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(10);

    (void)state;
    fixture_get(a, &f.role);
    fixture_get(b, &f.role);
    begin("{\"identifier\":\"ref/1\"}");
    assert_int_equal(drill.counts.lease_count, 1);
    assert_true(model_is_live(&f.model, 0));
    assert_false(model_is_live(&f.model, 1));
    end();
    begin("{\"identifier\":\"unknown\"}");
    assert_int_equal(drill.counts.lease_count, 0);
    assert_true(drill.counts.is_over);
    end();
}

static void test_who_waits_gets_nothing(void **state)
{
    struct client *a = fixture_client(0);

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_ask(a, &f.role);
    fixture_run();
    begin("{\"subject\":{\"user\":\"user500\"}}");
    assert_int_equal(a->status, ERR_POLICY);
    model_answer(&f.model);
    fixture_advance(MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 0);
    end();
}

static void test_many_end_a_lot_at_a_time(void **state)
{
    size_t i;

    (void)state;
    for (i = 40; i < 390; i++) {
        fixture_get(fixture_client(i), &f.role);
    }
    ledger.is_held = true;
    begin("{\"all\":true}");
    assert_int_equal(model_live_count(&f.model), 350); /* the ledger comes first */
    ledger.is_held = false;
    fake_ledger_run(&ledger);
    fixture_advance(MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(drill.counts.revoked_count, 350);
    assert_true(drill.counts.is_over);
    end();
}

/* As so many callers would, without the time that their requests take. */
static void read_by_many(struct lease *lease)
{
    struct access_identity identity = {.listener = "local", .gid = ENV_NO_ID};
    bool is_new = false;
    uint32_t i;

    for (i = 0; i <= LEASE_READERS_MAX + 1; i++) {
        struct holder *holder;

        identity.uid = 100000 + i;
        holder = holder_get(f.core, lease->role, &identity);
        assert_non_null(holder);
        assert_int_equal(readers_add(lease, holder, &is_new), 0);
        holder_put(f.core, holder);
    }
    assert_false(is_new); /* the last one changes nothing any more */
}

static void test_past_the_limit_it_may_have_been_anybody(void **state)
{
    struct client *a = fixture_client(0);

    (void)state;
    fixture_get(a, &f.shared);
    read_by_many(fixture_lease(a));
    fake_ledger_run(&ledger);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_READ), LEASE_READERS_MAX + 1);
    ledger_kill();
    ledger_start();
    begin("{\"subject\":{\"user\":\"somebody\"}}");
    assert_int_equal(drill.counts.lease_count, 1);
    assert_false(model_is_live(&f.model, 0));
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_READ), 0);
    end();
}

/* --- after a restart -------------------------------------------------------------------------- */

static void test_readers_survive_a_kill(void **state)
{
    struct client *a;
    struct client *b;

    (void)state;
    share(&a, &b);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_READ), 1);
    lease_end_grant(f.core, b->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    ledger_kill();
    ledger_start();
    begin("{\"subject\":{\"user\":\"user501\"}}");
    assert_false(model_is_live(&f.model, 0));
    assert_true(drill.counts.is_over);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_READ), 0);
    end();
}

static void test_a_reader_is_on_record_before_it_reads(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(10);

    (void)state;
    fixture_get(a, &f.shared);
    ledger.is_held = true;
    fixture_ask(b, &f.shared);
    fixture_run();
    assert_int_equal(b->call_count, 0);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_READ), 0);
    ledger.is_held = false;
    fake_ledger_run(&ledger);
    fixture_run();
    assert_int_equal(b->status, 0);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_READ), 1);
}

static void test_a_reader_that_cannot_be_recorded_reads_nothing(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(10);

    (void)state;
    fixture_get(a, &f.shared);
    ledger.fail_status = ERR_IO;
    fixture_get(b, &f.shared);
    assert_int_equal(b->status, ERR_IO);
    ledger.fail_status = 0;
    fake_ledger_run(&ledger);
    fixture_advance(MINUTE_MS);
    fixture_get(b, &f.shared);
    assert_int_equal(b->status, 0);
}

static void test_who_reads_a_successor_is_recorded_for_it(void **state)
{
    struct client *a;
    struct client *b;

    (void)state;
    share(&a, &b);
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(a), fixture_wait()), 0);
    fixture_run();
    fixture_get(a, &f.shared);
    fixture_get(b, &f.shared);
    fixture_advance(MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 1);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_READ), 1); /* the old one's are gone */
    lease_end_grant(f.core, b->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    begin("{\"subject\":{\"user\":\"user501\"}}");
    assert_int_equal(drill.counts.lease_count, 1);
    end();
}

static void test_begun_again_it_leaves_what_came_later(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);
    uint64_t begun_ms;

    (void)state;
    fixture_get(a, &f.role);
    begun_ms = f.fake.now_ms;
    ledger_kill(); /* in the midst of it */
    fake_env_advance(&f.fake, SECOND_MS);
    ledger_start();
    fixture_get(b, &f.role);
    begin_at("{\"subject\":{\"user\":\"user500\"}}", begun_ms);
    assert_int_equal(drill.counts.lease_count, 1);
    assert_false(model_is_live(&f.model, 0));
    assert_true(model_is_live(&f.model, 1));
    end();
}

static void test_a_ledger_that_fails_keeps_no_revocation_back(void **state)
{
    struct client *a = fixture_client(0);

    (void)state;
    fixture_get(a, &f.role);
    ledger.fail_status = ERR_IO;
    begin("{\"all\":true}");
    fixture_advance(10 * SECOND_MS);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_true(drill.counts.is_over);
    ledger.fail_status = 0;
    fake_ledger_run(&ledger);
    fixture_advance(SECOND_MS);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ledger_test(test_all_that_a_user_has_ends),
        ledger_test(test_who_shares_with_him_gets_a_successor),
        ledger_test(test_what_lingers_ends_too),
        ledger_test(test_a_reader_whose_grant_has_ended_still_counts),
        ledger_test(test_an_old_lease_in_its_overlap_ends_at_once),
        ledger_test(test_without_a_successor_it_lives_for_the_overlap),
        ledger_test(test_an_issuer_that_is_down_leaves_it_pending),
        ledger_test(test_what_cannot_be_revoked_says_until_when_it_lives),
        ledger_test(test_a_credential_is_found_by_its_name),
        ledger_test(test_who_waits_gets_nothing),
        ledger_test(test_many_end_a_lot_at_a_time),
        ledger_test(test_past_the_limit_it_may_have_been_anybody),
        ledger_test(test_readers_survive_a_kill),
        ledger_test(test_a_reader_is_on_record_before_it_reads),
        ledger_test(test_a_reader_that_cannot_be_recorded_reads_nothing),
        ledger_test(test_who_reads_a_successor_is_recorded_for_it),
        ledger_test(test_begun_again_it_leaves_what_came_later),
        ledger_test(test_a_ledger_that_fails_keeps_no_revocation_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
