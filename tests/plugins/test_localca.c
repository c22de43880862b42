/* localca: what it issues, and when it doesn't. OpenSSL judges the certificates. */
#include "plugins/localca_keys.h"
#include "plugins/localca_world.h"

#include "common/base64.h"
#include "localca/sshkey.h"
#include "localca/wire.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct localca_world it;
static struct plugin_call call;

static void issue(const char *params, uint64_t ttl_ms)
{
    plugin_world_issue(&it.world, &call, params, ttl_ms);
    assert_int_equal(call.end_count, 1);
}

static void issue_well(const char *params, uint64_t ttl_ms)
{
    issue(params, ttl_ms);
    if (call.outcome != LEASE_OUTCOME_OK) {
        fail_msg("%s", call.detail);
    }
}

static int64_t unix_of(const ASN1_TIME *time)
{
    struct tm tm;

    assert_int_equal(ASN1_TIME_to_tm(time, &tm), 1);
    return (int64_t)timegm(&tm);
}

/* --- X.509 ------------------------------------------------------------------------------------ */

static bool verifies(X509 *certificate, int purpose)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_VERIFY_PARAM *param;
    bool is_fine;

    (void)X509_STORE_add_cert(store, it.ca.certificate);
    (void)X509_STORE_CTX_init(context, store, certificate, NULL);
    param = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_time(param, it.world.fake.wall_ms / 1000);
    (void)X509_VERIFY_PARAM_set_purpose(param, purpose);
    (void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    is_fine = X509_verify_cert(context) == 1;
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return is_fine;
}

static void test_a_client_certificate_verifies_and_fits_its_key(void **state)
{
    X509 *certificate;
    EVP_PKEY *key;
    char name[64];

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue_well(LOCALCA_PARAMS_X509, 600000);
    certificate = localca_certificate(&call);
    key = localca_private_key(&call);
    assert_true(verifies(certificate, X509_PURPOSE_SSL_CLIENT));
    assert_false(verifies(certificate, X509_PURPOSE_SSL_SERVER));
    assert_int_equal(X509_check_private_key(certificate, key), 1);
    assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                                          sizeof(name)) > 0);
    assert_string_equal(name, "joe");
    assert_int_equal(X509_check_host(certificate, "joe.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(certificate, "other.example", 0, 0, NULL), 0);
    assert_int_equal(unix_of(X509_get0_notBefore(certificate)), LOCALCA_WALL_S - 60);
    assert_int_equal(unix_of(X509_get0_notAfter(certificate)), LOCALCA_WALL_S + 600);
    assert_int_equal(call.lifetime_ms, 600000);
    assert_string_equal(localca_field(&call, "expiration"), "2026-01-01T00:10:00Z");
    assert_non_null(strstr(call.fields, "private_key*="));
    assert_null(strstr(call.fields, "certificate*="));
    assert_memory_equal(localca_field(&call, "ca_chain"), it.ca.pem, strlen(it.ca.pem) - 1);
    assert_true(call.is_revocable);
    assert_false(call.is_renewable);
    EVP_PKEY_free(key);
    X509_free(certificate);
    localca_world_fini(&it);
}

static void test_the_serial_is_the_certificates_and_the_references(void **state)
{
    X509 *certificate;
    char *text;
    BIGNUM *number;
    char ref[100];

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue_well(LOCALCA_PARAMS_X509, 600000);
    certificate = localca_certificate(&call);
    number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    text = BN_bn2hex(number);
    assert_string_equal(localca_field(&call, "serial"), text);
    (void)snprintf(ref, sizeof(ref), "x509 %s\n%lld", text, LOCALCA_WALL_S + 600);
    assert_string_equal(call.ref, ref);
    OPENSSL_free(text);
    BN_free(number);
    X509_free(certificate);
    localca_world_fini(&it);
}

static void test_every_kind_of_name_is_put_in_as_its_own_kind(void **state)
{
    static const char params[] =
        "{\"type\":\"x509\",\"dns\":[\"a.example\",\"b.example\"],\"ip\":[\"10.1.2.3\","
        "\"2001:db8::1\"],\"uri\":\"spiffe://example/${identity.user}\",\"usage\":[\"server\","
        "\"client\"],\"key\":\"ed25519\"}";
    X509 *certificate;
    GENERAL_NAMES *names;
    int critical = 0;

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue_well(params, 0);
    assert_int_equal(call.lifetime_ms, 3600000);
    certificate = localca_certificate(&call);
    assert_true(verifies(certificate, X509_PURPOSE_SSL_SERVER));
    assert_true(verifies(certificate, X509_PURPOSE_SSL_CLIENT));
    names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);
    assert_int_equal(sk_GENERAL_NAME_num(names), 5);
    assert_int_equal(critical, 1); /* there is no subject */
    for (int i = 0; i < 5; i++) {
        static const int types[] = {GEN_DNS, GEN_DNS, GEN_IPADD, GEN_IPADD, GEN_URI};

        assert_int_equal(sk_GENERAL_NAME_value(names, i)->type, types[i]);
    }
    assert_string_equal(ASN1_STRING_get0_data(
                            sk_GENERAL_NAME_value(names, 4)->d.uniformResourceIdentifier),
                        "spiffe://example/joe");
    assert_int_equal(X509_check_ip_asc(certificate, "10.1.2.3", 0), 1);
    assert_int_equal(X509_check_ip_asc(certificate, "2001:db8::1", 0), 1);
    assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)), EVP_PKEY_ED25519);
    GENERAL_NAMES_free(names);
    X509_free(certificate);
    localca_world_fini(&it);
}

static void test_a_life_ends_with_the_backends_maximum_and_with_the_ca(void **state)
{
    static const char config[] =
        "{\"ca_key_file\":\"/ca.key\",\"ca_cert_file\":\"/ca.pem\",\"max_ttl\":\"400d\"}";

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue_well(LOCALCA_PARAMS_X509, (uint64_t)48 * 3600000);
    assert_int_equal(call.lifetime_ms, 24 * 3600000);
    localca_world_fini(&it);
    localca_world_init(&it, NULL);
    assert_string_not_equal(plugin_world_config_error(&it.world, config), "");
    localca_world_open(&it, "{\"ca_key_file\":\"/ca.key\",\"ca_cert_file\":\"/ca.pem\","
                            "\"max_ttl\":\"366d\"}");
    fake_env_advance(&it.world.fake, (uint64_t)390 * 86400000);
    issue_well(LOCALCA_PARAMS_X509, (uint64_t)20 * 86400000);
    assert_int_equal(call.lifetime_ms, (uint64_t)10 * 86400000);
    assert_false(call.is_revocable);
    fake_env_advance(&it.world.fake, (uint64_t)10 * 86400000);
    issue(LOCALCA_PARAMS_X509, 600000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_string_equal(call.detail, "ca_cert_file: the CA's certificate has expired");
    localca_world_fini(&it);
}

static void test_a_key_that_is_not_the_certificates_is_refused(void **state)
{
    (void)state;
    localca_world_init(&it, LOCALCA_NO_LISTS);
    it.world.fake.secrets[0].value = KEY_PEM;
    issue(LOCALCA_PARAMS_X509, 600000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "isn't that of ca_key_file's key"));
    it.world.fake.secrets[0].value = "garbage";
    issue(LOCALCA_PARAMS_X509, 600000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "ca_key_file: it holds no private key"));
    assert_null(strstr(call.detail, "garbage"));
    it.world.fake.secrets[0].value = it.ca.key_pem;
    it.world.fake.secrets[1].value = "garbage";
    issue(LOCALCA_PARAMS_X509, 600000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    it.world.fake.secrets[1].value = it.ca.pem;
    issue_well(LOCALCA_PARAMS_X509, 600000); /* read anew each time */
    localca_world_fini(&it);
}

static void test_a_file_that_cannot_be_read_may_be_there_later(void **state)
{
    (void)state;
    localca_world_init(&it, LOCALCA_NO_LISTS);
    it.world.fake.secrets[0].source = "file:/elsewhere";
    issue(LOCALCA_PARAMS_X509, 600000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_non_null(strstr(call.detail, "/ca.key"));
    it.world.fake.secrets[2].source = "file:/elsewhere";
    issue(LOCALCA_PARAMS_SSH, 600000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    localca_world_fini(&it);
}

static void test_a_backend_issues_only_what_it_has_a_key_for(void **state)
{
    (void)state;
    localca_world_init(&it, "{\"ssh_ca_key_file\":\"/ssh.key\"}");
    issue(LOCALCA_PARAMS_X509, 600000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    issue_well(LOCALCA_PARAMS_SSH, 600000);
    localca_world_fini(&it);
    localca_world_init(&it, "{\"ca_key_file\":\"/ca.key\",\"ca_cert_file\":\"/ca.pem\"}");
    issue(LOCALCA_PARAMS_SSH, 600000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    localca_world_fini(&it);
}

/* --- SSH -------------------------------------------------------------------------------------- */

struct ssh_certificate {
    char bytes[4096];
    struct leased_str type;
    uint64_t serial;
    uint32_t kind;
    struct leased_str key_id;
    struct leased_str principals;
    uint64_t after;
    uint64_t before;
    struct leased_str options;
    struct leased_str extensions;
    struct leased_str ca;
    struct leased_str signature;
    size_t signed_len;
};

/* "type base64 comment", of an Ed25519 key. */
static void read_ssh(const char *line, struct ssh_certificate *c)
{
    const char *at = strchr(line, ' ') + 1;
    int64_t len =
        plugin_base64_decode((struct leased_str){at, strcspn(at, " ")}, c->bytes, sizeof(c->bytes));
    struct localca_reader reader;

    assert_true(len > 0);
    reader = localca_reader_of((struct leased_str){c->bytes, (size_t)len});
    c->type = localca_get_string(&reader);
    assert_int_equal(localca_get_string(&reader).len, 32); /* nonce */
    assert_int_equal(localca_get_string(&reader).len, 32); /* key */
    c->serial = localca_get_u64(&reader);
    c->kind = localca_get_u32(&reader);
    c->key_id = localca_get_string(&reader);
    c->principals = localca_get_string(&reader);
    c->after = localca_get_u64(&reader);
    c->before = localca_get_u64(&reader);
    c->options = localca_get_string(&reader);
    c->extensions = localca_get_string(&reader);
    assert_int_equal(localca_get_string(&reader).len, 0);
    c->ca = localca_get_string(&reader);
    c->signed_len = (size_t)(reader.at - c->bytes);
    c->signature = localca_get_string(&reader);
    assert_false(reader.is_failed);
    assert_int_equal(reader.left, 0);
}

static bool is_signed(const struct ssh_certificate *c)
{
    struct localca_reader ca = localca_reader_of(c->ca);
    struct localca_reader signature = localca_reader_of(c->signature);
    struct leased_str key;
    struct leased_str bytes;
    EVP_PKEY *pkey;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_fine;

    assert_true(plugin_str_eq(localca_get_string(&ca), "ssh-ed25519"));
    assert_true(plugin_str_eq(localca_get_string(&signature), "ssh-ed25519"));
    key = localca_get_string(&ca);
    bytes = localca_get_string(&signature);
    pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)key.ptr,
                                       key.len);
    is_fine = EVP_DigestVerifyInit(context, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestVerify(context, (const unsigned char *)bytes.ptr, bytes.len,
                               (const unsigned char *)c->bytes, c->signed_len) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pkey);
    return is_fine;
}

static void test_an_ssh_certificate_says_what_the_role_says(void **state)
{
    static const char params[] =
        "{\"type\":\"ssh\",\"principals\":[\"${identity.user}\",\"deploy\"],\"critical_options\":"
        "{\"source-address\":\"10.0.0.0/8\",\"force-command\":\"/bin/true\"},"
        "\"extensions\":[\"permit-pty\",\"permit-X11-forwarding\"],\"key_id\":\"job of "
        "${identity.user}\"}";
    struct ssh_certificate c;

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue_well(params, 600000);
    read_ssh(localca_field(&call, "certificate"), &c);
    assert_true(plugin_str_eq(c.type, "ssh-ed25519-cert-v01@openssh.com"));
    assert_true(is_signed(&c));
    assert_int_equal(c.kind, 1);
    assert_true(plugin_str_eq(c.key_id, "job of joe"));
    assert_memory_equal(c.principals.ptr, "\0\0\0\3joe\0\0\0\6deploy", 17);
    assert_int_equal(c.after, LOCALCA_WALL_S - 60);
    assert_int_equal(c.before, LOCALCA_WALL_S + 600);
    assert_memory_equal(c.options.ptr,
                        "\0\0\0\x0d"
                        "force-command\0\0\0\x0d\0\0\0\x09/bin/true"
                        "\0\0\0\x0esource-address\0\0\0\x0e\0\0\0\x0a"
                        "10.0.0.0/8",
                        c.options.len);
    assert_int_equal(c.options.len, 4 + 13 + 4 + 13 + 4 + 14 + 4 + 14);
    assert_memory_equal(c.extensions.ptr,
                        "\0\0\0\x15permit-X11-forwarding\0\0\0\0\0\0\0\x0apermit-pty\0\0\0\0",
                        c.extensions.len);
    assert_true(call.is_revocable);
    assert_memory_equal(call.ref, "ssh ", 4);
    localca_world_fini(&it);
}

static void test_the_private_key_is_one_of_ssh_and_fits(void **state)
{
    struct plugin_text detail;
    struct localca_sshkey public_key;
    struct leased_host host = {
        .size = sizeof(host), .alloc = malloc, .secret_alloc = malloc, .secret_free = free};
    struct plugin_form line = {.host = &host};
    EVP_PKEY *key;

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue_well(LOCALCA_PARAMS_SSH, 600000);
    assert_non_null(strstr(call.fields, "private_key*=-----BEGIN OPENSSH PRIVATE KEY-----\n"));
    key = localca_sshkey_read(&host, plugin_str(localca_field(&call, "private_key")), &detail);
    assert_non_null(key);
    assert_int_equal(localca_sshkey_public(&host, key, &public_key), 0);
    localca_sshkey_line(&line, PLUGIN_STR("ssh-ed25519"),
                        (struct leased_str){public_key.blob, public_key.blob_len},
                        PLUGIN_STR("leased/the-role/joe"));
    assert_string_equal(localca_field(&call, "public_key"), line.bytes);
    plugin_form_fini(&line);
    EVP_PKEY_free(key);
    localca_world_fini(&it);
}

static void test_a_key_of_the_callers_own_is_certified(void **state)
{
    static const char *const lines[] = {PUBLIC_ED25519, PUBLIC_ECDSA, PUBLIC_RSA};
    static const char *const types[] = {"ssh-ed25519-cert-v01@openssh.com ",
                                        "ecdsa-sha2-nistp384-cert-v01@openssh.com ",
                                        "ssh-rsa-cert-v01@openssh.com "};

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    for (size_t i = 0; i < 3; i++) {
        char params[2048];

        (void)snprintf(params, sizeof(params),
                       "{\"type\":\"ssh\",\"principals\":\"joe\",\"public_key\":\"%s\"}", lines[i]);
        issue_well(params, 600000);
        assert_null(strstr(call.fields, "private_key"));
        assert_memory_equal(localca_field(&call, "certificate"), types[i], strlen(types[i]));
        assert_memory_equal(localca_field(&call, "public_key"), lines[i],
                            strcspn(strchr(lines[i], ' ') + 1, " ") + 1);
    }
    localca_world_fini(&it);
}

static void test_every_kind_of_ca_key_signs(void **state)
{
    static const char *const keys[] = {KEY_ED25519, KEY_ECDSA, KEY_RSA, KEY_PEM};

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    for (size_t i = 0; i < 4; i++) {
        it.world.fake.secrets[2].value = keys[i];
        issue_well(LOCALCA_PARAMS_SSH, 600000);
    }
    it.world.fake.secrets[2].value = KEY_ENCRYPTED;
    issue(LOCALCA_PARAMS_SSH, 600000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "ssh_ca_key_file: it is encrypted"));
    localca_world_fini(&it);
}

/* --- life ------------------------------------------------------------------------------------- */

static void test_nothing_ends_inside_a_start_and_a_cancel_ends_it(void **state)
{
    struct lease_issuer *issuer;

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issuer = backend_issuer(it.world.backend);
    issue_well(LOCALCA_PARAMS_X509, 600000);
    call.end_count = 0;
    assert_int_equal(issuer->ops->call_start(issuer, &call.call), 0);
    assert_int_equal(call.end_count, 0);
    issuer->ops->call_cancel(issuer, &call.call);
    fake_env_advance(&it.world.fake, 0);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_CANCELED);
    call.end_count = 0;
    assert_int_equal(issuer->ops->call_start(issuer, &call.call), 0);
    localca_world_fini(&it); /* closes while it is busy */
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_CANCELED);
}

static void test_a_callers_own_text_can_not_reach_further(void **state)
{
    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    plugin_world_issue(&it.world, &call,
                       "{\"type\":\"ssh\",\"principals\":\"joe\",\"critical_options\":"
                       "{\"force-command\":\"/usr/bin/deploy ${reason}\"}}",
                       0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "critical_options.force-command: the caller's reason"));
    localca_world_fini(&it);
}

/* Somebody may set the clock forward and back again: what seems to be over is listed all the same
 * for an hour. */
static void test_a_clock_alone_ends_no_certificate(void **state)
{
    struct plugin_call revocation;

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue_well(LOCALCA_PARAMS_X509, 600000);
    it.world.fake.wall_ms += (600 + 3599) * 1000;
    plugin_world_revoke(&it.world, &revocation, LOCALCA_PARAMS_X509, call.ref);
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_OK);
    it.world.fake.wall_ms -= (600 + 3599) * 1000;
    plugin_world_revoke(&it.world, &revocation, LOCALCA_PARAMS_X509,
                        call.ref); /* writes the list anew */
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_OK);
    it.world.fake.wall_ms += (600 + 3600) * 1000;
    plugin_world_revoke(&it.world, &revocation, LOCALCA_PARAMS_X509, call.ref);
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_GONE);
    localca_world_fini(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_client_certificate_verifies_and_fits_its_key),
        cmocka_unit_test(test_the_serial_is_the_certificates_and_the_references),
        cmocka_unit_test(test_every_kind_of_name_is_put_in_as_its_own_kind),
        cmocka_unit_test(test_a_life_ends_with_the_backends_maximum_and_with_the_ca),
        cmocka_unit_test(test_a_key_that_is_not_the_certificates_is_refused),
        cmocka_unit_test(test_a_file_that_cannot_be_read_may_be_there_later),
        cmocka_unit_test(test_a_backend_issues_only_what_it_has_a_key_for),
        cmocka_unit_test(test_an_ssh_certificate_says_what_the_role_says),
        cmocka_unit_test(test_the_private_key_is_one_of_ssh_and_fits),
        cmocka_unit_test(test_a_key_of_the_callers_own_is_certified),
        cmocka_unit_test(test_every_kind_of_ca_key_signs),
        cmocka_unit_test(test_nothing_ends_inside_a_start_and_a_cancel_ends_it),
        cmocka_unit_test(test_a_callers_own_text_can_not_reach_further),
        cmocka_unit_test(test_a_clock_alone_ends_no_certificate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
