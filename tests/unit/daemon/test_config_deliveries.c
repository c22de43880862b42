/* `files`: what is a mistake, what the helper gets to know, and what a reload may change. */
#include "unit/daemon/config_fixture.h"

#include "base/mem.h"
#include "daemon/programs.h"
#include "daemon/signals.h"

#include <signal.h>
#include <string.h>

#define FILES(entries) CONFIG_FIXTURE_ROLE("ttl: 1h") "files: [" entries "]\n"
#define FILE_WITH(keys) FILES("{role: r, holder: {user: root}, path: /run/r/db.env" keys "}")

static void test_mistakes_are_told(void **state)
{
    static const struct config_mistake mistakes[] = {
        {FILES("{role: s, holder: {user: root}, path: /run/x}"),
         "there is no role `s`: did you mean `r`?\n"},
        {FILES("{role: r, holder: {user: root}, path: /run/../x}"),
         "expected the plain absolute path of a file, found `/run/../x`\n"},
        {FILE_WITH(", mode: '0602'"), "others may not write it, and it is no program\n"},
        {FILE_WITH(", format: table"), "a table is for people; choose a format for programs\n"},
        {FILE_WITH(", on_change: {reload: a.service, restart: a.service}"),
         "give one of `reload`, `restart`, `signal` and `exec`\n"},
        {FILE_WITH(", on_change: {reload: orders}"),
         "expected a unit such as orders.service, found `orders`\n"},
        {FILE_WITH(", on_change: {signal: {unit: a.service, signal: STOP}}"),
         "expected the name of a signal such as HUP, found "
         "`STOP`\n"},
        {FILE_WITH(", on_change: {exec: [true]}"),
         "expected the absolute path of a program, found `true`\n"},
        {FILES("{role: r, holder: {user: root}, path: /run/x}, {role: r, holder: {user: root}, "
               "path: /run/x}"),
         "another file has this path\n"},
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(mistakes); i++) {
        struct config_fixture *f = *state;

        config_fixture_write(f, "c.yaml", mistakes[i].text);
        assert_int_not_equal(config_fixture_load(f, "c.yaml"), 0);
        if (strstr(config_fixture_errors(f), mistakes[i].errors) == NULL) {
            fail_msg("%s instead of %s", config_fixture_errors(f), mistakes[i].errors);
        }
    }
}

static int load(struct config_fixture *f, const char *text)
{
    config_fixture_write(f, "c.yaml", text);
    return config_fixture_load(f, "c.yaml");
}

static void test_the_helper_knows_what_is_configured_and_what_is_left(void **state)
{
    static const char known[] = "00000000000000000000000000000000000000000000000000000000000000ff "
                                "/run/gone\n";
    struct config_fixture *f = *state;
    struct helper_programs programs = {.count = 0};
    const struct helper_program *program;
    struct err e = {.code = 0};

    assert_int_equal(load(f, FILE_WITH(", user: root, mode: '0640', on_change: {signal: {unit: "
                                       "a.service, signal: HUP}}")),
                     0);
    assert_int_equal(programs_add_files(f->config, str_of(known), &programs, &e), 0);
    assert_int_equal(programs.count, 5);
    program = helper_programs_find(&programs, STR("file:/run/r/db.env"), STR("put"));
    assert_int_equal(program->kind, HELPER_KIND_PUT);
    assert_int_equal(program->file.mode, 0640);
    assert_true(program->file.has_owner);
    assert_false(program->file.has_group);
    program = helper_programs_find(&programs, STR("file:/run/r/db.env"), STR("change"));
    assert_int_equal(program->kind, HELPER_KIND_SIGNAL);
    assert_int_equal(program->signal, SIGHUP);
    program = helper_programs_find(&programs, STR("file:/run/gone"), STR("remove"));
    assert_true(program->file.is_stale);
    assert_null(helper_programs_find(&programs, STR("file:/run/gone"), STR("put")));
    helper_programs_fini(&programs);
}

static void test_an_owner_has_to_be_known(void **state)
{
    struct config_fixture *f = *state;
    struct helper_programs programs = {.count = 0};
    struct err e = {.code = 0};

    assert_int_equal(load(f, FILE_WITH(", user: nobody-of-this-name")), 0);
    assert_int_equal(programs_add_files(f->config, STR(""), &programs, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "/run/r/db.env"));
    helper_programs_fini(&programs);
}

/* Does a reload from `before` to `after` need a restart? */
static bool needs_restart(struct config_fixture *f, const char *before, const char *after)
{
    struct config *first;
    bool is_refused;

    assert_int_equal(load(f, before), 0);
    first = f->config;
    f->config = NULL;
    assert_int_equal(load(f, after), 0);
    config_check_restart(first, f->config, NULL, &f->errors);
    is_refused = f->errors.count > 0;
    config_free(first);
    return is_refused;
}

static void test_what_the_helper_does_not_know_needs_a_restart(void **state)
{
    static const char file[] = FILE_WITH("");
    static const char none[] = CONFIG_FIXTURE_ROLE("ttl: 1h");

    assert_false(needs_restart(*state, file, file));
    assert_false(needs_restart(*state, file, none));
    assert_false(needs_restart(*state, file, FILE_WITH(", format: json, required: false")));
    assert_true(needs_restart(*state, none, file));
    assert_true(needs_restart(*state, file, FILE_WITH(", mode: '0444'")));
    assert_true(needs_restart(*state, file, FILE_WITH(", user: root")));
    assert_true(needs_restart(*state, file, FILE_WITH(", on_change: {reload: a.service}")));
    assert_false(needs_restart(*state, FILE_WITH(", on_change: {reload: a.service}"),
                               FILE_WITH(", on_change: {reload: a.service, settle: 1s}")));
}

static void test_signals_have_names(void **state)
{
    (void)state;
    assert_int_equal(signal_number("HUP"), SIGHUP);
    assert_int_equal(signal_number("SIGUSR1"), SIGUSR1);
    assert_int_equal(signal_number("1"), 0);
    assert_int_equal(signal_number("SIG"), 0);
}

#define file_test(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, config_fixture_setup, config_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        file_test(test_mistakes_are_told),
        file_test(test_the_helper_knows_what_is_configured_and_what_is_left),
        file_test(test_an_owner_has_to_be_known),
        file_test(test_what_the_helper_does_not_know_needs_a_restart),
        file_test(test_signals_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
