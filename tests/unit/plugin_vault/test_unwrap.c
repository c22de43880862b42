/* A wrapped secret_id: checked before it is unwrapped, never tried twice, kept for later logins. */
#include "fake_host.h"
#include "common/text.h"
#include "unwrap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CONFIG                                                                                     \
    "{\"auth\":{\"method\":\"approle\",\"role_id\":\"r\","                                         \
    "\"secret_id_wrapping_token_file\":\"/w\"}}"
#define MADE_BY_US "{\"data\":{\"creation_path\":\"auth/approle/role/leased/secret-id\"}}"
#define SPENT "{\"errors\":[\"wrapping token is not valid or does not exist\"]}"
#define UNWRAPPED "{\"data\":{\"secret_id\":\"SECRET-sid\",\"secret_id_accessor\":\"a\"}}"
#define LOGGED_IN                                                                                  \
    "{\"auth\":{\"client_token\":\"s.SECRET-1\",\"lease_duration\":3600,\"renewable\":true}}"

static struct leased_host_context *open_wrapped(const char *token)
{
    return host_open_with(CONFIG, "file:/w", token);
}

/* An instance that is logged in by what it unwrapped. */
static struct leased_host_context *open_unwrapped(void)
{
    struct leased_host_context *host = open_wrapped("s.SECRET-w");

    host_answer(host, host_last(host), 200, MADE_BY_US);
    host_answer(host, host_last(host), 200, UNWRAPPED);
    host_answer(host, host_last(host), 200, LOGGED_IN);
    return host;
}

static void test_it_is_looked_up_then_unwrapped_then_used(void **state)
{
    struct leased_host_context *host = open_wrapped("s.SECRET-w");
    struct fake_op *op = host_issue(host, "{\"path\":\"a/creds/b\"}", 0);

    (void)state;
    assert_string_equal(host_last(host)->path, "/v1/sys/wrapping/lookup");
    assert_string_equal(host_last(host)->body, "{\"token\":\"s.SECRET-w\"}");
    assert_string_equal(host_last(host)->token, "");
    host_answer(host, host_last(host), 200, MADE_BY_US);
    assert_string_equal(host_last(host)->method, "POST");
    assert_string_equal(host_last(host)->path, "/v1/sys/wrapping/unwrap");
    assert_string_equal(host_last(host)->token, "s.SECRET-w");
    assert_string_equal(host_last(host)->body, "");
    assert_int_equal(host_last(host)->flags, LEASED_HTTP_CREATES | LEASED_HTTP_MOVABLE);
    host_answer(host, host_last(host), 200, UNWRAPPED);
    assert_string_equal(host_last(host)->path, "/v1/auth/approle/login");
    assert_string_equal(host_last(host)->body, "{\"role_id\":\"r\",\"secret_id\":\"SECRET-sid\"}");
    host_answer(host, host_last(host), 200, LOGGED_IN);
    /* Who has waited all the while is served. */
    assert_true(op->is_open);
    assert_string_equal(host_last(host)->path, "/v1/a/creds/b");
    assert_string_equal(host_last(host)->token, "s.SECRET-1");
    assert_int_equal(host->warn_count, 0);
    host_close(host, 0);
}

static void test_the_secret_id_serves_later_logins_too(void **state)
{
    struct leased_host_context *host = open_unwrapped();

    (void)state;
    while (host_open_https(host) == 0) {
        host_advance_to_timer(host);
    }
    host_answer(host, host_last(host), 403, "{\"errors\":[\"permission denied\"]}");
    host_answer(host, host_last(host), 403, "{\"errors\":[\"permission denied\"]}");
    assert_string_equal(host_last(host)->path, "/v1/auth/approle/login");
    assert_non_null(strstr(host_last(host)->body, "SECRET-sid"));
    host_close(host, 0);
}

static void test_one_that_was_made_elsewhere_is_never_unwrapped(void **state)
{
    static const char *const lookups[] = {
        "{\"data\":{\"creation_path\":\"auth/approle/role/a/b/secret-id\"}}",
        "{\"data\":{\"creation_path\":\"auth/approle/role//secret-id\"}}",
        "{\"data\":{\"creation_path\":\"auth/other/role/leased/secret-id\"}}",
        "{\"data\":{\"creation_path\":\"sys/wrapping/wrap\"}}",
        "{\"data\":{\"creation_path\":\"\"}}",
        "{\"data\":{\"creation_path\":7}}",
        "{\"data\":{}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(lookups); i++) {
        struct leased_host_context *host = open_wrapped("s.SECRET-w");
        struct fake_op *op;

        host_answer(host, host_last(host), 200, lookups[i]);
        assert_string_equal(host->last_warning, "vault.unwrap.substituted");
        assert_non_null(strstr(host->last_detail, "file:/w"));
        host_advance(host, 3600000);
        assert_int_equal(host->http_count, 1);
        assert_int_equal(host->warn_count, 1);
        op = host_issue(host, "{\"path\":\"a/creds/b\"}", 0);
        host_run(host);
        assert_int_equal(op->status, LEASED_RETRY);
        assert_non_null(strstr(op->detail, "was not unwrapped"));
        host_close(host, 0);
    }
}

static void test_a_configured_path_is_the_only_one(void **state)
{
    struct leased_host_context *host =
        host_open_with("{\"auth\":{\"method\":\"approle\",\"role_id\":\"r\","
                       "\"secret_id_wrapping_token_file\":\"/w\",\"secret_id_wrapping_path\":"
                       "\"auth/approle/role/mine/secret-id\"}}",
                       "file:/w", "s.SECRET-w");

    (void)state;
    host_answer(host, host_last(host), 200, MADE_BY_US);
    assert_string_equal(host->last_warning, "vault.unwrap.substituted");
    host_close(host, 0);
    assert_true(
        vault_unwrap_path_fits(PLUGIN_STR("auth/a/role/b/secret-id"), "auth/*/role/*/secret-id"));
    assert_false(
        vault_unwrap_path_fits(PLUGIN_STR("auth/a/role/b/secret-id/"), "auth/*/role/*/secret-id"));
    assert_false(vault_unwrap_path_fits(PLUGIN_STR("auth/a"), "auth/*/role/*/secret-id"));
}

static void test_the_namespace_may_stand_before_the_path(void **state)
{
    static const char *const lookups[] = {
        MADE_BY_US,
        "{\"data\":{\"creation_path\":\"team/a/auth/approle/role/leased/secret-id\"}}",
        "{\"data\":{\"creation_path\":\"team/b/auth/approle/role/leased/secret-id\"}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(lookups); i++) {
        struct leased_host_context *host =
            host_open_with("{\"namespace\":\"team/a\",\"auth\":{\"method\":\"approle\",\"role_id\":"
                           "\"r\",\"secret_id_wrapping_token_file\":\"/w\"}}",
                           "file:/w", "s.SECRET-w");

        assert_string_equal(host_last(host)->name_space, "team/a");
        host_answer(host, host_last(host), 200, lookups[i]);
        assert_int_equal(host->warn_count, i == 2 ? 1 : 0);
        host_close(host, 0);
    }
}

/* The last word on a token that isn't valid: told once, a second after it was first heard. */
static void answer_spent(struct leased_host_context *host)
{
    size_t warn_count = host->warn_count;

    host_answer(host, host_last(host), 400, SPENT);
    assert_int_equal(host->warn_count, warn_count);
    host_advance(host, 1000);
    assert_string_equal(host_last(host)->path, "/v1/sys/wrapping/lookup");
    host_answer(host, host_last(host), 400, SPENT);
    assert_string_equal(host->last_warning, "vault.unwrap.refused");
}

static void test_a_refused_one_is_a_security_event_and_waits_for_another(void **state)
{
    struct leased_host_context *host;

    (void)state;
    for (int at = 0; at < 2; at++) {
        host = open_wrapped("s.SECRET-w");
        if (at == 1) {
            host_answer(host, host_last(host), 200, MADE_BY_US);
            host_answer(host, host_last(host), 400, SPENT);
            assert_non_null(strstr(host->last_detail, "somebody else has unwrapped it"));
        } else {
            answer_spent(host);
            assert_non_null(strstr(host->last_detail, "an earlier start of leased"));
            assert_non_null(strstr(host->last_detail, "somebody else may have unwrapped it"));
        }
        assert_string_equal(host->last_warning, "vault.unwrap.refused");
        host_advance(host, 3600000);
        assert_int_equal(host_open_https(host), 0);
        assert_int_equal(host->warn_count, 1);
        /* An earlier start can't have had this one. */
        host->secrets[2].value = "s.SECRET-another";
        host_advance(host, 10000);
        assert_non_null(strstr(host_last(host)->body, "s.SECRET-another"));
        answer_spent(host);
        assert_non_null(strstr(host->last_detail, "Somebody else may have unwrapped it"));
        assert_null(strstr(host->last_detail, "earlier start"));
        host_close(host, 0);
    }
}

static void test_a_file_that_is_being_written_alarms_nobody(void **state)
{
    struct leased_host_context *host = open_wrapped("s.SECRET-w");

    (void)state;
    host_answer(host, host_last(host), 400, SPENT);
    host->secrets[2].value = "s.SECRET-whole";
    host_advance(host, 1000);
    assert_non_null(strstr(host_last(host)->body, "s.SECRET-whole"));
    host_answer(host, host_last(host), 200, MADE_BY_US);
    host_answer(host, host_last(host), 200, UNWRAPPED);
    host_answer(host, host_last(host), 200, LOGGED_IN);
    assert_int_equal(host->warn_count, 0);
    host_close(host, 0);
}

static void test_passing_faults_are_tried_again(void **state)
{
    struct leased_host_context *host = open_wrapped("s.SECRET-w");
    struct fake_op *op;

    (void)state;
    host_fail(host, host_last(host), LEASED_HTTP_NOT_SENT);
    host_advance(host, 2000);
    host_answer(host, host_last(host), 503, "{\"errors\":[\"Vault is sealed\"]}");
    op = host_issue(host, "{\"path\":\"a/creds/b\"}", 0);
    host_run(host);
    assert_int_equal(op->status, LEASED_SEALED);
    host_advance(host, 4000);
    host_answer(host, host_last(host), 200, "no JSON");
    host_advance(host, 9000);
    host_answer(host, host_last(host), 200, MADE_BY_US);
    host_fail(host, host_last(host), LEASED_HTTP_NOT_SENT);
    host_advance(host, 20000);
    assert_string_equal(host_last(host)->path, "/v1/sys/wrapping/lookup");
    host_answer(host, host_last(host), 200, MADE_BY_US);
    host_answer(host, host_last(host), 200, UNWRAPPED);
    host_answer(host, host_last(host), 200, LOGGED_IN);
    assert_true(host->login_expires_ms > host->now_ms);
    host_close(host, 0);
}

static void test_a_lost_answer_is_told_as_what_it_is(void **state)
{
    struct leased_host_context *host = open_wrapped("s.SECRET-w");

    (void)state;
    host_answer(host, host_last(host), 200, MADE_BY_US);
    host_fail(host, host_last(host), LEASED_HTTP_LOST);
    host_advance(host, 2000);
    answer_spent(host);
    assert_non_null(strstr(host->last_detail, "our own unwrapping was lost"));
    host_close(host, 0);
}

/* A firewall's page alarms nobody. */
static void test_a_refusal_that_is_not_vaults_is_tried_again(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
    } pages[] = {{403, "<html>blocked</html>"}, {400, ""}, {404, "no route"}, {200, "<html>"}};

    (void)state;
    for (size_t i = 0; i < COUNT(pages); i++) {
        struct leased_host_context *host = open_wrapped("s.SECRET-w");

        host_answer(host, host_last(host), pages[i].status, pages[i].body);
        assert_string_equal(host->last_warning, "vault.login.failed");
        host_advance(host, 2000);
        host_answer(host, host_last(host), 200, MADE_BY_US);
        assert_string_equal(host_last(host)->path, "/v1/sys/wrapping/unwrap");
        host_answer(host, host_last(host), pages[i].status, pages[i].body);
        assert_string_equal(host->last_warning, "vault.login.failed");
        host_advance(host, 4000);
        assert_string_equal(host_last(host)->path, "/v1/sys/wrapping/lookup");
        /* The page may have come after the token was used up. */
        answer_spent(host);
        assert_non_null(strstr(host->last_detail, "our own unwrapping was lost"));
        host_close(host, 0);
    }
}

static void test_what_holds_no_secret_id_is_not_asked_for_again(void **state)
{
    struct leased_host_context *host = open_wrapped("s.SECRET-w");

    (void)state;
    host_answer(host, host_last(host), 200, MADE_BY_US);
    host_answer(host, host_last(host), 200, "{\"data\":{\"password\":\"SECRET\"}}");
    assert_non_null(strstr(host->last_detail, "no secret_id"));
    host_advance(host, 3600000);
    assert_int_equal(host_open_https(host), 0);
    host_close(host, 0);
}

static void test_a_missing_file_is_waited_for(void **state)
{
    struct leased_host_context *host = open_wrapped(NULL);

    (void)state;
    assert_int_equal(host->http_count, 0);
    assert_string_equal(host->last_warning, "vault.login.failed");
    host_advance(host, 600000);
    host->secrets[2].value = "no token";
    host_advance(host, 10000);
    assert_non_null(strstr(host->last_detail, "not a token"));
    host->secrets[2].value = "s.SECRET-w";
    host_advance(host, 10000);
    assert_string_equal(host_last(host)->path, "/v1/sys/wrapping/lookup");
    host_close(host, 0);
}

static void test_another_wrapping_token_is_unwrapped_at_once_but_no_token_is_replaced(void **state)
{
    struct leased_host_context *host = open_unwrapped();

    (void)state;
    host->secrets[2].value = "s.SECRET-w2";
    host_advance(host, 10000);
    host_answer(host, host_last(host), 200, MADE_BY_US);
    host_answer(host, host_last(host), 200, "{\"data\":{\"secret_id\":\"SECRET-new\"}}");
    assert_int_equal(host_open_https(host), 0);
    assert_int_equal(host->anchor_count, 0);
    while (host_open_https(host) == 0) {
        host_advance_to_timer(host);
    }
    host_answer(host, host_last(host), 403, "{\"errors\":[\"permission denied\"]}");
    host_answer(host, host_last(host), 403, "{\"errors\":[\"permission denied\"]}");
    assert_non_null(strstr(host_last(host)->body, "SECRET-new"));
    host_close(host, 0);
}

static void test_a_bad_successor_leaves_the_first_secret_id_in_use(void **state)
{
    struct leased_host_context *host = open_unwrapped();

    (void)state;
    host->secrets[2].value = "s.SECRET-w2";
    host_advance(host, 10000);
    answer_spent(host);
    while (host_open_https(host) == 0) {
        host_advance_to_timer(host);
    }
    host_answer(host, host_last(host), 403, "{\"errors\":[\"permission denied\"]}");
    host_answer(host, host_last(host), 403, "{\"errors\":[\"permission denied\"]}");
    assert_string_equal(host_last(host)->path, "/v1/auth/approle/login");
    assert_non_null(strstr(host_last(host)->body, "SECRET-sid"));
    host_close(host, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_looked_up_then_unwrapped_then_used),
        cmocka_unit_test(test_the_secret_id_serves_later_logins_too),
        cmocka_unit_test(test_one_that_was_made_elsewhere_is_never_unwrapped),
        cmocka_unit_test(test_a_configured_path_is_the_only_one),
        cmocka_unit_test(test_the_namespace_may_stand_before_the_path),
        cmocka_unit_test(test_a_refused_one_is_a_security_event_and_waits_for_another),
        cmocka_unit_test(test_a_file_that_is_being_written_alarms_nobody),
        cmocka_unit_test(test_passing_faults_are_tried_again),
        cmocka_unit_test(test_a_lost_answer_is_told_as_what_it_is),
        cmocka_unit_test(test_a_refusal_that_is_not_vaults_is_tried_again),
        cmocka_unit_test(test_what_holds_no_secret_id_is_not_asked_for_again),
        cmocka_unit_test(test_a_missing_file_is_waited_for),
        cmocka_unit_test(test_another_wrapping_token_is_unwrapped_at_once_but_no_token_is_replaced),
        cmocka_unit_test(test_a_bad_successor_leaves_the_first_secret_id_in_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
