/* Public files that are replaced whole: the old content or the new one, never a part, and nothing
 * left behind. The program's own write and fsync stand before libc's and fail when told to. */
#include "loop_fixture.h"

#include "env/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic int fail_write;  /* errno of the next write; 0: none */
static _Atomic int short_write; /* bytes that the next write takes; 0: all */
static _Atomic int fail_sync;   /* errno of the next sync */

ssize_t write(int fd, const void *bytes, size_t size)
{
    if (fail_write != 0) {
        errno = fail_write;
        fail_write = 0;
        return -1;
    }
    if (short_write != 0) {
        size = (size_t)short_write;
        short_write = 0;
    }
    return syscall(SYS_write, fd, bytes, size);
}

int fsync(int fd)
{
    if (fail_sync != 0) {
        errno = fail_sync;
        fail_sync = 0;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

struct world {
    struct loop *loop;
    char dir[64];
    char path[128];
    struct env_put put;
    bool is_done;
    int status;
    char detail[512];
};

static void done(struct env_put *put, int status, const char *detail)
{
    struct world *world = put->user;

    world->is_done = true;
    world->status = status;
    (void)snprintf(world->detail, sizeof(world->detail), "%s", detail);
}

static struct world *world_of(void **state)
{
    static struct world world;

    world = (struct world){.loop = *state, .dir = "/tmp/leased-put-XXXXXX"};
    assert_non_null(mkdtemp(world.dir));
    (void)snprintf(world.path, sizeof(world.path), "%s/list.crl", world.dir);
    return &world;
}

static int put_as(struct world *world, const char *path, const char *text, bool is_private)
{
    world->is_done = false;
    world->put = (struct env_put){
        .path = path, .bytes = str_of(text), .is_private = is_private, .fn = done, .user = world};
    assert_int_equal(env_put_start(world->loop->env, &world->put), 0);
    assert_false(world->is_done);
    loop_until(world->loop, &world->is_done);
    return world->status;
}

static int put_to(struct world *world, const char *path, const char *text)
{
    return put_as(world, path, text, false);
}

static int put(struct world *world, const char *text)
{
    return put_to(world, world->path, text);
}

/* What the file holds, and that it is alone in its directory. */
static void expect(const struct world *world, const char *text)
{
    char bytes[256] = "";
    FILE *file = fopen(world->path, "r");
    DIR *dir = opendir(world->dir);
    const struct dirent *entry;
    size_t count = 0;

    assert_non_null(file);
    bytes[fread(bytes, 1, sizeof(bytes) - 1, file)] = '\0';
    (void)fclose(file);
    assert_string_equal(bytes, text);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2 ? 1 : 0;
    }
    (void)closedir(dir);
    assert_int_equal(count, 1);
}

static void fini(struct world *world)
{
    (void)unlink(world->path);
    assert_int_equal(rmdir(world->dir), 0);
}

static void test_a_file_is_made_and_replaced_and_anybody_may_read_it(void **state)
{
    struct world *world = world_of(state);
    mode_t before = umask(077);
    struct stat st;

    assert_int_equal(put(world, "one"), 0);
    expect(world, "one");
    assert_int_equal(stat(world->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(put(world, "the second"), 0);
    expect(world, "the second");
    short_write = 2;
    assert_int_equal(put(world, "in pieces"), 0);
    expect(world, "in pieces");
    (void)umask(before);
    fini(world);
}

static void test_when_the_disk_is_full_the_old_content_stays(void **state)
{
    struct world *world = world_of(state);

    assert_int_equal(put(world, "old"), 0);
    fail_write = ENOSPC;
    assert_int_equal(put(world, "new"), -ENOSPC);
    assert_non_null(strstr(world->detail, world->path));
    assert_non_null(strstr(world->detail, "No space left"));
    expect(world, "old");
    fail_sync = EIO;
    assert_int_equal(put(world, "new"), -EIO);
    expect(world, "old");
    assert_int_equal(put(world, "new"), 0);
    expect(world, "new");
    fini(world);
}

static void test_what_a_crash_left_beside_it_is_in_nobodys_way(void **state)
{
    struct world *world = world_of(state);
    char beside[160];
    int fd;

    (void)snprintf(beside, sizeof(beside), "%s/.list.crl.leased", world->dir);
    fd = open(beside, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(put(world, "whole"), 0);
    expect(world, "whole");
    fini(world);
}

static void test_a_private_file_is_ours_alone_and_gets_its_folder(void **state)
{
    struct world *world = world_of(state);
    char folder[160];
    char path[200];
    struct stat st;

    (void)snprintf(folder, sizeof(folder), "%s/policies", world->dir);
    (void)snprintf(path, sizeof(path), "%s/d1.json", folder);
    assert_int_equal(put_as(world, path, "one", true), 0);
    assert_int_equal(put_as(world, path, "two", true), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 3);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(put_as(world, path, "three", true), ERR_INVALID);
    assert_non_null(strstr(world->detail, "chmod 0600"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    fini(world);
}

static void test_a_missing_directory_is_named(void **state)
{
    struct world *world = world_of(state);
    char path[160];

    (void)snprintf(path, sizeof(path), "%s/none/list.crl", world->dir);
    assert_int_equal(put_to(world, path, "x"), ERR_NOT_FOUND);
    assert_non_null(strstr(world->detail, "none does not exist"));
    fini(world);
}

static void test_a_link_or_a_directory_in_the_way_is_refused(void **state)
{
    struct world *world = world_of(state);
    char target[160];

    (void)snprintf(target, sizeof(target), "%s/target", world->dir);
    assert_int_equal(symlink(target, world->path), 0);
    assert_int_equal(put(world, "x"), ERR_INVALID);
    assert_non_null(strstr(world->detail, "symbolic link"));
    assert_int_equal(access(target, F_OK), -1);
    assert_int_equal(unlink(world->path), 0);
    assert_int_equal(mkdir(world->path, 0700), 0);
    assert_int_equal(put(world, "x"), ERR_INVALID);
    assert_int_equal(rmdir(world->path), 0);
    fini(world);
}

/* Somebody's key, under a path that was mistyped. */
static void test_a_file_that_is_its_owners_alone_is_not_replaced(void **state)
{
    struct world *world = world_of(state);

    assert_int_equal(put(world, "key"), 0);
    assert_int_equal(chmod(world->path, 0600), 0);
    assert_int_equal(put(world, "list"), ERR_INVALID);
    assert_non_null(strstr(world->detail, "may be a key"));
    assert_int_equal(chmod(world->path, 0640), 0);
    assert_int_equal(put(world, "list"), 0);
    fini(world);
}

static void test_a_directory_that_strangers_can_change_is_refused(void **state)
{
    struct world *world = world_of(state);

    assert_int_equal(chmod(world->dir, 0777), 0);
    assert_int_equal(put(world, "x"), ERR_DENIED);
    assert_int_equal(chmod(world->dir, 01777), 0);
    assert_int_equal(put(world, "x"), ERR_DENIED);
    fini(world);
}

static void test_what_is_no_path_of_a_file_is_refused(void **state)
{
    static const char *const paths[] = {"", "list.crl", "/tmp/", "/"};
    struct world *world = world_of(state);
    char name[300] = "/tmp/";

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_int_equal(put_to(world, paths[i], "x"), ERR_INVALID);
    }
    memset(name + strlen(name), 'n', 250);
    assert_int_equal(put_to(world, name, "x"), -ENAMETOOLONG);
    fini(world);
}

static void test_too_much_is_refused_at_once(void **state)
{
    struct world *world = world_of(state);
    char *bytes = calloc(1, ENV_PUT_MAX_BYTES + 1);
    struct env_put too_large = {
        .path = world->path, .bytes = {bytes, ENV_PUT_MAX_BYTES + 1}, .fn = done, .user = world};

    assert_non_null(bytes);
    assert_int_equal(env_put_start(world->loop->env, &too_large), ERR_TOO_LARGE);
    free(bytes);
    fini(world);
}

static void test_closing_waits_for_what_is_being_written(void **state)
{
    struct world *world = world_of(state);

    world->put = (struct env_put){
        .path = world->path, .bytes = STR("last words"), .fn = done, .user = world};
    assert_int_equal(env_put_start(world->loop->env, &world->put), 0);
    assert_int_equal(io_close(world->loop->io), 0);
    assert_true(world->is_done);
    assert_int_equal(world->status, 0);
    expect(world, "last words");
    fini(world);
    assert_int_equal(io_new(&world->loop->io, NULL), 0); /* for the teardown */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
        TEST(test_a_file_is_made_and_replaced_and_anybody_may_read_it),
        TEST(test_when_the_disk_is_full_the_old_content_stays),
        TEST(test_what_a_crash_left_beside_it_is_in_nobodys_way),
        TEST(test_a_private_file_is_ours_alone_and_gets_its_folder),
        TEST(test_a_missing_directory_is_named),
        TEST(test_a_link_or_a_directory_in_the_way_is_refused),
        TEST(test_a_file_that_is_its_owners_alone_is_not_replaced),
        TEST(test_a_directory_that_strangers_can_change_is_refused),
        TEST(test_what_is_no_path_of_a_file_is_refused),
        TEST(test_too_much_is_refused_at_once),
        TEST(test_closing_waits_for_what_is_being_written),
#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
