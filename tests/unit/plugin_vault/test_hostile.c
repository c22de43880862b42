/* An issuer that lies, in an answer to an issue: no such answer becomes a credential, each is
 * refused with a reason that repeats none of its bytes, and what it names as created is handed back
 * to be revoked. */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PATH "database/creds/orders"
#define ISSUE "{\"path\":\"" PATH "\"}"
#define ID "\"lease_id\":\"" PATH "/x1\""
#define LIFE "\"renewable\":true,\"lease_duration\":3600"
#define DATA "\"data\":{\"username\":\"u\",\"password\":\"SECRET\"}"
#define GOOD "{" ID "," LIFE "," DATA "}"
#define LONGEST_LIFE_MS UINT64_C(3153600000000) /* a hundred years */

struct lie {
    uint32_t status;
    const char *body;
    bool names_lease; /* readable enough to know what to revoke */
};

static const struct lie lies[] = {
    /* no JSON, or not ours */
    {200, "", false},
    {200, " ", false},
    {200, "SECRET", false},
    {200, "null", false},
    {200, "true", false},
    {200, "42", false},
    {200, "\"SECRET\"", false},
    {200, "[]", false},
    {200, "[" GOOD "]", false},
    {200, "{}", false},
    {200, "<html>SECRET</html>", false},
    {200, GOOD "x", false},
    {200, GOOD GOOD, false},
    {200, "\xef\xbb\xbf" GOOD, false},
    {200, "{" ID "," LIFE "," DATA ",}", false},
    {200, "{'a':1}", false},
    {200, "{" ID "," LIFE "," DATA, false},
    {200, "{" ID "," LIFE ",\"data\":{\"password\":\"SECRET", false},
    {200, "{" ID "," LIFE ",\"data\":{\"password\":\"\xff\xfe\"}}", false},
    {200, "{" ID "," LIFE ",\"data\":{\"password\":\"\\ud800\"}}", false},
    {200, "{" ID "," LIFE ",\"data\":{\"password\":\"a\\u0000b\"}}", true},
    {200, "{" ID "," LIFE ",\"data\":{\"pass\\u0000word\":\"SECRET\"}}", false},
    /* the same key twice: which one counts is anybody's guess */
    {200, "{" ID "," ID "," LIFE "," DATA "}", false},
    {200, "{" ID ",\"lease_duration\":1,\"lease_duration\":3600," DATA "}", false},
    {200, "{" ID "," LIFE "," DATA "," DATA "}", false},
    {200, "{" ID "," LIFE ",\"data\":{\"password\":\"a\",\"password\":\"b\"}}", false},
    /* a life that is none */
    {200, "{" ID ",\"renewable\":true,\"lease_duration\":0," DATA "}", true},
    {200, "{" ID ",\"renewable\":true," DATA "}", true},
    {200, "{" ID ",\"renewable\":true,\"lease_duration\":null," DATA "}", true},
    {200, "{" ID ",\"renewable\":true,\"lease_duration\":-1," DATA "}", true},
    {200, "{" ID ",\"renewable\":true,\"lease_duration\":1.5," DATA "}", true},
    {200, "{" ID ",\"renewable\":true,\"lease_duration\":1e3," DATA "}", true},
    {200, "{" ID ",\"renewable\":true,\"lease_duration\":\"3600\"," DATA "}", true},
    {200, "{" ID ",\"renewable\":true,\"lease_duration\":[3600]," DATA "}", true},
    {200, "{" ID ",\"renewable\":true,\"lease_duration\":true," DATA "}", true},
    {200, "{" ID ",\"renewable\":true,\"lease_duration\":9223372036854775807," DATA "}", true},
    {200, "{" ID ",\"renewable\":true,\"lease_duration\":-9223372036854775808," DATA "}", true},
    {200, "{" ID ",\"renewable\":true,\"lease_duration\":18446744073709551616," DATA "}", true},
    {200, "{" ID ",\"renewable\":\"true\",\"lease_duration\":3600," DATA "}", true},
    {200, "{" ID ",\"lease_duration\":\"1h\"," DATA ",\"data\":{}}", false},
    {200, "{\"lease_id\":\"database/creds/admin/x1\",\"lease_duration\":-1," DATA "}", false},
    {200, "{\"lease_id\":\"" PATH "/x\\u0000\"," LIFE "," DATA "}", false},
    {200, "{\"lease_id\":\"" PATH "/x y\",\"lease_duration\":-1," DATA "}", false},
    {200, "{\"data\":{" ID "},\"lease_duration\":-1}", false},
    {200, "{" ID ",\"renewable\":1,\"lease_duration\":3600," DATA "}", true},
    /* no lease, and an end that is none. (Without any it is a plain secret: see engine.c.) */
    {200, "{\"data\":{\"password\":\"SECRET\",\"ttl\":-1}}", false},
    {200, "{\"data\":{\"password\":\"SECRET\",\"expiration\":1}}", false},
    {200, "{\"data\":{\"password\":\"SECRET\",\"expiration\":-1}}", false},
    /* somebody else's lease, or none at all */
    {200, "{\"lease_id\":1," LIFE "," DATA "}", false},
    {200, "{\"lease_id\":{}," LIFE "," DATA "}", false},
    {200, "{\"lease_id\":\"x\"," LIFE "," DATA "}", false},
    {200, "{\"lease_id\":\"/\"," LIFE "," DATA "}", false},
    {200, "{\"lease_id\":\"database/creds/admin/x1\"," LIFE "," DATA "}", false},
    {200, "{\"lease_id\":\"" PATH "s/x1\"," LIFE "," DATA "}", false},
    {200, "{\"lease_id\":\"" PATH "/../admin/x1\"," LIFE "," DATA "}", false},
    {200, "{\"lease_id\":\"auth/token/create/x1\"," LIFE "," DATA "}", false},
    /* no credential */
    {200, "{" ID "," LIFE "}", true},
    {200, "{" ID "," LIFE ",\"data\":null}", true},
    {200, "{" ID "," LIFE ",\"data\":{}}", true},
    {200, "{" ID "," LIFE ",\"data\":{\"password\":null}}", true},
    {200, "{" ID "," LIFE ",\"data\":[]}", true},
    {200, "{" ID "," LIFE ",\"data\":\"SECRET\"}", true},
    {200, "{" ID "," LIFE ",\"data\":7}", true},
    /* a login, a wrapped answer or an error in the place of a credential */
    {200, "{\"auth\":{\"client_token\":\"SECRET\",\"lease_duration\":60}}", false},
    {200, "{\"wrap_info\":{\"token\":\"SECRET\",\"ttl\":60}}", false},
    {200, "{\"errors\":[\"permission denied\"]}", false},
    {200, "{" ID "," LIFE "," DATA ",\"warnings\":\"SECRET\"}", true},
    {200, "{" ID "," LIFE "," DATA ",\"warnings\":[{\"SECRET\":1}]}", true},
    {200, "{" ID "," LIFE "," DATA ",\"auth\":\"SECRET\"}", true},
    /* success without a credential, and statuses that nobody expects */
    {204, "", false},
    {202, "{}", false},
    {206, "", false},
    {299, "{}", false},
    {101, GOOD, false},
    {301, GOOD, false},
    {307, GOOD, false},
    {400, GOOD, false},
    {404, GOOD, false},
    {418, GOOD, false},
    {500, GOOD, false},
    {599, GOOD, false},
    {999, GOOD, false},
};

static void check_refused(const struct fake_op *op, const char *body)
{
    if (op->is_open || op->done_count != 1 || op->status == LEASED_OK) {
        fail_msg("taken: %s", body);
    }
    if (op->detail[0] == '\0' || strstr(op->detail, "SECRET") != NULL) {
        fail_msg("%s: \"%s\"", body, op->detail);
    }
    assert_string_equal(op->fields, "");
}

static void test_no_lie_becomes_a_credential(void **state)
{
    (void)state;
    assert_true(COUNT(lies) >= 60);
    for (size_t i = 0; i < COUNT(lies); i++) {
        struct leased_host_context *host = host_open_root();
        struct fake_op *op = host_issue(host, ISSUE, 0);

        host_answer(host, host_last(host), lies[i].status, lies[i].body);
        check_refused(op, lies[i].body);
        assert_string_equal(op->ref, lies[i].names_lease ? PATH "/x1" : "");
        host_close(host, 0);
    }
}

/* A connection that breaks can leave any part of an answer that says nothing of its length. */
static void test_no_part_of_an_answer_is_taken_for_the_whole(void **state)
{
    size_t len = strlen(GOOD);

    (void)state;
    for (size_t i = 0; i < len; i++) {
        struct leased_host_context *host = host_open_root();
        struct fake_op *op = host_issue(host, ISSUE, 0);
        char body[sizeof(GOOD)];

        memcpy(body, GOOD, i);
        body[i] = '\0';
        host_answer(host, host_last(host), 200, body);
        check_refused(op, body);
        assert_int_equal(op->status, i == 0 ? LEASED_INVALID : LEASED_LOST);
        host_close(host, 0);
    }
}

/* --- lives ------------------------------------------------------------------------------------ */

static void check_life(int64_t seconds, const char *format)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_issue(host, ISSUE, 0);
    char body[256];
    const char *at = strchr(format, '@');

    assert_non_null(at);
    (void)snprintf(body, sizeof(body), "%.*s%" PRId64 "%s", (int)(at - format), format, seconds,
                   at + 1);
    host_answer(host, host_last(host), 200, body);
    assert_false(op->is_open);
    if (op->status == LEASED_OK) {
        assert_true(op->lifetime_ms > 0 && op->lifetime_ms <= LONGEST_LIFE_MS);
        assert_true(seconds > 0);
    } else {
        check_refused(op, body);
    }
    host_close(host, 0);
}

/* Around each power of two, of either sign. */
static void test_every_life_is_sane_or_refused(void **state)
{
    static const char *const formats[] = {
        "{" ID ",\"renewable\":true,\"lease_duration\":@," DATA "}",
        "{" ID ",\"renewable\":false,\"lease_duration\":@," DATA "}",
        "{\"data\":{\"password\":\"SECRET\",\"ttl\":@}}",
        "{\"data\":{\"password\":\"SECRET\",\"expiration\":@}}",
    };

    (void)state;
    for (unsigned shift = 0; shift < 64; shift++) {
        for (int off = -2; off <= 2; off++) {
            uint64_t bits = (UINT64_C(1) << shift) + (uint64_t)(int64_t)off;
            int64_t seconds;

            memcpy(&seconds, &bits, sizeof(seconds));
            for (size_t i = 0; i < COUNT(formats); i++) {
                check_life(seconds, formats[i]);
                check_life((int64_t)(0 - bits), formats[i]);
            }
        }
    }
}

/* A renewal's life is as much the issuer's word as an issue's. */
static void test_a_renewal_with_a_senseless_life_extends_nothing(void **state)
{
    static const char *const lives[] = {"0",    "-1",   "1.5",  "\"3600\"",           "null",
                                        "true", "[60]", "1e99", "9223372036854775807"};

    (void)state;
    for (size_t i = 0; i < COUNT(lives); i++) {
        struct leased_host_context *host = host_open_root();
        struct fake_op *op = host_renew(host, PATH "/x1", 3600000);
        char body[256];

        (void)snprintf(body, sizeof(body), "{" ID ",\"renewable\":true,\"lease_duration\":%s}",
                       lives[i]);
        host_answer(host, host_last(host), 200, body);
        check_refused(op, body);
        host_close(host, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_lie_becomes_a_credential),
        cmocka_unit_test(test_no_part_of_an_answer_is_taken_for_the_whole),
        cmocka_unit_test(test_every_life_is_sane_or_refused),
        cmocka_unit_test(test_a_renewal_with_a_senseless_life_extends_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
