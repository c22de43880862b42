#include "server_fixture.h"

#include "base/mem.h"
#include "io/io_internal.h"
#include "support/slowdown.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ms(void)
{
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U;
}

uint64_t fixture_deadline(void)
{
    return now_ms() + UINT64_C(5000) * slowdown();
}

bool fixture_is_over(uint64_t deadline_ms)
{
    return now_ms() > deadline_ms;
}

static void on_finished(struct env_request *request, bool is_delivered)
{
    struct fixture *f = request->user;
    size_t i;

    f->delivered_count += is_delivered ? 1 : 0;
    f->undelivered_count += is_delivered ? 0 : 1;
    for (i = 0; i < f->held_count; i++) {
        if (f->held[i] == request) {
            f->held[i] = NULL;
        }
    }
}

static void answer(struct fixture *f, struct env_request *request)
{
    struct env_reply reply = {
        .status = 200,
        .content_type = "text/plain",
        .headers = {{.name = STR("ETag"), .value = STR("\"7\"")}},
        .header_count = 1,
        .body = {.ptr = f->body, .len = f->body_len},
        .close = f->closes,
    };

    if (f->body_len == 0) {
        reply.body = str_of(f->body != NULL ? f->body : "ok");
    }
    env_request_reply(request, &reply);
}

void fixture_answer(struct fixture *f, size_t index)
{
    assert_true(index < f->held_count);
    assert_non_null(f->held[index]);
    answer(f, f->held[index]);
}

static void answer_deferred(struct env_deferred *deferred)
{
    struct fixture *f = deferred->user;

    fixture_answer(f, f->held_count - 1);
}

static void on_request(void *user, struct env_request *request)
{
    struct fixture *f = user;

    f->request_count++;
    f->peer = *request->peer;
    assert_string_equal(request->listener, "test");
    (void)snprintf(f->target, sizeof(f->target), "%.*s %.*s %.*s", STR_ARG(request->method),
                   STR_ARG(request->path), STR_ARG(request->query));
    f->request_body_len = request->body.len;
    (void)snprintf(f->request_body, sizeof(f->request_body), "%.*s", STR_ARG(request->body));
    request->finished = on_finished;
    request->user = f;
    if (!f->holds && !f->defers) {
        answer(f, request);
        return;
    }
    assert_true(f->held_count < FIXTURE_HELD_MAX);
    f->held[f->held_count++] = request;
    if (f->defers) {
        f->deferred.fn = answer_deferred;
        f->deferred.user = f;
        env_defer(io_env(f->io), &f->deferred);
    }
}

void fixture_init(struct fixture *f)
{
    struct err e;

    memset(f, 0, sizeof(*f));
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/leased-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/s/l.sock", f->dir);
    f->options.name = "test";
    f->options.unix_path = f->path;
    f->options.handler = on_request;
    f->options.handler_user = f;
    assert_int_equal(io_new(&f->io, &e), 0);
}

void fixture_listen(struct fixture *f)
{
    struct err e = {.text = ""};
    int rc = io_listener_open(f->io, &f->options, &f->listener, &e);

    if (rc != 0) {
        fail_msg("could not listen: %s", e.text);
    }
    f->is_closed = false;
}

static void on_closed(void *user)
{
    struct fixture *f = user;

    f->is_closed = true;
    f->listener = NULL;
}

void fixture_close_listener(struct fixture *f)
{
    f->is_closed = false;
    io_listener_close(f->listener, on_closed, f);
    FIXTURE_UNTIL(f, f->is_closed);
}

void fixture_fini(struct fixture *f)
{
    char command[128];

    if (f->listener != NULL) {
        fixture_close_listener(f);
    }
    assert_int_equal(io_close(f->io), 0);
    assert_int_equal(mem_in_use_bytes(), 0);
    (void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
}

void fixture_expect_refused(struct fixture *f, int code, const char *text)
{
    struct io_listener *listener = NULL;
    struct err e = {.text = ""};
    int rc = io_listener_open(f->io, &f->options, &listener, &e);

    assert_null(listener);
    if (rc != code || strstr(e.text, text) == NULL) {
        fail_msg("%d (%s) instead of %d (%s)", rc, e.text, code, text);
    }
}

/* A socket at f->path that is bound and, if asked, listens. */
int fixture_foreign_socket(struct fixture *f, bool listens)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (listens) {
        assert_int_equal(listen(fd, 1), 0);
    }
    return fd;
}

void fixture_make_dir(struct fixture *f, mode_t mode)
{
    char dir[96];

    (void)snprintf(dir, sizeof(dir), "%s/s", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chmod(dir, mode), 0);
}

void fixture_turn(struct fixture *f, int fd)
{
    struct pollfd fds[2] = {{.fd = uv_backend_fd(io_uv(f->io)), .events = POLLIN},
                            {.fd = fd, .events = POLLIN}};

    io_run_once(f->io, false);
    (void)poll(fds, fd >= 0 ? 2 : 1, 2);
}

static int connect_to(const struct fixture *f)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in loopback = {.sin_family = AF_INET};
    bool is_tcp = f->options.tcp != NULL;
    int fd = socket(is_tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (is_tcp) {
        loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        loopback.sin_port = htons(io_listener_port(f->listener));
        assert_int_equal(connect(fd, (struct sockaddr *)&loopback, sizeof(loopback)), 0);
    } else {
        (void)snprintf(local.sun_path, sizeof(local.sun_path), "%s", f->options.unix_path);
        assert_int_equal(connect(fd, (struct sockaddr *)&local, sizeof(local)), 0);
    }
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

struct client *client_new(struct fixture *f)
{
    struct client *client = calloc(1, sizeof(*client));

    assert_non_null(client);
    client->fd = connect_to(f);
    return client;
}

void client_free(struct client *client)
{
    (void)close(client->fd);
    free(client);
}

int client_ask(struct fixture *f, const char *request, size_t len)
{
    struct client *client = client_new(f);
    int status;

    client_send_bytes(f, client, request, len);
    status = client_reply(f, client, NULL);
    if (status != 200) {
        client_wait_eof(f, client);
    }
    client_free(client);
    return status;
}

void client_send_bytes(struct fixture *f, struct client *client, const void *bytes, size_t len)
{
    const char *rest = bytes;
    uint64_t deadline_ms = fixture_deadline();

    while (len > 0) {
        ssize_t sent = send(client->fd, rest, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno != EAGAIN) {
            return; /* The server has closed: the test reads that. */
        }
        if (sent > 0) {
            rest += sent;
            len -= (size_t)sent;
        }
        fixture_turn(f, -1);
        assert_false(fixture_is_over(deadline_ms));
    }
}

void client_send(struct fixture *f, struct client *client, const char *text)
{
    client_send_bytes(f, client, text, strlen(text));
}

void client_pump(struct client *client)
{
    ssize_t got = 1;

    while (got > 0 && client->len < sizeof(client->bytes)) {
        got = recv(client->fd, client->bytes + client->len, sizeof(client->bytes) - client->len,
                   MSG_DONTWAIT);
        if (got > 0) {
            client->len += (size_t)got;
        } else if (got == 0 || errno != EAGAIN) {
            client->is_eof = true;
        }
    }
}

/* The size of the reply at the front, or 0 while it isn't whole. */
static size_t reply_size(const struct client *client, size_t *ret_head, bool *ret_has_length)
{
    const char *end = memmem(client->bytes, client->len, "\r\n\r\n", 4);
    const char *length;
    size_t head;
    size_t body = 0;

    if (end == NULL) {
        return 0;
    }
    head = (size_t)(end - client->bytes) + 4;
    length = memmem(client->bytes, head, "Content-Length: ", 16);
    *ret_has_length = length != NULL;
    if (length != NULL) {
        body = (size_t)strtoul(length + 16, NULL, 10);
    }
    *ret_head = head;
    return client->len >= head + body ? head + body : 0;
}

int client_reply(struct fixture *f, struct client *client, char *ret_body)
{
    uint64_t deadline_ms = fixture_deadline();
    bool has_length = false;
    size_t head = 0;
    size_t size;
    int status;

    client_pump(client);
    while ((size = reply_size(client, &head, &has_length)) == 0 && !client->is_eof) {
        fixture_turn(f, client->fd);
        client_pump(client);
        if (fixture_is_over(deadline_ms)) {
            fail_msg("no reply; so far: %.*s", (int)client->len, client->bytes);
        }
    }
    if (size == 0) {
        assert_int_equal(client->len, 0); /* whole replies or none */
        return 0;
    }
    status = (int)strtol(client->bytes + strlen("HTTP/1.1 "), NULL, 10);
    assert_memory_equal(client->bytes, "HTTP/1.1 ", 9);
    assert_true(has_length || status == 204 || status == 304);
    if (ret_body != NULL) {
        memcpy(ret_body, client->bytes + head, size - head);
        ret_body[size - head] = '\0';
    }
    memmove(client->bytes, client->bytes + size, client->len - size);
    client->len -= size;
    return status;
}

void client_wait_eof(struct fixture *f, struct client *client)
{
    uint64_t deadline_ms = fixture_deadline();

    client_pump(client);
    while (!client->is_eof) {
        fixture_turn(f, client->fd);
        client_pump(client);
        assert_false(fixture_is_over(deadline_ms));
    }
}

int fixture_fork(struct fixture *f, int (*fn)(struct fixture *f, void *user), void *user)
{
    uint64_t deadline_ms = fixture_deadline();
    pid_t pid = fork();
    int status = 0;

    assert_true(pid >= 0);
    if (pid == 0) {
        child_end(fn(f, user));
    }
    while (waitpid(pid, &status, WNOHANG) == 0) {
        fixture_turn(f, -1);
        assert_false(fixture_is_over(deadline_ms));
    }
    return child_code(status);
}

int child_request(const char *path, const char *request)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char bytes[4096];
    size_t len = 0;
    ssize_t got;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        return 0;
    }
    (void)send(fd, request, strlen(request), MSG_NOSIGNAL);
    while (len < sizeof(bytes) - 1 && (got = read(fd, bytes + len, sizeof(bytes) - 1 - len)) > 0) {
        len += (size_t)got;
        bytes[len] = '\0';
        if (strstr(bytes, "\r\n\r\n") != NULL) {
            break;
        }
    }
    (void)close(fd);
    return len > 9 ? (int)strtol(bytes + 9, NULL, 10) : 0;
}
