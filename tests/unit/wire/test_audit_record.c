/* The audit line as it is written: its exact bytes and its hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "wire/audit_record.h"

static const char *const approvers[] = {"bob", "dana"};

static const struct audit_record full_record = {
    .seq = 42,
    .time_wall_ms = 1795379700123,
    .event = "grant.created",
    .outcome = "ok",
    .node = "host-1",
    .listener = "local",
    .api = "native",
    .request = "r-1",
    .has_identity = true,
    .uid = 1001,
    .user = "orders",
    .pid = 4711,
    .unit = "orders.service",
    .container = "abc",
    .role = "orders-db",
    .backend = "vault-prod",
    .lease = "l-1",
    .grant = "g-1",
    .binding = "process",
    .until_wall_ms = 1795381500000,
    .reason = "OPS-1",
    .ticket = "T-9",
    .approvers = approvers,
    .approver_count = 2,
    .approval = "q-1",
    .block = "b-1",
    .drill = "d-1",
    .match = "{\"all\":true}",
    .comment = "looks right",
    .policy_digest = "d1",
    .policy_revision = "4f2a+dirty",
    .policy_rule = "ci",
    .observed = {.outcome = "denied",
                 .digest = "d2",
                 .rule = "no-ci",
                 .limits = "ttl 5m instead of 1h"},
    .has_ttl = true,
    .ttl_ms = 3600000,
    .expires_wall_ms = 1795383300500,
    .issuer_ref = "hmac:1",
    .identifier_ref = "hmac:2",
    .count = 3,
    .error = "none",
    .ledger_seq = 40,
};

static const char full_body[] =
    "{\"v\":1,\"seq\":42,\"time\":\"2026-11-22T20:35:00.123Z\",\"event\":\"grant.created\","
    "\"outcome\":\"ok\",\"node\":\"host-1\",\"listener\":\"local\",\"api\":\"native\","
    "\"request\":\"r-1\",\"identity\":{\"uid\":1001,\"user\":\"orders\",\"pid\":4711,"
    "\"unit\":\"orders.service\",\"container\":\"abc\"},\"role\":\"orders-db\","
    "\"backend\":\"vault-prod\",\"lease\":\"l-1\",\"grant\":\"g-1\",\"binding\":\"process\","
    "\"until\":\"2026-11-22T21:05:00.000Z\",\"reason\":\"OPS-1\",\"ticket\":\"T-9\","
    "\"approvers\":[\"bob\",\"dana\"],\"approval\":\"q-1\",\"comment\":\"looks right\","
    "\"block\":\"b-1\",\"drill\":\"d-1\",\"match\":{\"all\":true},"
    "\"policy\":{\"digest\":\"d1\",\"revision\":\"4f2a+dirty\",\"rule\":\"ci\"},"
    "\"observed\":{\"outcome\":\"denied\",\"digest\":\"d2\",\"rule\":\"no-ci\",\"limits\":\"ttl 5m instead of 1h\"},\"ttl\":3600,"
    "\"expires\":\"2026-11-22T21:35:00.500Z\",\"issuer_ref\":\"hmac:1\","
    "\"identifier_ref\":\"hmac:2\",\"count\":3,\"error\":\"none\",\"ledger\":40,"
    "\"prev\":\"" AUDIT_HASH_ZERO "\"";

/* The formula of the header, done here a second time and in one piece. */
static void expected_hash(const char *prev, struct str body, char out[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    char *bytes = malloc(16 + 65 + body.len);
    size_t i;

    assert_non_null(bytes);
    memcpy(bytes, "leased-audit-v1", 16);
    memcpy(bytes + 16, prev, 65);
    memcpy(bytes + 81, body.ptr, body.len);
    assert_int_equal(EVP_Digest(bytes, 81 + body.len, digest, &size, EVP_sha256(), NULL), 1);
    assert_int_equal(size, 32);
    for (i = 0; i < size; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
    free(bytes);
}

/* Behind what readers know already. */
static void test_an_image_is_the_last_of_an_identity(void **state)
{
    struct audit_record record = {.seq = 1,
                                  .event = "e",
                                  .has_identity = true,
                                  .uid = 7,
                                  .container = "abc",
                                  .image = "reg/app:1"};
    char hash[65];
    BUF_AUTO out;

    (void)state;
    record.jwt.iss = "ci";
    buf_init(&out, 1 << 20);
    assert_int_equal(audit_record_format(&record, AUDIT_HASH_ZERO, &out, hash), 0);
    assert_non_null(strstr(out.bytes,
                           "\"identity\":{\"uid\":7,\"container\":\"abc\",\"jwt\":{\"iss\":"
                           "\"ci\"},\"image\":\"reg/app:1\"},\"prev\""));
}

static void test_a_record_has_exactly_the_documented_bytes(void **state)
{
    char hash[65];
    char expected[65];
    char line[2048];
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 1 << 20);
    assert_int_equal(audit_record_format(&full_record, AUDIT_HASH_ZERO, &out, hash), 0);
    expected_hash(AUDIT_HASH_ZERO, STR(full_body), expected);
    (void)snprintf(line, sizeof(line), "%s,\"hash\":\"%s\"}\n", full_body, expected);
    assert_string_equal(out.bytes, line);
    assert_string_equal(hash, expected);
}

static void test_what_a_record_lacks_is_left_out(void **state)
{
    const struct audit_record record = {.seq = 1,
                                        .time_wall_ms = 1000,
                                        .event = "daemon.started",
                                        .has_identity = true,
                                        .user = "",
                                        .has_ttl = true,
                                        .ttl_ms = 1500};
    static const char begin[] =
        "{\"v\":1,\"seq\":1,\"time\":\"1970-01-01T00:00:01.000Z\","
        "\"event\":\"daemon.started\",\"identity\":{\"uid\":0},\"ttl\":1.500,\"prev\":\"";
    char hash[65];
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(audit_record_format(&record, AUDIT_HASH_ZERO, &out, hash), 0);
    assert_memory_equal(out.bytes, begin, sizeof(begin) - 1);
}

static void test_hostile_text_stays_one_line_of_valid_json(void **state)
{
    struct audit_record record = {.seq = 1, .time_wall_ms = 1, .event = "grant.denied"};
    char reason[201];
    uint32_t random = 7;
    char hash[65];
    int round;

    (void)state;
    for (round = 0; round < 300; round++) {
        struct audit_line line;
        json_error_t error;
        json_t *root;
        BUF_AUTO out;
        size_t i;

        for (i = 0; i < sizeof(reason) - 1; i++) {
            random = random * 1664525U + 1013904223U;
            reason[i] = (char)((random >> 24) % 255 + 1);
        }
        reason[sizeof(reason) - 1] = '\0';
        record.reason = reason;
        buf_init(&out, AUDIT_RECORD_MAX_BYTES);
        assert_int_equal(audit_record_format(&record, AUDIT_HASH_ZERO, &out, hash), 0);
        assert_ptr_equal(memchr(out.bytes, '\n', out.len), out.bytes + out.len - 1);
        for (i = 0; i + 1 < out.len; i++) {
            assert_true((unsigned char)out.bytes[i] >= 0x20 && out.bytes[i] != 0x7f);
        }
        root = json_loadb(out.bytes, out.len, JSON_REJECT_DUPLICATES, &error);
        assert_non_null(root);
        json_decref(root);
        assert_int_equal(audit_line_parse((struct str){out.bytes, out.len - 1}, &line, NULL), 0);
    }
}

static void test_reading_direction_and_terminal_bytes_are_escaped(void **state)
{
    struct audit_record record = {
        .seq = 1,
        .time_wall_ms = 1,
        .event = "x",
        .reason = "a\x1b[31m\xe2\x80\xae\xe2\x80\xa8\xc2\x9b\x7f\xff\n\"\\\xc3\xa4"};
    char hash[65];
    BUF_AUTO out;

    (void)state;
    buf_init(&out, AUDIT_RECORD_MAX_BYTES);
    assert_int_equal(audit_record_format(&record, AUDIT_HASH_ZERO, &out, hash), 0);
    assert_non_null(strstr(out.bytes, "\"reason\":\"a\\u001b[31m\\u202e\\u2028\\u009b\\u007f"
                                      "\xef\xbf\xbd\\n\\\"\\\\\xc3\xa4\""));
}

static void test_a_record_over_the_limit_is_refused_and_writes_nothing(void **state)
{
    struct audit_record record = {.seq = 1, .time_wall_ms = 1, .event = "x"};
    char hash[65] = "unchanged";
    char *reason = malloc(AUDIT_RECORD_MAX_BYTES + 1);
    BUF_AUTO out;

    (void)state;
    assert_non_null(reason);
    memset(reason, 'r', AUDIT_RECORD_MAX_BYTES);
    reason[AUDIT_RECORD_MAX_BYTES] = '\0';
    record.reason = reason;
    buf_init(&out, 1 << 20);
    assert_int_equal(audit_record_format(&record, AUDIT_HASH_ZERO, &out, hash), ERR_TOO_LARGE);
    assert_int_equal(out.len, 0);
    assert_string_equal(hash, "unchanged");
    /* The longest one that fits is exactly as long as the limit. */
    while (audit_record_format(&record, AUDIT_HASH_ZERO, &out, hash) == ERR_TOO_LARGE) {
        record.reason++;
    }
    assert_int_equal(out.len, AUDIT_RECORD_MAX_BYTES);
    free(reason);
}

static int fail_countdown;

static int fail_at(size_t size)
{
    (void)size;
    return fail_countdown > 0 && --fail_countdown == 0;
}

static void test_no_memory_leaves_the_output_alone(void **state)
{
    char hash[65] = "unchanged";
    int n;
    int r;

    (void)state;
    for (n = 1;; n++) {
        BUF_AUTO out;

        buf_init(&out, 1 << 20);
        fail_countdown = n;
        mem_set_fail_hook(fail_at);
        r = audit_record_format(&full_record, AUDIT_HASH_ZERO, &out, hash);
        mem_set_fail_hook(NULL);
        if (r == 0) {
            break;
        }
        assert_int_equal(r, ERR_NOMEM);
        assert_string_equal(hash, "unchanged");
        assert_int_equal(out.len, 0);
    }
    assert_true(n > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_has_exactly_the_documented_bytes),
        cmocka_unit_test(test_an_image_is_the_last_of_an_identity),
        cmocka_unit_test(test_what_a_record_lacks_is_left_out),
        cmocka_unit_test(test_hostile_text_stays_one_line_of_valid_json),
        cmocka_unit_test(test_reading_direction_and_terminal_bytes_are_escaped),
        cmocka_unit_test(test_a_record_over_the_limit_is_refused_and_writes_nothing),
        cmocka_unit_test(test_no_memory_leaves_the_output_alone),
    };

    return cmocka_run_group_tests_name("audit_record", tests, NULL, NULL);
}
