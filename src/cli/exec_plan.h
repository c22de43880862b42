/* What `lease exec` was asked to do, read from its options before anything is asked for. */
#ifndef LEASED_CLI_EXEC_PLAN_H
#define LEASED_CLI_EXEC_PLAN_H

#include "cli/cli.h"
#include "wire/format.h"

#define EXEC_ROLES_MAX 32
#define EXEC_FILES_MAX (OPTION_VALUES_MAX + 1)
#define EXEC_PATH_MAX_BYTES 64

/* One --file: [ROLE.]FIELD=NAME, or [ROLE]:FORMAT=NAME. Its texts are the command line's. Or the
 * configuration of --aws process. */
struct exec_file {
    const char *option;
    struct str role; /* empty: whichever fits */
    struct str field;
    struct format_spec format;
    bool is_aws_config;
    bool is_formatted;    /* `format` counts, not `field` */
    const char *variable; /* gets the path */
    /* Of exec_files.h. */
    int fd;      /* what the path names; -1: none */
    int next_fd; /* what it will name; -1: none */
    char path[EXEC_PATH_MAX_BYTES];
};

/* How the program gets credentials of AWS. */
enum exec_aws {
    EXEC_AWS_ENV,      /* as variables, like any other */
    EXEC_AWS_ENDPOINT, /* its SDK fetches them from leased, by a grant's token */
    EXEC_AWS_PROCESS,  /* its SDK runs `lease aws-credentials` */
};

struct exec_plan {
    enum exec_aws aws;
    bool has_vault; /* its clients of Vault, … */
    bool has_gcp;
    bool has_azure; /* … find leased */
    int kept_fd;    /* of exec_endpoints.h; -1: none */
    bool has_watch;
    int signal; /* tells the program of new files; 0: it is started again */
    struct exec_file files[EXEC_FILES_MAX];
    size_t file_count;
};

/* CLI_OK, or an exit code after a message. */
int exec_plan_read(struct cli *cli, struct exec_plan *ret_plan) ATTR_MUST_USE;

/* What the grants hang on unless --bind says otherwise. What is read again for a rotation is found
 * again by what it hangs on, so that must be the same whoever of our processes asks. */
const char *exec_plan_bindings(const struct exec_plan *plan);

/* Does the program get tokens of its grants? */
bool exec_plan_wants_tokens(const struct exec_plan *plan);

/* Does this file hold something of this role? */
bool exec_file_is_of(const struct exec_file *file, const char *role);

#endif
