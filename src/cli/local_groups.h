/* Groups of users by this machine's user database, for what is told about a trail that was written
 * here: the trail has none. They are those of now. */
#ifndef LEASED_CLI_LOCAL_GROUPS_H
#define LEASED_CLI_LOCAL_GROUPS_H

#include "access/identity.h"

#define LOCAL_GROUPS_NAMES_MAX 512 /* that are kept; others are asked for again */

struct local_groups {
    struct env env; /* knows the names of groups, and nothing else */
    char node[ENV_NAME_MAX_BYTES];
    struct {
        uint32_t gid;
        char name[ENV_NAME_MAX_BYTES]; /* "": it has none */
    } names[LOCAL_GROUPS_NAMES_MAX];
    size_t name_count;
};

void local_groups_init(struct local_groups *groups);

/* Fills in the groups of an identity that has a user and a uid. `node`: where it was seen; "": not
 * said. `groups` must outlive the identity. False: they aren't known, because it was seen
 * elsewhere, or there is no such user here, or with another uid. */
bool local_groups_fill(struct local_groups *groups, const char *node,
                       struct access_identity *identity);

#endif
