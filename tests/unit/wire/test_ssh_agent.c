/* What ssh asks an agent and is answered, and what the keys sign. */
#include "wire/ssh_agent.h"

#include "ssh_keys.h"
#include "wire/ssh_bytes.h"
#include "wire/ssh_identity.h"

#include "base/mem.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define YEAR_END_S 1798761600 /* 2027-01-01 */

/* --- frames --- */

static struct ssh_agent_request asked(struct str bytes, size_t wanted_size)
{
    struct ssh_agent_request request = {.kind = SSH_AGENT_OTHER};
    size_t size = 99;

    assert_int_equal(ssh_agent_read(bytes, &request, &size), 0);
    assert_int_equal(size, wanted_size);
    return request;
}

static void test_a_frame_is_waited_for(void **state)
{
    (void)state;
    (void)asked(STR(""), 0);
    (void)asked(STR("\0\0\0"), 0);
    (void)asked(STR("\0\0\0\1"), 0);
    assert_int_equal(asked(STR("\0\0\0\1\13more"), 5).kind, SSH_AGENT_LIST);
}

static void test_a_request_to_sign_has_key_data_and_flags(void **state)
{
    struct ssh_agent_request request = asked(STR("\0\0\0\21\15\0\0\0\2kk\0\0\0\2dd\0\0\0\4"), 21);

    (void)state;
    assert_int_equal(request.kind, SSH_AGENT_SIGN);
    assert_true(str_eq_c(request.blob, "kk"));
    assert_true(str_eq_c(request.data, "dd"));
    assert_int_equal(request.flags, SSH_AGENT_RSA_SHA512);
}

static void test_what_would_change_the_agent_and_what_is_malformed_is_refused(void **state)
{
    static const char kinds[] = {17, 18, 19, 22, 23, 25, 26, 27, 9, 0, 99};
    char frame[] = {0, 0, 0, 1, 0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(kinds); i++) {
        frame[4] = kinds[i];
        assert_int_equal(asked((struct str){.ptr = frame, .len = 5}, 5).kind, SSH_AGENT_OTHER);
    }
    assert_int_equal(asked(STR("\0\0\0\5\15\0\0\0\377"), 9).kind, SSH_AGENT_OTHER);
}

static void test_a_frame_without_end_or_content_ends_the_connection(void **state)
{
    struct ssh_agent_request request;
    size_t size;

    (void)state;
    assert_int_equal(ssh_agent_read(STR("\0\0\0\0"), &request, &size), ERR_PROTOCOL);
    assert_int_equal(ssh_agent_read(STR("\0\4\0\1"), &request, &size), ERR_PROTOCOL);
    assert_int_equal(ssh_agent_read(STR("\377\377\377\377"), &request, &size), ERR_PROTOCOL);
}

static void assert_bytes(struct buf *out, struct str wanted)
{
    assert_int_equal(out->len, wanted.len);
    assert_memory_equal(out->bytes, wanted.ptr, wanted.len);
    buf_reset(out);
}

static void test_answers(void **state)
{
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 1024);
    ssh_agent_write_failure(&out);
    assert_bytes(&out, STR("\0\0\0\1\5"));
    ssh_agent_write_identity(&out, STR(""), STR("x"));
    assert_bytes(&out, STR("\0\0\0\5\14\0\0\0\0"));
    ssh_agent_write_identity(&out, STR("bb"), STR("c"));
    assert_bytes(&out, STR("\0\0\0\20\14\0\0\0\1\0\0\0\2bb\0\0\0\1c"));
    ssh_agent_write_signature(&out, STR("ss"));
    assert_bytes(&out, STR("\0\0\0\7\16\0\0\0\2ss"));
}

/* --- identities --- */

static struct ssh_identity identity_of(const char *certificate, const char *key)
{
    struct ssh_identity identity;
    struct err e = {0};

    assert_int_equal(ssh_identity_read(str_of(certificate), str_of(key), &identity, &e), 0);
    assert_int_equal(identity.valid_before_s, YEAR_END_S);
    return identity;
}

/* The two parts of a signature: its algorithm, and itself. */
static struct str signature_of(const struct ssh_identity *identity, uint32_t flags,
                               const char *algorithm, struct buf *out)
{
    struct ssh_reader reader;
    struct str signature;

    assert_int_equal(ssh_identity_sign(identity, STR("data"), flags, out), 0);
    reader = (struct ssh_reader){.rest = buf_str(out)};
    assert_true(str_eq_c(ssh_get_string(&reader), algorithm));
    signature = ssh_get_string(&reader);
    assert_false(reader.is_failed);
    assert_int_equal(reader.rest.len, 0);
    return signature;
}

static void assert_verifies(struct ssh_identity *identity, const char *digest, struct str signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    assert_int_equal(
        EVP_DigestVerifyInit_ex(context, NULL, digest, NULL, NULL, identity->key, NULL), 1);
    assert_int_equal(EVP_DigestVerify(context, (const unsigned char *)signature.ptr, signature.len,
                                      (const unsigned char *)"data", 4),
                     1);
    EVP_MD_CTX_free(context);
}

static void test_ed25519_signs(void **state)
{
    struct ssh_identity identity = identity_of(ssh_ed25519_certificate, ssh_ed25519_key);
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 4096);
    assert_verifies(&identity, NULL, signature_of(&identity, 0, "ssh-ed25519", &out));
    assert_true(
        ssh_identity_is(&identity, (struct str){.ptr = identity.blob, .len = identity.blob_len}));
    assert_false(ssh_identity_is(&identity, STR("ssh-ed25519")));
    ssh_identity_fini(&identity);
}

static void test_rsa_signs_with_sha2_alone(void **state)
{
    struct ssh_identity identity = identity_of(ssh_rsa_certificate, ssh_rsa_key);
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 4096);
    assert_verifies(&identity, "SHA512",
                    signature_of(&identity, SSH_AGENT_RSA_SHA512, "rsa-sha2-512", &out));
    buf_reset(&out);
    assert_verifies(&identity, "SHA256",
                    signature_of(&identity, SSH_AGENT_RSA_SHA256, "rsa-sha2-256", &out));
    assert_int_equal(ssh_identity_sign(&identity, STR("data"), 0, &out), ERR_UNSUPPORTED);
    ssh_identity_fini(&identity);
}

static void test_ecdsa_signs_with_two_numbers(void **state)
{
    struct ssh_identity identity = identity_of(ssh_ecdsa_certificate, ssh_ecdsa_key);
    ECDSA_SIG *signature = ECDSA_SIG_new();
    unsigned char *der = NULL;
    struct ssh_reader reader;
    BIGNUM *numbers[2];
    BUF_AUTO out;
    int len;
    int i;

    (void)state;
    buf_init(&out, 4096);
    reader = (struct ssh_reader){.rest = signature_of(&identity, 0, "ecdsa-sha2-nistp256", &out)};
    for (i = 0; i < 2; i++) {
        struct str number = ssh_get_string(&reader);

        numbers[i] = BN_bin2bn((const unsigned char *)number.ptr, (int)number.len, NULL);
    }
    assert_int_equal(ECDSA_SIG_set0(signature, numbers[0], numbers[1]), 1);
    len = i2d_ECDSA_SIG(signature, &der);
    assert_verifies(&identity, "SHA256",
                    (struct str){.ptr = (const char *)der, .len = (size_t)len});
    OPENSSL_free(der);
    ECDSA_SIG_free(signature);
    ssh_identity_fini(&identity);
}

static void assert_unreadable(const char *certificate, const char *key, const char *part)
{
    struct ssh_identity identity;
    struct err e = {0};

    assert_int_equal(ssh_identity_read(str_of(certificate), str_of(key), &identity, &e),
                     ERR_INVALID);
    if (strstr(e.text, part) == NULL) {
        fail_msg("%s", e.text);
    }
    assert_int_equal(mem_in_use_bytes(), 0);
}

static void test_what_cannot_be_used_is_refused(void **state)
{
    (void)state;
    assert_unreadable("", ssh_ed25519_key, "no certificate as ssh writes one");
    assert_unreadable("ssh-ed25519 AAAA", ssh_ed25519_key, "no certificate of ssh's");
    assert_unreadable(ssh_host_certificate, ssh_ed25519_key, "a host's certificate");
    assert_unreadable(ssh_ed25519_certificate, ssh_rsa_key, "isn't the certificate's");
    assert_unreadable(ssh_ed25519_certificate, ssh_encrypted_key, "can't be read");
    assert_unreadable(ssh_ed25519_certificate, "canary", "can't be read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_frame_is_waited_for),
        cmocka_unit_test(test_a_request_to_sign_has_key_data_and_flags),
        cmocka_unit_test(test_what_would_change_the_agent_and_what_is_malformed_is_refused),
        cmocka_unit_test(test_a_frame_without_end_or_content_ends_the_connection),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_ed25519_signs),
        cmocka_unit_test(test_rsa_signs_with_sha2_alone),
        cmocka_unit_test(test_ecdsa_signs_with_two_numbers),
        cmocka_unit_test(test_what_cannot_be_used_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
