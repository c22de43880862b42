/* What `lease exec` has done beside its program. Each piece runs in a process of its own, so that
 * signals are passed on meanwhile, keeps their signals blocked, so that keys don't end it, and is
 * killed by the kernel when `lease` ends. */
#include "cli/api.h"
#include "cli/clock.h"
#include "cli/exec_internal.h"
#include "cli/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define END_WAIT_MS 5000U
#define WATCH_WAIT_MS (60U * 1000U) /* for a daemon that is just being restarted */
#define END_TIMEOUT_MS 2000U
#define ERRAND_PATH_MAX_BYTES 512U

/* 0 in the new process. */
static pid_t errand_fork(const struct exec *exec)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid < 0) {
        cli_message(exec->cli, "could not start a process: %s", err_str(-errno));
    } else if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(CLI_FAILED);
        }
    }
    return pid;
}

/* --- following --- */

struct watcher {
    int fd;
};

static bool watcher_event(void *user, const char *name, struct json_t *data)
{
    const struct watcher *watcher = user;
    bool is_gone = strcmp(name, "gone") == 0;
    const char *grant = json_string_value(json_object_get(data, "grant"));
    const char *more = json_string_value(json_object_get(data, is_gone ? "reason" : "lease"));
    char line[4 * EXEC_ID_MAX_BYTES];
    int len;

    if ((!is_gone && strcmp(name, "credential") != 0) || grant == NULL || more == NULL) {
        return true;
    }
    len = snprintf(line, sizeof(line), "%s %s %s\n", name, grant, more);
    return len > 0 && (size_t)len < sizeof(line) &&
           write(watcher->fd, line, (size_t)len) == (ssize_t)len;
}

void exec_watcher_start(struct exec *exec)
{
    const struct options *options = &exec->cli->options;
    struct watcher watcher;
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) != 0) {
        cli_message(exec->cli, "could not make a pipe: %s", err_str(-errno));
        return;
    }
    exec->watcher = errand_fork(exec);
    if (exec->watcher == 0) {
        const struct watch_follower follower = {.event = watcher_event, .user = &watcher};

        watcher.fd = fds[1];
        _exit(watch_follow(exec->cli, options->arg_count == 1 ? options->args[0] : NULL,
                           WATCH_WAIT_MS, &follower));
    }
    (void)close(fds[1]);
    exec->watch_fd = fds[0];
}

void exec_watcher_stop(struct exec *exec)
{
    if (exec->watcher > 0) {
        (void)kill(exec->watcher, SIGKILL);
        exec->watcher = 0;
    }
    if (exec->watch_fd >= 0) {
        (void)close(exec->watch_fd);
        exec->watch_fd = -1;
    }
}

/* --- calls --- */

static void acknowledge(struct cli *cli, const struct exec_held *held)
{
    struct api_request request = {.method = "POST", .action = "acknowledge a rotation"};
    struct api_reply reply;
    BUF_AUTO path;

    buf_init(&path, ERRAND_PATH_MAX_BYTES);
    buf_add_c(&path, API_ROOT "/leases");
    api_add_segment(&path, held->lease);
    buf_add_c(&path, "/ack");
    api_add_parameter(&path, "grant", held->grant);
    request.path = buf_str(&path).ptr;
    api_reply_init(&reply);
    (void)!api_call(cli, &request, &reply);
    api_reply_fini(&reply);
}

void exec_acknowledge(const struct exec *exec)
{
    size_t i;

    if (errand_fork(exec) != 0) {
        return;
    }
    exec->cli->err_fd = -1; /* without it the old credential has the role's overlap, no worse */
    for (i = 0; i < exec->cli->options.arg_count; i++) {
        acknowledge(exec->cli, &exec->held[i]);
    }
    _exit(CLI_OK);
}

void exec_end_grant(struct cli *cli, const char *grant, uint64_t wait_ms)
{
    struct api_request request = {.method = "DELETE",
                                  .timeout_ms = END_TIMEOUT_MS,
                                  .server_wait_ms = wait_ms,
                                  .is_quiet_if_gone = true};
    struct api_reply reply;
    char seconds[24];
    char action[2 * EXEC_ID_MAX_BYTES];
    BUF_AUTO path;

    buf_init(&path, ERRAND_PATH_MAX_BYTES);
    (void)snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)((wait_ms + 999) / 1000));
    (void)snprintf(action, sizeof(action), "end grant %s", grant);
    buf_add_c(&path, API_ROOT "/grants");
    api_add_segment(&path, grant);
    api_add_parameter(&path, "wait", seconds);
    request.path = buf_str(&path).ptr;
    request.action = action;
    api_reply_init(&reply);
    if (api_call(cli, &request, &reply) == CLI_OK && reply.status == 202 && wait_ms > 0) {
        cli_message(cli, "the issuer has not confirmed the end of %s yet; leased goes on trying",
                    grant);
    }
    api_reply_fini(&reply);
}

void exec_end_grants_now(const struct exec *exec)
{
    size_t i;

    if (errand_fork(exec) != 0) {
        return;
    }
    for (i = 0; i < ARRAY_LEN(exec->held); i++) {
        if (exec->held[i].grant[0] != '\0') {
            exec_end_grant(exec->cli, exec->held[i].grant, 0);
        }
    }
    _exit(CLI_OK);
}

/* The program has ended, so the daemon may have noticed already; asking again makes sure, and tells
 * when it is done. */
void exec_end_grants(const struct exec *exec)
{
    uint64_t deadline_ms = clock_now_ms() + END_WAIT_MS;
    size_t i;

    for (i = 0; i < ARRAY_LEN(exec->held); i++) {
        const struct exec_held *held = &exec->held[i];
        uint64_t now_ms = clock_now_ms();
        bool waits = !held->is_irrevocable && now_ms < deadline_ms;

        if (held->grant[0] != '\0') {
            exec_end_grant(exec->cli, held->grant, waits ? deadline_ms - now_ms : 0);
        }
    }
}
