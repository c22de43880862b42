/* Two jobs of one user, each vouched for by an issuer, are two. */
#include "unit/lease/ledger_fixture.h"

#include <string.h>

static struct access_claims *jobs[2];

static struct access_claims *claims_of(const char *session)
{
    struct access_claims *claims = NULL;
    json_t *all = json_pack("{s:s, s:s, s:s, s:s}", "iss", "https://ci.example", "sub", "project",
                            "job", session, "who", "ann");

    assert_int_equal(access_claims_new(&(struct access_claims_source){.issuer = "ci",
                                                                      .session = "job",
                                                                      .person = "who",
                                                                      .all = all},
                                       &claims, NULL),
                     0);
    json_decref(all);
    return claims;
}

/* Before and behind the fixture, which counts what is allocated. */
static int setup(void **state)
{
    jobs[0] = claims_of("1");
    jobs[1] = claims_of("2");
    return ledger_setup(state);
}

static int teardown(void **state)
{
    int r = ledger_teardown(state);

    access_claims_free(jobs[0]);
    access_claims_free(jobs[1]);
    return r;
}

/* Two clients that differ in their job's token alone. */
static void get_both(void)
{
    struct client *one = fixture_client(45);
    struct client *two = fixture_client(46);

    two->identity = one->identity;
    one->identity.claims = jobs[0];
    two->identity.claims = jobs[1];
    fixture_get(one, &f.personal);
    fixture_get(two, &f.personal);
}

static void test_they_share_no_credential(void **state)
{
    (void)state;
    get_both();
    assert_string_not_equal(f.clients[45].password, f.clients[46].password);
    assert_int_equal(model_live_count(&f.model), 2);
}

static void test_each_goes_on_after_a_kill(void **state)
{
    char passwords[2][64];

    (void)state;
    get_both();
    memcpy(passwords[0], f.clients[45].password, sizeof(passwords[0]));
    memcpy(passwords[1], f.clients[46].password, sizeof(passwords[1]));
    ledger_kill();
    ledger_start();
    assert_int_equal(recovery.grant_count, 2);
    fixture_get(&f.clients[45], &f.personal);
    fixture_get(&f.clients[46], &f.personal);
    assert_string_equal(f.clients[45].password, passwords[0]);
    assert_string_equal(f.clients[46].password, passwords[1]);
    assert_int_equal(model_live_count(&f.model), 2);
}

static void test_the_trail_names_the_job_and_the_person(void **state)
{
    (void)state;
    get_both();
    assert_true(fixture_trail_has("\"jwt\":{\"iss\":\"https://ci.example\",\"sub\":\"project\","
                                  "\"session\":\"2\",\"person\":\"ann\"}") > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_they_share_no_credential, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_goes_on_after_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_trail_names_the_job_and_the_person, setup,
                                        teardown),
    };

    return cmocka_run_group_tests_name("claims", tests, NULL, NULL);
}
