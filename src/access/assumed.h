/* Identities that are assumed instead of established: for the tests of policies, and for the
 * question what somebody would get. They never stand for a caller. */
#ifndef LEASED_ACCESS_ASSUMED_H
#define LEASED_ACCESS_ASSUMED_H

#include "access/identity.h"
#include "wire/schema.h"

struct access_assumed;

/* The keys: user, uid, group, gid, unit, container, image, listener, kind, san, and jwt with
 * issuer, sub, session, person, claims. */
extern const struct schema_object access_assumed_table;

/* Makes an identity of a mapping that has these keys. What isn't said is not there: no groups, no
 * unit. The user root has uid 0. `node` may go afterwards. ERR_INVALID, with all mistakes in
 * `errors`, or ERR_NOMEM. */
int access_assumed_new(const struct yaml_node *node, struct access_assumed **ret_assumed,
                       struct yaml_errors *errors) ATTR_MUST_USE;

/* The same of a text in YAML or JSON, which `name` stands for in messages. */
int access_assumed_read(const char *name, struct str text, struct access_assumed **ret_assumed,
                        struct yaml_errors *errors) ATTR_MUST_USE;

/* NULL is fine. */
void access_assumed_free(struct access_assumed *assumed);

/* Borrowed from `assumed`. Its env knows the names of its groups and nothing else. */
const struct access_identity *access_assumed_identity(const struct access_assumed *assumed);

#endif
