/* Those that tell a program something or end it. */
#include "daemon/signals.h"

#include "base/str.h"

#include <signal.h>
#include <string.h>

int signal_number(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {
        {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT},
        {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"TERM", SIGTERM},
        {"KILL", SIGKILL}, {"CONT", SIGCONT}, {"WINCH", SIGWINCH},
    };
    size_t i;

    if (strncmp(name, "SIG", strlen("SIG")) == 0) {
        name += strlen("SIG");
    }
    for (i = 0; i < ARRAY_LEN(signals); i++) {
        if (strcmp(signals[i].name, name) == 0) {
            return signals[i].number;
        }
    }
    return 0;
}
