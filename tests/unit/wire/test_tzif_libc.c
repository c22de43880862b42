/* Time zones against the C library: for every zone that this machine has, both say the same at each
 * change of the clock, around it, and at moments between. A process of its own, because it changes
 * TZ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire/tzif.h"

#define ZONES "/usr/share/zoneinfo/"
#define FIRST_S INT64_C(-2208988800) /* 1900 */
#define LAST_S INT64_C(4102444800)   /* 2100 */
#define STEP_S (INT64_C(97) * 86400 + 12345)

static size_t zone_count;
static size_t refused_count;
static size_t moment_count;

static void compare(const struct tzif *zone, const char *path, int64_t unix_s)
{
    struct tzif_span span;
    struct tm tm;
    time_t moment = (time_t)unix_s;

    tzif_at(zone, unix_s, &span);
    assert_true(span.until_s > unix_s);
    assert_non_null(localtime_r(&moment, &tm));
    moment_count++;
    if (tm.tm_gmtoff != span.offset_s || (tm.tm_isdst != 0) != span.is_dst ||
        strncmp(tm.tm_zone, span.abbreviation, TZIF_ABBREVIATION_MAX_BYTES - 1) != 0) {
        fail_msg("%s at %" PRId64 ": %d %d %s, but libc has %ld %d %s", path, unix_s, span.offset_s,
                 span.is_dst, span.abbreviation, tm.tm_gmtoff, tm.tm_isdst, tm.tm_zone);
    }
}

static void zone_compare(const struct tzif *zone, const char *path)
{
    struct tzif_span span;
    int64_t at = FIRST_S;

    while (at < LAST_S) {
        tzif_at(zone, at, &span);
        if (span.until_s > LAST_S) {
            break;
        }
        compare(zone, path, span.until_s - 1);
        compare(zone, path, span.until_s);
        at = span.until_s;
    }
    for (at = FIRST_S; at < LAST_S; at += STEP_S) {
        compare(zone, path, at);
    }
}

static int visit(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    static char bytes[TZIF_MAX_BYTES];
    char zone_name[512];
    struct tzif *zone = NULL;
    FILE *file;
    size_t size;

    (void)info;
    (void)place;
    /* posix/ has the same files once more. */
    if (kind != FTW_F || strncmp(path, ZONES "posix/", sizeof(ZONES "posix/") - 1) == 0) {
        return 0;
    }
    file = fopen(path, "rb");
    if (file == NULL) {
        return 0;
    }
    size = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file);
    if (size < 4 || memcmp(bytes, "TZif", 4) != 0) {
        assert_int_not_equal(tzif_parse((struct str){bytes, size}, &zone, NULL), 0);
        return 0;
    }
    if (strncmp(path, ZONES "right/", sizeof(ZONES "right/") - 1) == 0) {
        assert_int_equal(tzif_parse((struct str){bytes, size}, &zone, NULL), ERR_UNSUPPORTED);
        refused_count++;
        return 0;
    }
    assert_int_equal(tzif_parse((struct str){bytes, size}, &zone, NULL), 0);
    (void)snprintf(zone_name, sizeof(zone_name), ":%s", path);
    assert_int_equal(setenv("TZ", zone_name, 1), 0);
    tzset();
    zone_compare(zone, path);
    zone_count++;
    tzif_free(zone);
    return 0;
}

static void test_every_zone_of_this_machine_is_as_libc_has_it(void **state)
{
    (void)state;
    (void)nftw(ZONES, visit, 16, FTW_PHYS);
    if (zone_count == 0) {
        print_message("there is no time zone database here (tzdata)\n");
        skip();
    }
    print_message("%zu zones, %zu moments; %zu with leap seconds refused\n", zone_count,
                  moment_count, refused_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_zone_of_this_machine_is_as_libc_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
