/* The `lease` command. */
#include "cli/cli.h"

#include <unistd.h>

int main(int argc, char **argv)
{
    int exit_code;

    if (client_global_init() != 0) {
        return CLI_FAILED;
    }
    exit_code = cli_run(argc, argv, STDOUT_FILENO, STDERR_FILENO);
    client_global_fini();
    return exit_code;
}
