/* The parts of the aws plugin that stand alone: signatures, places, moments, XML, credentials
 * files.
 */
#include "aws/moment.h"
#include "aws/place.h"
#include "aws/profile.h"
#include "aws/sigv4.h"
#include "aws/xml.h"
#include "plugins/plugin_world.h"

#include <string.h>

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

/* Made with botocore. */
static void test_signatures_are_those_of_another_implementation(void **state)
{
    const struct aws_keys with_token = {.id = "AKIDEXAMPLE",
                                        .secret = SECRET,
                                        .token = "FQoGZXIvYXdzEXAMPLE/+=="};
    const struct aws_keys without = {.id = "AKIDEXAMPLE", .secret = SECRET, .token = ""};
    const struct {
        struct aws_to_sign request;
        const char *authorization;
    } cases[] = {
        {{.keys = &with_token,
          .host = "sts.eu-west-1.amazonaws.com",
          .region = "eu-west-1",
          .service = "sts",
          .body = PLUGIN_STR("Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A"
                             "123456789012%3Arole%2Fdemo&RoleSessionName=leased-1"
                             "&DurationSeconds=900"),
          .when_s = 1767323045},
         "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-1/sts/aws4_request, "
         "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature="
         "25a0caacf5b2a7e3c3eb40e7dec98e468ac9949bb5f0e961393d0644800d1055"},
        {{.keys = &without,
          .host = "sts.amazonaws.com",
          .region = "us-east-1",
          .service = "sts",
          .body = PLUGIN_STR("Action=GetCallerIdentity&Version=2011-06-15"),
          .when_s = 1767323045},
         "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/sts/aws4_request, "
         "SignedHeaders=content-type;host;x-amz-date, Signature="
         "654c2f9b8e336b65ff3b2f7fc0c1c88d14f6f0efb2ec02ee24d0ea9a1cbd1a40"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct aws_signature signature;

        assert_int_equal(aws_sign(&cases[i].request, &signature), 0);
        assert_string_equal(signature.date, "20260102T030405Z");
        assert_string_equal(signature.authorization, cases[i].authorization);
    }
}

static void test_places_by_region(void **state)
{
    static const struct {
        const char *region;
        bool is_fips;
        const char *sts;
        const char *iam;
        const char *iam_region;
    } cases[] = {
        {"eu-west-1", false, "https://sts.eu-west-1.amazonaws.com", "https://iam.amazonaws.com",
         "us-east-1"},
        {"us-east-2", true, "https://sts-fips.us-east-2.amazonaws.com",
         "https://iam-fips.amazonaws.com", "us-east-1"},
        {"us-gov-west-1", true, "https://sts.us-gov-west-1.amazonaws.com",
         "https://iam.us-gov.amazonaws.com", "us-gov-west-1"},
        {"cn-north-1", false, "https://sts.cn-north-1.amazonaws.com.cn",
         "https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1"},
        {"us-iso-east-1", false, "https://sts.us-iso-east-1.c2s.ic.gov",
         "https://iam.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"},
        {"us-isob-east-1", false, "https://sts.us-isob-east-1.sc2s.sgov.gov",
         "https://iam.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"},
        {"eusc-de-east-1", false, "https://sts.eusc-de-east-1.amazonaws.eu",
         "https://iam.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct aws_place place;

        assert_int_equal(aws_place_sts(cases[i].region, cases[i].is_fips, &place), 0);
        assert_string_equal(place.address, cases[i].sts);
        assert_string_equal(place.host, cases[i].sts + strlen("https://"));
        assert_string_equal(place.region, cases[i].region);
        assert_int_equal(aws_place_iam(cases[i].region, cases[i].is_fips, &place), 0);
        assert_string_equal(place.address, cases[i].iam);
        assert_string_equal(place.region, cases[i].iam_region);
    }
}

static void test_named_places_are_as_they_will_be_sent(void **state)
{
    static const struct {
        const char *address;
        const char *made; /* NULL: refused */
    } cases[] = {
        {"https://STS.Example.org:443/", "https://sts.example.org"},
        {"https://sts.example.org:8443", "https://sts.example.org:8443"},
        {"http://127.0.0.1:80", "http://127.0.0.1"},
        {"http://[::1]:5000", "http://[::1]:5000"},
        {"http://localhost:5000", "http://localhost:5000"},
        {"http://127.0.0.1.example.org", NULL},
        {"https://a b", NULL},
        {"https://", NULL},
        {"https://x:", NULL},
        {"https://x:123456", NULL},
        {"https://[::1", NULL},
        {"ftp://x", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct aws_place place;
        const char *problem;
        int rc = aws_place_named(cases[i].address, "r", &place, &problem);

        assert_int_equal(rc, cases[i].made != NULL ? 0 : -1);
        if (rc == 0) {
            assert_string_equal(place.address, cases[i].made);
            assert_string_equal(place.host, strstr(cases[i].made, "://") + 3);
        }
    }
}

static void test_moments(void **state)
{
    static const struct {
        int64_t when_s;
        const char *iso;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},          {951782399, "2000-02-28T23:59:59Z"},
        {951782400, "2000-02-29T00:00:00Z"},  {1709164800, "2024-02-29T00:00:00Z"},
        {1767225599, "2025-12-31T23:59:59Z"}, {4107542400, "2100-03-01T00:00:00Z"},
        {INT64_MAX, "9999-12-31T23:59:59Z"},  {-5, "1970-01-01T00:00:00Z"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char iso[AWS_MOMENT_ISO_BYTES];

        aws_moment_iso(cases[i].when_s, iso);
        assert_string_equal(iso, cases[i].iso);
    }
}

/* --- XML -------------------------------------------------------------------------------------- */

static void test_elements_are_found_by_their_path(void **state)
{
    static const char text[] =
        "<?xml version=\"1.0\"?>\n<!-- x --><a xmlns='u'><b c=\"1\">one &amp;&lt;&#65;&#x2b;</b>"
        "<d><b>two</b><e/></d></a>\n";
    struct aws_xml_want wants[] = {
        {.path = "a/b"}, {.path = "a/d/b"}, {.path = "a/d/e"}, {.path = "b"}, {.path = "a/d/b/x"}};
    char out[64];

    (void)state;
    assert_int_equal(aws_xml_read(plugin_str(text), wants, ARRAY_LEN(wants)), 0);
    assert_int_equal(aws_xml_text(wants[0].raw, out), 8);
    assert_string_equal(out, "one &<A+");
    assert_true(plugin_str_eq(wants[1].raw, "two"));
    assert_true(wants[2].is_found);
    assert_int_equal(wants[2].raw.len, 0);
    assert_false(wants[3].is_found);
    assert_false(wants[4].is_found);
}

static void test_what_is_not_such_a_document_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "a",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "</a>",
        "<a><b>1</b><b>2</b></a>", /* which one? */
        "<a><b>1<c/></b></a>",
        "<a><b>1<!-- --></b></a>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a/>",
        "<a><![CDATA[x]]></a>",
        "<a b></a>",
        "<a b='></a>",
        "<a b=\"1></a>",
        "<a",
        "<a/",
        "<>",
        "<?xml",
        "<!-- ",
        "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a>"
        "</a></a></a></a></a></a></a></a>",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct aws_xml_want want = {.path = "a/b"};

        if (aws_xml_read(plugin_str(texts[i]), &want, 1) != -1) {
            fail_msg("was taken: %s", texts[i]);
        }
    }
}

static void test_entities_that_do_not_exist_are_refused(void **state)
{
    static const char *const texts[] = {
        "&",       "&amp", "&nbsp;", "&#0;",   "&#256;",
        "&#x;",    "&#;",  "&;",     "&#xzz;", "&#99999999999999999999;",
        "\xc3\xa9"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char out[64];

        assert_int_equal(aws_xml_text(plugin_str(texts[i]), out), -1);
    }
}

/* --- credentials files ------------------------------------------------------------------------ */

static void test_profiles_are_found_as_aws_writes_them(void **state)
{
    static const char text[] = "; comment\r\n[default]\r\nregion = x\r\naws_access_key_id = A1 \r\n"
                               "AWS_SECRET_ACCESS_KEY=S1=\r\n s3 =\n   aws_access_key_id = no\n"
                               "[profile two]\naws_access_key_id=A2\naws_session_token = T2\n"
                               "no equals sign\n# aws_access_key_id=A9\n[empty]\n[broken\n";
    struct aws_keys_parts parts;

    (void)state;
    assert_true(aws_profile_find(plugin_str(text), "default", &parts));
    assert_true(plugin_str_eq(parts.id, "A1"));
    assert_true(plugin_str_eq(parts.secret, "S1="));
    assert_int_equal(parts.token.len, 0);
    assert_true(aws_profile_find(plugin_str(text), "two", &parts));
    assert_true(plugin_str_eq(parts.id, "A2"));
    assert_true(plugin_str_eq(parts.token, "T2"));
    assert_true(aws_profile_find(plugin_str(text), "empty", &parts));
    assert_int_equal(parts.id.len, 0);
    assert_false(aws_profile_find(plugin_str(text), "broken", &parts));
    assert_false(aws_profile_find(plugin_str(""), "default", &parts));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signatures_are_those_of_another_implementation),
        cmocka_unit_test(test_places_by_region),
        cmocka_unit_test(test_named_places_are_as_they_will_be_sent),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_elements_are_found_by_their_path),
        cmocka_unit_test(test_what_is_not_such_a_document_is_refused),
        cmocka_unit_test(test_entities_that_do_not_exist_are_refused),
        cmocka_unit_test(test_profiles_are_found_as_aws_writes_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
