/* Files with credentials: what a put leaves, what a remove takes, and what neither touches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "unit/helper/helper_fixture.h"
#include "wire/file_hash.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct deliver_fixture {
    struct helper_fixture helper;
    char folder[64];
    char path[128];
    char hashes[2 * FILE_HASH_HEX_BYTES + 3];
};

static int set_up(void **state)
{
    struct deliver_fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/leased-deliver-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof(f->path), "%s/file", f->folder);
    fixture_add_file(&f->helper, "check", HELPER_KIND_CHECK, f->path);
    fixture_add_file(&f->helper, "put", HELPER_KIND_PUT, f->path);
    fixture_add_file(&f->helper, "remove", HELPER_KIND_REMOVE, f->path);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct deliver_fixture *f = *state;
    char command[128];

    fixture_end(&f->helper);
    (void)snprintf(command, sizeof(command), "rm -rf %s", f->folder);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static const char *content(const struct deliver_fixture *f)
{
    static char text[256];
    FILE *file = fopen(f->path, "r");
    size_t size;

    if (file == NULL) {
        return NULL;
    }
    size = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[size] = '\0';
    return text;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Prints `said` and ends well. */
static void put(struct deliver_fixture *f, const char *text, const char *said)
{
    struct run_message end = fixture_run_with(&f->helper, "put", str_of(text));

    assert_string_equal(fixture_text(&end), "");
    assert_int_equal(end.exit_code, 0);
    assert_string_equal(fixture_output(&end), said);
}

static void expect_failure(struct deliver_fixture *f, const char *name, const char *text)
{
    struct run_message end = fixture_run_with(&f->helper, name, STR("secret"));

    assert_int_equal(end.outcome, RUN_EXITED);
    assert_int_equal(end.exit_code, 1);
    if (strstr(fixture_text(&end), text) == NULL) {
        fail_msg("not in \"%s\": %s", fixture_text(&end), text);
    }
    assert_null(strstr(fixture_text(&end), "secret"));
}

/* Nothing but the file, if that. */
static void expect_no_remains(const struct deliver_fixture *f)
{
    char beside[160];

    (void)snprintf(beside, sizeof(beside), "%s/.file.leased", f->folder);
    assert_int_not_equal(access(beside, F_OK), 0);
}

static struct str hash_of(struct deliver_fixture *f, const char *text)
{
    assert_int_equal(file_hash(str_of(f->path), str_of(text), f->hashes), 0);
    return str_of(f->hashes);
}

static void test_a_put_writes_the_whole_with_its_mode(void **state)
{
    struct deliver_fixture *f = *state;
    struct stat facts;

    fixture_start(&f->helper);
    put(f, "A=1\n", HELPER_WRITTEN);
    assert_string_equal(content(f), "A=1\n");
    assert_int_equal(stat(f->path, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0400);
    put(f, "A=2\n", HELPER_WRITTEN);
    assert_string_equal(content(f), "A=2\n");
    expect_no_remains(f);
}

static void test_what_is_right_already_is_not_written(void **state)
{
    struct deliver_fixture *f = *state;

    fixture_start(&f->helper);
    put(f, "A=1\n", HELPER_WRITTEN);
    put(f, "A=1\n", HELPER_UNCHANGED);
    assert_int_equal(chmod(f->path, 0644), 0);
    put(f, "A=1\n", HELPER_WRITTEN);
}

static void test_a_link_at_the_name_is_no_place(void **state)
{
    struct deliver_fixture *f = *state;
    char victim[160];

    (void)snprintf(victim, sizeof(victim), "%s/victim", f->folder);
    write_file(victim, "old");
    assert_int_equal(symlink(victim, f->path), 0);
    fixture_start(&f->helper);
    expect_failure(f, "check", "is a symbolic link");
    expect_failure(f, "put", "is a symbolic link");
    assert_string_equal(content(f), "old");
}

static void test_a_folder_that_others_can_write_is_no_place(void **state)
{
    struct deliver_fixture *f = *state;

    assert_int_equal(chmod(f->folder, 0777), 0);
    fixture_start(&f->helper);
    expect_failure(f, "put", "can be written by others");
    assert_int_equal(chmod(f->folder, 01777), 0);
    expect_failure(f, "put", "can be written by others");
    assert_null(content(f));
}

static void test_a_folder_that_is_missing_is_said_so(void **state)
{
    struct deliver_fixture *f = *state;

    fixture_start(&f->helper);
    assert_int_equal(rmdir(f->folder), 0);
    expect_failure(f, "check", "there is no folder");
    assert_int_equal(fixture_run_with(&f->helper, "remove", hash_of(f, "x")).exit_code, 0);
}

static void test_what_a_crash_has_left_is_in_nobodys_way(void **state)
{
    struct deliver_fixture *f = *state;
    char beside[160];
    char left[192];

    (void)snprintf(beside, sizeof(beside), "%s/.file.leased", f->folder);
    (void)snprintf(left, sizeof(left), "%s/new", beside);
    assert_int_equal(mkdir(beside, 0700), 0);
    write_file(left, "half");
    fixture_start(&f->helper);
    put(f, "A=1\n", HELPER_WRITTEN);
    expect_no_remains(f);
    assert_int_equal(symlink("/etc", beside), 0);
    put(f, "A=2\n", HELPER_WRITTEN);
    expect_no_remains(f);
    assert_int_equal(mkdir(beside, 0700), 0);
    write_file(left, "half");
    assert_int_equal(fixture_run_with(&f->helper, "remove", hash_of(f, "x")).exit_code, 0);
    expect_no_remains(f);
}

static void test_only_what_was_written_is_removed(void **state)
{
    struct deliver_fixture *f = *state;
    char both[256];
    struct str hash = hash_of(f, "A=1\n");

    (void)snprintf(both, sizeof(both), "\n%064d\n%.*s\n", 7, STR_ARG(hash));
    fixture_start(&f->helper);
    write_file(f->path, "somebody else's");
    assert_int_equal(fixture_run_with(&f->helper, "remove", str_of(both)).exit_code, 0);
    assert_string_equal(content(f), "somebody else's");
    put(f, "A=1\n", HELPER_WRITTEN);
    assert_int_equal(fixture_run_with(&f->helper, "remove", str_of(both)).exit_code, 0);
    assert_null(content(f));
    assert_int_equal(fixture_run_with(&f->helper, "remove", str_of(both)).exit_code, 0);
}

static void test_what_the_configuration_does_not_name_is_refused(void **state)
{
    struct deliver_fixture *f = *state;
    struct run_message message = {
        .kind = RUN_START, .id = 1, .backend = STR("file:/etc/passwd"), .program = STR("put")};
    struct run_message end;

    fixture_start(&f->helper);
    fixture_send(&f->helper, &message);
    end = fixture_receive(&f->helper);
    assert_int_equal(end.outcome, RUN_NOT_STARTED);
}

static void test_a_unit_without_processes_gets_no_signal(void **state)
{
    struct deliver_fixture *f = *state;
    struct helper_program *program =
        fixture_add_file(&f->helper, "change", HELPER_KIND_SIGNAL, f->path);

    program->unit = mem_strdup("leased-no-such.service");
    program->signal = 1;
    fixture_start(&f->helper);
    expect_failure(f, "change", "has no process to be signaled");
}

#define deliver_test(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        deliver_test(test_a_put_writes_the_whole_with_its_mode),
        deliver_test(test_what_is_right_already_is_not_written),
        deliver_test(test_a_link_at_the_name_is_no_place),
        deliver_test(test_a_folder_that_others_can_write_is_no_place),
        deliver_test(test_a_folder_that_is_missing_is_said_so),
        deliver_test(test_what_a_crash_has_left_is_in_nobodys_way),
        deliver_test(test_only_what_was_written_is_removed),
        deliver_test(test_what_the_configuration_does_not_name_is_refused),
        deliver_test(test_a_unit_without_processes_gets_no_signal),
    };

    if (!fixture_has_pidfds()) {
        return fixture_leave_out();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
