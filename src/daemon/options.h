/* The command line of leased. */
#ifndef LEASED_DAEMON_OPTIONS_H
#define LEASED_DAEMON_OPTIONS_H

#include "base/buf.h"
#include "base/err.h"

enum options_action {
    OPTIONS_RUN,
    OPTIONS_CHECK,
    OPTIONS_VERSION,
    OPTIONS_HELP,
    OPTIONS_SCHEMA,
    OPTIONS_POLICY_SCHEMA,
};

struct options {
    enum options_action action;
    const char *config_path; /* NULL: not given; borrowed from argv */
    bool is_dev;             /* with a configuration that leased makes */
    bool has_log_level;
    int log_level; /* enum log_level */
};

/* ERR_INVALID with a text for people. `argv` must live as long as the options. */
int options_parse(int argc, char **argv, struct options *ret_options, struct err *e) ATTR_MUST_USE;

/* The text of --help. */
void options_help(struct buf *out);

#endif
