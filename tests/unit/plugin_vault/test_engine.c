/* Each engine's own rule: how long its credential lives, when there may be another, what can be
 * revoked. The host's wall clock stands at unix second 1 700 000 000. */
#include "engine.h"
#include "fake_host.h"
#include "ssh_certificates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NEW LEASED_RESULT_RENEWABLE
#define REV LEASED_RESULT_REVOCABLE
#define NEVER UINT64_MAX
#define DAY_MS 86400000U
#define PKI "{\"path\":\"pki/issue/web\",\"params\":{\"common_name\":\"a.x\"}}"
#define CERTIFICATE                                                                                \
    "\"certificate\":\"PEM\",\"expiration\":1700003600,\"serial_number\":\"6d:74:0a\"}}"
#define STATIC "{\"path\":\"database/static-creds/app\"}"
#define ROTATED(period)                                                                            \
    "\"last_vault_rotation\":\"2023-11-14T22:13:00.5Z\",\"rotation_period\":" period

/* 2023-11-14T22:13:20Z is unix second 1 700 000 000. */
static const struct {
    const char *params;
    uint64_t ttl_ms;
    const char *body;
    int32_t status;
    uint64_t lifetime_ms;
    uint64_t refresh_ms; /* up to a second more is splay */
    uint32_t flags;
    const char *ref;
    const char *field; /* one of its lines; NULL: not looked at */
} cases[] = {
    /* database: a lease */
    {"{\"path\":\"database/creds/a\"}", 0,
     "{\"lease_id\":\"database/creds/a/1\",\"lease_duration\":60,\"renewable\":true,"
     "\"data\":{\"username\":\"u\",\"password\":\"p\"}}",
     LEASED_OK, 60000, 0, NEW | REV, "database/creds/a/1", "username=u\n"},
    /* aws: keys of a user, and of STS, which nobody can take back */
    {"{\"path\":\"aws/creds/a\"}", 0,
     "{\"lease_id\":\"aws/creds/a/1\",\"lease_duration\":60,\"renewable\":true,"
     "\"data\":{\"access_key\":\"AK\",\"secret_key\":\"s\",\"security_token\":null}}",
     LEASED_OK, 60000, 0, NEW | REV, "aws/creds/a/1", "secret_key*=s\n"},
    {"{\"path\":\"aws/sts/a\"}", 0,
     "{\"lease_id\":\"aws/sts/a/1\",\"lease_duration\":3600,\"renewable\":false,"
     "\"data\":{\"access_key\":\"AK\",\"secret_key\":\"s\",\"security_token\":\"t\"}}",
     LEASED_OK, 3600000, 0, 0, "aws/sts/a/1", "session_token*=t\n"},
    {"{\"path\":\"aws/sts/a\"}", 0,
     "{\"lease_id\":\"aws/sts/a/2\",\"lease_duration\":3600,\"renewable\":true,\"data\":"
     "{\"access_key\":\"AK\",\"security_token\":\"t\",\"session_token\":\"t\"}}",
     LEASED_OK, 3600000, 0, 0, "aws/sts/a/2", "session_token*=t\n"},
    /* pki: by its expiration; revoked by its serial number, or, with generate_lease, by its lease
     */
    {PKI, 0, "{\"data\":{" CERTIFICATE, LEASED_OK, 3600000, 0, REV, "#cert pki 6d:74:0a",
     "certificate*=PEM\n"},
    {"{\"path\":\"a/b/issuer/x/sign/web\",\"params\":{\"csr\":\"c\"}}", 0,
     "{\"data\":{" CERTIFICATE, LEASED_OK, 3600000, 0, REV, "#cert a/b 6d:74:0a", NULL},
    {"{\"path\":\"pki/sign-verbatim\",\"params\":{\"csr\":\"c\"}}", 0, "{\"data\":{" CERTIFICATE,
     LEASED_OK, 3600000, 0, REV, "#cert pki 6d:74:0a", NULL},
    {"{\"path\":\"pki/issue/web\",\"method\":\"post\"}", 0, "{\"data\":{" CERTIFICATE, LEASED_OK,
     3600000, 0, REV, "#cert pki 6d:74:0a", NULL},
    {"{\"path\":\"pki/issue/web\",\"revoke\":false}", 0, "{\"data\":{" CERTIFICATE, LEASED_OK,
     3600000, 0, 0, "", NULL},
    {"{\"path\":\"pki/other\"}", 0, "{\"data\":{" CERTIFICATE, LEASED_OK, 3600000, 0, 0, "", NULL},
    {PKI, 0,
     "{\"lease_id\":\"pki/issue/web/1\",\"lease_duration\":600,\"renewable\":false,"
     "\"data\":{" CERTIFICATE,
     LEASED_OK, 600000, 0, REV, "pki/issue/web/1", NULL},
    {PKI, 0,
     "{\"data\":{\"certificate\":\"PEM\",\"expiration\":1700003600,\"serial_number\":\"a b\"}}",
     LEASED_OK, 3600000, 0, 0, "", NULL},
    {PKI, 0, "{\"data\":{\"certificate\":\"PEM\",\"expiration\":1700000000}}", LEASED_INVALID, 0, 0,
     0, "", NULL},
    {PKI, 0,
     "{\"data\":{\"certificate\":\"PEM\",\"expiration\":\"soon\",\"serial_number\":\"6d:74\"}}",
     LEASED_INVALID, 0, 0, 0, "#cert pki 6d:74", NULL},
    {PKI, 0, "{\"data\":{\"certificate\":\"PEM\",\"expiration\":253402300799}}", LEASED_OK,
     3153600000000, 0, 0, "", NULL},
    {PKI, 0, "{\"data\":{\"certificate\":\"PEM\",\"expiration\":9223372036854775807}}",
     LEASED_INVALID, 0, 0, 0, "", NULL},
    /* ssh: by the certificate itself, whatever its line ends with */
    {"{\"path\":\"ssh/sign/u\",\"params\":{\"public_key\":\"k\"}}", 0,
     "{\"data\":{\"serial_number\":\"ff\",\"signed_key\":"
     "\"ssh-ed25519-cert-v01@openssh.com " SSH_ED25519 "\\n\"}}",
     LEASED_OK, 3600000, 0, 0, "", NULL},
    {"{\"path\":\"ssh/issue/u\",\"params\":{\"key_type\":\"rsa\"}}", 0,
     "{\"data\":{\"private_key\":\"k\",\"signed_key\":\"ssh-rsa-cert-v01@openssh.com " SSH_RSA
     " c\\n\"}}",
     LEASED_OK, 3600000, 0, 0, "", "private_key*=k\n"},
    {"{\"path\":\"ssh/sign/u\"}", 0,
     "{\"data\":{\"signed_key\":\"ssh-ed25519-cert-v01@openssh.com " SSH_FOREVER "\\n\"}}",
     LEASED_OK, 3153600000000, 0, 0, "", NULL},
    {"{\"path\":\"ssh/sign/u\"}", 0, "{\"data\":{\"signed_key\":\"ssh-ed25519 AAAA\"}}",
     LEASED_INVALID, 0, 0, 0, "", NULL},
    {"{\"path\":\"ssh/creds/otp\",\"params\":{\"ip\":\"10.0.0.1\"}}", 0,
     "{\"lease_id\":\"ssh/creds/otp/1\",\"lease_duration\":2764800,\"renewable\":false,"
     "\"data\":{\"key\":\"k\",\"key_type\":\"otp\",\"port\":22}}",
     LEASED_OK, 2764800000, 0, REV, "ssh/creds/otp/1", "port*=22\n"},
    /* static passwords: read at their rotation, but good for as long as nobody rotates */
    {STATIC, 0, "{\"data\":{\"password\":\"p\",\"ttl\":3600," ROTATED("86400") "}}", LEASED_OK,
     3601000 + DAY_MS, 3601000, 0, "", "password*=p\n"},
    {"{\"path\":\"ldap/static-cred/app\"}", 0, "{\"data\":{\"password\":\"p\",\"ttl\":10}}",
     LEASED_OK, 11000 + DAY_MS, 11000, 0, "", NULL},
    /* the role may want them to be served for less long */
    {STATIC, 600000, "{\"data\":{\"password\":\"p\",\"ttl\":10," ROTATED("86400") "}}", LEASED_OK,
     600000, 11000, 0, "", NULL},
    {STATIC, 600000, "{\"data\":{\"password\":\"p\",\"ttl\":3600," ROTATED("86400") "}}", LEASED_OK,
     600000, 3601000, 0, "", NULL},
    {"{\"path\":\"aws/static-creds/app\"}", 0,
     "{\"data\":{\"access_key\":\"AK\",\"secret_key\":\"s\",\"expiration\":\"2023-11-14T23:13:20Z\"}}",
     LEASED_OK, 3601000 + DAY_MS, 3601000, 0, "", "secret_key*=s\n"},
    {"{\"path\":\"aws/static-creds/app\"}", 0,
     "{\"data\":{\"access_key\":\"AK\",\"expiration\":\"2023-11-14T21:00:00Z\"}}", LEASED_OK,
     30000 + DAY_MS, 30000, 0, "", NULL},
    {"{\"path\":\"aws/static-creds/app\"}", 0,
     "{\"data\":{\"access_key\":\"AK\",\"expiration\":\"soon\"}}", LEASED_INVALID, 0, 0, 0, "",
     NULL},
    /* about to be rotated: who asks waits */
    {STATIC, 0, "{\"data\":{\"password\":\"p\",\"ttl\":1," ROTATED("21") "}}", LEASED_RETRY_AFTER,
     0, 0, 0, "", NULL},
    {STATIC, 0, "{\"data\":{\"password\":\"p\",\"ttl\":0," ROTATED("16") "}}", LEASED_RETRY_AFTER,
     0, 0, 0, "", NULL},
    /* late: the old one is good for now, and is looked at again, less and less often */
    {STATIC, 0, "{\"data\":{\"password\":\"p\",\"ttl\":0," ROTATED("12") "}}", LEASED_OK,
     8000 + DAY_MS, 8000, 0, "", NULL},
    {STATIC, 0,
     "{\"data\":{\"password\":\"p\",\"ttl\":0,\"last_vault_rotation\":\"2023-11-14T20:00:00Z\","
     "\"rotation_period\":3600}}",
     LEASED_OK, 30000 + DAY_MS, 30000, 0, "", NULL},
    {STATIC, 0,
     "{\"data\":{\"password\":\"p\",\"ttl\":0,\"rotation_schedule\":\"0 * * * *\","
     "\"last_vault_rotation\":\"2023-11-14T20:00:00Z\"}}",
     LEASED_OK, 5000 + DAY_MS, 5000, 0, "", NULL},
    {STATIC, 0, "{\"data\":{\"password\":\"p\",\"ttl\":-5}}", LEASED_INVALID, 0, 0, 0, "", NULL},
    /* rabbitmq, ldap, kubernetes: leases */
    {"{\"path\":\"rabbitmq/creds/a\"}", 0,
     "{\"lease_id\":\"rabbitmq/creds/a/1\",\"lease_duration\":60,\"renewable\":true,"
     "\"data\":{\"username\":\"u\",\"password\":\"p\"}}",
     LEASED_OK, 60000, 0, NEW | REV, "rabbitmq/creds/a/1", NULL},
    {"{\"path\":\"ldap/library/team/check-out\"}", 0,
     "{\"lease_id\":\"ldap/library/team/check-out/1\",\"lease_duration\":36000,"
     "\"renewable\":true,\"data\":{\"service_account_name\":\"fizz\",\"password\":\"p\"}}",
     LEASED_OK, 36000000, 0, NEW | REV, "ldap/library/team/check-out/1", NULL},
    {"{\"path\":\"kubernetes/creds/a\",\"params\":{\"kubernetes_namespace\":\"n\"}}", 0,
     "{\"lease_id\":\"kubernetes/creds/a/1\",\"lease_duration\":600,\"renewable\":false,"
     "\"data\":{\"service_account_token\":\"t\"}}",
     LEASED_OK, 600000, 0, REV, "kubernetes/creds/a/1", NULL},
    /* totp: to its moment's end, or five seconds, and only for who asks */
    {"{\"path\":\"totp/code/k\"}", 0,
     "{\"data\":{\"code\":\"123456\",\"expire_time\":1700000010,\"period\":\"30s\"}}", LEASED_OK,
     10000, NEVER, 0, "", "code*=123456\n"},
    {"{\"path\":\"totp/code/k\"}", 0, "{\"data\":{\"code\":\"1\",\"expire_time\":1700000000}}",
     LEASED_OK, 2000, NEVER, 0, "", NULL},
    {"{\"path\":\"totp/code/k\"}", 0, "{\"data\":{\"code\":\"1\"}}", LEASED_OK, 5000, NEVER, 0, "",
     NULL},
    /* transit: for as long as the role says */
    {"{\"path\":\"transit/datakey/plaintext/k\"}", 0,
     "{\"data\":{\"ciphertext\":\"c\",\"plaintext\":\"p\",\"key_version\":1}}", LEASED_OK, 300000,
     NEVER, 0, "", "plaintext*=p\n"},
    {"{\"path\":\"transit/datakey/wrapped/k\"}", 7200000, "{\"data\":{\"ciphertext\":\"c\"}}",
     LEASED_OK, 7200000, NEVER, 0, "", NULL},
    /* kv, version 1: its duration is a hint only where the secret chose it */
    {"{\"path\":\"kv/a\"}", 0, "{\"lease_duration\":2764800,\"data\":{\"k\":\"v\"}}", LEASED_OK,
     DAY_MS, 300000, 0, "", "k*=v\n"},
    {"{\"path\":\"kv/a\"}", 0, "{\"lease_duration\":30,\"data\":{\"k\":\"v\",\"ttl\":\"30s\"}}",
     LEASED_OK, DAY_MS, 30000, 0, "", NULL},
    {"{\"path\":\"kv/a\"}", 0, "{\"lease_duration\":40,\"data\":{\"k\":\"v\",\"lease\":\"40s\"}}",
     LEASED_OK, DAY_MS, 40000, 0, "", NULL},
    {"{\"path\":\"kv/a\"}", 0, "{\"lease_duration\":172800,\"data\":{\"k\":\"v\",\"ttl\":\"48h\"}}",
     LEASED_OK, 4U * DAY_MS, 172800000, 0, "", NULL},
    {"{\"path\":\"kv/a\"}", 3600000, "{\"lease_duration\":2764800,\"data\":{\"k\":\"v\"}}",
     LEASED_OK, 3600000, 0, 0, "", NULL},
    {"{\"path\":\"kv/a\",\"refresh\":\"1m\"}", 3600000,
     "{\"lease_duration\":2764800,\"data\":{\"k\":\"v\"}}", LEASED_OK, 3600000, 60000, 0, "", NULL},
    {"{\"path\":\"kv/a\",\"refresh\":10}", 0, "{\"lease_duration\":2764800,\"data\":{\"k\":\"v\"}}",
     LEASED_OK, DAY_MS, 10000, 0, "", NULL},
    {"{\"path\":\"kv/a\"}", 0,
     "{\"lease_duration\":2764800,\"data\":{\"k\":\"v\",\"ttl\":\"forever\"}}", LEASED_OK, DAY_MS,
     300000, 0, "", "ttl*=forever\n"},
    {"{\"path\":\"kv/a\"}", 0, "{\"lease_duration\":2764800,\"data\":{\"ttl\":true}}", LEASED_OK,
     DAY_MS, 300000, 0, "", NULL},
    {"{\"path\":\"kv/a\"}", 0, "{\"lease_duration\":90,\"data\":{\"k\":\"v\",\"ttl\":90}}",
     LEASED_OK, DAY_MS, 90000, 0, "", NULL},
    /* whatever its keys are called, and wherever it lies */
    {"{\"path\":\"kv/tls\"}", 0,
     "{\"lease_duration\":2764800,\"data\":{\"certificate\":\"PEM\",\"expiration\":1600000000}}",
     LEASED_OK, DAY_MS, 300000, 0, "", "expiration*=1600000000\n"},
    {"{\"path\":\"kv/tls\"}", 0, "{\"data\":{\"certificate\":\"PEM\",\"expiration\":\"in May\"}}",
     LEASED_OK, DAY_MS, 300000, 0, "", "expiration*=in May\n"},
    {"{\"path\":\"kv/issue/web\"}", 0,
     "{\"lease_duration\":2764800,\"data\":{\"certificate\":\"PEM\",\"expiration\":\"May\"}}",
     LEASED_OK, DAY_MS, 300000, 0, "", NULL},
    {"{\"path\":\"kv/ssh\"}", 0,
     "{\"lease_duration\":2764800,\"data\":{\"signed_key\":\"of mine\"}}", LEASED_OK, DAY_MS,
     300000, 0, "", "signed_key*=of mine\n"},
    {"{\"path\":\"kv/static-creds/app\"}", 0,
     "{\"lease_duration\":30,\"data\":{\"password\":\"p\",\"ttl\":30}}", LEASED_OK, DAY_MS, 30000,
     0, "", NULL},
    {"{\"path\":\"kv/code/door\"}", 0, "{\"lease_duration\":2764800,\"data\":{\"code\":\"1234\"}}",
     LEASED_OK, DAY_MS, 300000, 0, "", NULL},
    {"{\"path\":\"kv/a\"}", 0,
     "{\"lease_duration\":2764800,\"data\":{\"a\":1.1,\"b\":0.1,\"c\":[2.5,1e22]}}", LEASED_OK,
     DAY_MS, 300000, 0, "", "a*=1.1\nb*=0.1\nc*=[2.5,1e22]\n"},
    {"{\"path\":\"kv/a\"}", 0, "{\"lease_duration\":2764800,\"data\":{\"a\":0.30000000000000004}}",
     LEASED_OK, DAY_MS, 300000, 0, "", "a*=0.30000000000000004\n"},
    /* kv, version 2: what is inside, and its version */
    {"{\"path\":\"kv/data/a\"}", 0,
     "{\"data\":{\"data\":{\"k\":\"v\",\"o\":{\"x\":1}},\"metadata\":{\"version\":3,"
     "\"deletion_time\":\"\",\"destroyed\":false}}}",
     LEASED_OK, DAY_MS, 300000, 0, "", "k*=v\no*={\"x\":1}\nmetadata.version=3\n"},
    {"{\"path\":\"kv/data/a\"}", 0,
     "{\"data\":{\"data\":{\"metadata.version\":\"mine\"},\"metadata\":{\"version\":3}}}",
     LEASED_OK, DAY_MS, 300000, 0, "", "metadata.version=mine\n"},
    {"{\"path\":\"kv/data/a\"}", 0, "{\"data\":{\"data\":{},\"metadata\":{\"version\":3}}}",
     LEASED_INVALID, 0, 0, 0, "", NULL},
    /* cubbyhole */
    {"{\"path\":\"cubbyhole/x\"}", 0, "{\"lease_duration\":0,\"data\":{\"k\":\"v\"}}", LEASED_OK,
     DAY_MS, 300000, 0, "", NULL},
    /* tokens that tell their own end */
    {"{\"path\":\"identity/oidc/token/r\"}", 0,
     "{\"data\":{\"client_id\":\"c\",\"token\":\"t\",\"ttl\":86400}}", LEASED_OK, DAY_MS, 0, 0, "",
     "token*=t\n"},
    {"{\"path\":\"gcp/roleset/r/token\"}", 0,
     "{\"data\":{\"token\":\"t\",\"expires_at_seconds\":1700003599,\"token_ttl\":3599}}", LEASED_OK,
     3599000, 0, 0, "", NULL},
    {"{\"path\":\"x/y\"}", 0, "{\"data\":{\"token\":\"t\",\"ttl\":4000000000}}", LEASED_INVALID, 0,
     0, 0, "", NULL},
};

static void test_each_engine_has_its_own_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct leased_host_context *host = host_open_root();
        struct fake_op *op = host_issue(host, cases[i].params, cases[i].ttl_ms);
        bool has_splay = strstr(cases[i].params, "/static-cred") != NULL;

        host_answer(host, host_last(host), 200, cases[i].body);
        if (op->status != cases[i].status || op->lifetime_ms != cases[i].lifetime_ms ||
            op->flags != cases[i].flags || strcmp(op->ref, cases[i].ref) != 0 ||
            op->refresh_ms < cases[i].refresh_ms ||
            op->refresh_ms - cases[i].refresh_ms > (has_splay ? 1000U : 0U)) {
            fail_msg("case %zu: status %d, life %llu, refresh %llu, flags %u, ref %s: %s", i,
                     op->status, (unsigned long long)op->lifetime_ms,
                     (unsigned long long)op->refresh_ms, op->flags, op->ref, op->detail);
        }
        if (cases[i].field != NULL && strstr(op->fields, cases[i].field) == NULL) {
            fail_msg("case %zu: %s", i, op->fields);
        }
        assert_null(strstr(op->fields, "\\n\n")); /* no value ends with a line's end */
        host_close(host, 0);
    }
}

static void test_an_end_that_cannot_be_read_says_so(void **state)
{
    static const char *const bodies[] = {
        "{\"data\":{\"certificate\":\"PEM\",\"expiration\":\"soon\"}}",
        "{\"data\":{\"certificate\":\"PEM\",\"expiration\":-1}}",
        "{\"data\":{\"token\":\"t\",\"expiration\":9999999999999}}",
    };
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct fake_op *op = host_issue(host, PKI, 0);

        host_answer(host, host_last(host), 200, bodies[i]);
        assert_int_equal(op->status, LEASED_INVALID);
        assert_non_null(strstr(op->detail, "can't be read: expiration"));
    }
    host_close(host, 0);
}

/* Nothing was created that could be lost. */
static void test_an_answer_to_a_read_that_cannot_be_used_is_not_lost(void **state)
{
    static const char *const paths[] = {"kv/data/app", "team/kv/data/a/b", "cubbyhole/x",
                                        "database/static-creds/app"};
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        char params[128];
        struct fake_op *op;

        (void)snprintf(params, sizeof(params), "{\"path\":\"%s\"}", paths[i]);
        op = host_issue(host, params, 0);
        host_answer(host, host_last(host), 200, "{\"data\":{\"data\":{\"k\":\"a\\u0000b\"}}}");
        assert_int_equal(op->status, LEASED_INVALID);
        assert_non_null(strstr(op->detail, "zero byte"));
        op = host_issue(host, params, 0);
        host_fail(host, host_last(host), LEASED_HTTP_LOST);
        assert_int_equal(op->status, LEASED_RETRY);
        op = host_issue(host, params, 0);
        host_answer(host, host_last(host), 502, "");
        assert_int_equal(op->status, LEASED_RETRY);
    }
    (void)host_issue(host, "{\"path\":\"a/data/creds/b\"}", 0);
    host_fail(host, host_last(host), LEASED_HTTP_LOST);
    assert_int_equal(host->ops[host->op_count - 1].status, LEASED_LOST);
    host_close(host, 0);
}

/* For any life that an issuer can write: what comes of it is above zero and bounded, or refused. */
static void test_no_number_makes_a_life_of_zero_or_without_bound(void **state)
{
    static const char *const numbers[] = {
        "0",
        "-1",
        "1",
        "1.5",
        "1e3",
        "2147483647",
        "2147483648",
        "4294967296",
        "3153600000",
        "3153600001",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "\"60\"",
        "null",
        "true",
        "[]",
        "{}",
    };
    static const char *const bodies[] = {
        "{\"lease_id\":\"kv/a/1\",\"lease_duration\":%s,\"data\":{\"k\":\"v\"}}",
        "{\"lease_duration\":%s,\"data\":{\"k\":\"v\",\"ttl\":\"x\"}}",
        "{\"data\":{\"k\":\"v\",\"ttl\":%s}}",
        "{\"data\":{\"k\":\"v\",\"ttl\":%s,\"last_vault_rotation\":\"x\"}}",
        "{\"data\":{\"k\":\"v\",\"expiration\":%s}}",
        "{\"data\":{\"certificate\":\"v\",\"expiration\":%s}}",
        "{\"data\":{\"k\":\"v\",\"expires_at_seconds\":%s}}",
    };

    (void)state;
    for (size_t b = 0; b < COUNT(bodies); b++) {
        for (size_t n = 0; n < COUNT(numbers); n++) {
            struct leased_host_context *host = host_open_root();
            struct fake_op *op = host_issue(host, "{\"path\":\"kv/a\"}", 0);
            char body[256];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            (void)snprintf(body, sizeof(body), bodies[b], numbers[n]);
#pragma GCC diagnostic pop
            host_answer(host, host_last(host), 200, body);
            assert_false(op->is_open);
            if (op->status == LEASED_OK) {
                assert_in_range(op->lifetime_ms, 1, 2U * 3153600000000U);
            } else {
                assert_int_equal(op->lifetime_ms, 0);
                assert_true(op->detail[0] != '\0');
            }
            host_close(host, 0);
        }
    }
}

static void test_the_issuers_clock_counts_where_it_tells_it(void **state)
{
    const struct leased_http_header date = {PLUGIN_STR("date"),
                                            PLUGIN_STR("Tue, 14 Nov 2023 23:03:20 GMT")};
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_issue(host, PKI, 0);

    (void)state;
    /* Ours is 50 minutes behind. */
    host_answer_header(host, host_last(host), 200, &date, "{\"data\":{" CERTIFICATE);
    assert_int_equal(op->lifetime_ms, 600000);
    host_close(host, 0);
}

static void test_the_method_and_the_life_are_what_the_engine_takes(void **state)
{
    static const struct {
        const char *params;
        uint64_t ttl_ms;
        const char *method;
        const char *path;
        const char *body;
    } cases_of[] = {
        {"{\"path\":\"database/creds/a\"}", 60000, "GET", "/v1/database/creds/a", ""},
        {PKI, 90500, "POST", "/v1/pki/issue/web", "{\"common_name\":\"a.x\",\"ttl\":\"91s\"}"},
        {"{\"path\":\"pki/issue/w\",\"params\":{\"common_name\":\"a\",\"ttl\":\"1h\"}}", 60000,
         "POST", "/v1/pki/issue/w", "{\"common_name\":\"a\",\"ttl\":\"1h\"}"},
        {"{\"path\":\"pki/issue/w\",\"params\":{\"common_name\":\"a\",\"not_after\":\"x\"}}", 60000,
         "POST", "/v1/pki/issue/w", "{\"common_name\":\"a\",\"not_after\":\"x\"}"},
        {"{\"path\":\"ssh/sign/u\",\"params\":{\"public_key\":\"k\"}}", 60000, "POST",
         "/v1/ssh/sign/u", "{\"public_key\":\"k\",\"ttl\":\"60s\"}"},
        {"{\"path\":\"aws/sts/a\"}", 3600000, "GET", "/v1/aws/sts/a?ttl=3600s", ""},
        {"{\"path\":\"aws/sts/a\",\"method\":\"post\"}", 0, "POST", "/v1/aws/sts/a", "{}"},
        {"{\"path\":\"k/creds/a\",\"params\":{\"kubernetes_namespace\":\"n\"}}", 60000, "POST",
         "/v1/k/creds/a", "{\"kubernetes_namespace\":\"n\",\"ttl\":\"60s\"}"},
        {"{\"path\":\"ssh/creds/otp\",\"params\":{\"ip\":\"::1\"}}", 60000, "POST",
         "/v1/ssh/creds/otp", "{\"ip\":\"::1\"}"},
        {"{\"path\":\"ssh/creds/otp\",\"method\":\"get\",\"params\":{\"ip\":\"1\"}}", 60000, "GET",
         "/v1/ssh/creds/otp?ip=1", ""},
        {"{\"path\":\"ldap/library/t/check-out\"}", 60000, "POST", "/v1/ldap/library/t/check-out",
         "{}"},
        {"{\"path\":\"transit/datakey/wrapped/k\"}", 60000, "POST", "/v1/transit/datakey/wrapped/k",
         "{}"},
        {"{\"path\":\"totp/code/k\"}", 0, "GET", "/v1/totp/code/k", ""},
        {"{\"path\":\"pki/issue/w\",\"params\":{\"uri_sans\":\"spiffe://x/y\"}}", 60000, "POST",
         "/v1/pki/issue/w", "{\"uri_sans\":\"spiffe://x/y\",\"ttl\":\"60s\"}"},
        {"{\"path\":\"pki/issuer/a/issue/w\",\"params\":{\"alt_names\":\"a.x\"}}", 0, "POST",
         "/v1/pki/issuer/a/issue/w", "{\"alt_names\":\"a.x\"}"},
        /* A secret that looks like an engine's path is never written to. */
        {"{\"path\":\"kv/issue/web\"}", 60000, "GET", "/v1/kv/issue/web", ""},
        {"{\"path\":\"kv/sign/web\"}", 60000, "GET", "/v1/kv/sign/web", ""},
        {"{\"path\":\"kv/creds/web\"}", 60000, "GET", "/v1/kv/creds/web", ""},
        {"{\"path\":\"issue/web\"}", 60000, "GET", "/v1/issue/web", ""},
    };
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < COUNT(cases_of); i++) {
        (void)host_issue(host, cases_of[i].params, cases_of[i].ttl_ms);
        assert_string_equal(host_last(host)->method, cases_of[i].method);
        assert_string_equal(host_last(host)->path, cases_of[i].path);
        assert_string_equal(host_last(host)->body, cases_of[i].body);
    }
    host_close(host, 0);
}

static void test_what_is_not_there_is_told_with_a_hint(void **state)
{
    static const struct {
        const char *params;
        uint32_t status;
        const char *body;
        const char *word;
    } cases_of[] = {
        {"{\"path\":\"kv/data/a\"}", 404, "{\"errors\":[]}", "nothing at this path"},
        {"{\"path\":\"kv/data/a\"}", 404,
         "{\"data\":{\"data\":null,\"metadata\":{\"version\":2,\"destroyed\":false,"
         "\"deletion_time\":\"2026-11-23T00:00:51.3Z\"}}}",
         "version 2 of the secret was deleted at 2026-11-23T00:00:51.3Z"},
        {"{\"path\":\"kv/data/a\"}", 404,
         "{\"data\":{\"data\":null,\"metadata\":{\"version\":1,\"destroyed\":true,"
         "\"deletion_time\":\"\"}}}",
         "version 1 of the secret was destroyed (HTTP"},
        {"{\"path\":\"kv/app/db\"}", 404,
         "{\"data\":null,\"warnings\":[\"Invalid path for a versioned K/V secrets engine. See\"]}",
         "did you mean \"kv/data/app/db\"?"},
        {"{\"path\":\"kv/app\"}", 404, "{\"warnings\":[\"other\"],\"data\":null}", "nothing"},
        {"{\"path\":\"pki/issue/w\"}", 405, "{\"errors\":[\"unsupported operation\"]}",
         "doesn't support GET: set `method: post`"},
        {"{\"path\":\"database/creds/w\",\"method\":\"post\"}", 405, "{\"errors\":[]}",
         "doesn't support POST: set `method: get`"},
    };
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < COUNT(cases_of); i++) {
        struct fake_op *op = host_issue(host, cases_of[i].params, 0);

        host_answer(host, host_last(host), cases_of[i].status, cases_of[i].body);
        assert_int_equal(op->status, LEASED_INVALID);
        if (strstr(op->detail, cases_of[i].word) == NULL) {
            fail_msg("case %zu: %s", i, op->detail);
        }
    }
    host_close(host, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_engine_has_its_own_rule),
        cmocka_unit_test(test_an_end_that_cannot_be_read_says_so),
        cmocka_unit_test(test_an_answer_to_a_read_that_cannot_be_used_is_not_lost),
        cmocka_unit_test(test_no_number_makes_a_life_of_zero_or_without_bound),
        cmocka_unit_test(test_the_issuers_clock_counts_where_it_tells_it),
        cmocka_unit_test(test_the_method_and_the_life_are_what_the_engine_takes),
        cmocka_unit_test(test_what_is_not_there_is_told_with_a_hint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
