/* What something between us and Vault answers: it refuses nothing for good, ends no token, and is
 * no proof of anything. */
#include "fake_host.h"
#include "common/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ISSUE "{\"path\":\"database/creds/orders\"}"
#define POLICY "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}"
#define PAGE "<html>blocked</html>"
#define RENEWED                                                                                    \
    "{\"auth\":{\"client_token\":\"s.SECRET-1\",\"lease_duration\":3600,\"renewable\":true}}"

static void advance_to_exchange(struct leased_host_context *host)
{
    while (host_open_https(host) == 0) {
        host_advance_to_timer(host);
    }
}

static void test_no_page_refuses_a_renewal_for_good(void **state)
{
    static const uint32_t statuses[] = {400, 401, 403, 404, 405, 410, 418};
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < COUNT(statuses); i++) {
        struct fake_op *op = host_renew(host, "a/b", 1000);

        host_answer(host, host_last(host), statuses[i], PAGE);
        assert_int_equal(op->status, LEASED_RETRY);
        assert_non_null(strstr(op->detail, "in between"));
    }
    assert_int_equal(host_open_https(host), 0); /* nor is the token doubted */
    host_close(host, 0);
}

static void test_no_page_bounds_the_token(void **state)
{
    static const uint32_t statuses[] = {400, 403, 404};
    struct leased_host_context *host = host_open_approle(3600);

    (void)state;
    for (size_t i = 0; i < COUNT(statuses); i++) {
        advance_to_exchange(host);
        assert_string_equal(host_last(host)->path, "/v1/auth/token/renew-self");
        host_answer(host, host_last(host), statuses[i], PAGE);
    }
    assert_int_equal(host->anchor_count, 0);
    advance_to_exchange(host);
    host_answer(host, host_last(host), 200, RENEWED);
    assert_int_equal(host->login_expires_ms, host->now_ms + 3600000);
    host_close(host, 0);
}

/* Vault's own denial, but the look-up meets something else. */
static void test_only_vault_says_that_a_token_is_alive(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        int32_t want;
    } cases[] = {
        {403, PAGE, LEASED_RETRY},
        {403, "", LEASED_RETRY},
        {200, PAGE, LEASED_RETRY},
        {200, "", LEASED_RETRY},
        {200, "{}", LEASED_RETRY},
        {403, POLICY, LEASED_DENIED},
        {200, "{\"data\":{\"ttl\":0}}", LEASED_DENIED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct leased_host_context *host = host_open_root();
        struct fake_op *op;

        host_advance(host, 5000);
        op = host_issue(host, ISSUE, 0);
        host_answer(host, host_last(host), 403, POLICY);
        assert_string_equal(host_last(host)->path, "/v1/auth/token/lookup-self");
        host_answer(host, host_last(host), cases[i].status, cases[i].body);
        assert_int_equal(op->status, cases[i].want);
        assert_int_equal(host->anchor_count, 0);
        host_close(host, 0);
    }
}

static void test_a_renewal_that_vault_denies_bounds_no_token_that_a_page_hides(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);

    (void)state;
    advance_to_exchange(host);
    host_answer(host, host_last(host), 403, POLICY);
    assert_string_equal(host_last(host)->path, "/v1/auth/token/lookup-self");
    host_answer(host, host_last(host), 403, PAGE);
    assert_int_equal(host->anchor_count, 0);
    advance_to_exchange(host);
    assert_string_equal(host_last(host)->path, "/v1/auth/token/renew-self");
    host_close(host, 0);
}

/* --- caches ----------------------------------------------------------------------------------- */

#define LEASE                                                                                      \
    "{\"lease_id\":\"database/creds/orders/x1\",\"lease_duration\":3600,\"renewable\":true,"       \
    "\"data\":{\"password\":\"SECRET\"}}"

static void test_lives_are_counted_from_when_the_answer_was_made(void **state)
{
    static const struct {
        const char *age;
        int32_t status;
        uint64_t lifetime_ms;
    } cases[] = {
        {"600", LEASED_OK, 3000000}, {"0", LEASED_OK, 3600000}, {"x", LEASED_OK, 3600000},
        {"-5", LEASED_OK, 3600000},  {"3600", LEASED_RETRY, 0}, {"99999", LEASED_RETRY, 0},
        {"", LEASED_OK, 3600000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct leased_http_header age = {PLUGIN_STR("age"), plugin_str(cases[i].age)};
        struct leased_host_context *host = host_open_root();
        struct fake_op *op = host_issue(host, ISSUE, 0);

        host_answer_header(host, host_last(host), 200, &age, LEASE);
        assert_int_equal(op->status, cases[i].status);
        assert_int_equal(op->lifetime_ms, cases[i].lifetime_ms);
        op = host_renew(host, "database/creds/orders/x1", 0);
        host_answer_header(host, host_last(host), 200, &age, LEASE);
        assert_int_equal(op->status, cases[i].status);
        assert_int_equal(op->lifetime_ms, cases[i].lifetime_ms);
        host_close(host, 0);
    }
}

static void test_a_tokens_life_is_counted_so_as_well(void **state)
{
    const struct leased_http_header age = {PLUGIN_STR("age"), PLUGIN_STR("600")};
    struct leased_host_context *host = host_open(APPROLE_CONFIG);

    (void)state;
    host_answer_header(host, host_last(host), 200, &age, RENEWED);
    assert_int_equal(host->login_expires_ms, host->now_ms + 3000000);
    advance_to_exchange(host);
    host_answer_header(host, host_last(host), 200, &age, RENEWED);
    assert_int_equal(host->login_expires_ms, host->now_ms + 3000000);
    host_close(host, 0);
}

static void test_a_lease_out_of_a_cache_is_somebody_elses(void **state)
{
    const struct leased_http_header hit = {PLUGIN_STR("x-cache"), PLUGIN_STR("HIT")};
    const struct leased_http_header miss = {PLUGIN_STR("x-cache"), PLUGIN_STR("MISS")};
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_issue(host, ISSUE, 0);

    (void)state;
    host_answer_header(host, host_last(host), 200, &hit, LEASE);
    assert_int_equal(op->status, LEASED_INVALID);
    assert_string_equal(op->ref, "");
    assert_non_null(strstr(op->detail, "cache"));
    op = host_issue(host, ISSUE, 0);
    host_answer_header(host, host_last(host), 200, &miss, LEASE);
    assert_int_equal(op->status, LEASED_OK);
    host_close(host, 0);
}

/* --- redirects -------------------------------------------------------------------------------- */

static void test_a_redirect_to_nowhere_costs_one_issue_that_was_not_executed(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_issue(host, ISSUE, 0);

    (void)state;
    assert_true(host_last(host)->is_unforwarded);
    host_answer(host, host_last(host), 307, "");
    assert_int_equal(op->status, LEASED_RETRY);
    /* The standby is to forward from now on; then a redirect doesn't say what has happened. */
    op = host_issue(host, ISSUE, 0);
    assert_false(host_last(host)->is_unforwarded);
    assert_int_equal(host_last(host)->flags, LEASED_HTTP_CREATES);
    host_answer(host, host_last(host), 307, "");
    assert_int_equal(op->status, LEASED_LOST);
    host_close(host, 0);
}

static void test_a_redirected_renewal_can_be_repeated(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_renew(host, "a/b", 1000);

    (void)state;
    assert_false(host_last(host)->is_unforwarded);
    host_answer(host, host_last(host), 307, "");
    assert_int_equal(op->status, LEASED_RETRY);
    (void)host_issue(host, ISSUE, 0);
    assert_true(host_last(host)->is_unforwarded);
    host_close(host, 0);
}

static void test_a_redirected_login_is_forwarded_at_once(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);

    (void)state;
    assert_true(host_last(host)->is_unforwarded);
    host_answer(host, host_last(host), 307, "");
    assert_string_equal(host_last(host)->path, "/v1/auth/approle/login");
    assert_false(host_last(host)->is_unforwarded);
    assert_int_equal(host->warn_count, 0);
    host_answer(host, host_last(host), 307, "");
    assert_int_equal(host->warn_count, 1);
    assert_int_equal(host_open_https(host), 0);
    host_close(host, 0);
}

static void test_a_redirected_unwrapping_has_used_nothing_up(void **state)
{
    struct leased_host_context *host =
        host_open_with("{\"auth\":{\"method\":\"approle\",\"role_id\":\"r\","
                       "\"secret_id_wrapping_token_file\":\"/w\"}}",
                       "file:/w", "s.SECRET-w");
    static const char made[] =
        "{\"data\":{\"creation_path\":\"auth/approle/role/leased/secret-id\"}}";

    (void)state;
    host_answer(host, host_last(host), 200, made);
    assert_true(host_last(host)->is_unforwarded);
    host_answer(host, host_last(host), 307, "");
    assert_int_equal(host->warn_count, 0);
    host_answer(host, host_last(host), 200, made);
    assert_string_equal(host_last(host)->path, "/v1/sys/wrapping/unwrap");
    assert_false(host_last(host)->is_unforwarded);
    host_close(host, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_page_refuses_a_renewal_for_good),
        cmocka_unit_test(test_no_page_bounds_the_token),
        cmocka_unit_test(test_only_vault_says_that_a_token_is_alive),
        cmocka_unit_test(test_a_renewal_that_vault_denies_bounds_no_token_that_a_page_hides),
        cmocka_unit_test(test_lives_are_counted_from_when_the_answer_was_made),
        cmocka_unit_test(test_a_tokens_life_is_counted_so_as_well),
        cmocka_unit_test(test_a_lease_out_of_a_cache_is_somebody_elses),
        cmocka_unit_test(test_a_redirect_to_nowhere_costs_one_issue_that_was_not_executed),
        cmocka_unit_test(test_a_redirected_renewal_can_be_repeated),
        cmocka_unit_test(test_a_redirected_login_is_forwarded_at_once),
        cmocka_unit_test(test_a_redirected_unwrapping_has_used_nothing_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
