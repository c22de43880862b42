/* The key of the sealed store is in secret memory and nowhere else: of the words that lie there, no
 * one that looks random lies in other memory too. A program of its own, because OpenSSL takes an
 * allocator only before its first allocation. */
#include "base/mem.h"
#include "base/secret.h"
#include "env/env.h"
#include "io/alloc.h"
#include "io/child.h"
#include "io/seal.h"
#include "io/secret_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARENA_BYTES 65536U
#define REGIONS_MAX 256U
#define WORD 16U

struct region {
    const unsigned char *from;
    size_t size;
};

static struct region regions[REGIONS_MAX];
static size_t region_count;

/* All memory that can be written to. */
static void find_regions(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    char line[512];

    assert_non_null(file);
    region_count = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        char *end;
        uintptr_t from = strtoul(line, &end, 16);
        uintptr_t to = strtoul(end + 1, &end, 16);

        if (strncmp(end, " rw", 3) == 0) {
            assert_true(region_count < REGIONS_MAX);
            regions[region_count].from = (const unsigned char *)from;
            regions[region_count++].size = to - from;
        }
    }
    assert_int_equal(fclose(file), 0);
}

static const struct region *region_of(const void *at)
{
    size_t i;

    for (i = 0; i < region_count; i++) {
        if ((uintptr_t)at - (uintptr_t)regions[i].from < regions[i].size) {
            return &regions[i];
        }
    }
    fail();
    return NULL;
}

/* Text, pointers and zeros repeat themselves, keys don't. */
static bool looks_random(const unsigned char *word)
{
    bool has_seen[256] = {false};
    size_t count = 0;
    size_t i;

    for (i = 0; i < WORD; i++) {
        count += has_seen[word[i]] ? 0 : 1;
        has_seen[word[i]] = true;
    }
    return count >= 13;
}

static bool is_elsewhere(const unsigned char *word, const struct region *home)
{
    size_t i;
    size_t at;

    for (i = 0; i < region_count; i++) {
        for (at = 0; &regions[i] != home && at + WORD <= regions[i].size; at += 8) {
            if (memcmp(regions[i].from + at, word, WORD) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void use(struct io_seal *seal)
{
    char sealed[6 + ENV_SEAL_BYTES];
    char opened[6];
    int i;

    for (i = 0; i < 100; i++) {
        assert_int_equal(io_seal(seal, STR("owner"), STR("secret"), sealed), 0);
        assert_int_equal(io_unseal(seal, STR("owner"),
                                   (struct str){.ptr = sealed, .len = sizeof(sealed)}, opened),
                         0);
    }
}

static void test_the_key_is_in_secret_memory_alone(void **state)
{
    unsigned char *probe = secret_alloc(WORD);
    struct io_seal *seal;
    const struct region *home;
    unsigned char *copy;
    size_t random_count = 0;
    size_t at;

    (void)state;
    assert_non_null(probe);
    assert_int_equal(io_seal_new(IO_SEALS_MAX, &seal), 0);
    use(seal);
    find_regions();
    home = region_of(probe);
    assert_int_equal(home->size, ARENA_BYTES);
    for (at = 0; at + WORD <= home->size; at += 8) {
        if (looks_random(home->from + at)) {
            random_count++;
            assert_false(is_elsewhere(home->from + at, home));
        }
    }
    /* Two contexts with 15 round keys each at least. */
    assert_true(random_count >= 30);

    /* The search finds what is there. */
    copy = malloc(WORD);
    assert_non_null(copy);
    for (at = 0; !looks_random(home->from + at); at += 8) {
    }
    memcpy(copy, home->from + at, WORD);
    find_regions();
    assert_true(is_elsewhere(home->from + at, region_of(probe)));
    mem_wipe(copy, WORD);
    free(copy);
    io_seal_free(seal);
    secret_free(probe);
}

static void test_a_freed_key_leaves_nothing(void **state)
{
    struct secret_stats before;
    struct secret_stats after;
    struct io_seal *seal;
    unsigned char *probe;
    const struct region *home;
    size_t random_count = 0;
    size_t at;

    (void)state;
    secret_memory_stats(&before);
    assert_int_equal(io_seal_new(IO_SEALS_MAX, &seal), 0);
    use(seal);
    io_seal_free(seal);
    secret_memory_stats(&after);
    assert_int_equal(after.used_bytes, before.used_bytes);
    probe = secret_alloc(WORD);
    assert_non_null(probe);
    memset(probe, 0, WORD);
    find_regions();
    home = region_of(probe);
    for (at = 0; at + WORD <= home->size; at += 8) {
        random_count += looks_random(home->from + at) ? 1 : 0;
    }
    assert_int_equal(random_count, 0);
    secret_free(probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_key_is_in_secret_memory_alone),
        cmocka_unit_test(test_a_freed_key_leaves_nothing),
    };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: other memory is the sanitizer's\n");
    return 0;
#endif
    if (is_under_valgrind()) {
        return 0;
    }
    if (io_use_allocator() != 0 ||
        io_use_secret_memory(ARENA_BYTES, IO_LOCK_MEMORY_TRY, NULL) != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
