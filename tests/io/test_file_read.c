/* Small files that other programs leave: what is read, and what isn't, because it leads elsewhere
 * or others could have written it. */
#include "io/loop_fixture.h"

#include "env/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_BYTES 16U

static char folder[64];

static const char *below(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void file_put(const char *name, const char *text, mode_t mode)
{
    int fd = open(below(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

static int folder_setup(void **state)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/leased-read-XXXXXX");
    if (mkdtemp(folder) == NULL || mkdir(below("id"), 0755) != 0) {
        return -1;
    }
    file_put("id/config.json", "{\"a\":1}", 0644);
    file_put("id/open", "{}", 0666);
    file_put("id/large", "0123456789abcdefg", 0644);
    if (symlink("config.json", below("id/link")) != 0 || symlink("id", below("linked")) != 0 ||
        mkfifo(below("id/pipe"), 0644) != 0) {
        return -1;
    }
    return loop_setup(state);
}

static int folder_teardown(void **state)
{
    static const char *const names[] = {"id/config.json", "id/open", "id/large",
                                        "id/link",        "linked",  "id/pipe"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(names); i++) {
        (void)unlink(below(names[i]));
    }
    (void)rmdir(below("id"));
    (void)rmdir(folder);
    return loop_teardown(state);
}

static int status_of(struct loop *loop, const char *from, const char *path, const char *expected)
{
    const struct env_file_place place = {.folder = from, .path = path};
    struct err e = {0};
    int r;
    BUF_AUTO out;

    buf_init(&out, MAX_BYTES);
    r = env_file_read(loop->env, &place, &out, &e);
    if (r == 0) {
        assert_true(str_eq_c(buf_str(&out), expected));
    } else {
        assert_non_null(strstr(e.text, path));
    }
    return r;
}

static void test_a_file_is_read_whole(void **state)
{
    struct loop *loop = *state;

    assert_int_equal(status_of(loop, folder, "id/config.json", "{\"a\":1}"), 0);
    /* The folder itself may lead through links. */
    assert_int_equal(status_of(loop, below("linked"), "config.json", "{\"a\":1}"), 0);
}

static void test_links_below_the_folder_are_not_followed(void **state)
{
    struct loop *loop = *state;

    assert_int_equal(status_of(loop, folder, "id/link", NULL), ERR_INVALID);
    assert_int_equal(status_of(loop, folder, "linked/config.json", NULL), ERR_INVALID);
}

static void test_no_path_leads_out_of_the_folder(void **state)
{
    struct loop *loop = *state;

    assert_int_equal(status_of(loop, below("id"), "../id/config.json", NULL), ERR_INVALID);
    assert_int_equal(status_of(loop, folder, "id/./config.json", NULL), ERR_INVALID);
    assert_int_equal(status_of(loop, folder, "id//config.json", NULL), ERR_INVALID);
    assert_int_equal(status_of(loop, folder, "/etc/passwd", NULL), ERR_INVALID);
    assert_int_equal(status_of(loop, folder, "", NULL), ERR_INVALID);
}

static void test_what_is_no_plain_file_is_refused(void **state)
{
    struct loop *loop = *state;

    assert_int_equal(status_of(loop, folder, "id", NULL), ERR_INVALID);
    assert_int_equal(status_of(loop, folder, "id/pipe", NULL), ERR_INVALID);
    assert_int_equal(status_of(loop, folder, "id/open", NULL), ERR_DENIED);
    assert_int_equal(status_of(loop, folder, "id/large", NULL), ERR_TOO_LARGE);
    assert_int_equal(status_of(loop, folder, "id/none", NULL), ERR_NOT_FOUND);
    assert_int_equal(status_of(loop, folder, "none/config.json", NULL), ERR_NOT_FOUND);
    assert_int_equal(status_of(loop, "/nowhere", "config.json", NULL), ERR_NOT_FOUND);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_file_is_read_whole),
        TEST(test_links_below_the_folder_are_not_followed),
        TEST(test_no_path_leads_out_of_the_folder),
        TEST(test_what_is_no_plain_file_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
