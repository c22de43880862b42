/* What the process uses, from /proc and the kernel's counters; and how long a turn of the loop
 * takes, from libuv's count of the time that it spent waiting. What can't be read stays zero. */
#include "io/io_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define LAG_WINDOW_MS 60000U

/* --- the loop --------------------------------------------------------------------------------- */

void io_usage_init(struct io *io)
{
    /* Can't fail but for an option that doesn't exist. */
    (void)uv_loop_configure(&io->loop, UV_METRICS_IDLE_TIME);
    io->lag.start_wall_ms = io_wall_ms(&io->env);
}

/* The window moves on in halves, so that a peak is seen for one to two of them. */
static void window_move(struct io_lag *lag, uint64_t now_ms)
{
    if (now_ms - lag->window_ms >= 2 * (uint64_t)LAG_WINDOW_MS) {
        lag->previous_us = 0;
    } else if (now_ms - lag->window_ms >= LAG_WINDOW_MS) {
        lag->previous_us = lag->most_us;
    } else {
        return;
    }
    lag->most_us = 0;
    lag->window_ms = now_ms;
}

void io_usage_turn(struct io *io)
{
    struct io_lag *lag = &io->lag;
    uint64_t now_us = io_stopwatch_us(&io->env);
    uint64_t idle_us = uv_metrics_idle_time(&io->loop) / 1000U;
    uint64_t turn_us = now_us - lag->turn_us;
    uint64_t waited_us = idle_us - lag->idle_us;

    window_move(lag, io_now_ms(&io->env));
    if (lag->turn_us != 0 && turn_us > waited_us && turn_us - waited_us > lag->most_us) {
        lag->most_us = turn_us - waited_us;
    }
    lag->turn_us = now_us;
    lag->idle_us = idle_us;
}

/* --- the process ------------------------------------------------------------------------------ */

/* "SIZE RESIDENT …" in pages. */
static void read_memory(struct env_usage *usage)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    uint64_t pages;
    char text[256];
    ssize_t len = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
    struct str rest = {text, len > 0 ? (size_t)len : 0};

    if (fd >= 0) {
        (void)close(fd);
    }
    if (str_parse_u64(str_cut(&rest, ' '), &pages) == 0) {
        usage->virtual_bytes = pages * page_bytes;
    }
    if (str_parse_u64(str_cut(&rest, ' '), &pages) == 0) {
        usage->resident_bytes = pages * page_bytes;
    }
}

static void read_descriptors(struct env_usage *usage)
{
    DIR *folder = opendir("/proc/self/fd");
    struct rlimit limit;
    const struct dirent *entry;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        usage->max_fds = limit.rlim_cur;
    }
    if (folder == NULL) {
        return;
    }
    while ((entry = readdir(folder)) != NULL) {
        usage->open_fds += entry->d_name[0] != '.';
    }
    usage->open_fds--; /* the folder's own */
    (void)closedir(folder);
}

static uint64_t us_of(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000U + (uint64_t)time->tv_usec;
}

void io_usage(struct env *env, struct env_usage *ret_usage)
{
    struct io *io = io_of(env);
    struct rusage used;

    window_move(&io->lag, io_now_ms(env));
    *ret_usage = (struct env_usage){
        .start_wall_ms = io->lag.start_wall_ms,
        .connections = io->connection_count + io->stream_count,
        .connections_refused = io->refusals.count,
        .loop_lag_us =
            io->lag.most_us > io->lag.previous_us ? io->lag.most_us : io->lag.previous_us,
    };
    if (getrusage(RUSAGE_SELF, &used) == 0) {
        ret_usage->cpu_us = us_of(&used.ru_utime) + us_of(&used.ru_stime);
    }
    read_memory(ret_usage);
    read_descriptors(ret_usage);
}
