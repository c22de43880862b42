/* `lease policy schema`: the JSON Schema of policy files and of their tests, for editors. */
#include "cli/policy.h"

#include "access/cases.h"
#include "cli/cli.h"
#include "wire/schema_json.h"

int policy_run_schema(struct cli *cli)
{
    if (options_get(&cli->options, OPTION_TESTS) != NULL) {
        schema_json_write(&access_cases_table, "leased: tests of a policy", &cli->out);
    } else {
        schema_json_write(&access_policy_table, "leased: a policy file", &cli->out);
    }
    return CLI_OK;
}
