/* A turn: wait → take the daemon's messages → look after each run → tell the ends. Nothing blocks
 * but the wait: an end that the socket has no room for is told in a later turn. */
#include "helper/serve.h"

#include "base/mem.h"
#include "helper/run.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

#define REQUEST_MAX_BYTES (RUN_INPUT_MAX_BYTES + 4096U)
#define AGAIN_MS 200U /* after a want of memory */

struct server {
    const struct helper_programs *programs;
    int fd;
    uint64_t now_ms;
    bool is_over;   /* nobody is there any more */
    bool is_choked; /* an end waits for room in the socket … */
    bool is_short;  /* … or for memory */
    struct run runs[RUN_COUNT_MAX];
    struct pollfd polled[1 + RUN_COUNT_MAX * RUN_POLLED];
};

static uint64_t clock_ms(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U;
}

/* ---- the daemon's messages -------------------------------------------------- */

static struct run *run_of(struct server *server, uint32_t id)
{
    size_t i;

    for (i = 0; i < RUN_COUNT_MAX; i++) {
        if (server->runs[i].state != RUN_STATE_FREE && server->runs[i].id == id) {
            return &server->runs[i];
        }
    }
    return NULL;
}

static struct run *free_run(struct server *server)
{
    size_t i;

    for (i = 0; i < RUN_COUNT_MAX; i++) {
        if (server->runs[i].state == RUN_STATE_FREE) {
            return &server->runs[i];
        }
    }
    return NULL;
}

/* The daemon keeps count, too: a message that doesn't fit isn't of the daemon that we know. */
static void take(struct server *server, const struct run_message *message)
{
    struct run *known = run_of(server, message->id);
    struct run *run = known == NULL ? free_run(server) : NULL;

    if (message->kind == RUN_CANCEL) {
        if (known != NULL) {
            run_kill(known, RUN_CANCELED, "");
        }
    } else if (message->kind == RUN_START && run != NULL) {
        run_begin(run, server->programs, message, server->now_ms);
    } else {
        server->is_over = true;
    }
}

static void receive(struct server *server)
{
    char bytes[REQUEST_MAX_BYTES];

    while (!server->is_over) {
        ssize_t size = recv(server->fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC);
        struct run_message message;

        if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
            break;
        }
        if (size <= 0 || (size_t)size > sizeof(bytes) ||
            run_message_read((struct str){.ptr = bytes, .len = (size_t)size}, &message) != 0) {
            server->is_over = true;
        } else {
            take(server, &message);
        }
    }
    mem_wipe(bytes, sizeof(bytes));
}

/* ---- ends ------------------------------------------------------------------- */

static void tell(struct server *server, struct run *run)
{
    const struct run_message message = run_end_message(run);
    struct str bytes;
    BUF_AUTO out;

    buf_init(&out, RUN_MESSAGE_MAX_BYTES);
    if (run_message_write(&message, &out) != 0) {
        server->is_short = true;
        return;
    }
    bytes = buf_str(&out);
    if (send(server->fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        run_free(run);
    } else if (errno == EAGAIN) {
        server->is_choked = true;
    } else if (errno == ENOBUFS || errno == ENOMEM || errno == EINTR) {
        server->is_short = true;
    } else {
        server->is_over = true;
    }
}

static void tell_ends(struct server *server)
{
    size_t i;

    server->is_choked = false;
    server->is_short = false;
    for (i = 0; i < RUN_COUNT_MAX && !server->is_over; i++) {
        if (server->runs[i].state == RUN_STATE_ENDED) {
            tell(server, &server->runs[i]);
        }
    }
}

/* ---- the loop --------------------------------------------------------------- */

static int wait_ms(const struct server *server)
{
    uint64_t until_ms = server->is_short ? server->now_ms + AGAIN_MS : UINT64_MAX;
    size_t i;

    for (i = 0; i < RUN_COUNT_MAX; i++) {
        const struct run *run = &server->runs[i];

        if (run->state == RUN_STATE_RUNNING && run->deadline_ms < until_ms) {
            until_ms = run->deadline_ms;
        }
    }
    if (until_ms == UINT64_MAX) {
        return -1;
    }
    return until_ms > server->now_ms ? (int)(until_ms - server->now_ms) : 0;
}

static void turn(struct server *server)
{
    size_t i;

    server->polled[0] =
        (struct pollfd){.fd = server->fd,
                        .events = (short)(server->is_choked ? POLLIN | POLLOUT : POLLIN)};
    for (i = 0; i < RUN_COUNT_MAX; i++) {
        run_poll(&server->runs[i], &server->polled[1 + i * RUN_POLLED]);
    }
    if (poll(server->polled, ARRAY_LEN(server->polled), wait_ms(server)) < 0 && errno != EINTR) {
        server->is_short = true; /* of memory; there is nothing better to do than to go on */
    }
    server->now_ms = clock_ms();
    for (i = 0; i < RUN_COUNT_MAX; i++) {
        run_step(&server->runs[i], &server->polled[1 + i * RUN_POLLED], server->now_ms);
    }
    receive(server);
    tell_ends(server);
}

void helper_serve(const struct helper_programs *programs, int fd)
{
    struct server *server = mem_calloc(1, sizeof(*server));
    size_t i;

    if (server == NULL) {
        return;
    }
    server->programs = programs;
    server->fd = fd;
    server->now_ms = clock_ms();
    while (!server->is_over) {
        turn(server);
    }
    for (i = 0; i < RUN_COUNT_MAX; i++) {
        run_kill(&server->runs[i], RUN_CANCELED, "");
        run_free(&server->runs[i]);
    }
    mem_free(server);
}
