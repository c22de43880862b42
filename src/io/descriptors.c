/* The limit of descriptors, which systems set to 1024 for the sake of select() and let everybody
 * raise who doesn't use it.
 *
 * What is needed: two for each connection (its socket, and a pidfd on unix sockets), one for each
 * process whose end is watched, and what the rest of the daemon takes: issuers' connections, files,
 * listeners. Who has the limit lowered, or may not raise it, has fewer connections: those that fit
 * beside what is open already and a reserve. */
#include "io/descriptors.h"

#include "io/server_internal.h"

#include <sys/resource.h>

#define CONNECTION_FDS 2U
#define OTHER_FDS 1024U

/* Descriptors that connections leave to the rest of the daemon, unless it has very few. */
#define RESERVE_FDS 64U

static uint64_t reserve_of(uint64_t limit)
{
    return limit / 8 < RESERVE_FDS ? limit / 8 : RESERVE_FDS;
}

int descriptors_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT32_MAX) {
        return INT32_MAX;
    }
    return (int)(limit.rlim_cur - reserve_of(limit.rlim_cur));
}

/* The soft limit, once it is as near to `needed` as it can be. */
static uint64_t raise_limit(uint64_t needed)
{
    struct rlimit limit;
    struct rlimit raised;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return needed;
    }
    if (limit.rlim_cur >= needed) {
        return limit.rlim_cur;
    }
    raised = limit;
    raised.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

/* How many connections fit into the limit. */
static uint32_t find_room(struct io *io, uint64_t limit)
{
    struct env_usage usage;
    uint64_t taken;
    uint64_t room;

    io_usage(io_env(io), &usage);
    taken = reserve_of(limit) + usage.open_fds;
    taken -=
        taken < CONNECTION_FDS * usage.connections ? taken : CONNECTION_FDS * usage.connections;
    room = limit > taken ? (limit - taken) / CONNECTION_FDS : 0;
    room = room > 0 ? room : 1;
    return room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
}

void io_descriptors_provide(struct io *io, uint32_t clients, struct io_descriptors *ret_descriptors)
{
    uint64_t needed = (uint64_t)CONNECTION_FDS * clients + IO_WATCHES_MAX + OTHER_FDS;
    uint64_t limit = raise_limit(needed);

    io->connections_max = find_room(io, limit);
    *ret_descriptors = (struct io_descriptors){
        .clients = clients < io->connections_max ? clients : io->connections_max,
        .limit = limit,
        .needed = needed,
    };
}
