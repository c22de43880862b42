/* The programs that the helper may run: all that it knows of the configuration. */
#ifndef LEASED_HELPER_PROGRAMS_H
#define LEASED_HELPER_PROGRAMS_H

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

#define HELPER_GROUPS_MAX 64

struct helper_program {
    char *backend;      /* whose it is … */
    char *name;         /* … and the key that names it: "command" */
    char **argv;        /* an absolute path first; NULL-ended */
    char **environment; /* NAME=value, beside what every program gets; NULL-ended */
    bool has_user;      /* or it runs as the helper does */
    uid_t uid;
    gid_t gid;
    gid_t groups[HELPER_GROUPS_MAX];
    size_t group_count;
    uint64_t timeout_ms;
};

struct helper_programs {
    struct helper_program *items; /* owned, and all that they point to (mem_free) */
    size_t count;
};

/* NULL: there is none of this name. */
const struct helper_program *helper_programs_find(const struct helper_programs *programs,
                                                  struct str backend, struct str name);

/* Zero is fine; half-built ones are. */
void helper_programs_fini(struct helper_programs *programs);

/* A NULL-ended list of texts; NULL is fine. */
void helper_texts_free(char **texts);

#endif
