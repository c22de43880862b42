/* What engines' rules are made of: the end of an OpenSSH certificate, moments, references. */
#include "fake_host.h"
#include "issued.h"
#include "ssh_certificates.h"
#include "sshcert.h"
#include "common/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_a_certificates_end_is_read_from_its_bytes(void **state)
{
    static const struct {
        const char *line;
        int rc;
        uint64_t before_s;
    } lines[] = {
        {"ssh-ed25519-cert-v01@openssh.com " SSH_ED25519, 0, SSH_BEFORE_S},
        {"ssh-ed25519-cert-v01@openssh.com " SSH_ED25519 " a comment\n", 0, SSH_BEFORE_S},
        {"ssh-rsa-cert-v01@openssh.com\t" SSH_RSA "\n", 0, SSH_BEFORE_S},
        {"ecdsa-sha2-nistp256-cert-v01@openssh.com " SSH_ECDSA, 0, SSH_BEFORE_S},
        {"ssh-ed25519-cert-v01@openssh.com " SSH_FOREVER, 0, VAULT_SSHCERT_FOREVER},
        {"ssh-rsa-cert-v01@openssh.com " SSH_ED25519, -1, 0}, /* another type inside */
        {"ssh-ed25519 " SSH_ED25519, -1, 0},
        {"ssh-ed25519-cert-v01@openssh.com", -1, 0},
        {"ssh-ed25519-cert-v01@openssh.com AAA", -1, 0},
        {"ssh-ed25519-cert-v01@openssh.com ????", -1, 0},
        {"ssh-ed25519-cert-v01@openssh.com ////", -1, 0},
        {"", -1, 0},
        {" ", -1, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        uint64_t before_s = 0;

        assert_int_equal(vault_sshcert_valid_before(&fake_host, plugin_str(lines[i].line),
                                                    &before_s),
                         lines[i].rc);
        assert_int_equal(before_s, lines[i].before_s);
    }
    assert_int_equal(host_block_count(), 0);
}

static void test_a_certificate_that_is_cut_anywhere_is_refused_or_reads_the_same(void **state)
{
    const char *whole = "ssh-ed25519-cert-v01@openssh.com " SSH_ED25519;
    size_t len = strlen(whole);

    (void)state;
    for (size_t cut = 0; cut < len; cut++) {
        uint64_t before_s = SSH_BEFORE_S;
        char *text = malloc(cut); /* of its exact size, for the sanitizer */

        assert_true(text != NULL || cut == 0);
        if (cut > 0) {
            memcpy(text, whole, cut);
        }
        (void)vault_sshcert_valid_before(&fake_host, (struct leased_str){text, cut}, &before_s);
        assert_int_equal(before_s, SSH_BEFORE_S);
        free(text);
    }
}

static void test_moments_and_durations_are_read_strictly(void **state)
{
    static const struct {
        const char *text;
        int64_t http, rfc3339, duration;
    } texts[] = {
        {"Wed, 21 Oct 2026 07:28:00 GMT", 1792567680, -1, -1},
        {"Tue, 29 Feb 2000 23:59:59 GMT", 951868799, -1, -1},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0, -1, -1},
        {"Wed, 21 Okt 2026 07:28:00 GMT", -1, -1, -1},
        {"Wed, 21 Oct 2026 07:28:00 UTC", -1, -1, -1},
        {"Wed, 21 Oct 2026 24:28:00 GMT", -1, -1, -1},
        {"Wed, 00 Oct 2026 07:28:00 GMT", -1, -1, -1},
        {"Wed, 2x Oct 2026 07:28:00 GMT", -1, -1, -1},
        {"2026-11-23T00:00:51.321226082Z", -1, 1795392051, -1},
        {"2026-11-23T01:00:51+01:00", -1, 1795392051, -1},
        {"2026-11-22T19:30:51.5-04:30", -1, 1795392051, -1},
        {"2026-11-23T00:00:51", -1, -1, -1},
        {"2026-11-23T00:00:51.", -1, -1, -1},
        {"2026-11-23 00:00:51Z", -1, -1, -1},
        {"2026-13-23T00:00:51Z", -1, -1, -1},
        {"1969-11-23T00:00:51Z", -1, -1, -1},
        {"2026-11-23T00:00:51Zx", -1, -1, -1},
        {"90", -1, -1, 90},
        {"90s", -1, -1, 90},
        {"1h30m", -1, -1, 5400},
        {"2d", -1, -1, 172800},
        {"", -1, -1, -1},
        {"s", -1, -1, -1},
        {"1h30", -1, -1, -1},
        {"1w", -1, -1, -1},
        {"-1s", -1, -1, -1},
        {"99999999999s", -1, -1, -1},
        {"3153600000d", -1, -1, -1},
        {"1h1h1h 1h", -1, -1, -1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct leased_str text = plugin_str(texts[i].text);

        if (plugin_when_http(text) != texts[i].http ||
            plugin_when_rfc3339(text) != texts[i].rfc3339 ||
            plugin_when_duration(text) != texts[i].duration) {
            fail_msg("%s: %lld %lld %lld", texts[i].text, (long long)plugin_when_http(text),
                     (long long)plugin_when_rfc3339(text), (long long)plugin_when_duration(text));
        }
    }
}

static void test_the_last_thousand_references_are_remembered(void **state)
{
    static struct vault_issued issued;
    char text[32];

    (void)state;
    for (int i = 0; i <= (int)VAULT_ISSUED_MAX; i++) {
        (void)snprintf(text, sizeof(text), "a/b/%d", i);
        assert_true(vault_issued_add(&issued, plugin_str(text)));
    }
    assert_false(vault_issued_add(&issued, plugin_str(text)));
    assert_false(vault_issued_add(&issued, plugin_str("a/b/1")));
    assert_true(vault_issued_add(&issued, plugin_str("a/b/0"))); /* bounded */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_certificates_end_is_read_from_its_bytes),
        cmocka_unit_test(test_a_certificate_that_is_cut_anywhere_is_refused_or_reads_the_same),
        cmocka_unit_test(test_moments_and_durations_are_read_strictly),
        cmocka_unit_test(test_the_last_thousand_references_are_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
