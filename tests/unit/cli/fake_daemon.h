/* A scripted leased on a unix socket, and a way to run `lease` against it inside the test's
 * process. */
#ifndef LEASED_TESTS_FAKE_DAEMON_H
#define LEASED_TESTS_FAKE_DAEMON_H

#include <stdint.h>
#include <sys/types.h>

struct fake_route {
    const char
        *request; /* how it begins: "GET /leased/v1/leases"; its body, too: "POST /x {\"a\"" */
    unsigned status;
    const char *headers; /* lines with CRLF, or NULL */
    const char *body;
    unsigned times; /* used up after this many; 0: never */
};

#define FAKE_LOG_MAX_BYTES 65536

struct fake_daemon {
    pid_t pid;
    char folder[64];
    char socket[96];
    char address[40]; /* "http://127.0.0.1:PORT" of one on TCP */
    char *log;        /* all requests, shared with the process that serves */
};

/* The first route that fits and isn't used up answers; nothing fits: 500. */
void fake_daemon_start(struct fake_daemon *daemon, const struct fake_route *routes, size_t count);
/* The same on loopback TCP, where an issuer would be. */
void fake_issuer_start(struct fake_daemon *issuer, const struct fake_route *routes, size_t count);

void fake_daemon_stop(struct fake_daemon *daemon);

/* How often this stood in requests so far. */
int fake_daemon_count(const struct fake_daemon *daemon, const char *request);

struct lease_result {
    int exit_code;
    char out[32768];
    char err[8192];
};

/* Runs `lease` with these words (NULL-ended) and --socket of the daemon (NULL: none). Static
 * storage. */
const struct lease_result *run_lease(const struct fake_daemon *daemon, const char *const *words);

#define RUN_LEASE(daemon, ...) run_lease(daemon, (const char *const[]){__VA_ARGS__, NULL})

/* The clock that stands in for the machine's: moved by sleeping alone. */
extern uint64_t fake_clock_now_ms;
#define FAKE_CLOCK_WALL_MS 1795379700000 /* 2026-11-22T20:35:00Z */

#endif
