/* Notice of the end of the last process in a cgroup.
 *
 * Happy path in cgroup v2: open the folder, compare its inode, read cgroup.events below it;
 * somebody is there. The kernel wakes who polls that file when it changes, also for what happens in
 * cgroups below; when it says that nobody is left, fn runs once.
 *
 * The kernel tells of changes at most every 10 ms, a later one by a timer that a removal of the
 * cgroup takes along: who has just been told, or has just begun to listen, could miss the last
 * change. So the file is read once more a little after each notice.
 *
 * Happy path in systemd's hierarchy of cgroup v1, which tells nobody anything: some process in the
 * cgroup is watched by pidfd; when it has ended, another one; when there is none, fn runs.
 *
 * Failure paths: the folder is gone, is another's or is empty: ERR_GONE. A file that can't be read
 * any more counts as an end: what can't be watched isn't trusted to live on. */
#include "io/cgroup.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define CGROUP_MAGIC 0x63677270U /* "cgrp" */
#define MEMBER_MAGIC 0x6d656d62U /* "memb" */

/* When a notice that the kernel held back is surely there. */
#define RECHECK_MS 50U

/* Members that end while they are looked for. */
#define TRIES_MAX 64U

struct cgroup_watch {
    uint32_t magic;
    struct io *io;
    struct env_cgroup_watch *owner;
    struct list node; /* in io->cgroup_watches, until it is closed */
    int fd;           /* v2: cgroup.events; v1: the folder */
    bool has_ended;
    /* v2: */
    uv_poll_t poll;
    struct env_timer recheck;
    /* v1: */
    struct member *member; /* NULL in v2; else the last one that was found */
};

/* A process of a v1 cgroup that is watched; lives until its own watch is closed. */
struct member {
    uint32_t magic;
    struct env_process_watch watch;
    struct cgroup_watch *cgroup; /* NULL: it watches another by now */
};

static void watch_end(struct cgroup_watch *watch)
{
    if (!watch->has_ended) {
        watch->has_ended = true;
        watch->owner->fn(watch->owner); /* the watch may be closed */
    }
}

static void watch_free(struct cgroup_watch *watch)
{
    struct env_cgroup_watch *owner = watch->owner;

    (void)close(watch->fd);
    watch->io->watch_count--;
    watch->magic = 0;
    mem_free(watch);
    owner->impl = NULL;
    owner->closed(owner); /* the owner may be gone */
}

/* --- cgroup v2 -------------------------------------------------------------------------------- */

static void unified_look(struct cgroup_watch *watch)
{
    if (!cgroup_is_populated(watch->fd)) {
        (void)uv_poll_stop(&watch->poll);
        env_timer_disarm(&watch->io->env, &watch->recheck);
        watch_end(watch);
    }
}

static void recheck_later(struct cgroup_watch *watch)
{
    env_timer_arm(&watch->io->env, &watch->recheck, env_now_ms(&watch->io->env) + RECHECK_MS);
}

static void on_recheck(struct env_timer *timer)
{
    unified_look(OBJ_CAST(timer->user, struct cgroup_watch, CGROUP_MAGIC));
}

static void on_events(uv_poll_t *handle, int status, int events)
{
    struct cgroup_watch *watch = OBJ_CAST(handle->data, struct cgroup_watch, CGROUP_MAGIC);

    /* Whatever it is, the file says more. */
    (void)status;
    (void)events;
    io_enter(watch->io);
    recheck_later(watch);
    unified_look(watch); /* the watch may be closed */
}

static void on_poll_closed(uv_handle_t *handle)
{
    watch_free(OBJ_CAST(handle->data, struct cgroup_watch, CGROUP_MAGIC));
}

static int unified_start(struct cgroup_watch *watch, int folder_fd)
{
    int rc;

    watch->fd = openat(folder_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    if (watch->fd < 0) {
        return errno == EMFILE || errno == ENFILE ? ERR_LIMIT : ERR_GONE;
    }
    rc = cgroup_is_populated(watch->fd) ? uv_poll_init(&watch->io->loop, &watch->poll, watch->fd)
                                        : ERR_GONE;
    if (rc != 0) {
        (void)close(watch->fd);
        return rc;
    }
    watch->poll.data = watch;
    watch->recheck = (struct env_timer){.fn = on_recheck, .user = watch};
    rc = uv_poll_start(&watch->poll, UV_PRIORITIZED, on_events);
    CHECK(rc == 0); /* It fails only for bad arguments: the descriptor was proved by init. */
    recheck_later(watch);
    return 0;
}

/* --- cgroup v1 -------------------------------------------------------------------------------- */

static void on_member_end(struct env_process_watch *process);

static void on_member_closed(struct env_process_watch *process)
{
    struct member *member = OBJ_CAST(process->user, struct member, MEMBER_MAGIC);
    struct cgroup_watch *watch = member->cgroup;

    mem_free(member);
    if (watch != NULL) {
        watch_free(watch); /* its owner may be gone */
    }
}

/* Watches some process of the cgroup. ERR_GONE: there is none. */
static int member_start(struct cgroup_watch *watch)
{
    struct member *member = mem_calloc(1, sizeof(*member));
    struct env_process process;
    unsigned tries = 0;
    int rc;

    if (member == NULL) {
        return ERR_NOMEM;
    }
    *member = (struct member){.magic = MEMBER_MAGIC,
                              .watch = {.fn = on_member_end, .closed = on_member_closed},
                              .cgroup = watch};
    member->watch.user = member;
    do {
        rc = cgroup_find_member(watch->io, watch->fd, &process);
        if (rc != 0) {
            break;
        }
        member->watch.pid = process.pid;
        member->watch.start_ticks = process.start_ticks;
        rc = io_process_watch_start(&watch->io->env, &member->watch);
        tries++;
    } while (rc == ERR_GONE && tries < TRIES_MAX);
    if (rc != 0) {
        mem_free(member);
        return rc;
    }
    watch->member = member;
    return 0;
}

/* The old one stays when it was the last, so that there is something to close. */
static void on_member_end(struct env_process_watch *process)
{
    struct member *member = OBJ_CAST(process->user, struct member, MEMBER_MAGIC);
    struct cgroup_watch *watch = member->cgroup;

    if (member_start(watch) != 0) {
        watch_end(watch); /* the watch may be closed */
        return;
    }
    member->cgroup = NULL;
    io_process_watch_close(&watch->io->env, &member->watch);
}

/* --- both ------------------------------------------------------------------------------------- */

int io_cgroup_watch_start(struct env *env, struct env_cgroup_watch *owner)
{
    struct io *io = io_of(env);
    struct cgroup_watch *watch;
    int folder_fd = -1;
    int rc;

    CHECK(owner->fn != NULL);
    CHECK(owner->closed != NULL);
    if (io->is_closing) {
        return ERR_CLOSED;
    }
    if (io->watch_count >= IO_WATCHES_MAX) {
        return ERR_LIMIT;
    }
    watch = mem_calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return ERR_NOMEM;
    }
    *watch = (struct cgroup_watch){.magic = CGROUP_MAGIC, .io = io, .owner = owner};
    rc = cgroup_open(owner->cgroup, &folder_fd);
    if (rc == 0 && cgroup_is_unified(folder_fd)) {
        rc = unified_start(watch, folder_fd);
        (void)close(folder_fd);
    } else if (rc == 0) {
        watch->fd = folder_fd;
        rc = member_start(watch);
        if (rc != 0) {
            (void)close(folder_fd);
        }
    }
    if (rc != 0) {
        mem_free(watch);
        return rc;
    }
    io->watch_count++;
    list_push_back(&io->cgroup_watches, &watch->node);
    owner->impl = watch;
    return 0;
}

void io_cgroup_watch_close(struct env *env, struct env_cgroup_watch *owner)
{
    struct cgroup_watch *watch = OBJ_CAST(owner->impl, struct cgroup_watch, CGROUP_MAGIC);

    if (!list_is_linked(&watch->node)) {
        return;
    }
    list_remove(&watch->node);
    watch->has_ended = true;
    if (watch->member != NULL) {
        io_process_watch_close(env, &watch->member->watch);
    } else {
        env_timer_disarm(env, &watch->recheck);
        uv_close((uv_handle_t *)&watch->poll, on_poll_closed);
    }
}

bool io_cgroup_watch_has_ended(struct env *env, struct env_cgroup_watch *owner)
{
    struct cgroup_watch *watch = OBJ_CAST(owner->impl, struct cgroup_watch, CGROUP_MAGIC);
    struct env_process process;

    (void)env;
    return watch->has_ended ||
           (watch->member != NULL ? cgroup_find_member(watch->io, watch->fd, &process) != 0
                                  : !cgroup_is_populated(watch->fd));
}

void io_cgroups_close(struct io *io)
{
    while (!list_is_empty(&io->cgroup_watches)) {
        struct cgroup_watch *watch = LIST_ENTRY(io->cgroup_watches.next, struct cgroup_watch, node);

        io_cgroup_watch_close(&io->env, watch->owner);
    }
}
