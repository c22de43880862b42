/* Templates: what is filled in, what stands for itself, where a mistake is. */
#include "wire/format_template.h"

#include "format_checks.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE                                                                                   \
    "{\"role\":\"db\",\"credential\":{\"user\":\"bob\",\"pass\":\"a'b\\\"c/\\u00e4\",\"x.y\":\"1\"}}"
#define TOKEN "{\"role\":\"gh\",\"credential\":{\"token\":\"t0k\"}}"

struct template_world {
    struct format_credential credentials[2];
    struct buf out;
    struct err e;
};

static int render(struct template_world *world, const char *text)
{
    int status;

    world->credentials[0] = format_parsed(DATABASE);
    world->credentials[1] = format_parsed(TOKEN);
    buf_init(&world->out, FORMAT_OUTPUT_MAX_BYTES);
    status = format_template_render(str_of(text), world->credentials, 2, &world->out, &world->e);
    format_credential_fini(&world->credentials[0]);
    format_credential_fini(&world->credentials[1]);
    return status;
}

static void assert_filled(const char *text, const char *wanted)
{
    struct template_world world;

    assert_int_equal(render(&world, text), 0);
    assert_int_equal(world.out.len, strlen(wanted));
    assert_memory_equal(world.out.len > 0 ? world.out.bytes : "", wanted, strlen(wanted));
    buf_fini(&world.out);
}

static void assert_mistake(const char *text, const char *wanted)
{
    struct template_world world;

    assert_int_equal(render(&world, text), ERR_INVALID);
    if (strstr(world.e.text, wanted) == NULL) {
        fail_msg("%s", world.e.text);
    }
    buf_fini(&world.out);
}

static void test_names_are_filled_in(void **state)
{
    (void)state;
    assert_filled("", "");
    assert_filled("u=${user}\np=${pass};", "u=bob\np=a'b\"c/\xC3\xA4;");
    assert_filled("${gh.token}${db.user}${x.y}${db.x.y}", "t0kbob11");
}

static void test_what_is_no_name_stands_for_itself(void **state)
{
    (void)state;
    assert_filled("$5 $user $ {user} $", "$5 $user $ {user} $");
    assert_filled("$${user} $$${user} $$", "${user} $${user} $$");
}

static void test_filters_quote(void **state)
{
    (void)state;
    assert_filled("{\"p\":${pass|json}}", "{\"p\":\"a'b\\\"c/\xC3\xA4\"}");
    assert_filled("P=${pass|shell}", "P='a'\\''b\"c/\xC3\xA4'");
    assert_filled("pg://${user|url}:${pass|url}@h", "pg://bob:a%27b%22c%2F%C3%A4@h");
}

static void test_mistakes_have_line_and_column(void **state)
{
    (void)state;
    assert_mistake("a\n ${nobody}", "2:2: there is no 'nobody'");
    assert_mistake("${db.nobody}", "1:1: there is no 'db.nobody'");
    assert_mistake("${token}", "1:1: there is no 'token'");
    assert_mistake("a ${user", "1:3: there is no } behind this ${");
    assert_mistake("\n\n${}", "3:1: this is no ${field}");
    assert_mistake("${us er}", "1:1: this is no ${field}");
    assert_mistake("${user|}", "1:1: this is no ${field}");
    assert_mistake("$${user}${user|html}",
                   "1:9: there is no filter 'html'; known: json, shell, url");
}

static void test_the_roles_that_a_text_needs_are_found(void **state)
{
    struct format_credential credential = format_parsed(DATABASE);
    struct str role;
    struct err e = {0};

    (void)state;
    assert_int_equal(format_template_missing_role(STR("${user} ${x.y} ${db.zz} ${gh.token} ${k.v}"),
                                                  &credential, 1, &role, &e),
                     0);
    assert_true(str_eq_c(role, "gh"));
    assert_int_equal(
        format_template_missing_role(STR("$${gh.token} ${db.user}"), &credential, 1, &role, &e), 0);
    assert_int_equal(role.len, 0);
    assert_int_equal(format_template_missing_role(STR("${a"), &credential, 1, &role, &e),
                     ERR_INVALID);
    format_credential_fini(&credential);
}

static void test_a_text_without_end_is_refused(void **state)
{
    struct str text = {.ptr = "", .len = FORMAT_TEMPLATE_MAX_BYTES + 1};
    struct buf out;
    struct err e = {0};

    (void)state;
    buf_init(&out, FORMAT_OUTPUT_MAX_BYTES);
    assert_int_equal(format_template_render(text, NULL, 0, &out, &e), ERR_TOO_LARGE);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_filled_in),
        cmocka_unit_test(test_what_is_no_name_stands_for_itself),
        cmocka_unit_test(test_filters_quote),
        cmocka_unit_test(test_mistakes_have_line_and_column),
        cmocka_unit_test(test_the_roles_that_a_text_needs_are_found),
        cmocka_unit_test(test_a_text_without_end_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
