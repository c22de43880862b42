/* The arena for secrets: what it gives out, what it notices, and how it is protected. */
#include "io/arena.h"

#include "io/child.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE 65536U
#define BLOCKS_MAX 200

static struct arena *make(enum arena_kind best, enum arena_kind worst)
{
    struct arena *arena = NULL;
    struct err e = {0};

    assert_int_equal(arena_new(SIZE, best, worst, &arena, &e), 0);
    return arena;
}

static void test_a_block_is_aligned_and_whole(void **state)
{
    struct arena *arena = make(ARENA_PLAIN, ARENA_PLAIN);

    (void)state;
    for (size_t size = 0; size < 5000; size = size * 2 + 1) {
        char *block = arena_alloc(arena, size);

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 16, 0);
        assert_true(arena_owns(arena, block));
        memset(block, 0xa5, size);
        arena_check(arena);
        arena_free(arena, block);
        arena_check(arena);
    }
    assert_int_equal(arena_used_bytes(arena), 0);
    assert_int_equal(arena_peak_bytes(arena), 8192);
    arena_free_all(arena);
}

static void test_a_full_arena_says_so_and_recovers(void **state)
{
    struct arena *arena = make(ARENA_PLAIN, ARENA_PLAIN);
    void *blocks[SIZE / ARENA_BLOCK_LEAST_BYTES];
    size_t count = 0;

    (void)state;
    assert_null(arena_alloc(arena, SIZE));
    assert_null(arena_alloc(arena, SIZE_MAX));
    while ((blocks[count] = arena_alloc(arena, 8)) != NULL) {
        count++;
        if (count == sizeof(blocks) / sizeof(blocks[0])) {
            break;
        }
    }
    assert_int_equal(count, SIZE / ARENA_BLOCK_LEAST_BYTES);
    assert_null(arena_alloc(arena, 0));
    assert_int_equal(arena_used_bytes(arena), SIZE);
    while (count > 0) {
        arena_free(arena, blocks[--count]);
    }
    arena_check(arena);
    blocks[0] = arena_alloc(arena, SIZE / 2 + 1);
    assert_non_null(blocks[0]);
    arena_free(arena, blocks[0]);
    arena_free_all(arena);
}

/* Whatever order blocks come and go in, nobody's bytes change, and in the end all is one again. */
static void test_random_lives_match_a_model(void **state)
{
    struct arena *arena = make(ARENA_PLAIN, ARENA_PLAIN);
    struct {
        unsigned char *bytes;
        size_t size;
        unsigned char value;
    } blocks[BLOCKS_MAX] = {{0}};
    unsigned seed = 7;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t at = (size_t)rand_r(&seed) % BLOCKS_MAX;

        if (blocks[at].bytes != NULL) {
            for (size_t i = 0; i < blocks[at].size; i++) {
                assert_int_equal(blocks[at].bytes[i], blocks[at].value);
            }
            arena_free(arena, blocks[at].bytes);
            blocks[at].bytes = NULL;
        } else {
            blocks[at].size = (size_t)rand_r(&seed) % (1U << (unsigned)(rand_r(&seed) % 12));
            blocks[at].value = (unsigned char)rand_r(&seed);
            blocks[at].bytes = arena_alloc(arena, blocks[at].size);
            if (blocks[at].bytes != NULL) {
                memset(blocks[at].bytes, blocks[at].value, blocks[at].size);
            }
        }
        if (round % 500 == 0) {
            arena_check(arena);
        }
    }
    for (size_t i = 0; i < BLOCKS_MAX; i++) {
        if (blocks[i].bytes != NULL) {
            arena_free(arena, blocks[i].bytes);
        }
    }
    arena_check(arena);
    assert_int_equal(arena_used_bytes(arena), 0);
    arena_free_all(arena);
}

static void test_what_is_freed_is_wiped(void **state)
{
    struct arena *arena = make(ARENA_PLAIN, ARENA_PLAIN);
    char *block = arena_alloc(arena, 100);
    char *again;

    (void)state;
    memset(block, 'x', 100);
    arena_free(arena, block);
    again = arena_alloc(arena, 100);
    assert_ptr_equal(again, block);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(again[i], 0);
    }
    arena_free(arena, again);
    arena_free_all(arena);
}

enum misuse {
    MISUSE_WRITE_OVER_END,
    MISUSE_WRITE_BEFORE,
    MISUSE_FREE_TWICE,
    MISUSE_FREE_INSIDE,
    MISUSE_FREE_FOREIGN,
    MISUSE_TOUCH_GUARD_ABOVE,
    MISUSE_TOUCH_GUARD_BELOW,
    MISUSE_COUNT,
};

static void misuse(struct arena *arena, enum misuse what)
{
    char *block = arena_alloc(arena, 40);
    char *large = arena_alloc(arena, 1000);
    static char foreign[200];

    memset(large, 'x', 1000);
    switch (what) {
    case MISUSE_WRITE_OVER_END:
        block[40] ^= 1;
        arena_free(arena, block);
        break;
    case MISUSE_WRITE_BEFORE:
        block[-1] ^= 1;
        arena_free(arena, block);
        break;
    case MISUSE_FREE_TWICE:
        arena_free(arena, block);
        arena_free(arena, block);
        break;
    case MISUSE_FREE_INSIDE:
        arena_free(arena, large + 128);
        break;
    case MISUSE_FREE_FOREIGN:
        arena_free(arena, foreign + 100);
        break;
    case MISUSE_TOUCH_GUARD_ABOVE:
        ((volatile char *)block)[SIZE] = 1;
        break;
    case MISUSE_TOUCH_GUARD_BELOW:
        ((volatile char *)block)[-64] = 1;
        break;
    case MISUSE_COUNT:
        break;
    }
}

static void test_misuse_ends_the_process(void **state)
{
    (void)state;
    if (is_under_valgrind()) {
        return; /* it would report what these children are for */
    }
    for (int what = 0; what < MISUSE_COUNT; what++) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
            struct arena *arena = NULL;

            (void)signal(SIGSEGV, SIG_DFL);
            (void)signal(SIGABRT, SIG_DFL);
            (void)close(2);
            if (arena_new(SIZE, ARENA_PLAIN, ARENA_PLAIN, &arena, NULL) == 0) {
                misuse(arena, (enum misuse)what);
            }
            child_end(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL);
    }
}

static void test_memory_is_locked_where_that_is_allowed(void **state)
{
    struct arena *arena = make(ARENA_MEMFD_SECRET, ARENA_PLAIN);
    void *block = arena_alloc(arena, 100);

    (void)state;
    assert_non_null(block);
    memset(block, 1, 100);
    arena_free(arena, block);
    if (geteuid() == 0 && !is_under_valgrind()) {
        assert_int_not_equal(arena_kind(arena), ARENA_PLAIN);
    }
    arena_free_all(arena);
}

/* A fork's copy of it must not exist: what a child does with its memory is not ours to know. */
static void test_a_child_has_no_copy(void **state)
{
    struct arena *arena = make(ARENA_MLOCK, ARENA_PLAIN);
    volatile char *block = arena_alloc(arena, 100);
    pid_t pid;
    int status;

    (void)state;
    if (!is_under_valgrind()) {
        pid = fork();
        if (pid == 0) {
            (void)signal(SIGSEGV, SIG_DFL);
            (void)block[0];
            child_end(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL);
    }
    arena_free(arena, (void *)(uintptr_t)block);
    arena_free_all(arena);
}

static void without_limit(void)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    struct arena *arena = NULL;
    struct err e = {0};
    static char page[1];

    child_drop_rights();
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0) {
        child_end(10);
    }
    if (mlock(page, sizeof(page)) == 0) {
        child_end(0); /* a sanitizer answers in the kernel's place */
    }
    if (arena_new(SIZE, ARENA_MEMFD_SECRET, ARENA_MLOCK, &arena, &e) != ERR_LIMIT ||
        strstr(e.text, "RLIMIT_MEMLOCK") == NULL) {
        child_end(11);
    }
    if (arena_new(SIZE, ARENA_MEMFD_SECRET, ARENA_PLAIN, &arena, &e) != 0 ||
        arena_kind(arena) != ARENA_PLAIN) {
        child_end(12);
    }
    child_end(0);
}

static void test_without_the_right_to_lock_it_is_refused_or_plain(void **state)
{
    pid_t pid;

    (void)state;
    if (geteuid() != 0 || is_under_valgrind()) {
        return; /* valgrind answers mlock by itself */
    }
    pid = fork();
    if (pid == 0) {
        without_limit();
    }
    assert_int_equal(child_wait(pid), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_block_is_aligned_and_whole),
        cmocka_unit_test(test_a_full_arena_says_so_and_recovers),
        cmocka_unit_test(test_random_lives_match_a_model),
        cmocka_unit_test(test_what_is_freed_is_wiped),
        cmocka_unit_test(test_misuse_ends_the_process),
        cmocka_unit_test(test_memory_is_locked_where_that_is_allowed),
        cmocka_unit_test(test_a_child_has_no_copy),
        cmocka_unit_test(test_without_the_right_to_lock_it_is_refused_or_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
