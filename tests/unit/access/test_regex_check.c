/* Regular expressions that take exponential time are told from those that don't. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "access/reason.h"
#include "access/regex_check.h"
#include "base/check.h"

static struct access_regex_report look_at(const char *pattern)
{
    struct access_reason *reason = NULL;
    struct access_regex_report report;
    struct err e = {0};

    if (access_reason_new(pattern, &reason, &e) != 0) {
        fail_msg("%s: %s", pattern, e.text);
    }
    access_reason_free(reason);
    assert_int_equal(access_regex_check(str_of(pattern), &report), 0);
    return report;
}

static void expect(const char *const *patterns, size_t count, enum access_regex_verdict verdict)
{
    size_t i;

    for (i = 0; i < count; i++) {
        struct access_regex_report report = look_at(patterns[i]);

        if (report.verdict != verdict) {
            fail_msg("%s is %d, not %d (%s)", patterns[i], (int)report.verdict, (int)verdict,
                     report.unknown != NULL ? report.unknown : "");
        }
    }
}

static void test_expressions_that_explode_are_found(void **state)
{
    static const char *const patterns[] = {
        "(a+)+",
        "(a+)+$",
        "^(a+)*$",
        "([a-zA-Z]+)*",
        "(a|aa)+",
        "(a|a?)+",
        "(.*a){20,}",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(\\w|_)*!",
        "([0-9]|\\d)+x",
        "(?:[A-Z]+-?)+[0-9]",
        "(a*)*",
        "((a?)*)*",
        "(a?b?)*c",
        "(x+x+)+y",
        "^(?:[^,]*,?)*$",
        "^([a-z0-9]+-?)+$",
        "(?i)(k|\\x{212a})+z",
        "(?i:a|A)+z",
        "(?=(a+)+$)b",
        "(?>(a+)+)b",
        "(a++)+b",
        "(a{1,30}){1,30}b",
        "((ab)*|(ab)+)*c",
        "(\\s*\\w+\\s*)+:",
        "([^[:alpha:]]|!)*a",
        "(\\p{L}|a)*1",
        "(\xc3\xa9|\xc3\xb6)*z",
        "(a|b|ab)*c",
        "\\Qa\\E(b|b)*c",
        "(((a+)))+",
        "(.|\\n|\\t)*x",
        "(?<n>a+)+",
    };

    (void)state;
    expect(patterns, ARRAY_LEN(patterns), ACCESS_REGEX_EXPLODES);
}

static void test_harmless_expressions_are_let_through(void **state)
{
    static const char *const patterns[] = {
        "^[A-Z]+-[0-9]+$",
        "^[A-Z]+-[0-9]+",
        "^(OPS|SEC|INC)-[0-9]{1,6}$",
        "^[A-Z]{2,10}-\\d+(, [A-Z]{2,10}-\\d+)*$",
        "https://tickets\\.example\\.com/(issues|changes)/[0-9]+",
        "^(?:[a-z0-9]+)(?:-[a-z0-9]+)*$",
        "^.{10,200}$",
        "^\\s*\\S.*$",
        "^(\\d{1,3}\\.){3}\\d{1,3}$",
        "^[0-9a-f]{64}$",
        "(?i)^(incident|change) #?\\d+",
        "^(a|b|c)+$",
        "^\\w+([.-]\\w+)*@\\w+\\.[a-z]{2,}$",
        "^(?<project>[A-Z]+)-(?<number>[0-9]+)$",
        "(ab*c)*",
        "(a*b)*",
        "^([^,]+,)*[^,]+$",
        "^x{3}(yz?){2,4}$",
        "(?#a note: (a+)a*",
        "[]a]+[^]]",
        "^\\Q(a+)+\\E$",
        "a{,3}{b",
        "\\d+\\d+",
        "",
    };

    (void)state;
    expect(patterns, ARRAY_LEN(patterns), ACCESS_REGEX_SAFE);
}

static void test_what_is_not_looked_into_is_said(void **state)
{
    static const char *const patterns[] = {
        "(?<n>a)\\1*", "(?x) a b", "(?<n>a(?1)?b)", "(?(?=a)b|c)",
        "[0-9]{1000}", "(*UTF)a",  "(?<n>a)\\k<n>", "(([ab]{30}){30}){30}",
    };

    (void)state;
    expect(patterns, ARRAY_LEN(patterns), ACCESS_REGEX_UNKNOWN);
}

static void test_the_character_is_told(void **state)
{
    (void)state;
    assert_int_equal(look_at("^x(a+)+$").at, 4);
    assert_int_equal(look_at("\xc3\xa9(b+)+$").at, 3);
}

static void test_anchors_are_seen(void **state)
{
    static const struct {
        const char *pattern;
        bool begins;
        bool ends;
    } cases[] = {
        {"^a$", true, true},       {"^a", true, false},       {"a$", false, true},
        {"a", false, false},       {"^a|^b$", true, false},   {"(^a|^b)c\\z", true, true},
        {"(^a|b)c", false, false}, {"(?i)^a", true, false},   {"(?:^)?a", false, false},
        {"\\Aa\\Z", true, true},   {"(?m)^a$", false, false}, {"(?=x)^a", true, false},
        {"x*^a", false, false},    {"^", true, false},        {"(^a)+", true, false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        struct access_regex_report report = look_at(cases[i].pattern);

        if (report.begins_anchored != cases[i].begins || report.ends_anchored != cases[i].ends) {
            fail_msg("%s: %d %d", cases[i].pattern, report.begins_anchored, report.ends_anchored);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expressions_that_explode_are_found),
        cmocka_unit_test(test_harmless_expressions_are_let_through),
        cmocka_unit_test(test_what_is_not_looked_into_is_said),
        cmocka_unit_test(test_the_character_is_told),
        cmocka_unit_test(test_anchors_are_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
