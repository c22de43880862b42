/* localca: what may stand in a configuration, in a role and in a certificate, and which keys it
 * reads. */
#include "plugins/localca_keys.h"
#include "plugins/localca_world.h"

#include "localca/names.h"
#include "localca/params.h"
#include "localca/revoked.h"
#include "localca/sshkey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct leased_host host = {
    .size = sizeof(host), .alloc = malloc, .secret_alloc = malloc, .secret_free = free};

/* --- names ------------------------------------------------------------------------------------ */

static void test_dns_names(void **state)
{
    static const char *const good[] = {"a", "a.b", "A-1.example", "xn--bcher-kva.example", "1.a"};
    static const char *const bad[] = {"",        ".",           "a.",    ".a",       "a..b",
                                      "-a.b",    "a-.b",        "a_b.c", "a b",      "a,b",
                                      "a\nb",    "*.a",         "a.*.b", "10.1.2.3", "DNS:a",
                                      "a.b:443", "b\xc3\xbc.a", "*",     "a/b"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_null(localca_dns_problem(plugin_str(good[i]), false));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_non_null(localca_dns_problem(plugin_str(bad[i]), false));
    }
    assert_null(localca_dns_problem(PLUGIN_STR("*.example"), true));
    assert_non_null(localca_dns_problem(PLUGIN_STR("*."), true));
    assert_non_null(localca_dns_problem(PLUGIN_STR("*.*.example"), true));
}

static void test_the_longest_dns_name_and_label(void **state)
{
    char name[300];

    (void)state;
    memset(name, 'a', sizeof(name));
    assert_null(localca_dns_problem((struct leased_str){name, 63}, false));
    assert_non_null(localca_dns_problem((struct leased_str){name, 64}, false));
    for (size_t i = 50; i < sizeof(name); i += 51) {
        name[i] = '.';
    }
    assert_null(localca_dns_problem((struct leased_str){name, 253}, false));
    assert_non_null(localca_dns_problem((struct leased_str){name, 254}, false));
}

static void test_uris(void **state)
{
    static const char *const good[] = {
        "spiffe://example",      "spiffe://example/joe", "spiffe://a.b_c-1/ns/x/sa/Y.z_-1",
        "https://example/a?b=c", "urn:uuid:6e8bc430",    "mailto:joe@example"};
    static const char *const bad[] = {"",
                                      "joe",
                                      ":x",
                                      "spiffe:",
                                      "spiffe:x",
                                      "spiffe:///joe",
                                      "spiffe://Example/joe",
                                      "spiffe://example/",
                                      "spiffe://example//joe",
                                      "spiffe://example/joe/",
                                      "spiffe://example/../joe",
                                      "spiffe://example/./joe",
                                      "spiffe://example/joe?x",
                                      "spiffe://example/joe#x",
                                      "spiffe://example/a%2fb",
                                      "spiffe://example/a b",
                                      "spiffe://user@example/a",
                                      "spiffe://example:80/a",
                                      "SPIFFE://example/a",
                                      "https://example/../a",
                                      "https://example/a,URI:b",
                                      "https://example/\na",
                                      "https://example/\xc3\xbc"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_null(localca_uri_problem(plugin_str(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (localca_uri_problem(plugin_str(bad[i])) == NULL) {
            fail_msg("%s", bad[i]);
        }
    }
}

static void test_common_names_and_principals(void **state)
{
    static const char *const bad_names[] = {"",    " a",  "a ",     "a,O=b", "a/O=b",
                                            "a+b", "a=b", "a\nb",   "a\"b",  "a;b",
                                            "<a>", "a#b", "a\\2cb", "\x7f"};
    static const char *const bad_principals[] = {"",   "-a",  "a b",   "a,b",  "a*",      "a?",
                                                 "!a", "a\n", "\"a\"", "a\\b", "\xc3\xbc"};

    (void)state;
    assert_null(localca_common_name_problem(PLUGIN_STR("Joe B\xc3\xbc.cher (ops) @ 7")));
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
        assert_non_null(localca_common_name_problem(plugin_str(bad_names[i])));
    }
    assert_null(localca_principal_problem(PLUGIN_STR("joe.b_1@example:x/y+z-")));
    for (size_t i = 0; i < sizeof(bad_principals) / sizeof(bad_principals[0]); i++) {
        assert_non_null(localca_principal_problem(plugin_str(bad_principals[i])));
    }
}

static void test_addresses(void **state)
{
    static const char *const good[] = {"10.0.0.0/8", "10.1.2.3",  "10.1.2.3/32,2001:db8::/32",
                                       "::1",        "0.0.0.0/0", "10.128.0.0/9"};
    static const char *const bad[] = {"",
                                      ",",
                                      "10.0.0.0/8,",
                                      "10.0.0.0/33",
                                      "10.0.0.1/8",
                                      "10.0.0.0/08",
                                      "10.0.0.0/",
                                      "a",
                                      "10.0.0.0/8, 10.1.0.0/16",
                                      "!10.0.0.0/8",
                                      "::/129",
                                      "10.0.0.0/8\n",
                                      "10.0.0.0/-1"};
    unsigned char address[16];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_null(localca_source_address_problem(plugin_str(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (localca_source_address_problem(plugin_str(bad[i])) == NULL) {
            fail_msg("%s", bad[i]);
        }
    }
    assert_int_equal(localca_ip_parse(PLUGIN_STR("1.2.3.4"), address), 4);
    assert_int_equal(localca_ip_parse(PLUGIN_STR("::"), address), 16);
    assert_int_equal(localca_ip_parse(PLUGIN_STR("1.2.3"), address), 0);
    assert_int_equal(localca_ip_parse((struct leased_str){"::1\0.2", 6}, address), 0);
}

/* --- configuration ---------------------------------------------------------------------------- */

static void test_mistakes_in_a_backend_begin_with_their_key(void **state)
{
    static const struct {
        const char *config;
        const char *error;
    } cases[] = {
        {"{}", "ca_key_file (with ca_cert_file) or ssh_ca_key_file is missing"},
        {"{\"ca_key_file\":\"/k\"}", "ca_cert_file is missing"},
        {"{\"ssh_ca_key_file\":\"/k\",\"ca_cert_file\":\"/c\"}", "ca_cert_file: the key"},
        {"{\"ssh_ca_key_file\":\"/k\",\"crl_file\":\"/c\"}", "crl_file: a CRL is signed"},
        {"{\"ca_key_file\":\"/k\",\"ca_cert_file\":\"/c\",\"krl_file\":\"/x\"}", "krl_file: it is"},
        {"{\"ca_key_file\":\"/k\",\"ca_key_env\":\"K\",\"ca_cert_file\":\"/c\"}",
         "ca_key_env: only"},
        {"{\"ssh_ca_key_file\":\"/k\",\"krl_file\":\"x\"}", "krl_file: an absolute path"},
        {"{\"ssh_ca_key_file\":\"/k\",\"max_ttl\":\"5s\"}", "max_ttl: a duration of 60 s to 366"},
        {"{\"ssh_ca_key_file\":\"/k\",\"max_ttl\":\"long\"}", "max_ttl: a duration"},
        {"{\"ssh_ca_key_file\":\"/k\",\"crl_lifetime\":\"31d\"}", "crl_lifetime: a duration"},
        {"{\"ssh_ca_key\":\"/k\"}", "ssh_ca_key: a secret is never written"},
        {"{\"ssh_ca_key_fil\":\"/k\"}", "ssh_ca_key_fil: unknown key; did you mean"},
        {"{\"ca_key_file\":\"/k\",\"ca_cert_file\":\"/c\",\"ssh_ca_key_file\":\"/s\","
         "\"crl_file\":\"/x\",\"krl_file\":\"/x\"}",
         "krl_file: it can't be the same"},
        {"{\"ca_key_file\":\"/k\",\"ca_cert_file\":\"/c\",\"crl_file\":\"/k\"}",
         "crl_file: it would replace"},
        {"{\"ca_key_file\":\"/k\",\"ca_cert_file\":\"/c\",\"crl_file\":\"/c\"}",
         "crl_file: it would replace"},
        {"{\"ssh_ca_key_file\":\"/k\",\"krl_file\":\"/k\"}", "krl_file: it would replace"},
    };
    static struct localca_world it;

    (void)state;
    localca_world_init(&it, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *error = plugin_world_config_error(&it.world, cases[i].config);

        if (strncmp(error, cases[i].error, strlen(cases[i].error)) != 0) {
            fail_msg("%s: %s", cases[i].config, error);
        }
    }
    assert_string_equal(plugin_world_config_error(&it.world, LOCALCA_CONFIG), "");
    assert_string_equal(
        plugin_world_config_error(&it.world, "{\"ssh_ca_key_env\":\"K\",\"max_ttl\":3600}"), "");
    localca_world_fini(&it);
}

static void test_mistakes_in_a_role_begin_with_their_key(void **state)
{
    static const struct {
        const char *params;
        const char *error;
    } cases[] = {
        {"{}", "type is missing"},
        {"{\"type\":\"pgp\"}", "type: x509 or ssh"},
        {"{\"type\":\"x509\"}", "one of common_name, dns, ip and uri is missing"},
        {"{\"type\":\"x509\",\"dns\":\"a b\"}", "dns: \"a b\" can't stand"},
        {"{\"type\":\"x509\",\"dns\":\"*.a\"}", "dns: \"*.a\" can't stand"},
        {"{\"type\":\"x509\",\"dns\":[1]}", "dns: a text or a list"},
        {"{\"type\":\"x509\",\"ip\":\"1.2\"}", "ip: \"1.2\" can't stand"},
        {"{\"type\":\"x509\",\"uri\":\"x\"}", "uri: \"x\" can't stand"},
        {"{\"type\":\"x509\",\"common_name\":\"a/b\"}", "common_name: \"a/b\" can't stand"},
        {"{\"type\":\"x509\",\"common_name\":\"a\",\"usage\":\"all\"}", "usage: client, server"},
        {"{\"type\":\"x509\",\"common_name\":\"a\",\"usage\":[]}", "usage: client, server"},
        {"{\"type\":\"x509\",\"common_name\":\"a\",\"key\":\"rsa\"}", "key: p256 or ed25519"},
        {"{\"type\":\"x509\",\"common_name\":\"a\",\"wildcards\":1}", "wildcards: true"},
        {"{\"type\":\"x509\",\"comon_name\":\"a\"}", "comon_name: unknown key; did you mean"},
        {"{\"type\":\"x509\",\"principals\":\"a\"}", "principals: unknown key"},
        {"{\"type\":\"ssh\"}", "principals is missing"},
        {"{\"type\":\"ssh\",\"principals\":[]}", "principals is missing"},
        {"{\"type\":\"ssh\",\"principals\":\"a,b\"}", "principals: \"a,b\" can't stand"},
        {"{\"type\":\"ssh\",\"principals\":\"a\",\"critical_options\":[]}", "critical_options: "},
        {"{\"type\":\"ssh\",\"principals\":\"a\",\"critical_options\":{\"force\":\"x\"}}",
         "critical_options.force: unknown key"},
        {"{\"type\":\"ssh\",\"principals\":\"a\",\"critical_options\":{\"source-address\":\"x\"}}",
         "critical_options.source-address: addresses"},
        {"{\"type\":\"ssh\",\"principals\":\"a\",\"critical_options\":{\"force-command\":\"\"}}",
         "force-command: one line"},
        {"{\"type\":\"ssh\",\"principals\":\"a\",\"extensions\":[\"permit-ptty\"]}",
         "extensions: permit-pty, "},
        {"{\"type\":\"ssh\",\"principals\":\"a\",\"extensions\":[\"permit-pty\",\"permit-pty\"]}",
         "extensions: permit-pty stands there twice"},
        {"{\"type\":\"ssh\",\"principals\":\"a\",\"extensions\":\"permit-pty\"}",
         "extensions: a list"},
        {"{\"type\":\"ssh\",\"principals\":\"a\",\"key_id\":\"a\\nb\"}", "key_id: one line"},
        {"{\"type\":\"ssh\",\"principals\":\"a\",\"public_key\":\"ssh-dss AAAA\"}",
         "public_key: it is not a whole"},
        {"{\"type\":\"ssh\",\"principals\":\"a\",\"public_key\":1}", "public_key: a line"},
    };
    static struct localca_world it;

    (void)state;
    localca_world_init(&it, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *error = plugin_world_params_error(&it.world, cases[i].params);

        if (strncmp(error, cases[i].error, strlen(cases[i].error)) != 0) {
            fail_msg("%s: %s", cases[i].params, error);
        }
    }
    assert_string_equal(plugin_world_params_error(&it.world, LOCALCA_PARAMS_X509), "");
    assert_string_equal(plugin_world_params_error(&it.world, LOCALCA_PARAMS_SSH), "");
    assert_string_equal(plugin_world_params_error(
                            &it.world, "{\"type\":\"ssh\",\"principals\":\"a\",\"extensions\":"
                                       "[\"login@example.org\",\"permit-pty\"]}"),
                        "");
    localca_world_fini(&it);
}

/* --- callers ---------------------------------------------------------------------------------- */

static int check_caller(const char *params_json, const char *key, const char *value,
                        struct plugin_text *detail)
{
    const struct leased_kv said = {.key = plugin_str(key), .value = plugin_str(value)};
    const struct leased_issue request = {.size = sizeof(request),
                                         .caller = &said,
                                         .caller_count = 1};
    struct localca_params params;
    int rc;

    assert_int_equal(localca_params_parse(plugin_str(params_json), &params, detail), 0);
    rc = localca_params_check_caller(&params, &request, detail);
    localca_params_fini(&params);
    return rc;
}

static void test_a_value_brings_no_separator_along(void **state)
{
#define URI "{\"type\":\"x509\",\"uri\":\"spiffe://a/build/7\"}"
#define DNS "{\"type\":\"x509\",\"dns\":\"a.b.example\"}"
#define COMMAND(text)                                                                              \
    "{\"type\":\"ssh\",\"principals\":\"a\",\"critical_options\":{\"force-command\":\"" text "\"}}"
    struct plugin_text detail;

    (void)state;
    assert_int_equal(check_caller(URI, "reason", "build/7", &detail), -1);
    assert_string_equal(detail.bytes, "uri: the caller's reason stands in it, and holds more than "
                                      "letters, digits and -._~@:+");
    assert_int_equal(check_caller(URI, "reason", "build", &detail), 0);
    assert_int_equal(check_caller(URI, "reason", "other/7", &detail), 0);
    assert_int_equal(check_caller(URI, "reason", "", &detail), 0);
    assert_int_equal(check_caller(DNS, "reason", "a.b", &detail), -1);
    assert_int_equal(check_caller(DNS, "user", "a.b", &detail), 0); /* the kernel's word */
    assert_int_equal(check_caller(COMMAND("run $(id)"), "user", "$(id)", &detail), -1);
    assert_int_equal(check_caller(COMMAND("run a b"), "reason", "a b", &detail), -1);
    assert_int_equal(check_caller(COMMAND("run a b"), "reason", "a\tb", &detail), -1);
    assert_int_equal(check_caller(COMMAND("run a b"), "unit", "a.service", &detail), 0);
}

/* --- keys ------------------------------------------------------------------------------------- */

static void test_keys_of_each_kind_are_read_and_have_their_public_half(void **state)
{
    static const struct {
        const char *key;
        const char *line;
    } cases[] = {{KEY_ED25519, PUBLIC_ED25519},
                 {KEY_ECDSA, PUBLIC_ECDSA},
                 {KEY_RSA, PUBLIC_RSA},
                 {KEY_PEM, PUBLIC_PEM}};
    struct plugin_text detail;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        EVP_PKEY *key = localca_sshkey_read(&host, plugin_str(cases[i].key), &detail);
        struct localca_sshkey public_key;
        struct localca_sshkey expected;

        assert_non_null(key);
        assert_int_equal(localca_sshkey_public(&host, key, &public_key), 0);
        assert_int_equal(localca_sshkey_parse(plugin_str(cases[i].line), &expected, &detail), 0);
        assert_string_equal(public_key.type, expected.type);
        assert_int_equal(public_key.blob_len, expected.blob_len);
        assert_memory_equal(public_key.blob, expected.blob, expected.blob_len);
        EVP_PKEY_free(key);
    }
}

static void test_what_is_no_private_key_is_refused_with_a_reason(void **state)
{
    static const struct {
        const char *key;
        const char *reason;
    } cases[] = {
        {"", "it holds no private key"},
        {"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "its last line"},
        {"-----BEGIN OPENSSH PRIVATE KEY-----\n\xff\n-----END OPENSSH PRIVATE KEY-----\n",
         "it is not base64"},
        {"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
         "it is not a whole private key"},
        {KEY_ENCRYPTED, "it is encrypted"},
    };
    struct plugin_text detail;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(localca_sshkey_read(&host, plugin_str(cases[i].key), &detail));
        assert_memory_equal(detail.bytes, cases[i].reason, strlen(cases[i].reason));
    }
}

/* Cut off anywhere, or with a byte changed: another key or none, never a crash. */
static void test_damaged_keys(void **state)
{
    static const char *const keys[] = {KEY_ED25519, KEY_ECDSA, KEY_RSA};
    struct plugin_text detail;

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        size_t len = strlen(keys[k]);
        char text[4096];

        for (size_t i = 40; i < len - 40; i += 7) {
            EVP_PKEY *key;

            (void)snprintf(text, sizeof(text), "%s", keys[k]);
            text[i] = text[i] == 'A' ? 'B' : 'A';
            key = localca_sshkey_read(&host, plugin_str(text), &detail);
            EVP_PKEY_free(key);
            (void)snprintf(text, sizeof(text), "%.*s\n-----END OPENSSH PRIVATE KEY-----\n", (int)i,
                           keys[k]);
            key = localca_sshkey_read(&host, plugin_str(text), &detail);
            EVP_PKEY_free(key);
        }
    }
}

static void test_what_is_no_public_key_is_refused(void **state)
{
    static const char *const lines[] = {
        "",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 !",
        "ssh-ed25519 AAAA",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAICo+HICRFk2fWGvzZQBM7OyM1PVHgfmtPnWFA0F6yH4s",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICo+HICRFk2fWGvzZQBM7OyM1PVHgfmtPnWFA0F6yH4sAAAA",
        "a-type-whose-name-is-longer-than-any-type AAAA"};
    struct localca_sshkey key;
    struct plugin_text detail;

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(localca_sshkey_parse(plugin_str(lines[i]), &key, &detail), -1);
    }
}

/* --- the list --------------------------------------------------------------------------------- */

static void test_the_list_comes_back_from_its_state(void **state)
{
    static char bytes[LOCALCA_STATE_MAX_BYTES];
    struct localca_revoked revoked = {.number = 7};
    struct localca_revoked again;
    struct localca_entry entry = {.type = LOCALCA_X509, .expires_s = 4000000000U, .revoked_s = 5};
    size_t len;

    (void)state;
    for (size_t i = 0; i < 100; i++) {
        entry.serial.bytes[0] = (unsigned char)i;
        entry.type = i % 2 == 0 ? LOCALCA_X509 : LOCALCA_SSH;
        assert_int_equal(localca_revoked_add(&host, &revoked, &entry), 0);
    }
    len = localca_revoked_encode(&revoked, bytes);
    assert_int_equal(localca_revoked_decode(&host, (struct leased_str){bytes, len}, &again), 0);
    assert_int_equal(again.count, 100);
    assert_int_equal(again.number, 7);
    assert_memory_equal(again.entries, revoked.entries, 100 * sizeof(entry));
    assert_int_equal(localca_revoked_count(&again, LOCALCA_SSH), 50);
    localca_revoked_fini(&host, &again);
    assert_int_equal(localca_revoked_decode(&host, (struct leased_str){bytes, len - 1}, &again),
                     -1);
    assert_int_equal(localca_revoked_drop_expired(&revoked, 4000003600U), 100);
    localca_revoked_fini(&host, &revoked);
    assert_int_equal(localca_revoked_decode(&host, (struct leased_str){bytes, len}, &again), 0);
    localca_revoked_fini(&host, &again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dns_names),
        cmocka_unit_test(test_the_longest_dns_name_and_label),
        cmocka_unit_test(test_uris),
        cmocka_unit_test(test_common_names_and_principals),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_mistakes_in_a_backend_begin_with_their_key),
        cmocka_unit_test(test_mistakes_in_a_role_begin_with_their_key),
        cmocka_unit_test(test_a_value_brings_no_separator_along),
        cmocka_unit_test(test_keys_of_each_kind_are_read_and_have_their_public_half),
        cmocka_unit_test(test_what_is_no_private_key_is_refused_with_a_reason),
        cmocka_unit_test(test_damaged_keys),
        cmocka_unit_test(test_what_is_no_public_key_is_refused),
        cmocka_unit_test(test_the_list_comes_back_from_its_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
