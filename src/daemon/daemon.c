/* The life of the daemon.
 *
 * Up: parts in their order (daemon_parts.c), then `ready`. Down, on SIGTERM or SIGINT: not ready
 * and no new connections → drain (what the next daemon can't go on with is revoked) → before a
 * restart, who has connected already is served for a moment → listeners → files →
 * serve → lease core → backends (logged out, unless leases are left) → audit → ledger → the loop
 * ends. Each step begins when the one before has said that it is done. Failure paths: a part that
 * can't be made sends the rest down the same way, without a drain. A second signal leaves the drain
 * and the log-out out. What then still hangs, such as a disk, is left behind by the last resort.
 *
 * In between, reload.c exchanges what a new configuration changes. */
#include "daemon/daemon_internal.h"

#include "base/mem.h"

#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

/* After the drain: log-outs and the last records. */
#define LAST_RESORT_MS 15000U
/* Until the process is really gone; for the service manager. */
#define STOP_SLACK_MS 10000U

static struct daemon *daemon_of(void *user)
{
    return OBJ_CAST(user, struct daemon, DAEMON_MAGIC);
}

/* ---- down -------------------------------------------------------------------- */

void daemon_ledger_closed(struct daemon *daemon)
{
    env_timer_disarm(daemon->env, &daemon->last_resort);
    notify_fini(&daemon->notify);
    io_stop(daemon->options.io);
}

static void audit_closed(void *user)
{
    struct daemon *daemon = daemon_of(user);

    daemon->audit = NULL;
    daemon_ledger_close(daemon);
}

void daemon_hooks_closed(struct daemon *daemon)
{
    daemon->is_backends_closed = daemon->apply != NULL;
    if (daemon->is_backends_closed) {
        return; /* daemon_policy.c comes back */
    }
    if (daemon->audit == NULL) {
        audit_closed(daemon);
    } else {
        audit_close(daemon->audit, audit_closed, daemon);
    }
}

void daemon_backends_closed(struct daemon *daemon)
{
    if (daemon->audit != NULL && daemon->has_started) {
        daemon_note(daemon, "daemon.stopped", "ok");
    }
    daemon_hooks_close(daemon);
}

static void core_closed(void *user)
{
    struct daemon *daemon = daemon_of(user);

    daemon->core = NULL;
    daemon_backends_close(daemon);
}

/* No request is under way any more. */
static void core_stop(struct daemon *daemon)
{
    struct list *node;
    struct list *following;

    serve_free(daemon->serve);
    daemon->serve = NULL;
    requests_free(daemon->requests);
    daemon->requests = NULL;
    if (daemon->core == NULL) {
        core_closed(daemon);
        return;
    }
    LIST_EACH (&daemon->backends, node, following) {
        struct daemon_backend *entry = LIST_ENTRY(node, struct daemon_backend, node);

        entry->has_left = lease_core_left_count(daemon->core, backend_issuer(entry->backend)) > 0;
    }
    lease_core_close(daemon->core, core_closed, daemon);
}

static void files_stopped(void *user)
{
    core_stop(daemon_of(user));
}

/* Files whose grants have ended are removed before anything else goes. */
void daemon_listeners_closed(struct daemon *daemon)
{
    if (daemon->serve != NULL) {
        serve_files_stop(daemon->serve, files_stopped, daemon);
    } else {
        core_stop(daemon);
    }
}

static void last_resort(struct env_timer *timer)
{
    struct daemon *daemon = daemon_of(timer->user);

    log_event(LOG_LEVEL_ERROR, "daemon.stop.forced", "detail",
              "something didn't end in time; it is left behind", NULL);
    daemon->is_forced = true;
    daemon->exit_code = EX_IOERR;
    io_stop(daemon->options.io);
}

static void listeners_stop(struct daemon *daemon)
{
    daemon->is_drained = true;
    env_timer_arm(daemon->env, &daemon->last_resort, env_now_ms(daemon->env) + LAST_RESORT_MS);
    if (daemon->is_restarting && !daemon->is_hurried) {
        daemon_listeners_settle(daemon);
    } else {
        daemon_listeners_close(daemon);
    }
}

/* In time or not: the lease core has told what is left. Whoever stopped us must see that too: the
 * service manager shows the exit code. */
static void drained(struct lease_wait *wait, int status)
{
    struct daemon *daemon = daemon_of(wait->user);

    if (status != 0) {
        daemon->exit_code = EX_TEMPFAIL;
    }
    listeners_stop(daemon);
}

/* Will another daemon follow, on the same machine? Not in a container that ends with this process,
 * not in a pod, and not when somebody has said so (SIGUSR2), as the shipped unit does when the
 * machine goes down. */
static bool is_restart(const struct daemon *daemon)
{
    return !daemon->is_final && !daemon->options.is_in_pod && getpid() != 1;
}

static void stop(struct daemon *daemon)
{
    uint64_t timeout_ms = daemon->config->settings.limits.stop_timeout_ms;

    daemon->is_stopping = true;
    daemon->is_restarting = is_restart(daemon) && daemon->ledger != NULL;
    log_event(LOG_LEVEL_INFO, "daemon.stopping", NULL);
    env_timer_disarm(daemon->env, &daemon->copy_timer);
    notify_stopping(&daemon->notify, timeout_ms + LAST_RESORT_MS + STOP_SLACK_MS);
    serve_set_ready(daemon->serve, false);
    daemon_listeners_quiesce(daemon, daemon->is_restarting);
    daemon->drain.fn = drained;
    daemon->drain.user = daemon;
    lease_core_drain(daemon->core, env_now_ms(daemon->env) + timeout_ms, daemon->is_restarting,
                     &daemon->drain);
    serve_end_streams(daemon->serve); /* who watches hears of the end of his grants before */
}

/* ---- signals ----------------------------------------------------------------- */

static void stop_signaled(void *user, int signum)
{
    struct daemon *daemon = daemon_of(user);

    (void)signum;
    if (!daemon->is_stopping) {
        stop(daemon);
    } else if (!daemon->is_hurried) {
        log_event(LOG_LEVEL_WARN, "daemon.stop.hurried", "detail",
                  "a second signal: what isn't revoked yet stays as it is", NULL);
        daemon->is_hurried = true;
        if (!daemon->is_drained) {
            lease_wait_forget(&daemon->drain);
            if (lease_core_drain_now(daemon->core) > 0) {
                daemon->exit_code = EX_TEMPFAIL;
            }
            listeners_stop(daemon);
        }
    } else {
        last_resort(&daemon->last_resort);
    }
}

static void reopen_signaled(void *user, int signum)
{
    struct daemon *daemon = daemon_of(user);
    struct err e = {0};

    (void)signum;
    if (daemon->audit == NULL) {
        return;
    }
    if (audit_reopen(daemon->audit, &e) != 0) {
        log_event(LOG_LEVEL_ERROR, "audit.reopen.failed", "err", e.text, NULL);
    } else {
        log_event(LOG_LEVEL_INFO, "audit.reopened", NULL);
    }
}

static void final_signaled(void *user, int signum)
{
    (void)signum;
    daemon_of(user)->is_final = true;
    log_event(LOG_LEVEL_INFO, "daemon.final", "detail", "the next stop revokes all leases", NULL);
}

static void reload_signaled(void *user, int signum)
{
    (void)signum;
    (void)daemon_reload(daemon_of(user), NULL); /* it has told what went wrong */
}

static int signals_start(struct daemon *daemon)
{
    static const struct {
        int signum;
        io_signal_fn fn;
    } signals[] = {
        {SIGTERM, stop_signaled},  {SIGINT, stop_signaled},   {SIGUSR1, reopen_signaled},
        {SIGHUP, reload_signaled}, {SIGUSR2, final_signaled},
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(signals); i++) {
        if (io_signal_start(daemon->options.io, signals[i].signum, signals[i].fn, daemon) != 0) {
            log_event(LOG_LEVEL_ERROR, "daemon.start.failed", "detail", "signals", NULL);
            return EX_OSERR;
        }
    }
    return 0;
}

/* ---- up ---------------------------------------------------------------------- */

static void ready(struct daemon *daemon)
{
    daemon_note(daemon, "daemon.started", "ok");
    daemon->has_started = true;
    daemon_policy_keep(daemon);
    serve_set_ready(daemon->serve, true);
    notify_ready(&daemon->notify, "ready");
    log_event(LOG_LEVEL_INFO, "daemon.started", "version", LEASED_VERSION, "policy",
              access_policy_digest(daemon->config->access.policy), NULL);
    if (daemon->options.started != NULL) {
        daemon->options.started(daemon->options.user);
    }
}

int daemon_run(const struct daemon_options *options, bool *ret_is_forced)
{
    struct daemon *daemon = mem_calloc(1, sizeof(*daemon));
    int exit_code;

    *ret_is_forced = false;
    if (daemon == NULL) {
        config_free(options->config);
        return EX_OSERR;
    }
    daemon->magic = DAEMON_MAGIC;
    daemon->options = *options;
    daemon->config = options->config;
    daemon->env = io_env(options->io);
    daemon->last_resort.fn = last_resort;
    daemon->last_resort.user = daemon;
    notify_init(&daemon->notify, daemon->env);
    daemon->exit_code = daemon_parts_start(daemon);
    if (daemon->exit_code == 0) {
        daemon->exit_code = signals_start(daemon);
    }
    if (daemon->exit_code == 0) {
        ready(daemon);
    } else {
        daemon->is_stopping = true;
        listeners_stop(daemon);
    }
    io_run(options->io);
    exit_code = daemon->exit_code;
    *ret_is_forced = daemon->is_forced;
    if (!daemon->is_forced) {
        if (daemon->has_started) {
            log_event(LOG_LEVEL_INFO, "daemon.stopped", NULL);
        }
        config_free(daemon->config);
        mem_free((void *)daemon->served);
        mem_free(daemon);
    }
    return exit_code;
}
