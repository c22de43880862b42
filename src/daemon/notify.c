/* The notification protocol of systemd: a datagram of NAME=VALUE lines. Written out here because it
 * is smaller than what libsystemd would bring along. */
#include "daemon/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void notify_send(const struct notify *notify, const char *text)
{
    if (notify->fd >= 0) {
        /* Nobody could be told about a failure. */
        ssize_t sent = send(notify->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);

        (void)sent;
    }
}

static void watchdog_due(struct env_timer *timer)
{
    struct notify *notify = timer->user;

    notify_send(notify, "WATCHDOG=1");
    env_timer_arm(notify->env, timer, env_now_ms(notify->env) + notify->watchdog_interval_ms);
}

static int notify_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    int fd;

    if ((path[0] != '/' && path[0] != '@') || length < 2 || length >= sizeof(address.sun_path)) {
        return -1;
    }
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address,
                           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

/* 0: nobody waits for pings, or it waits for those of another process, from which the variables
 * were inherited. */
static uint64_t watchdog_interval_ms(void)
{
    const char *interval = getenv("WATCHDOG_USEC");
    const char *pid_text = getenv("WATCHDOG_PID");
    uint64_t interval_us;
    uint64_t pid;

    if (interval == NULL || str_parse_u64(str_of(interval), &interval_us) != 0) {
        return 0;
    }
    if (pid_text != NULL &&
        (str_parse_u64(str_of(pid_text), &pid) != 0 || pid != (uint64_t)getpid())) {
        return 0;
    }
    /* Twice in its time. */
    return interval_us / 2000;
}

void notify_init(struct notify *notify, struct env *env)
{
    const char *path = getenv("NOTIFY_SOCKET");

    *notify = (struct notify){.fd = -1, .env = env};
    notify->watchdog.fn = watchdog_due;
    notify->watchdog.user = notify;
    if (path == NULL) {
        return;
    }
    notify->fd = notify_connect(path);
    notify->watchdog_interval_ms = watchdog_interval_ms();
}

void notify_fini(struct notify *notify)
{
    env_timer_disarm(notify->env, &notify->watchdog);
    if (notify->fd >= 0) {
        (void)close(notify->fd);
        notify->fd = -1;
    }
}

void notify_ready(struct notify *notify, const char *status)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "READY=1\nSTATUS=%s", status);
    notify_send(notify, text);
    if (notify->watchdog_interval_ms > 0) {
        watchdog_due(&notify->watchdog);
    }
}

void notify_reloading(struct notify *notify)
{
    struct timespec now;
    char text[128];

    /* The manager compares it with its own clock, to tell this reload's READY from an older one. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)snprintf(
        text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reading the configuration",
        (unsigned long long)now.tv_sec * 1000000U + (unsigned long long)now.tv_nsec / 1000U);
    notify_send(notify, text);
}

void notify_stopping(struct notify *notify, uint64_t within_ms)
{
    char text[128];

    /* The unit's TimeoutStopSec is right for the default of stop_timeout only. */
    (void)snprintf(text, sizeof(text),
                   "STOPPING=1\nSTATUS=revoking what is leased\nEXTEND_TIMEOUT_USEC=%llu",
                   (unsigned long long)within_ms * 1000U);
    notify_send(notify, text);
}
