/* The ancestors of a caller: which of them a grant may hang on. */
#ifndef LEASED_LEASE_ANCESTOR_H
#define LEASED_LEASE_ANCESTOR_H

#include "access/policy.h"
#include "env/process.h"

#define ANCESTORS_MAX 64

/* The nearest ancestor of the caller that has the same uid and fits the spec: for parent one that
 * has exec'd (a subshell hasn't), for pid:N that process, for comm:NAME one of that name. The
 * caller itself is none. With a text: ERR_GONE when the caller has ended, ERR_NOT_FOUND when no
 * ancestor fits, ERR_UNAVAILABLE when one can't be looked up. */
int ancestor_find(struct env *env, const struct access_identity *identity,
                  const struct access_binding_spec *spec, struct env_process *ret_process,
                  struct err *e) ATTR_MUST_USE;

/* The process that leads the caller's session, itself maybe, of whatever uid. With a text: ERR_GONE
 * when one of them has ended, ERR_UNSUPPORTED when the leader can't be seen from here,
 * ERR_UNAVAILABLE when one can't be looked up. */
int ancestor_find_leader(struct env *env, const struct access_identity *identity,
                         struct env_process *ret_process, struct err *e) ATTR_MUST_USE;

#endif
