/* What an audit trail tells about policies: which rules and roles were used, by whom, and where a
 * policy that is only observed would have decided otherwise. Bounded: of more than it keeps it says
 * that there was more. */
#ifndef LEASED_CLI_POLICY_TRAIL_H
#define LEASED_CLI_POLICY_TRAIL_H

#include "access/identity.h"
#include "base/map.h"
#include "cli/cli.h"
#include "cli/local_groups.h"

#define POLICY_TRAIL_ENTRIES_MAX 20000 /* of each kind */

/* A rule that has decided for somebody. */
struct policy_use {
    struct map_entry entry;
    struct access_identity identity; /* what the trail has of it, and groups where they are known */
    uint32_t unknown;                /* ACCESS_PART_*: what isn't */
    char listener[ENV_NAME_MAX_BYTES];
    char rule[ENV_NAME_MAX_BYTES + 1];
};

/* A role that somebody has got; an observed decision that differs. The texts lie in the key; "":
 * not said. */
struct policy_note {
    struct map_entry entry;
    uint64_t count;
    const char *role;    /* "": a path */
    const char *backend; /* of a path */
    const char *who;
    const char *decided;
    const char *observed;
    const char *limits; /* what would be given otherwise */
};

struct policy_trail {
    struct local_groups groups;
    struct map uses;
    struct map roles;       /* struct policy_note, of which only the role counts */
    struct map differences; /* struct policy_note */
    uint64_t record_count;
    uint64_t foreign_count; /* lines that are no records */
    bool is_whole;          /* nothing was left out for want of room */
};

void policy_trail_init(struct policy_trail *trail);
void policy_trail_fini(struct policy_trail *trail);

/* Reads files of records, those before --since left out: all that --audit names, and of the
 * arguments those that are neither folders nor *.yaml. CLI_OK, or the exit code after a message. */
int policy_trail_read(struct cli *cli, struct policy_trail *trail) ATTR_MUST_USE;

/* Completes an identity of which the trail has told all that it has: `node` is where it was seen;
 * `has_token`: with claims that the trail doesn't have. Returns ACCESS_PART_*: what isn't known. */
uint32_t policy_trail_complete(struct local_groups *groups, const char *node, bool has_token,
                               struct access_identity *identity);

/* Is this argument a file of the trail? */
bool policy_trail_is_file(const struct cli *cli, const char *argument);

#endif
