/* `lease policy schema`: the JSON Schema of policy files, for editors. */
#include "cli/policy.h"

#include "access/policy.h"
#include "cli/cli.h"
#include "wire/schema_json.h"

int policy_run_schema(struct cli *cli)
{
    schema_json_write(&access_policy_table, "leased policy", &cli->out);
    return CLI_OK;
}
