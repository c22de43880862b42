/* What daemon.c (life) and daemon_parts.c (the parts and how they are made) share. */
#ifndef LEASED_DAEMON_DAEMON_INTERNAL_H
#define LEASED_DAEMON_DAEMON_INTERNAL_H

#include "backend/backend.h"
#include "daemon/daemon.h"
#include "daemon/notify.h"
#include "io/listener.h"
#include "serve/api.h"

#define DAEMON_MAGIC 0x6461656dU /* "daem" */
#define DAEMON_NODE_MAX_BYTES 256
#define DAEMON_CGROUP_MAX_BYTES 4096

struct daemon_listener {
    struct daemon *daemon;
    struct serve_listener api;
    struct io_listener *io; /* NULL: not open */
};

struct daemon {
    uint32_t magic;
    struct daemon_options options;
    struct env *env;
    struct notify notify;
    char node[DAEMON_NODE_MAX_BYTES];
    char own_cgroup[DAEMON_CGROUP_MAX_BYTES];

    /* In the order in which they are made; what isn't there is NULL. */
    struct audit *audit;
    struct lease_core *core;
    struct backend **backends; /* as many as the configuration has; those open come first */
    size_t backend_count;
    struct lease_role *roles;
    struct serve *serve;
    struct daemon_listener *listeners;

    bool has_started; /* the trail says so; then it also says when it stopped */

    /* The way down. */
    bool is_stopping;
    bool is_drained; /* or nobody waits for it any more */
    bool is_hurried; /* a second signal: the issuers aren't told */
    bool is_forced;  /* the last time limit has passed */
    size_t closing_count;
    struct lease_wait drain;
    struct env_timer last_resort;
    int exit_code;
};

/* Makes the parts in their order. On failure returns the exit code, after having logged why; what
 * was made stays, for the way down. */
int daemon_parts_start(struct daemon *daemon) ATTR_MUST_USE;

/* Frees what needs no closing. */
void daemon_parts_free(struct daemon *daemon);

/* Writes a record about the daemon itself. */
void daemon_note(struct daemon *daemon, const char *event, const char *outcome);

#endif
