/* What the helper may do: all that it knows of the configuration. Most of it are programs; what
 * takes rights over other users' files and processes, it does itself. */
#ifndef LEASED_HELPER_PROGRAMS_H
#define LEASED_HELPER_PROGRAMS_H

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

#define HELPER_GROUPS_MAX 64

/* The names of what is done with a file, whose `backend` is HELPER_FILE_OWNER and its path. */
#define HELPER_FILE_OWNER "file:"
#define HELPER_CHECK "check"   /* could it be written? */
#define HELPER_PUT "put"       /* stdin becomes its content; prints HELPER_WRITTEN or _UNCHANGED */
#define HELPER_REMOVE "remove" /* if its content is one of the hashes on stdin, one a line */
#define HELPER_CHANGE "change" /* somebody is told that it has changed */

#define HELPER_WRITTEN "written"
#define HELPER_UNCHANGED "unchanged"

enum helper_kind {
    HELPER_KIND_PROGRAM,
    HELPER_KIND_CHECK,
    HELPER_KIND_PUT,
    HELPER_KIND_REMOVE,
    HELPER_KIND_SIGNAL, /* to the main processes of a unit */
};

struct helper_file {
    char *path;
    bool is_stale;  /* of an earlier configuration: it may be removed and nothing else */
    bool has_owner; /* or it is the helper's */
    uid_t owner;
    bool has_group; /* the same */
    gid_t group;
    mode_t mode;
};

struct helper_program {
    char *backend; /* whose it is … */
    char *name;    /* … and the key that names it: "command" */
    enum helper_kind kind;
    char **argv;             /* an absolute path first; NULL-ended; NULL where it is no program */
    char **environment;      /* NAME=value, beside what every program gets; NULL-ended */
    struct helper_file file; /* of a check, put or remove */
    char *unit;              /* that is signaled … */
    int signal;              /* … and with what */
    bool has_user;           /* or it runs as the helper does */
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
