/* What a block or a drill is about: whose credentials, of what, or which one. Pure: decides whether
 * something is meant, and nothing else.
 *
 * All that is named must hold; a subject that is named must hold in each of its parts. As with
 * rules that deny, nobody is lost from it because he went into a container, and who may be in a
 * group that can't be looked up counts as in it. */
#ifndef LEASED_ACCESS_MATCH_H
#define LEASED_ACCESS_MATCH_H

#include "access/policy.h"

#include <jansson.h>

#define ACCESS_MATCH_TEXT_MAX_BYTES 2048U /* of all of it, as JSON */
#define ACCESS_MATCH_VALUE_MAX_BYTES 512U

struct access_match;

/* Reads {"role": GLOB, "backend": NAME, "subject": {…}, "identifier": TEXT}, at least one of them,
 * or {"all": true}. A subject has user, group, unit, container, listener, issuer, sub, session,
 * person, san (globs) and uid. ERR_INVALID with a text that names the member; ERR_NOMEM. */
int access_match_new(const json_t *value, struct access_match **ret_match,
                     struct err *e) ATTR_MUST_USE;
void access_match_free(struct access_match *match);

/* The same as JSON text, which access_match_new reads again; lives as long as the match. */
const char *access_match_text(const struct access_match *match);

/* The one role that it names; NULL: none, or a pattern. */
const char *access_match_role(const struct access_match *match);

/* A credential by what its issuer calls it; NULL: not named. */
const char *access_match_identifier(const struct access_match *match);
/* The same under a keyed hash, so that it can be kept. ERR_NOMEM: it is as it was. */
int access_match_set_identifier(struct access_match *match, const char *ref) ATTR_MUST_USE;

/* Does it say anything of who or what else than a credential? Only then it can refuse somebody. */
bool access_match_is_of_callers(const struct access_match *match);

/* Its part about what is asked for; `role` NULL: no role, which fits only where none is named. */
bool access_match_fits_role(const struct access_match *match, const char *role,
                            const char *backend);

/* Its part about who asks, or has asked; `policy` (NULL: none) knows who is behind an identity. One
 * whose gid is ENV_NO_ID is in the groups that the user database has for its uid. */
bool access_match_fits_identity(const struct access_match *match,
                                const struct access_identity *identity,
                                const struct access_policy *policy);

#endif
