/* Tests of policies as they are decoded, and as they are judged. Internal to access/. */
#ifndef LEASED_ACCESS_CASES_CONFIG_H
#define LEASED_ACCESS_CASES_CONFIG_H

#include "access/assumed_config.h"
#include "access/cases.h"

struct access_ask_config {
    const struct yaml_node *node; /* NULL: nothing is said */
    char *role;
    uint64_t duration_ms;
    char *reason;
    char *ticket;
    struct schema_strings binding;
    bool is_break_glass;
    bool is_approved;
    uint64_t live;
    char *backend;
    char *path;
    struct schema_strings capabilities;
};

struct access_expect_config {
    const struct yaml_node *node;
    int outcome;
    char *rule;
    char *limit;
    uint64_t duration_ms;
    uint64_t ttl_ms;
    uint64_t min_remaining_ms;
    char *until;
    char *opens;
    uint64_t approvals;
    struct schema_strings binding;
};

struct access_defaults_config {
    const struct yaml_node *node;
    struct access_assumed_config subject;
    struct schema_strings as;
    struct access_ask_config request;
    char *time;
};

struct access_test_config {
    const struct yaml_node *node;
    char *name;
    struct access_assumed_config subject;
    struct schema_strings as;
    struct schema_strings roles;
    struct access_ask_config request;
    char *time;
    struct access_expect_config expect;
};

struct access_table_config {
    const struct yaml_node *node;
    char *name;
    struct schema_strings roles;
    struct access_ask_config request;
    char *time;
    struct schema_pairs rows;
};

struct access_cases_config {
    const struct yaml_node *node;
    struct access_defaults_config defaults;
    struct schema_list subjects; /* struct access_assumed_config */
    struct schema_list tests;    /* struct access_test_config */
    struct schema_list tables;   /* struct access_table_config */
};

extern const struct schema_enum_value access_outcome_words[];

/* One test, ready to be judged. Texts are the configuration's, but for the name. */
struct access_case {
    char *name;
    const struct yaml_node *node;
    const struct access_assumed *who;
    bool is_approved;
    struct access_request request;
    struct access_path_request path; /* `path` empty: it is about a role */
    enum access_outcome outcome;
    const struct access_expect_config *expect; /* what else; NULL: nothing */
    int64_t until_wall_ms;                     /* of `expect`; 0: not said */
    int64_t opens_wall_ms;
};

struct access_cases {
    struct yaml_document *document;
    struct access_cases_config config;
    struct access_assumed **callers; /* those with names, in order; then those of single tests */
    size_t caller_count;
    struct access_case *items;
    size_t count;
    size_t cap;
};

/* --- reading a file --- */

struct access_cases_reading {
    const struct access_cases_source *source;
    struct access_cases *cases;
    struct yaml_errors *errors;
};

/* What the tests that are spread have in common. */
struct access_case_pattern {
    const char *name;
    const struct yaml_node *node;
    bool is_spread; /* more than one comes of it */
    const char *who_name;
    struct access_case case_; /* without name, caller and role */
};

/* Fills in what is asked and when: `own` is the test's, `time` NULL where it says none. */
void access_case_ask_read(const struct access_cases_reading *it,
                          const struct access_ask_config *own, const char *time,
                          struct access_case_pattern *pattern);

/* The time in `text`, which stands under `key` of the node; `fallback` where it is NULL. */
int64_t access_case_time_read(const struct access_cases_reading *it, const char *text,
                              const struct yaml_node *node, const char *key, int64_t fallback);

#endif
