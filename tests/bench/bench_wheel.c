/* How fast the timing wheel is: a table for people, then one line of JSON.
 *
 * rearm         a random entry gets a random deadline within an hour; time stands still
 * rearm_moving  the same while time moves on by 1 ms for every 100 operations, what comes due is
 * armed anew cancel_arm    a random entry is cancelled and armed again fire          all entries
 * come due, in steps of 10 ms */
#include "lease/wheel.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SPAN_MS 3600000U
#define OPERATIONS 10000000U

struct bench {
    struct wheel wheel;
    struct wheel_entry *entries;
    size_t count;
    uint64_t random_state;
    uint64_t fired;
    bool is_rearming;
};

static struct bench bench;

static uint64_t next_random(void)
{
    bench.random_state ^= bench.random_state << 13;
    bench.random_state ^= bench.random_state >> 7;
    bench.random_state ^= bench.random_state << 17;
    return bench.random_state;
}

static struct wheel_entry *random_entry(uint64_t random)
{
    return &bench.entries[(random >> 32) * bench.count >> 32];
}

static uint64_t random_span_ms(uint64_t random)
{
    return 1 + ((random & 0xffffffffU) * SPAN_MS >> 32);
}

static void fire(struct wheel *wheel, struct wheel_entry *entry)
{
    bench.fired++;
    if (bench.is_rearming) {
        wheel_arm(wheel, entry, wheel->horizon_ms + random_span_ms(next_random()));
    }
}

static double seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fill(size_t count)
{
    size_t i;

    bench.count = count;
    bench.random_state = 88172645463325252ULL;
    bench.fired = 0;
    bench.is_rearming = true;
    bench.entries = calloc(count, sizeof(*bench.entries));
    CHECK(bench.entries != NULL);
    wheel_init(&bench.wheel, 1000000007, fire);
    for (i = 0; i < count; i++) {
        wheel_arm(&bench.wheel, &bench.entries[i], 1000000007 + random_span_ms(next_random()));
    }
}

static double rearm(void)
{
    double start = seconds();
    uint32_t i;

    for (i = 0; i < OPERATIONS; i++) {
        uint64_t random = next_random();

        wheel_arm(&bench.wheel, random_entry(random), bench.wheel.now_ms + random_span_ms(random));
    }
    return OPERATIONS / (seconds() - start);
}

static double rearm_moving(void)
{
    double start = seconds();
    uint32_t i;

    for (i = 0; i < OPERATIONS; i++) {
        uint64_t random = next_random();

        wheel_arm(&bench.wheel, random_entry(random), bench.wheel.now_ms + random_span_ms(random));
        if (i % 100 == 0) {
            wheel_advance(&bench.wheel, bench.wheel.now_ms + 1);
        }
    }
    return OPERATIONS / (seconds() - start);
}

static double cancel_arm(void)
{
    double start = seconds();
    uint32_t i;

    for (i = 0; i < OPERATIONS; i++) {
        uint64_t random = next_random();
        struct wheel_entry *entry = random_entry(random);

        wheel_cancel(&bench.wheel, entry);
        wheel_arm(&bench.wheel, entry, bench.wheel.now_ms + random_span_ms(random));
    }
    return OPERATIONS / (seconds() - start);
}

static double fire_all(void)
{
    double start = seconds();

    bench.is_rearming = false;
    bench.fired = 0;
    while (wheel_count(&bench.wheel) > 0) {
        wheel_advance(&bench.wheel, bench.wheel.now_ms + 10);
    }
    CHECK(bench.fired == bench.count);
    return (double)bench.count / (seconds() - start);
}

int main(void)
{
    static const size_t counts[] = {10000, 100000, 1000000};
    char json[1024] = "";
    int used = 0;
    size_t i;

    printf("%-10s %14s %14s %14s %14s\n", "entries", "rearm", "rearm_moving", "cancel_arm", "fire");
    for (i = 0; i < ARRAY_LEN(counts); i++) {
        double moving;
        double still;
        double cancelled;
        double fired;

        fill(counts[i]);
        moving = rearm_moving();
        still = rearm();
        cancelled = cancel_arm();
        fired = fire_all();
        free(bench.entries);
        printf("%-10zu %10.1f M/s %10.1f M/s %10.1f M/s %10.1f M/s\n", counts[i], still / 1e6,
               moving / 1e6, cancelled / 1e6, fired / 1e6);
        used += snprintf(json + used, sizeof(json) - (size_t)used,
                         "%s{\"entries\":%zu,\"rearm_per_s\":%.0f,\"rearm_moving_per_s\":%.0f,"
                         "\"cancel_arm_per_s\":%.0f,\"fire_per_s\":%.0f}",
                         i > 0 ? "," : "", counts[i], still, moving, cancelled, fired);
    }
    printf("{\"bench\":\"wheel\",\"sizes\":[%s]}\n", json);
    return 0;
}
