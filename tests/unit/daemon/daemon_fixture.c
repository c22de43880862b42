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

bool daemon_fixture_answers(struct config_fixture *f, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", f->folder, name);
    r = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    (void)close(fd);
    return r == 0;
}

static void step(struct env_timer *timer)
{
    struct run *run = timer->user;
    const struct daemon_step *it = run->step;

    run->was_ready = run->was_ready || daemon_fixture_answers(run->f, "run/leased.sock");
    if (it->signum == 0 && it->config == NULL && it->check == NULL) {
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
