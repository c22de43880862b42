/* Subjects: who a rule is about. Internal to access/. */
#ifndef LEASED_ACCESS_SUBJECT_H
#define LEASED_ACCESS_SUBJECT_H

#include "access/identity.h"
#include "base/str.h"
#include "wire/schema.h"

#define ACCESS_SUBJECTS_MAX 1024

/* What a subject says about one text of the identity. */
struct access_pattern {
    char *text; /* NULL: nothing */
    size_t len;
    bool has_glob;
};

#define ACCESS_SUBJECT_CLAIMS_MAX 32

/* What a subject says about one claim: any of these. */
struct access_claim_rule {
    char *name; /* with a "/" at its beginning: the way to a member within (RFC 6901) */
    struct access_pattern *patterns;
    size_t pattern_count;
};

/* What a subject says about the token of the caller. */
struct access_token_rule {
    bool is_set;
    struct access_pattern issuer; /* its name in the configuration; NULL: any */
    struct access_claim_rule *claims;
    size_t claim_count;
};

/* All that is set must match. */
struct access_subject {
    bool has_uid;
    bool has_gid;
    struct schema_range uid;
    struct schema_range gid;
    struct access_pattern user;
    struct access_pattern group;
    struct access_pattern unit;
    struct access_pattern container;
    struct access_pattern image;
    struct access_pattern listener;
    struct access_pattern san;
    struct access_token_rule token;
};

/* Any of them. */
struct access_subjects {
    struct access_subject *items;
    size_t count;
};

struct access_parser; /* policy_config.h */

/* The names of one identity's groups, looked up when the first rule asks. */
struct access_group_names {
    size_t count;
    char names[ENV_PEER_GROUPS_MAX + 1][ENV_NAME_MAX_BYTES];
};

/* An identity made ready for many comparisons; lives for one decision. */
struct access_facts {
    const struct access_identity *identity;
    struct str user;
    struct str unit;
    struct str container;
    struct str image;
    struct str listener;
    struct str sans; /* separated by blanks */
    bool has_group_names;
    bool has_unknown_groups;                /* some could not be looked up */
    struct access_group_names *group_names; /* scratch */
};

void access_facts_init(struct access_facts *facts, const struct access_identity *identity,
                       struct access_group_names *group_names);

/* Looks the names of the caller's groups up, once. */
void access_facts_load_groups(struct access_facts *facts);

/* `is_denial`: for rules that deny, which must not lose their hold on a user because he went into a
 * container or because his groups could not be looked up. Callers from other containers match even
 * where no container (or, on a listener for foreign callers, no listener) is named, and callers
 * with an unknown group match where a group is.
 *
 * A caller with a certificate matches only subjects that name `tls` (or, to be denied, nothing but
 * its listener), and no other caller matches those. A caller without a token matches no subject
 * that names `jwt`, denials included: it can be left out, so what a token may not do is for the
 * rules that allow to say. */
bool access_subjects_match(const struct access_subjects *subjects, struct access_facts *facts,
                           bool is_denial);

/* The key of the first condition that the caller doesn't meet; NULL: the subject matches. */
const char *access_subject_mismatch(const struct access_subject *subject,
                                    struct access_facts *facts, bool is_denial);

/* What a subject asks of a certificate, as it is decoded. */
struct access_tls_config {
    const struct yaml_node *node; /* NULL: nothing */
    char *san;
};

/* What a subject asks of a token, as it is decoded. */
struct access_jwt_config {
    const struct yaml_node *node; /* NULL: nothing */
    char *issuer;
    char *claims_json;
};

/* A subject as it is decoded. */
struct access_subject_config {
    const struct yaml_node *node;
    char *user;
    char *group;
    struct schema_range uid;
    struct schema_range gid;
    char *unit;
    char *container;
    char *image;
    char *listener;
    struct access_tls_config tls;
    struct access_jwt_config jwt;
};

extern const struct schema_object access_subject_table;

/* A pattern from its text (NULL: none), copied. 0 or ERR_NOMEM. */
int access_pattern_copy(const char *text, struct access_pattern *ret_pattern) ATTR_MUST_USE;
/* Of a pattern that is one. The empty text fits none. */
bool access_pattern_fits(const struct access_pattern *pattern, struct str text);

/* As access_subjects_compile, of what a subject asks of a token. */
int access_token_compile(const struct access_jwt_config *config, struct access_token_rule *ret_rule,
                         const struct access_parser *parser) ATTR_MUST_USE;
void access_token_fini(struct access_token_rule *rule);
/* What keeps the caller's token from fitting: "none" (there is no token), "issuer", or a claim's
 * name; NULL: it fits, or the rule asks for nothing. Borrowed from the rule. */
const char *access_token_mismatch(const struct access_token_rule *rule,
                                  const struct access_claims *claims);

/* Calls `fn` with each text that the claim of this name has: that of a scalar, or those of a list.
 * Before the call returns. */
void access_claim_each(const struct access_claims *claims, const char *name,
                       void (*fn)(void *user, const char *name, struct str value), void *user);

/* Compiles what was decoded; the texts are copied. Mistakes go to the parser's errors. 0 or
 * ERR_NOMEM; `ret_subjects` is to be freed in both cases. */
int access_subjects_compile(const struct access_subject_config *configs, size_t count,
                            struct access_subjects *ret_subjects,
                            const struct access_parser *parser) ATTR_MUST_USE;
void access_subjects_fini(struct access_subjects *subjects);

#endif
