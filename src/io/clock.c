/* Time and chance. Deadlines are in CLOCK_BOOTTIME, because leases go on expiring while the host is
 * suspended and CLOCK_MONOTONIC (libuv's clock) stops. The clock is read at most once between two
 * phases of a loop turn, so that all steps of one callback see the same time. */
#include "io/io_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ms(clockid_t id)
{
    struct timespec now;
    int rc = clock_gettime(id, &now);

    CHECK(rc == 0);
    return (uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U;
}

uint64_t io_now_ms(struct env *env)
{
    struct io *io = io_of(env);

    if (io->now_is_stale) {
        io->now_ms = clock_ms(CLOCK_BOOTTIME);
        io->now_is_stale = false;
    }
    return io->now_ms;
}

int64_t io_wall_ms(struct env *env)
{
    (void)env;
    return (int64_t)clock_ms(CLOCK_REALTIME);
}

const char *io_boot_id(struct env *env)
{
    struct io *io = io_of(env);
    ssize_t size = -1;
    int fd = -1;

    if (!io->has_boot_id) {
        io->has_boot_id = true;
        fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    }
    if (fd >= 0) {
        size = read(fd, io->boot_id, ENV_BOOT_ID_MAX_BYTES);
        (void)close(fd);
    }
    if (size > 0) {
        io->boot_id[size] = '\0';
        if (io->boot_id[size - 1] == '\n') {
            io->boot_id[size - 1] = '\0';
        }
    }
    return io->boot_id;
}

uint64_t io_stopwatch_us(struct env *env)
{
    struct timespec now;
    int rc = clock_gettime(CLOCK_MONOTONIC, &now);

    (void)env;
    CHECK(rc == 0);
    return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
}

void io_random(struct env *env, void *bytes, size_t size)
{
    char *at = bytes;

    (void)env;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);

        /* There is no safe way to go on without randomness. Only EINTR can happen on a kernel that
         * has the call. */
        CHECK(got > 0 || errno == EINTR);
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
}
