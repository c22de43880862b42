/* Hardening that needs no privilege. The unit file does the same and more from the outside; this
 * holds also where leased is started by hand. */
#include "daemon/harden.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_OTHER_FD 3U

static int standard_files_open(struct err *e)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR | O_NOCTTY);
        if (fd < 0) {
            return err_set(e, -errno, "could not open /dev/null: %s", err_str(-errno));
        }
    } while (fd <= STDERR_FILENO);
    (void)close(fd);
    return 0;
}

/* How many descriptors systemd passed to this very process. */
static unsigned int passed_count(void)
{
    const char *pid_text = getenv("LISTEN_PID");
    const char *count_text = getenv("LISTEN_FDS");
    uint64_t pid;
    uint64_t count;

    if (pid_text == NULL || count_text == NULL || str_parse_u64(str_of(pid_text), &pid) != 0 ||
        pid != (uint64_t)getpid() || str_parse_u64(str_of(count_text), &count) != 0 ||
        count > 1024) {
        return 0;
    }
    return (unsigned int)count;
}

int harden_files(struct err *e)
{
    int r;

    (void)umask(0077);
    r = standard_files_open(e);
    if (r != 0) {
        return r;
    }
    if (close_range(FIRST_OTHER_FD + passed_count(), ~0U, 0) != 0) {
        return err_set(e, -errno, "could not close inherited descriptors: %s", err_str(-errno));
    }
    return 0;
}

#ifndef LEASED_DUMPABLE
/* What is in no core for yet another reason; without /proc the others must do. */
static void empty_cores(void)
{
    int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        ssize_t written = write(fd, "0", 1);

        (void)written;
        (void)close(fd);
    }
}

static int forbid_looking(struct err *e)
{
    static const struct rlimit no_core = {0, 0};

    empty_cores(); /* not ours to write any more after what follows */
    if (setrlimit(RLIMIT_CORE, &no_core) != 0) {
        return err_set(e, -errno, "could not forbid core dumps: %s", err_str(-errno));
    }
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return err_set(e, -errno, "could not forbid tracing: %s", err_str(-errno));
    }
    return 0;
}
#else
/* A debug build is there to be looked at, and its cores are searched for secrets by the tests. */
static int forbid_looking(struct err *e)
{
    (void)e;
    return 0;
}
#endif

int harden_process(struct err *e)
{
    int r = forbid_looking(e);

    if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return err_set(e, -errno, "could not forbid new privileges: %s", err_str(-errno));
    }
    return r;
}

/* They are all of the first 32. */
#define HELPERS_CAPABILITIES                                                                       \
    (1U << CAP_SETUID | 1U << CAP_SETGID | 1U << CAP_KILL | 1U << CAP_CHOWN | 1U << CAP_FOWNER |   \
     1U << CAP_DAC_OVERRIDE)

bool harden_may_chown(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};

    return syscall(SYS_capget, &header, sets) == 0 && (sets[0].effective & 1U << CAP_CHOWN) != 0;
}

int harden_capabilities(struct err *e)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (geteuid() == 0) {
        return 0;
    }
    if (syscall(SYS_capget, &header, sets) != 0) {
        return err_set(e, -errno, "could not look at the capabilities: %s", err_str(-errno));
    }
    if (((sets[0].permitted | sets[0].inheritable) & HELPERS_CAPABILITIES) == 0) {
        return 0;
    }
    sets[0].effective &= ~HELPERS_CAPABILITIES;
    sets[0].permitted &= ~HELPERS_CAPABILITIES;
    sets[0].inheritable &= ~HELPERS_CAPABILITIES; /* and with it the ambient ones go */
    if (syscall(SYS_capset, &header, sets) != 0) {
        return err_set(e, -errno, "could not give up the helper's capabilities: %s",
                       err_str(-errno));
    }
    return 0;
}
