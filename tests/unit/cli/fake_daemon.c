/* The scripted daemon is a process of its own: `lease exec` forks, and its child is a client too.
 */
#include "fake_daemon.h"

#include "cli/cli.h"
#include "cli/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROUTES_MAX 16

/* "POST /leases {\"role\"": the head's begin and the body's. */
static bool route_fits(const char *wanted, const char *text)
{
    const char *body = strstr(wanted, " {");
    const char *blank = strstr(text, "\r\n\r\n");

    if (body == NULL || blank == NULL) {
        return strncmp(text, wanted, strlen(wanted)) == 0;
    }
    return strncmp(text, wanted, (size_t)(body - wanted)) == 0 &&
           strncmp(blank + 4, body + 1, strlen(body + 1)) == 0;
}

/* Is `text` a whole request? */
static bool is_whole(const char *text)
{
    static const char name[] = "Content-Length: ";
    const char *blank = strstr(text, "\r\n\r\n");
    const char *length = strstr(text, name);

    return blank != NULL &&
           (length == NULL || strlen(blank + 4) >= strtoul(length + strlen(name), NULL, 10));
}

static const struct fake_route *find_route(const struct fake_route *routes, size_t count,
                                           unsigned *used, const char *text)
{
    size_t i;

    for (i = 0; i < count; i++) {
        bool is_left = routes[i].times == 0 || used[i] < routes[i].times;

        if (is_left && route_fits(routes[i].request, text)) {
            used[i]++;
            return &routes[i];
        }
    }
    return NULL;
}

static void answer(int fd, const struct fake_route *route)
{
    static const struct fake_route none = {.status = 500, .body = "no route"};
    const struct fake_route *it = route != NULL ? route : &none;
    char text[FAKE_LOG_MAX_BYTES];
    const char *body = it->body != NULL ? it->body : "";

    /* Status 0: hang up without a word. */
    if (it->status != 0) {
        (void)snprintf(text, sizeof(text), "HTTP/1.1 %u X\r\nContent-Length: %zu\r\n%s\r\n%s",
                       it->status, strlen(body), it->headers != NULL ? it->headers : "", body);
        (void)!write(fd, text, strlen(text));
    }
}

static void serve(int listener, const struct fake_route *routes, size_t count, char *log)
{
    unsigned used[ROUTES_MAX] = {0};

    for (;;) {
        char text[8192];
        size_t len = 0;
        ssize_t size = 1;
        int fd = accept(listener, NULL, NULL);

        text[0] = '\0';
        while (size > 0 && !is_whole(text) && len < sizeof(text) - 1) {
            size = read(fd, text + len, sizeof(text) - 1 - len);
            len += size > 0 ? (size_t)size : 0;
            text[len] = '\0';
        }
        if (strlen(log) + len + 1 < FAKE_LOG_MAX_BYTES) {
            memcpy(log + strlen(log), text, len + 1);
        }
        answer(fd, find_route(routes, count, used, text));
        (void)close(fd);
    }
}

static void run(struct fake_daemon *daemon, int listener, const struct fake_route *routes,
                size_t count)
{
    assert_in_range(count, 0, ROUTES_MAX);
    assert_int_equal(listen(listener, 64), 0);
    daemon->log =
        mmap(NULL, FAKE_LOG_MAX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(daemon->log, MAP_FAILED);
    daemon->pid = fork();
    if (daemon->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(listener, routes, count, daemon->log);
    }
    assert_true(daemon->pid > 0);
    (void)close(listener);
}

void fake_daemon_start(struct fake_daemon *daemon, const struct fake_route *routes, size_t count)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(daemon->folder, sizeof(daemon->folder), "/tmp/lease-test-XXXXXX");
    assert_non_null(mkdtemp(daemon->folder));
    (void)snprintf(daemon->socket, sizeof(daemon->socket), "%s/socket", daemon->folder);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", daemon->socket);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    run(daemon, listener, routes, count);
}

void fake_issuer_start(struct fake_daemon *issuer, const struct fake_route *routes, size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    issuer->folder[0] = issuer->socket[0] = '\0';
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(issuer->address, sizeof(issuer->address), "http://127.0.0.1:%u",
                   ntohs(address.sin_port));
    run(issuer, listener, routes, count);
}

void fake_daemon_stop(struct fake_daemon *daemon)
{
    (void)kill(daemon->pid, SIGKILL);
    (void)waitpid(daemon->pid, NULL, 0);
    (void)munmap(daemon->log, FAKE_LOG_MAX_BYTES);
    if (daemon->folder[0] != '\0') {
        (void)unlink(daemon->socket);
        (void)rmdir(daemon->folder);
    }
}

int fake_daemon_count(const struct fake_daemon *daemon, const char *request)
{
    const char *at = daemon->log;
    int count = 0;

    while ((at = strstr(at, request)) != NULL) {
        count++;
        at++;
    }
    return count;
}

static void read_back(int fd, char *out, size_t size)
{
    ssize_t got = pread(fd, out, size - 1, 0);

    assert_true(got >= 0);
    out[got] = '\0';
    (void)close(fd);
}

const struct lease_result *run_lease(const struct fake_daemon *daemon, const char *const *words)
{
    static struct lease_result result;
    char texts[64][256] = {"lease", "--socket"};
    char *argv[65];
    int argc = 1;
    int out_fd = memfd_create("out", MFD_CLOEXEC);
    int err_fd = memfd_create("err", MFD_CLOEXEC);
    int i;

    /* Also makes the linker take the clock of the tests. */
    assert_int_equal(clock_wall_ms(), FAKE_CLOCK_WALL_MS);
    if (daemon != NULL) {
        (void)snprintf(texts[2], sizeof(texts[2]), "%s", daemon->socket);
        argc = 3;
    }
    for (; *words != NULL; words++) {
        assert_in_range(argc, 0, 63);
        (void)snprintf(texts[argc++], sizeof(texts[0]), "%s", *words);
    }
    for (i = 0; i < argc; i++) {
        argv[i] = texts[i];
    }
    argv[argc] = NULL;
    result.exit_code = cli_run(argc, argv, out_fd, err_fd);
    read_back(out_fd, result.out, sizeof(result.out));
    read_back(err_fd, result.err, sizeof(result.err));
    return &result;
}
