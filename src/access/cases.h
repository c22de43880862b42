/* Tests of policies: who asks for what at what time, and what must come of it. Read from files in
 * YAML (config/policies.md has their format) and judged by the same functions that answer callers.
 *
 * Files: cases_config.c (the keys), cases.c and cases_ask.c (a file to
 * cases), cases_run.c (judges them). */
#ifndef LEASED_ACCESS_CASES_H
#define LEASED_ACCESS_CASES_H

#include "access/policy.h"
#include "wire/schema.h"

#define ACCESS_CASES_MAX 100000 /* of one file */

/* What a policy needs to know about a role. */
struct access_role_facts {
    const char *name;
    enum access_binding binding;
    uint64_t max_ttl_ms;          /* 0: not known */
    bool is_shared;               /* several grants share a credential */
    const struct yaml_node *node; /* where it is configured; NULL: not known */
};

struct access_roles {
    const struct access_role_facts *items;
    size_t count;
    bool are_known; /* else a role may have any name, and the items are only those that are named */
};

/* The facts about a role; where it isn't among them, those of any other role. */
struct access_role_facts access_roles_find(const struct access_roles *roles, const char *name);

struct access_cases;

/* The keys of such a file, for its JSON Schema. */
extern const struct schema_object access_cases_table;

/* Reads one file; `file` stands for it in messages. `roles` is borrowed until the call returns,
 * and so is the policy, whose rules tests may name; NULL: there is none because of mistakes in it.
 * ERR_INVALID, with all mistakes in `errors`, or ERR_NOMEM. */
struct access_cases_source {
    const char *file;
    struct str text;
    const struct access_roles *roles;
    const struct access_policy *policy;
};
int access_cases_read(const struct access_cases_source *source, struct access_cases **ret_cases,
                      struct yaml_errors *errors) ATTR_MUST_USE;
/* NULL is fine. */
void access_cases_free(struct access_cases *cases);
size_t access_cases_count(const struct access_cases *cases);

/* What came of one test. All borrowed until the callback returns. */
#define ACCESS_CASE_DETAIL_MAX_BYTES 512
struct access_case_result {
    const char *name;
    const struct yaml_node *node; /* its place */
    bool has_passed;
    char detail[ACCESS_CASE_DETAIL_MAX_BYTES]; /* "expected …, got …"; "" when it has passed */
    const struct access_identity *identity;
    const struct access_request *request; /* NULL: it is about a path */
    const struct access_decision *decision;
};

typedef void (*access_case_fn)(void *user, const struct access_case_result *result);

/* Judges all, in the order of the file. */
void access_cases_run(const struct access_cases *cases, const struct access_policy *policy,
                      access_case_fn fn, void *user);

/* The names of callers and what is expected of each, in words: allow, deny, approval,
 * reason_required, limit_exceeded. */
const char *access_outcome_word(enum access_outcome outcome);

#endif
