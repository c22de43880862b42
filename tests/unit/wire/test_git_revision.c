/* Which commit a work tree is at, out of the files that git keeps. */
#include "wire/git_revision.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define ONE "1111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"

struct file {
    const char *path;
    const char *text;
};

static int file_read(void *user, const char *path, struct buf *out)
{
    const struct file *file;

    for (file = user; file->path != NULL; file++) {
        if (strcmp(file->path, path) == 0) {
            buf_add_c(out, file->text);
            return 0;
        }
    }
    return ERR_NOT_FOUND;
}

/* NULL: none. */
static const char *revision_of(const struct file *files, const char *folder)
{
    static char revision[GIT_REVISION_MAX_BYTES + 1];
    const struct git_reader reader = {.read = file_read, .user = (void *)(uintptr_t)files};

    return git_revision_find(&reader, folder, revision) ? revision : NULL;
}

static void test_a_branch_is_where_its_ref_says(void **state)
{
    static const struct file files[] = {{"/r/.git/HEAD", "ref: refs/heads/main\n"},
                                        {"/r/.git/refs/heads/main", ONE "\n"},
                                        {NULL}};

    (void)state;
    assert_string_equal(revision_of(files, "/r"), ONE);
    assert_string_equal(revision_of(files, "/r/policies/teams"), ONE);
    assert_null(revision_of(files, "/"));
    assert_null(revision_of(files, "/other"));
    assert_null(revision_of(files, "r"));
}

static void test_a_head_may_be_a_commit(void **state)
{
    static const struct file files[] = {{"/r/.git/HEAD", TWO "\n"}, {NULL}};

    (void)state;
    assert_string_equal(revision_of(files, "/r"), TWO);
}

static void test_packed_refs_are_read_where_a_ref_has_no_file(void **state)
{
    static const struct file files[] = {{"/r/.git/HEAD", "ref: refs/heads/a/b\n"},
                                        {"/r/.git/packed-refs",
                                         "# pack-refs with: peeled\n" TWO " refs/heads/a\n" ONE
                                         " refs/heads/a/b\n^" TWO "\n"},
                                        {NULL}};

    (void)state;
    assert_string_equal(revision_of(files, "/r"), ONE);
}

static void test_a_linked_work_tree_has_its_own_head(void **state)
{
    static const struct file files[] = {{"/w/.git", "gitdir: /r/.git/worktrees/w\n"},
                                        {"/r/.git/HEAD", "ref: refs/heads/main\n"},
                                        {"/r/.git/worktrees/w/HEAD", "ref: refs/heads/w\n"},
                                        {"/r/.git/worktrees/w/commondir", "../..\n"},
                                        {"/r/.git/worktrees/w/../../refs/heads/w", ONE "\n"},
                                        {NULL}};

    (void)state;
    assert_string_equal(revision_of(files, "/w/policies"), ONE);
}

static void test_what_leads_elsewhere_is_none(void **state)
{
    static const struct file out[] = {{"/r/.git/HEAD", "ref: refs/../../secret\n"},
                                      {"/r/.git/refs/../../secret", ONE},
                                      {NULL}};
    static const struct file circle[] = {{"/r/.git/HEAD", "ref: refs/heads/a\n"},
                                         {"/r/.git/refs/heads/a", "ref: refs/heads/a\n"},
                                         {NULL}};
    static const struct file garbage[] = {{"/r/.git/HEAD", "hello\n"}, {NULL}};
    static const struct file unborn[] = {{"/r/.git/HEAD", "ref: refs/heads/main\n"}, {NULL}};

    (void)state;
    assert_null(revision_of(out, "/r"));
    assert_null(revision_of(circle, "/r"));
    assert_null(revision_of(garbage, "/r"));
    assert_null(revision_of(unborn, "/r"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_branch_is_where_its_ref_says),
        cmocka_unit_test(test_a_head_may_be_a_commit),
        cmocka_unit_test(test_packed_refs_are_read_where_a_ref_has_no_file),
        cmocka_unit_test(test_a_linked_work_tree_has_its_own_head),
        cmocka_unit_test(test_what_leads_elsewhere_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
