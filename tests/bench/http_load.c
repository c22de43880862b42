/* Loads an HTTP/1.1 server on a unix socket or on TCP: N connections, each with one request under
 * way, for some seconds. wrk does the same but for unix sockets, which is why this exists; over TCP
 * the two agree.
 *
 *   http_load unix:/path/of/a.sock|host:port PATH CONNECTIONS SECONDS [HEADER…]
 *
 * Prints a line of JSON: requests per second, p50 and p99 in microseconds, and how many answers
 * weren't 200. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define ANSWER_MAX_BYTES 65536
#define SLOTS_US 200000 /* latencies are counted in slots of one microsecond up to here */

struct connection {
    int fd;
    uint64_t sent_ns;
    size_t have;
    size_t want; /* length of head and body; 0: head not complete */
    char answer[ANSWER_MAX_BYTES];
};

struct load {
    char request[4096];
    size_t request_size;
    int epoll;
    uint64_t done;
    uint64_t wrong;
    uint32_t *slots;
    struct connection connections[CONNECTIONS_MAX];
};

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    (void)fprintf(stderr, "http_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        die(path);
    }
    memcpy(address.sun_path, path, strlen(path));
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        die(path);
    }
    return fd;
}

static int connect_tcp(const char *target)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *colon = strrchr(target, ':');
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (colon == NULL) {
        errno = EINVAL;
        die(target);
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        die(target);
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void request_send(struct load *load, struct connection *connection)
{
    connection->have = 0;
    connection->want = 0;
    connection->sent_ns = now_ns();
    if (write(connection->fd, load->request, load->request_size) != (ssize_t)load->request_size) {
        die("write");
    }
}

/* Learns the answer's length once its head is there. */
static void head_read(struct connection *connection)
{
    char *end;
    const char *length;

    connection->answer[connection->have] = '\0';
    end = strstr(connection->answer, "\r\n\r\n");
    if (end == NULL) {
        return;
    }
    *end = '\0';
    length = strcasestr(connection->answer, "\r\ncontent-length:");
    connection->want = (size_t)(end - connection->answer) + 4;
    if (length != NULL) {
        connection->want += strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);
    }
}

static void answer_read(struct load *load, struct connection *connection)
{
    ssize_t got = read(connection->fd, connection->answer + connection->have,
                       ANSWER_MAX_BYTES - 1 - connection->have);
    uint64_t us;

    if (got <= 0) {
        die("the server ended a connection");
    }
    connection->have += (size_t)got;
    if (connection->want == 0) {
        head_read(connection);
    }
    if (connection->want == 0 || connection->have < connection->want) {
        return;
    }
    us = (now_ns() - connection->sent_ns) / 1000;
    load->slots[us < SLOTS_US ? us : SLOTS_US - 1]++;
    load->done++;
    load->wrong += strncmp(connection->answer, "HTTP/1.1 200", 12) != 0;
    request_send(load, connection);
}

static unsigned percentile(const struct load *load, double share)
{
    uint64_t wanted = (uint64_t)((double)load->done * share);
    uint64_t seen = 0;
    unsigned us;

    for (us = 0; us < SLOTS_US; us++) {
        seen += load->slots[us];
        if (seen > wanted) {
            return us;
        }
    }
    return SLOTS_US;
}

static void request_build(struct load *load, const char *path, char **headers)
{
    int used = snprintf(load->request, sizeof(load->request),
                        "GET %s HTTP/1.1\r\nHost: localhost\r\n", path);

    for (; *headers != NULL && used > 0 && (size_t)used < sizeof(load->request); headers++) {
        used += snprintf(load->request + used, sizeof(load->request) - (size_t)used, "%s\r\n",
                         *headers);
    }
    used += snprintf(load->request + used, sizeof(load->request) - (size_t)used, "\r\n");
    if (used <= 0 || (size_t)used >= sizeof(load->request)) {
        errno = E2BIG;
        die("request");
    }
    load->request_size = (size_t)used;
}

static void run(struct load *load, uint64_t end_ns)
{
    struct epoll_event events[CONNECTIONS_MAX];
    int count;
    int i;

    do {
        count = epoll_wait(load->epoll, events, CONNECTIONS_MAX, 1000);
        for (i = 0; i < count; i++) {
            answer_read(load, events[i].data.ptr);
        }
    } while (now_ns() < end_ns && count >= 0);
}

int main(int argc, char **argv)
{
    static struct load load;
    unsigned long connections;
    double seconds;
    uint64_t begin_ns;
    unsigned long i;

    if (argc < 5) {
        (void)fprintf(stderr,
                      "usage: http_load unix:PATH|HOST:PORT PATH CONNECTIONS SECONDS [HEADER…]\n");
        return 64;
    }
    connections = strtoul(argv[3], NULL, 10);
    seconds = strtod(argv[4], NULL);
    load.slots = calloc(SLOTS_US, sizeof(*load.slots));
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (connections < 1 || connections > CONNECTIONS_MAX || load.slots == NULL || load.epoll < 0) {
        return 64;
    }
    request_build(&load, argv[2], argv + 5);
    begin_ns = now_ns();
    for (i = 0; i < connections; i++) {
        struct connection *connection = &load.connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

        connection->fd =
            strncmp(argv[1], "unix:", 5) == 0 ? connect_unix(argv[1] + 5) : connect_tcp(argv[1]);
        if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0) {
            die("epoll_ctl");
        }
        request_send(&load, connection);
    }
    run(&load, begin_ns + (uint64_t)(seconds * 1e9));
    (void)printf("{\"requests_per_s\": %.0f, \"p50_us\": %u, \"p99_us\": %u, \"requests\": %llu, "
                 "\"not_200\": %llu}\n",
                 (double)load.done * 1e9 / (double)(now_ns() - begin_ns), percentile(&load, 0.5),
                 percentile(&load, 0.99), (unsigned long long)load.done,
                 (unsigned long long)load.wrong);
    free(load.slots);
    return load.wrong == 0 ? 0 : 1;
}
