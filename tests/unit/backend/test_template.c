/* Templates in parameters: what is filled in, and that nothing can be injected. */
#include "backend/template.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static struct template_values values_of(const char *user, const char *reason)
{
    return (struct template_values){
        .user = str_of(user),
        .uid = STR("1000"),
        .unit = {0},
        .role = STR("orders"),
        .reason = str_of(reason),
    };
}

static const struct {
    const char *user;
    const char *reason;
    const char *params;
    const char *want; /* NULL: refused */
} cases[] = {
    {"joe", "r", "{\"path\":\"a/${identity.user}\"}", "{\"path\":\"a/joe\"}"},
    {"joe", "r", "{\"path\":\"${role}/${identity.uid}/x\"}", "{\"path\":\"orders/1000/x\"}"},
    {"joe", "r", "{\"path\":\"a/b\"}", "{\"path\":\"a/b\"}"},
    {"joe", "r", "{\"a\":[\"${role}\",{\"b\":\"${role}\"}],\"n\":1,\"t\":true,\"z\":null}",
     "{\"a\":[\"orders\",{\"b\":\"orders\"}],\"n\":1,\"t\":true,\"z\":null}"},
    /* A dollar and braces alone are plain text. */
    {"joe", "r", "{\"a\":\"$5 {x} ${role}\"}", "{\"a\":\"$5 {x} orders\"}"},
    /* An escaped template is one as well. */
    {"joe", "r", "{\"a\":\"\\u0024{role}\"}", "{\"a\":\"orders\"}"},
    /* Quotes, backslashes and control bytes stay data. */
    {"joe", "x\",\"k\":\"v", "{\"a\":\"${reason}\"}", "{\"a\":\"x\\\" \\\"k\\\":\\\"v\"}"},
    {"joe", "a\\b\nc", "{\"a\":\"${reason}\"}", "{\"a\":\"a\\\\b c\"}"},
    /* A value isn't a template itself. */
    {"joe", "${identity.user}", "{\"a\":\"${reason}\"}", "{\"a\":\"${identity.user}\"}"},
    /* Keys are not filled in. */
    {"joe", "r", "{\"${role}\":\"${role}\"}", "{\"${role}\":\"orders\"}"},
    /* In a path only plain names may stand. */
    {"../sys", "r", "{\"path\":\"a/${identity.user}\"}", NULL},
    {"a/b", "r", "{\"path\":\"a/${identity.user}\"}", NULL},
    {"a b", "r", "{\"path\":\"a/${identity.user}\"}", NULL},
    {"a%2fb", "r", "{\"path\":\"a/${identity.user}\"}", NULL},
    {"a?b", "r", "{\"path\":\"a/${identity.user}\"}", NULL},
    {"j\xc3\xb6"
     "e",
     "r", "{\"path\":\"a/${identity.user}\"}", NULL},
    {"a..b", "r", "{\"path\":\"a/${identity.user}\"}", NULL},
    {".", "r", "{\"path\":\"a/${identity.user}\"}", NULL},
    /* Nor in what says whose role it is, and what may be done with it, however deep. */
    {"team/admin", "r", "{\"role_arn\":\"arn:aws:iam::1:role/${identity.user}\"}", NULL},
    {"joe", "*", "{\"policy\":{\"Statement\":[{\"Resource\":\"${reason}\"}]}}", NULL},
    {"joe", "\",\"x", "{\"policy\":\"{'Sid':'${reason}'}\"}", NULL},
    {"a/b", "r", "{\"policy_arns\":[\"arn:aws:iam::1:policy/${identity.user}\"]}", NULL},
    {"joe", "r", "{\"policy\":{\"Statement\":[{\"Resource\":\"jobs/${identity.user}/*\"}]}}",
     "{\"policy\":{\"Statement\":[{\"Resource\":\"jobs/joe/*\"}]}}"},
    {"j.o-e_1@x", "r", "{\"path\":\"a/${identity.user}\"}", "{\"path\":\"a/j.o-e_1@x\"}"},
    /* … but elsewhere anything may. */
    {"../sys", "r", "{\"params\":{\"path\":\"${identity.user}\"}}",
     "{\"params\":{\"path\":\"../sys\"}}"},
    /* … as long as it is one name, and not a list of them. */
    {"joe,root", "r", "{\"params\":{\"valid_principals\":\"${identity.user}\"}}", NULL},
    {"joe\nroot", "r", "{\"a\":\"${identity.user}\"}", NULL},
    /* A reason is free text, which adds nothing to a list either. */
    {"joe", "a, b", "{\"a\":\"${reason}\"}", "{\"a\":\"a  b\"}"},
    {"joe", "x,admin.x", "{\"params\":{\"alt_names\":\"a.x,${reason}\"}}",
     "{\"params\":{\"alt_names\":\"a.x,x admin.x\"}}"},
    /* Not known, not there, not whole. */
    {NULL, "r", "{\"a\":\"${identity.user}\"}", NULL},
    {"joe", "r", "{\"a\":\"${identity.unit}\"}", NULL},
    {"joe", "r", "{\"a\":\"${identity.gid}\"}", NULL},
    {"joe", "r", "{\"a\":\"${}\"}", NULL},
    {"joe", "r", "{\"a\":\"${role\"}", NULL},
    {"joe", "r", "[\"${role}\"]", NULL},
    {"joe", "r", "{\"a\":\"${role}\",\"a\":1}", NULL},
    {"joe", "r", "{\"a\":\"${role}\"", NULL},
    /* Bytes that aren't UTF-8 can't be in JSON. */
    {"joe", "\xff\xfe", "{\"a\":\"${reason}\"}", NULL},
};

static void test_templates_are_filled_in_without_leaving_their_string(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct template_values values = values_of(cases[i].user, cases[i].reason);
        struct err e = {0};
        char *json = NULL;
        int rc = template_fill(str_of(cases[i].params), &values, &json, &e);

        if (cases[i].want == NULL) {
            assert_int_equal(rc, ERR_INVALID);
            assert_true(e.text[0] != '\0');
            assert_null(json);
        } else {
            assert_int_equal(rc, 0);
            assert_string_equal(json, cases[i].want);
        }
        mem_free(json);
    }
}

static void test_an_unknown_name_is_found_without_a_caller(void **state)
{
    struct err e = {0};
    char *json = NULL;

    (void)state;
    assert_int_equal(template_fill_example(STR("{\"path\":\"a/${identity.name}\"}"), &json, &e),
                     ERR_INVALID);
    assert_non_null(strstr(e.text, "identity.name"));
    assert_non_null(strstr(e.text, "identity.user"));
    assert_int_equal(
        template_fill_example(STR("{\"path\":\"${identity.user}/${identity.uid}/${identity.unit}/"
                                  "${role}/${reason}\"}"),
                              &json, &e),
        0);
    assert_string_equal(json, "{\"path\":\"user/1000/unit.service/role/reason\"}");
    mem_free(json);
}

static void test_depth_and_length_have_limits(void **state)
{
    char deep[256] = "{\"a\":";
    struct template_values values = values_of("joe", NULL);
    struct err e = {0};
    char *json = NULL;
    char *longer;

    (void)state;
    for (int i = 0; i < 40; i++) {
        deep[strlen(deep)] = '[';
    }
    memcpy(deep + strlen(deep), "\"${role}\"", 10);
    for (int i = 0; i < 40; i++) {
        deep[strlen(deep)] = ']';
    }
    deep[strlen(deep)] = '}';
    assert_int_equal(template_fill(str_of(deep), &values, &json, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "deep"));

    longer = mem_alloc(8192);
    memset(longer, 'x', 8191);
    longer[8191] = '\0';
    values.reason = str_of(longer);
    assert_int_equal(template_fill(STR("{\"a\":\"${reason}\"}"), &values, &json, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "longer"));
    mem_free(longer);
    assert_null(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates_are_filled_in_without_leaving_their_string),
        cmocka_unit_test(test_an_unknown_name_is_found_without_a_caller),
        cmocka_unit_test(test_depth_and_length_have_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
