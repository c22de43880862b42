/* `lease policy check DIR|FILE…`: what is wrong with policies, without a daemon.
 *
 * First what the daemon would refuse as well (syntax, keys, names), the tests' mistakes among it;
 * when there is nothing of it, what can't have been meant so or might not have been. */
#include "cli/policy.h"

#include "access/lint.h"
#include "cli/clock.h"
#include "cli/policy_drift.h"

#define LEFT_OUT "this file doesn't count: it lies in a folder below, and no `include` names it"

struct checking {
    struct policy_findings findings;
    const struct policy_folder *folder; /* that is looked at */
    struct policy_trail trail;
    size_t rule_count;
    size_t test_count;
};

static void finding_tell(void *user, const struct access_finding *finding)
{
    struct checking *it = user;

    policy_findings_add(&it->findings, finding->node, finding->is_error, finding->text);
}

static void left_out_tell(void *user, const char *name)
{
    struct checking *it = user;
    char path[POLICY_FOLDER_PATH_MAX_BYTES];
    const struct yaml_node place = {.file = policy_folder_place(it->folder, name, path),
                                    .line = 1,
                                    .column = 1};

    policy_findings_add(&it->findings, &place, false, LEFT_OUT);
}

static int tests_check(struct checking *it, struct policy_set *set)
{
    size_t i;

    for (i = 0; i < set->folder.tests->file_count; i++) {
        struct access_cases *cases = NULL;
        int r = policy_set_read_cases(set, i, &cases);

        it->test_count += r == 0 ? access_cases_count(cases) : 0;
        access_cases_free(cases);
        if (r == ERR_NOMEM) {
            return r;
        }
    }
    return 0;
}

static int set_check(struct checking *it, struct policy_set *set)
{
    int r = tests_check(it, set);

    if (r != 0) {
        return r;
    }
    policy_findings_add_errors(&it->findings, &set->errors);
    if (set->policy == NULL) {
        return 0;
    }
    it->folder = &set->folder;
    access_tree_each_left_out(set->tree, left_out_tell, it);
    it->rule_count += access_policy_rule_count(set->policy);
    if (options_get(&it->findings.cli->options, OPTION_AUDIT) != NULL) {
        policy_drift_tell(&it->findings, set, &it->trail);
    }
    return access_policy_lint(&(struct access_lint){
        .policy = set->policy,
        .nodes = access_tree_nodes(set->tree),
        .roles = &set->known.roles,
        .wall_ms = clock_wall_ms(),
        .fn = finding_tell,
        .user = it,
    });
}

static void result_tell(struct checking *it, bool is_ok)
{
    struct policy_findings *findings = &it->findings;
    struct cli *cli = findings->cli;

    policy_findings_end(findings);
    if (cli_wants_json(cli)) {
        json_out_u64(&findings->json, "errors", findings->error_count);
        json_out_u64(&findings->json, "warnings", findings->warning_count);
        json_out_u64(&findings->json, "rules", it->rule_count);
        json_out_u64(&findings->json, "tests", it->test_count);
        json_out_bool(&findings->json, "ok", is_ok);
        json_out_object_close(&findings->json);
        buf_add_char(&cli->out, '\n');
        return;
    }
    buf_printf(&cli->out, "%s: %zu rules, %zu tests, %zu mistakes, %zu warnings\n",
               is_ok ? "ok" : "not ok", it->rule_count, it->test_count, findings->error_count,
               findings->warning_count);
}

static int argument_check(struct checking *it, const char *path)
{
    struct cli *cli = it->findings.cli;
    struct policy_set set;
    int r;

    if (policy_set_load(cli, path, &set) != CLI_OK) {
        return CLI_FAILED;
    }
    r = set_check(it, &set);
    policy_set_fini(&set);
    if (r != 0) {
        cli_message(cli, "%s", err_str(r));
    }
    return r == 0 ? CLI_OK : CLI_FAILED;
}

/* CLI_OK when it could be looked at, whatever was found. */
static int arguments_check(struct checking *it)
{
    struct cli *cli = it->findings.cli;
    int exit_code = policy_trail_read(cli, &it->trail);
    size_t i;

    for (i = 0; exit_code == CLI_OK && i < cli->options.arg_count; i++) {
        if (!policy_trail_is_file(cli, cli->options.args[i])) {
            exit_code = argument_check(it, cli->options.args[i]);
        }
    }
    return exit_code;
}

int policy_run_check(struct cli *cli)
{
    bool is_strict = options_get(&cli->options, OPTION_STRICT) != NULL;
    struct checking it = {.rule_count = 0};
    bool is_ok;
    int exit_code;

    policy_findings_begin(&it.findings, cli);
    policy_trail_init(&it.trail);
    exit_code = arguments_check(&it);
    policy_trail_fini(&it.trail);
    if (exit_code != CLI_OK) {
        buf_reset(&cli->out);
        return exit_code;
    }
    is_ok = it.findings.error_count == 0 && (!is_strict || it.findings.warning_count == 0);
    result_tell(&it, is_ok);
    return is_ok ? CLI_OK : CLI_FAILED;
}
