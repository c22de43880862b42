/* What sealing costs: a database credential (a Vault lease id, user name, password) is sealed and
 * opened again, the opened one in secret memory, as for each answer. */
#include "base/secret.h"
#include "env/env.h"
#include "io/alloc.h"
#include "io/seal.h"
#include "io/secret_memory.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUNDS 1000000U
#define PLAIN_BYTES 160U
#define OWNER STR("l-0123456789abcdef0123456789abcdeforders-db")

static double seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seal_us(struct io_seal *seal, char *sealed)
{
    char plain[PLAIN_BYTES];
    double start = seconds();
    uint32_t i;

    memset(plain, 'p', sizeof(plain));
    for (i = 0; i < ROUNDS; i++) {
        CHECK(io_seal(seal, OWNER, (struct str){.ptr = plain, .len = sizeof(plain)}, sealed) == 0);
    }
    return (seconds() - start) * 1e6 / ROUNDS;
}

static double open_us(struct io_seal *seal, const char *sealed)
{
    struct str s = {.ptr = sealed, .len = PLAIN_BYTES + ENV_SEAL_BYTES};
    double start = seconds();
    uint32_t i;

    for (i = 0; i < ROUNDS; i++) {
        struct secret opened;
        char *plain;

        secret_init(&opened);
        CHECK(secret_make(&opened, PLAIN_BYTES, &plain) == 0);
        CHECK(io_unseal(seal, OWNER, s, plain) == 0);
        secret_fini(&opened);
    }
    return (seconds() - start) * 1e6 / ROUNDS;
}

int main(void)
{
    char sealed[PLAIN_BYTES + ENV_SEAL_BYTES];
    struct secret_stats stats;
    struct io_seal *seal;
    double sealing;
    double opening;

    CHECK(io_use_allocator() == 0);
    CHECK(io_use_secret_memory(1U << 20, IO_LOCK_MEMORY_TRY, NULL) == 0);
    CHECK(io_seal_new(IO_SEALS_MAX, &seal) == 0);
    sealing = seal_us(seal, sealed);
    opening = open_us(seal, sealed);
    secret_memory_stats(&stats);
    printf("%-40s %10s\n", "secret memory", stats.kind);
    printf("%-40s %10.2f us\n", "a credential sealed", sealing);
    printf("%-40s %10.2f us\n", "opened into secret memory, and wiped", opening);
    printf("{\"bench\":\"seal\",\"seal_us\":%.2f,\"open_us\":%.2f}\n", sealing, opening);
    io_seal_free(seal);
    return 0;
}
