/* localca: what is revoked is published before that is called done, and stays so across restarts.
 */
#include "plugins/localca_world.h"

#include "localca/revoked.h"
#include "localca/wire.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CRL "/pub/ca.crl"
#define KRL "/pub/ca.krl"

static struct localca_world it;
static struct plugin_call call;
static struct plugin_call revocation;

/* A certificate for ten minutes. */
static void issue(const char *params)
{
    plugin_world_issue(&it.world, &call, params, 600000);
    assert_int_equal(call.end_count, 1);
    if (call.outcome != LEASE_OUTCOME_OK) {
        fail_msg("%s", call.detail);
    }
}

static void revoke(const char *ref)
{
    plugin_world_revoke(&it.world, &revocation, LOCALCA_PARAMS_X509, ref);
}

static X509_CRL *published_crl(void)
{
    struct str bytes = fake_env_put_bytes(&it.world.fake, CRL);
    BIO *bio = BIO_new_mem_buf(bytes.ptr, (int)bytes.len);
    X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);

    BIO_free(bio);
    assert_non_null(crl);
    assert_int_equal(X509_CRL_verify(crl, it.ca.key), 1);
    assert_int_equal(X509_CRL_get_version(crl), 1);
    return crl;
}

static int crl_count(void)
{
    X509_CRL *crl = published_crl();
    int count = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));

    X509_CRL_free(crl);
    return count < 0 ? 0 : count;
}

static uint64_t crl_number(void)
{
    X509_CRL *crl = published_crl();
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    uint64_t value = 0;

    assert_int_equal(ASN1_INTEGER_get_uint64(&value, number), 1);
    ASN1_INTEGER_free(number);
    X509_CRL_free(crl);
    return value;
}

static bool crl_has(X509 *certificate)
{
    X509_CRL *crl = published_crl();
    X509_REVOKED *entry;
    bool has = X509_CRL_get0_by_cert(crl, &entry, certificate) == 1;

    X509_CRL_free(crl);
    return has;
}

/* How many serials the KRL has; `serial` must be among them unless it is 0. */
static size_t krl_count(uint64_t serial)
{
    struct str bytes = fake_env_put_bytes(&it.world.fake, KRL);
    struct localca_reader reader = localca_reader_of((struct leased_str){bytes.ptr, bytes.len});
    struct localca_reader section;
    struct leased_str list;
    bool is_found = serial == 0;

    assert_int_equal(localca_get_u64(&reader), UINT64_C(0x5353484b524c0a00));
    assert_int_equal(localca_get_u32(&reader), 1);
    (void)localca_get_bytes(&reader, 24);
    assert_int_equal(localca_get_string(&reader).len, 0);
    (void)localca_get_string(&reader);
    assert_false(reader.is_failed);
    if (reader.left == 0) {
        return 0;
    }
    assert_int_equal(localca_get_bytes(&reader, 1).ptr[0], 1);
    section = localca_reader_of(localca_get_string(&reader));
    assert_int_equal(reader.left, 0);
    assert_int_equal(localca_get_string(&section).len, 0);
    assert_int_equal(localca_get_string(&section).len, 0);
    assert_int_equal(localca_get_bytes(&section, 1).ptr[0], 0x20);
    list = localca_get_string(&section);
    assert_false(section.is_failed);
    section = localca_reader_of(list);
    while (section.left > 0) {
        is_found = localca_get_u64(&section) == serial || is_found;
    }
    assert_true(is_found);
    return list.len / 8;
}

/* --- the lists -------------------------------------------------------------------------------- */

static void test_empty_lists_are_there_from_the_beginning(void **state)
{
    X509_CRL *crl;
    struct tm tm;

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    crl = published_crl();
    assert_int_equal(ASN1_TIME_to_tm(X509_CRL_get0_nextUpdate(crl), &tm), 1);
    assert_int_equal(timegm(&tm), LOCALCA_WALL_S + 86400);
    assert_int_equal(
        X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(it.ca.certificate)), 0);
    X509_CRL_free(crl);
    assert_int_equal(crl_count(), 0);
    assert_int_equal(krl_count(0), 0);
    localca_world_fini(&it);
}

static void test_a_revoked_certificate_is_in_the_crl(void **state)
{
    X509 *revoked;
    X509 *other;

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue(LOCALCA_PARAMS_X509);
    other = localca_certificate(&call);
    issue(LOCALCA_PARAMS_X509);
    revoked = localca_certificate(&call);
    revoke(call.ref);
    assert_int_equal(revocation.end_count, 1);
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_OK);
    assert_true(crl_has(revoked));
    assert_false(crl_has(other));
    assert_int_equal(krl_count(0), 0);
    revoke(call.ref); /* again */
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(crl_count(), 1);
    X509_free(revoked);
    X509_free(other);
    localca_world_fini(&it);
}

static void test_a_revoked_ssh_certificate_is_in_the_krl(void **state)
{
    uint64_t serial;

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    for (size_t i = 1; i <= 3; i++) {
        issue(LOCALCA_PARAMS_SSH);
        serial = strtoull(localca_field(&call, "serial"), NULL, 10);
        revoke(call.ref);
        assert_int_equal(revocation.outcome, LEASE_OUTCOME_OK);
        assert_int_equal(krl_count(serial), i);
    }
    assert_int_equal(crl_count(), 0);
    localca_world_fini(&it);
}

static void test_it_is_not_called_done_before_it_is_published(void **state)
{
    struct plugin_call second;

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue(LOCALCA_PARAMS_X509);
    it.world.fake.is_put_held = true;
    revoke(call.ref);
    issue(LOCALCA_PARAMS_X509);
    plugin_world_revoke(&it.world, &second, LOCALCA_PARAMS_X509, call.ref);
    assert_int_equal(revocation.end_count, 0);
    assert_int_equal(second.end_count, 0);
    it.world.fake.is_put_held = false;
    fake_env_run(&it.world.fake);
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(second.end_count, 1);
    assert_int_equal(second.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(crl_count(), 2);
    localca_world_fini(&it);
}

static void test_many_at_once_are_few_files(void **state)
{
    static struct plugin_call many[20];
    uint32_t before;

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    before = it.world.fake.put_count;
    it.world.fake.is_put_held = true;
    for (size_t i = 0; i < 20; i++) {
        issue(LOCALCA_PARAMS_X509);
        plugin_world_revoke(&it.world, &many[i], LOCALCA_PARAMS_X509, call.ref);
    }
    it.world.fake.is_put_held = false;
    fake_env_run(&it.world.fake);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(many[i].outcome, LEASE_OUTCOME_OK);
        assert_int_equal(many[i].end_count, 1);
    }
    assert_int_equal(it.world.fake.put_count - before, 2);
    assert_int_equal(crl_count(), 20);
    localca_world_fini(&it);
}

/* --- failures --------------------------------------------------------------------------------- */

static void test_a_list_that_cannot_be_written_is_tried_again_and_warned_of(void **state)
{
    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue(LOCALCA_PARAMS_X509);
    it.world.fake.put_status = -28;
    revoke(call.ref);
    assert_int_equal(revocation.end_count, 1);
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_RETRY);
    assert_non_null(strstr(revocation.detail, "the disk is full"));
    assert_non_null(strstr(localca_warning(&it, "crl"), "the disk is full"));
    assert_int_equal(crl_count(), 0);
    it.world.fake.put_status = 0;
    fake_env_advance(&it.world.fake, 60000); /* by itself */
    assert_int_equal(crl_count(), 1);
    assert_string_equal(localca_warning(&it, "crl"), "");
    revoke(call.ref);
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_OK);
    localca_world_fini(&it);
}

static void test_without_the_cas_key_there_is_no_crl_but_a_krl(void **state)
{
    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue(LOCALCA_PARAMS_X509);
    it.world.fake.secrets[0].source = it.world.fake.secrets[2].source = "file:/elsewhere";
    revoke(call.ref);
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_RETRY);
    assert_non_null(strstr(localca_warning(&it, "crl"), "/ca.key"));
    plugin_world_revoke(&it.world, &revocation, LOCALCA_PARAMS_SSH, "ssh 77\n1767226000");
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(krl_count(77), 1);
    localca_world_fini(&it);
}

static void test_a_ca_that_may_not_sign_crls_signs_none(void **state)
{
    (void)state;
    localca_world_init(&it, NULL);
    localca_world_make_ca(&it, "critical,keyCertSign");
    localca_world_open(&it, LOCALCA_CONFIG);
    assert_non_null(strstr(localca_warning(&it, "crl"), "its keyUsage lacks cRLSign"));
    assert_int_equal(krl_count(0), 0);
    localca_world_fini(&it);
}

static void test_a_cancel_ends_the_waiting_and_the_serial_stays(void **state)
{
    struct lease_issuer *issuer;

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issuer = backend_issuer(it.world.backend);
    issue(LOCALCA_PARAMS_X509);
    it.world.fake.is_put_held = true;
    revoke(call.ref);
    issuer->ops->call_cancel(issuer, &revocation.call);
    fake_env_run(&it.world.fake);
    assert_int_equal(revocation.end_count, 1);
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_CANCELED);
    it.world.fake.is_put_held = false;
    fake_env_run(&it.world.fake);
    assert_int_equal(crl_count(), 1);
    localca_world_fini(&it);
}

static void test_closing_while_a_list_is_written(void **state)
{
    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue(LOCALCA_PARAMS_X509);
    it.world.fake.is_put_held = true;
    revoke(call.ref);
    backend_close(it.world.backend, true, NULL, NULL);
    fake_env_advance(&it.world.fake, 0);
    assert_int_equal(revocation.end_count, 1);
    it.world.fake.is_put_held = false;
    it.world.backend = NULL;
    fake_env_run(&it.world.fake);
    assert_int_equal(crl_count(), 1);
    localca_world_fini(&it);
}

static void test_what_is_no_reference_is_refused(void **state)
{
    static const char *const refs[] = {"",
                                       "x509 00\n1767226000",
                                       "x509 4F0000000000000000000000000000ZZ\n1767226000",
                                       "x509 4F000000000000000000000000000000",
                                       "x509 4F000000000000000000000000000000\n",
                                       "x509 4F000000000000000000000000000000\n99999999999",
                                       "ssh 0\n1767226000",
                                       "ssh 18446744073709551616\n1767226000",
                                       "ssh -1\n1767226000",
                                       "ssh 1\n17672x",
                                       "lease/1\n5"};

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    for (size_t i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
        revoke(refs[i]);
        assert_int_equal(revocation.end_count, 1);
        assert_int_equal(revocation.outcome, LEASE_OUTCOME_INVALID);
    }
    localca_world_fini(&it);
}

static void test_the_expired_is_gone_and_what_has_no_list_any_more_is_told(void **state)
{
    char ref[sizeof(call.ref)];

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue(LOCALCA_PARAMS_X509);
    (void)snprintf(ref, sizeof(ref), "%s", call.ref);
    localca_world_restart(&it, LOCALCA_NO_LISTS);
    revoke(ref);
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(revocation.detail, "crl_file isn't configured any more"));
    fake_env_advance(&it.world.fake, 600000);
    revoke(ref);
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_GONE);
    localca_world_fini(&it);
}

/* --- time ------------------------------------------------------------------------------------- */

static void test_the_crl_is_renewed_before_its_time(void **state)
{
    uint64_t number;

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    number = crl_number();
    assert_int_equal(number, LOCALCA_WALL_S);
    fake_env_advance(&it.world.fake, 12U * 3600000U);
    assert_int_equal(crl_number(), LOCALCA_WALL_S + 12 * 3600);
    localca_world_fini(&it);
}

static void test_the_expired_leave_the_lists(void **state)
{
    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue(LOCALCA_PARAMS_X509);
    revoke(call.ref);
    fake_env_advance(&it.world.fake, 4300000); /* ten minutes, and more than an hour */
    issue(LOCALCA_PARAMS_X509);
    revoke(call.ref);
    assert_int_equal(crl_count(), 1);
    localca_world_fini(&it);
}

/* --- restarts --------------------------------------------------------------------------------- */

static void test_what_is_revoked_stays_so_after_a_restart(void **state)
{
    X509 *certificate;
    uint64_t number;

    (void)state;
    localca_world_init(&it, LOCALCA_CONFIG);
    issue(LOCALCA_PARAMS_X509);
    certificate = localca_certificate(&call);
    revoke(call.ref);
    issue(LOCALCA_PARAMS_SSH);
    revoke(call.ref);
    number = crl_number();
    it.world.fake.wall_ms -= 86400000; /* the clock was set back meanwhile */
    localca_world_restart(&it, LOCALCA_CONFIG);
    assert_true(crl_has(certificate));
    assert_int_equal(krl_count(0), 1);
    assert_true(crl_number() > number);
    X509_free(certificate);
    localca_world_fini(&it);
}

static void test_what_was_kept_by_something_else_is_no_list(void **state)
{
    (void)state;
    localca_world_init(&it, NULL);
    memcpy(it.kept, "LCA1 garbage", 13);
    it.kept_len = 13;
    localca_world_open(&it, LOCALCA_CONFIG);
    assert_int_equal(crl_count(), 0);
    localca_world_fini(&it);
}

static void test_where_nothing_is_kept_a_warning_says_so(void **state)
{
    (void)state;
    localca_world_init(&it, NULL);
    it.keeps_nothing = true;
    localca_world_open(&it, LOCALCA_CONFIG);
    assert_non_null(strstr(localca_warning(&it, "state"), "a restart forgets it"));
    issue(LOCALCA_PARAMS_X509);
    revoke(call.ref);
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_OK);
    localca_world_fini(&it);
}

static void test_a_full_list_takes_no_more_until_one_has_expired(void **state)
{
    static char kept[LOCALCA_STATE_MAX_BYTES];
    size_t count = localca_revoked_max();

    (void)state;
    localca_world_init(&it, NULL);
    memcpy(kept, "LCA1\0\0\0\0\0\0\0\1", 12);
    for (size_t i = 0; i < count; i++) {
        char *entry = kept + 12 + i * 25;
        /* The first expires after ten minutes, the others after a day. */
        uint32_t expires = (uint32_t)(LOCALCA_WALL_S + (i == 0 ? 600 : 86400));

        for (int b = 0; b < 4; b++) {
            entry[1 + b] = entry[5 + b] = (char)(unsigned char)(expires >> (24 - 8 * b));
        }
        entry[9] = 0x40;
        entry[23] = (char)(unsigned char)(i >> 8);
        entry[24] = (char)(unsigned char)i;
    }
    memcpy(it.kept, kept, it.kept_len = 12 + count * 25);
    localca_world_open(&it, LOCALCA_CONFIG);
    assert_int_equal(crl_count(), (int)count);
    issue(LOCALCA_PARAMS_X509);
    revoke(call.ref);
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_RETRY);
    assert_true(revocation.retry_after_ms >= 60000);
    assert_non_null(strstr(localca_warning(&it, "full"), "is full"));
    fake_env_advance(&it.world.fake, 4300000);
    issue(LOCALCA_PARAMS_X509);
    revoke(call.ref);
    assert_int_equal(revocation.outcome, LEASE_OUTCOME_OK);
    assert_string_equal(localca_warning(&it, "full"), "");
    assert_int_equal(crl_count(), (int)count);
    localca_world_fini(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_lists_are_there_from_the_beginning),
        cmocka_unit_test(test_a_revoked_certificate_is_in_the_crl),
        cmocka_unit_test(test_a_revoked_ssh_certificate_is_in_the_krl),
        cmocka_unit_test(test_it_is_not_called_done_before_it_is_published),
        cmocka_unit_test(test_many_at_once_are_few_files),
        cmocka_unit_test(test_a_list_that_cannot_be_written_is_tried_again_and_warned_of),
        cmocka_unit_test(test_without_the_cas_key_there_is_no_crl_but_a_krl),
        cmocka_unit_test(test_a_ca_that_may_not_sign_crls_signs_none),
        cmocka_unit_test(test_a_cancel_ends_the_waiting_and_the_serial_stays),
        cmocka_unit_test(test_closing_while_a_list_is_written),
        cmocka_unit_test(test_what_is_no_reference_is_refused),
        cmocka_unit_test(test_the_expired_is_gone_and_what_has_no_list_any_more_is_told),
        cmocka_unit_test(test_the_crl_is_renewed_before_its_time),
        cmocka_unit_test(test_the_expired_leave_the_lists),
        cmocka_unit_test(test_what_is_revoked_stays_so_after_a_restart),
        cmocka_unit_test(test_what_was_kept_by_something_else_is_no_list),
        cmocka_unit_test(test_where_nothing_is_kept_a_warning_says_so),
        cmocka_unit_test(test_a_full_list_takes_no_more_until_one_has_expired),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
