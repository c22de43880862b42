/* Results of tests of policies, kept until all are there: reports begin with sums. */
#ifndef LEASED_CLI_POLICY_RESULTS_H
#define LEASED_CLI_POLICY_RESULTS_H

#include "base/buf.h"
#include "base/err.h"

struct policy_result {
    size_t suite; /* index of its file */
    uint32_t line;
    uint32_t column;
    bool has_passed;
    char *name;
    const char *outcome; /* what was decided; static */
    char *rule;          /* by which rule; NULL: none */
    char *detail;        /* what differs; "" when it has passed */
    char *explanation;   /* lines on what each rule says; "" when it has passed */
};

struct policy_results {
    char **files;
    size_t file_count;
    struct policy_result *items; /* in the order of files */
    size_t count;
    size_t cap;
    size_t failed_count;
};

/* Zeroed memory is an empty list. */
void policy_results_fini(struct policy_results *results);

/* Adds a file, to which the results behind it belong; copied. ERR_NOMEM. */
int policy_results_add_file(struct policy_results *results, const char *file) ATTR_MUST_USE;

/* Adds a result; its texts are taken (even on error). ERR_NOMEM. */
int policy_results_add(struct policy_results *results,
                       const struct policy_result *result) ATTR_MUST_USE;

/* Appends all as JUnit's XML, as CI systems read it: a testsuite for each file. */
void policy_results_write_junit(const struct policy_results *results, struct buf *out);

#endif
