/* One run of `lease`: what was asked for, where the daemon is, and where output goes. Shared by all
 * commands. */
#ifndef LEASED_CLI_CLI_H
#define LEASED_CLI_CLI_H

#include "base/buf.h"
#include "cli/client.h"
#include "cli/options.h"
#include "cli/process.h"

/* Exit codes; scripts rely on them. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_CHANGES = 2, /* `policy plan` found some */
    CLI_DENIED = 3,
    CLI_NOT_FOUND = 4,
    CLI_UNREACHABLE = 5,
    CLI_PENDING = 6,
    CLI_TEMPORARY = 7,
    CLI_PARTLY = 8,
    CLI_USAGE = 64,
    CLI_EXEC_FAILED = 125,    /* `exec`: no credentials, or used wrongly */
    CLI_EXEC_NOT_RUN = 126,   /* `exec`: the program can't be executed */
    CLI_EXEC_NOT_FOUND = 127, /* `exec`: there is no such program */
};

#define CLI_OUTPUT_MAX_BYTES (16U * 1024U * 1024U)

struct cli {
    int out_fd;
    int err_fd;
    bool out_is_terminal;
    bool has_color;
    struct buf
        out; /* what goes to out_fd; may hold secrets, so it passes through no stdio buffer */
    const struct command *command;
    struct options options;
    struct client client;
    struct secret job_token; /* what the client sends; may be empty */
    struct process_state
        process; /* what the process was like before, for programs that `exec` starts */
};

/* Runs one command line; returns the exit code. Output goes to the two descriptors. */
int cli_run(int argc, char **argv, int out_fd, int err_fd);

/* Appends the text of a usage mistake to stderr, with where to find help. Returns the exit code for
 * it. */
int cli_usage_error(struct cli *cli, const char *format, ...) ATTR_PRINTF(2, 3);

/* "lease: text" on stderr; control characters made visible. Never pass a secret. */
void cli_message(struct cli *cli, const char *format, ...) ATTR_PRINTF(2, 3);

/* Writes what is in cli->out and empties it. 0, or CLI_FAILED after a message. */
int cli_flush(struct cli *cli) ATTR_MUST_USE;

/* Is `-o json` asked for? For commands that know tables and JSON alone; their other formats are
 * refused beforehand. */
bool cli_wants_json(const struct cli *cli);

#endif
