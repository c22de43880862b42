/* The environment of a program that `lease exec` starts. */
#ifndef LEASED_CLI_EXEC_ENVIRONMENT_H
#define LEASED_CLI_EXEC_ENVIRONMENT_H

#include "base/err.h"
#include "base/str.h"

#define EXEC_SETTINGS_MAX 4096

/* One variable, and who wants it; everything is borrowed. */
struct exec_setting {
    const char *variable;
    struct str value;
    const char *role; /* for messages, with what of it this is */
    const char *what;
};

struct exec_settings {
    struct exec_setting items[EXEC_SETTINGS_MAX];
    size_t count;
};

/* Adds one. ERR_INVALID with a text when it is no name for a variable, or somebody else claims it;
 * ERR_LIMIT. */
int exec_settings_add(struct exec_settings *settings, const struct exec_setting *setting,
                      struct err *e) ATTR_MUST_USE;

/* `base` (NULL-ended) with these, in place of inherited ones of the same name, and without what
 * would have programs take other credentials than these. 0 or ERR_NOMEM. exec_environment_free it:
 * the strings are secrets, and wiped. */
int exec_environment_new(char *const *base, const struct exec_settings *settings,
                         char ***ret_environment) ATTR_MUST_USE;
void exec_environment_free(char **environment);

#endif
