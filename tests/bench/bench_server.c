/* Serves the same 400 bytes of JSON for every request, from inside the handler: the HTTP server
 * alone, to be loaded with wrk beside nginx that serves the same bytes.
 *
 *   bench_server 127.0.0.1:9955      or      bench_server /path/of/a.sock
 *
 * Ends on SIGINT or SIGTERM. */
#include "io/listener.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define BODY_BYTES 400

struct bench {
    struct io *io;
    struct io_listener *listener;
    char body[BODY_BYTES];
    uint64_t served;
};

static void on_request(void *user, struct env_request *request)
{
    struct bench *bench = user;
    struct env_reply reply = {
        .status = 200,
        .content_type = "application/json",
        .body = {.ptr = bench->body, .len = BODY_BYTES},
    };

    bench->served++;
    env_request_reply(request, &reply);
}

static void on_closed(void *user)
{
    struct bench *bench = user;

    io_stop(bench->io);
}

static void on_signal(void *user, int signum)
{
    struct bench *bench = user;

    (void)signum;
    io_listener_close(bench->listener, on_closed, bench);
}

int main(int argc, char **argv)
{
    struct bench bench = {.served = 0};
    struct io_listener_options options = {.name = "bench",
                                          .handler = on_request,
                                          .handler_user = &bench};
    struct err e = {.code = 0};

    if (argc != 2) {
        (void)fprintf(stderr, "usage: bench_server ADDRESS:PORT | /SOCKET\n");
        return 64;
    }
    if (argv[1][0] == '/') {
        options.unix_path = argv[1];
    } else {
        options.tcp = argv[1];
    }
    memset(bench.body, 'x', sizeof(bench.body));
    memcpy(bench.body, "{\"value\":\"", 10);
    memcpy(bench.body + sizeof(bench.body) - 2, "\"}", 2);
    if (io_new(&bench.io, &e) != 0 || io_signal_start(bench.io, SIGINT, on_signal, &bench) != 0 ||
        io_signal_start(bench.io, SIGTERM, on_signal, &bench) != 0 ||
        io_listener_open(bench.io, &options, &bench.listener, &e) != 0) {
        (void)fprintf(stderr, "bench_server: %s\n", e.text);
        return 1;
    }
    io_run(bench.io);
    (void)printf("%llu requests\n", (unsigned long long)bench.served);
    return io_close(bench.io) == 0 ? 0 : 1;
}
