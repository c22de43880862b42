/* Seeds of the simulation: the known ones of seeds.txt and a range of others, each run twice, with
 * equal hashes. SEED= runs that one alone, STEPS= sets the length, V=1 prints the trace of the
 * first run, V=2 of the second (make sim SEED=7 STEPS=200000 V=1), PLAIN=1 chooses the world
 * without mishaps, VAULT=1 the one without other issuers; a failure says seed and step.
 *
 * SEEDS= runs that many from FROM= [1] on, each once and every STRIDE=th [1], and nothing else:
 * scripts/sim-soak starts several such processes. */
#include "sim_swarm.h"
#include "support/slowdown.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_DEFAULT 16
#define STEPS_DEFAULT 5000
#define SEEDS_FILE "tests/sim/seeds.txt"

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t steps_to_run(void)
{
    return number_of("STEPS", STEPS_DEFAULT);
}

static void print_result(uint64_t seed, const struct sim_swarm_result *result)
{
    (void)printf("seed %" PRIu64 ": %" PRIu64 " steps, %" PRIu64 " virtual min, %" PRIu64
                 " handed out, %" PRIu64 " refused, %" PRIu64 " issues, %" PRIu64
                 " renewals, %" PRIu64 " revocations, %" PRIu64 " records, %" PRIu64
                 " ends of the daemon, %" PRIu64 " lost by the network\n",
                 seed, result->steps, result->virtual_ms / 60000, result->handed_out,
                 result->refused, result->issues, result->renewals, result->revocations,
                 result->records, result->crashes, result->lost_credentials);
    (void)fflush(stdout);
}

/* By the word of seeds.txt, or of the environment. */
static void choose_world(struct sim_swarm_options *options, const char *word)
{
    options->is_plain = strcmp(word, "plain") == 0;
    options->is_vault_only = strcmp(word, "vault") == 0;
}

static const char *world_asked_for(void)
{
    return number_of("PLAIN", 0) != 0 ? "plain" : number_of("VAULT", 0) != 0 ? "vault" : "";
}

static void run_twice(uint64_t seed, uint64_t steps, const char *world)
{
    uint64_t traced = getenv("SEED") != NULL ? number_of("V", 0) : 0; /* V=2: the second run */
    struct sim_swarm_options options = {.seed = seed, .steps = steps, .is_traced = traced == 1};
    struct sim_swarm_result first;
    struct sim_swarm_result second;

    choose_world(&options, world);
    (void)printf("seed %" PRIu64 " …\n", seed);
    (void)fflush(stdout);
    sim_swarm_run(&options, &first);
    options.is_traced = traced == 2;
    sim_swarm_run(&options, &second);
    if (first.hash != second.hash) {
        (void)printf("SEED=%" PRIu64 ": two runs differ, so something looked at the machine\n",
                     seed);
    }
    assert_true(first.hash == second.hash);
    print_result(seed, &first);
}

static void run_range(void)
{
    uint64_t from = number_of("FROM", 1);
    uint64_t stride = number_of("STRIDE", 1);

    for (uint64_t seed = from; seed < from + number_of("SEEDS", 1); seed += stride) {
        struct sim_swarm_options options = {.seed = seed, .steps = steps_to_run()};
        struct sim_swarm_result result;

        choose_world(&options, world_asked_for());
        (void)printf("seed %" PRIu64 " …\n", seed);
        (void)fflush(stdout);
        sim_swarm_run(&options, &result);
        print_result(seed, &result);
    }
}

static void test_invariants_hold_in_each_seed_and_runs_repeat(void **state)
{
    uint64_t count = slowed(SEEDS_DEFAULT);

    (void)state;
    if (getenv("SEED") != NULL) {
        run_twice(number_of("SEED", 1), steps_to_run(), world_asked_for());
    } else if (getenv("SEEDS") != NULL) {
        run_range();
    } else {
        for (uint64_t seed = 1; seed <= count; seed++) {
            run_twice(seed, steps_to_run(), "");
        }
    }
}

/* Lines "SEED STEPS [plain|vault] what it found"; '#' begins a comment. */
static void test_seeds_that_found_something_stay_found(void **state)
{
    FILE *file = fopen(SEEDS_FILE, "re");
    char line[256];
    uint64_t number = 0;

    (void)state;
    if (file == NULL || getenv("SEED") != NULL || getenv("SEEDS") != NULL) {
        if (file != NULL) {
            (void)fclose(file);
        }
        skip();
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        char *end;
        char *words;
        uint64_t seed = strtoull(line, &end, 10);
        uint64_t steps = strtoull(end, &words, 10);

        /* Under valgrind every known seed would take too long. */
        if (end != line && number++ % slowdown() == 0) {
            run_twice(seed, steps,
                      strncmp(words, " plain ", 7) == 0   ? "plain"
                      : strncmp(words, " vault ", 7) == 0 ? "vault"
                                                          : "");
        }
    }
    (void)fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds_that_found_something_stay_found),
        cmocka_unit_test(test_invariants_hold_in_each_seed_and_runs_repeat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
