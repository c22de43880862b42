/* Any bytes to the real HTTP server on a unix socket, in two parts (the first byte says where they
 * are cut): what reaches the handler is exactly what a strict reading of RFC 9112 finds in them,
 * request by request, header by header, and nothing behind the first thing that is none. Each
 * request is over once.
 *
 * Inputs with a NUL are passed over: libmicrohttpd puts NULs in the places of line ends, and those
 * that were sent can't all be told from them (see server_head.c). */
#include "base/mem.h"
#include "fuzz/input.h"
#include "fuzz/strict_http.h"
#include "io/listener.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define TURNS 4
#define REQUESTS_MAX 64
#define SHORT_MS 10

/* Made once: the loop, its listener and what the input at hand should bring. */
static struct {
    struct io *io;
    struct io_listener *listener;
    char dir[64];
    char path[96];
    struct str rest; /* of the input, as far as the handler has seen it */
    size_t request_count;
    size_t over_count;
} server;

static void on_finished(struct env_request *request, bool is_delivered)
{
    (void)request;
    (void)is_delivered;
    server.over_count++;
}

static void check_headers(const struct env_request *request, const struct strict_request *strict)
{
    size_t i;

    CHECK(request->header_count == strict->header_count);
    for (i = 0; i < request->header_count; i++) {
        CHECK(str_eq(request->headers[i].name, strict->names[i]));
        CHECK(str_eq(request->headers[i].value, strict->values[i]));
    }
}

static void on_request(void *user, struct env_request *request)
{
    const struct env_reply reply = {.status = 200, .content_type = "text/plain", .body = STR("ok")};
    struct strict_request strict;

    (void)user;
    CHECK(strict_http_next(&server.rest, &strict));
    CHECK(str_eq(request->method, strict.method));
    CHECK(str_eq(request->path, strict.path));
    CHECK(str_eq(request->query, strict.query));
    CHECK(str_eq(request->body, strict.body));
    check_headers(request, &strict);
    server.request_count++;
    CHECK(server.request_count <= REQUESTS_MAX);
    request->finished = on_finished;
    env_request_reply(request, &reply);
}

static void clean_up(void)
{
    (void)unlink(server.path);
    (void)rmdir(server.dir);
}

static void server_start(void)
{
    struct io_listener_options options = {
        .name = "fuzz",
        .unix_path = server.path,
        .limits = {.head_timeout_ms = SHORT_MS,
                   .body_timeout_ms = SHORT_MS,
                   .idle_timeout_ms = SHORT_MS,
                   .write_timeout_ms = SHORT_MS},
        .handler = on_request,
    };

    (void)snprintf(server.dir, sizeof(server.dir), "/tmp/leased-fuzz-XXXXXX");
    CHECK(mkdtemp(server.dir) != NULL);
    (void)snprintf(server.path, sizeof(server.path), "%s/s", server.dir);
    CHECK(atexit(clean_up) == 0);
    CHECK(io_new(&server.io, NULL) == 0);
    CHECK(io_listener_open(server.io, &options, &server.listener, NULL) == 0);
}

/* --- the client ------------------------------------------------------------------------------- */

static int client_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", server.path);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

static void turns(void)
{
    for (int i = 0; i < TURNS; i++) {
        io_run_once(server.io, false);
    }
}

/* What the server doesn't take, because it has closed, is lost. */
static void client_send(int fd, struct str bytes)
{
    if (bytes.len > 0) {
        (void)!send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    turns();
}

/* Takes what has come; every answer begins as one. */
static void client_read(int fd)
{
    char bytes[65536];
    ssize_t size = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    CHECK(size < 9 || memcmp(bytes, "HTTP/1.1 ", 9) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    size_t cut = input_u8(&input);
    struct str text = input_rest(&input);
    int fd;

    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL) {
        return 0;
    }
    if (server.io == NULL) {
        server_start();
    }
    cut = cut < text.len ? cut : text.len;
    server.rest = text;
    server.request_count = server.over_count = 0;
    fd = client_connect();
    client_send(fd, (struct str){text.ptr, cut});
    if (cut < text.len) {
        client_send(fd, (struct str){text.ptr + cut, text.len - cut});
    }
    client_read(fd);
    (void)close(fd);
    turns();
    while (io_listener_connection_count(server.listener) > 0) {
        io_run_once(server.io, true);
    }
    CHECK(server.over_count == server.request_count);
    return 0;
}
