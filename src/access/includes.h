/* Which files of a folder one of them brings in: how ways in `include` are read, and what a reader
 * of the disk that was told of one file needs of those beside and below it. */
#ifndef LEASED_ACCESS_INCLUDES_H
#define LEASED_ACCESS_INCLUDES_H

#include "access/source.h"
#include "base/buf.h"

#define ACCESS_INCLUDE_MAX_BYTES (2U * ACCESS_FILE_NAME_MAX_BYTES)

/* Is it a file of policies, by its name? */
bool access_file_is_policy(struct str name);

/* Leads it downwards, and nowhere else? */
bool access_include_is_downward(struct str way);

/* The way from the top of what the file `name` includes as `way`. */
void access_include_from_top(const char *name, const char *way, char out[ACCESS_INCLUDE_MAX_BYTES]);

/* Segment by segment: a * stays within its folder. */
bool access_include_matches(struct str pattern, struct str name);

/* Files that were included so far, as patterns. */
struct access_includes {
    struct buf patterns; /* a NUL behind each */
};

void access_includes_init(struct access_includes *includes);
void access_includes_fini(struct access_includes *includes);

/* Adds what the file `name` includes. What is wrong with it is for access_tree_new to say, as is
 * what there is no room for. 0 or ERR_NOMEM. */
int access_includes_add(struct access_includes *includes, const char *name,
                        struct str text) ATTR_MUST_USE;

/* Nothing was included? */
bool access_includes_is_empty(const struct access_includes *includes);

/* Is it a file of policies that was included? */
bool access_includes_has(const struct access_includes *includes, const char *name);

/* Can one that was included lie in this folder, or below it? */
bool access_includes_reaches(const struct access_includes *includes, const char *folder);

#endif
