/* `lease policy …`: what can be done with policies. Each function is one command of the table. */
#ifndef LEASED_CLI_POLICY_H
#define LEASED_CLI_POLICY_H

struct cli;

int policy_run_check(struct cli *cli);
int policy_run_test(struct cli *cli);
int policy_run_diff(struct cli *cli);
int policy_run_plan(struct cli *cli);
int policy_run_apply(struct cli *cli);
int policy_run_export(struct cli *cli);
int policy_run_schema(struct cli *cli);

#endif
