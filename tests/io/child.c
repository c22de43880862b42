#include "child.h"

#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void child_end(int code)
{
    if (code == 0) {
        (void)kill(getpid(), SIGKILL);
    }
    _exit(code);
}

int child_code(int wait_status)
{
    if (WIFSIGNALED(wait_status)) {
        return WTERMSIG(wait_status) == SIGKILL ? 0 : 255;
    }
    return WEXITSTATUS(wait_status) != 0 ? WEXITSTATUS(wait_status) : 254;
}

int child_wait(pid_t pid)
{
    int status;

    return waitpid(pid, &status, 0) == pid ? child_code(status) : 253;
}

void child_drop_rights(void)
{
    gid_t groups[] = {1500, 1501};

    if (setgroups(2, groups) != 0 || setresgid(65533, 65533, 65533) != 0 ||
        setresuid(65533, 65533, 65533) != 0) {
        _exit(99);
    }
}

bool is_under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}
