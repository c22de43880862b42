/* What was found in policies, on its way to people and programs. */
#ifndef LEASED_CLI_POLICY_FINDINGS_H
#define LEASED_CLI_POLICY_FINDINGS_H

#include "cli/cli.h"
#include "wire/json_out.h"
#include "wire/yaml.h"

#define POLICY_FINDINGS_MAX 10000 /* told; all are counted */

struct policy_findings {
    struct cli *cli;
    struct json_out json; /* used with -o json */
    size_t error_count;
    size_t warning_count;
};

/* Opens a JSON object with the list `findings`, if JSON is wanted. */
void policy_findings_begin(struct policy_findings *findings, struct cli *cli);
/* Closes the list; the object stays open for what else there is to say. */
void policy_findings_end(struct policy_findings *findings);

/* One finding at a place: "file:line:column: [warning: ]text". */
void policy_findings_add(struct policy_findings *findings, const struct yaml_node *node,
                         bool is_error, const char *text);

/* All mistakes that reading found. */
void policy_findings_add_errors(struct policy_findings *findings, const struct yaml_errors *errors);

#endif
