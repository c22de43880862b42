/* The whole daemon on the real loop. */
#include "unit/daemon/daemon_fixture.h"

#include "daemon/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct run {
    struct config_fixture *f;
    struct io *io;
    struct env_timer timer;
    const struct daemon_step *step;
    bool was_ready;
};

static int connect_to(const struct config_fixture *f, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", f->folder, name);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

void daemon_fixture_ask(struct config_fixture *f, const char *method, const char *path,
                        const char *body)
{
    char text[8192];
    int len = snprintf(text, sizeof(text),
                       "%s %s HTTP/1.1\r\nHost: leased\r\nX-Leased-Request: 1\r\n"
                       "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
                       method, path, body != NULL ? strlen(body) : 0, body != NULL ? body : "");

    assert_in_range(len, 1, sizeof(text) - 1);
    f->fd = connect_to(f, "run/leased.sock");
    assert_true(f->fd >= 0);
    assert_int_equal(send(f->fd, text, (size_t)len, MSG_NOSIGNAL), len);
    f->answer_len = 0;
}

bool daemon_fixture_answered(struct config_fixture *f)
{
    ssize_t got =
        recv(f->fd, f->answer + f->answer_len, sizeof(f->answer) - 1 - f->answer_len, MSG_DONTWAIT);

    f->answer_len += got > 0 ? (size_t)got : 0;
    f->answer[f->answer_len] = '\0';
    if (got != 0) {
        return false;
    }
    (void)close(f->fd);
    return true;
}

bool daemon_fixture_answers(struct config_fixture *f, const char *name)
{
    int fd = connect_to(f, name);

    if (fd >= 0) {
        (void)close(fd);
    }
    return fd >= 0;
}

static void step(struct env_timer *timer)
{
    struct run *run = timer->user;
    const struct daemon_step *it = run->step;

    run->was_ready = run->was_ready || daemon_fixture_answers(run->f, "run/leased.sock");
    if (it->signum == 0 && it->config == NULL && it->check == NULL && it->until == NULL) {
        return;
    }
    if (it->until != NULL && !it->until(run->f)) {
        env_timer_arm(io_env(run->io), timer, env_now_ms(io_env(run->io)) + 1);
        return;
    }
    run->step++;
    if (it->config != NULL) {
        config_fixture_write(run->f, "c.yaml", it->config);
    }
    if (it->check != NULL) {
        it->check(run->f);
    }
    if (it->signum != 0) {
        assert_int_equal(raise(it->signum), 0);
    }
    env_timer_arm(io_env(run->io), timer, env_now_ms(io_env(run->io)) + 1);
}

static void configured(void *user, const struct config *config)
{
    (void)user;
    (void)config;
}

int daemon_fixture_run(struct config_fixture *f, const struct daemon_step *steps,
                       bool *ret_was_ready)
{
    struct run run = {.f = f, .step = steps};
    char path[96];
    struct daemon_options options = {.registry = f->registry,
                                     .config_path = path,
                                     .configured = configured};
    bool is_forced;
    int exit_code;

    (void)snprintf(path, sizeof(path), "%s/c.yaml", f->folder);
    if (config_fixture_load(f, "c.yaml") != 0) {
        fail_msg("%s", config_fixture_errors(f));
    }
    options.config = f->config;
    f->config = NULL;
    assert_int_equal(io_new(&run.io, NULL), 0);
    options.io = run.io;
    f->env = io_env(run.io);
    run.timer.fn = step;
    run.timer.user = &run;
    env_timer_arm(io_env(run.io), &run.timer, env_now_ms(io_env(run.io)) + 1);
    exit_code = daemon_run(&options, &is_forced);
    env_timer_disarm(io_env(run.io), &run.timer);
    assert_false(is_forced);
    assert_int_equal(io_close(run.io), 0);
    *ret_was_ready = run.was_ready;
    return exit_code;
}

const char *daemon_fixture_file(struct config_fixture *f, const char *name)
{
    static char text[65536];
    char path[128];
    FILE *file;
    size_t size;

    (void)snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    file = fopen(path, "re");
    assert_non_null(file);
    size = fread(text, 1, sizeof(text) - 1, file);
    text[size] = '\0';
    (void)fclose(file);
    return text;
}

size_t daemon_fixture_trail_has(struct config_fixture *f, const char *text)
{
    const char *at = daemon_fixture_file(f, "audit.jsonl");
    size_t count = 0;

    while ((at = strstr(at, text)) != NULL) {
        at += strlen(text);
        count++;
    }
    return count;
}
