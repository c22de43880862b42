/* `lease policy test DIR`: runs the tests of a policy, without a daemon.
 *
 * Way of a run: the policy is compiled → each *_test.yaml is read, judged and its results kept,
 * with what each rule says where one failed → the rules that decided something are counted →
 * results are printed, and written for the CI system. A mistake in the policy or in a test is a
 * failure of the whole run: what would be tested isn't what was meant. */
#include "cli/policy.h"

#include "access/lint.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/policy_findings.h"
#include "cli/policy_results.h"
#include "cli/policy_set.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define EXPLANATION_MAX_BYTES 8192U
#define JUNIT_MAX_BYTES (64U * 1024U * 1024U)

struct testing {
    struct cli *cli;
    struct policy_set *set;
    struct policy_results results;
    bool *is_touched;      /* by rule */
    size_t counting_count; /* rules that can decide something */
    size_t touched_count;
    int status;
};

/* --- one result --- */

/* Rules that are about other roles have nothing to say. */
static void rule_tell(void *user, const struct access_rule_report *report)
{
    static const char *const verdicts[] = {
        [ACCESS_VERDICT_DECIDES] = "decides",
        [ACCESS_VERDICT_FITS] = "fits too",
        [ACCESS_VERDICT_REFUSES] = "refuses",
        [ACCESS_VERDICT_NO_MATCH] = "isn't about this caller",
    };
    struct buf *out = user;

    if (report->condition != NULL && strcmp(report->condition, "roles") == 0) {
        return;
    }
    buf_printf(out, "rule %s %s%s%s\n", report->rule, verdicts[report->verdict],
               report->detail[0] != '\0' ? ": " : "", report->detail);
}

/* NULL: out of memory. */
static char *explain(const struct testing *it, const struct access_case_result *result)
{
    const struct access_explain explain = {.shows_subjects = true, .rule = rule_tell};
    struct access_decision decision;
    BUF_AUTO text;

    buf_init(&text, EXPLANATION_MAX_BYTES);
    if (result->decision->detail[0] != '\0') {
        buf_printf(&text, "%s\n", result->decision->detail);
    }
    if (result->request != NULL) {
        struct access_explain told = explain;

        told.user = &text;
        access_policy_explain(it->set->policy, result->identity, result->request, &told, &decision);
    }
    if (buf_status(&text) == ERR_TOO_LARGE) {
        return mem_strdup("(there are too many rules to tell what each says)\n");
    }
    return text.len > 0 ? buf_steal(&text) : mem_strdup("");
}

static void touch(struct testing *it, const char *rule)
{
    size_t count = access_policy_rule_count(it->set->policy);
    struct access_rule_info info;
    size_t i;

    for (i = 0; rule != NULL && i < count; i++) {
        access_rule_look(it->set->policy, i, &info);
        if (info.name == rule) {
            it->touched_count += it->is_touched[i] ? 0 : 1;
            it->is_touched[i] = true;
            return;
        }
    }
}

static void result_add(void *user, const struct access_case_result *result)
{
    struct testing *it = user;
    const char *rule = result->decision->rule;
    struct policy_result kept = {
        .line = result->node->line,
        .column = result->node->column,
        .has_passed = result->has_passed,
        .name = mem_strdup(result->name),
        .outcome = access_outcome_word(result->decision->outcome),
        .rule = rule != NULL ? mem_strdup(rule) : NULL,
        .detail = mem_strdup(result->detail),
        .explanation = result->has_passed ? mem_strdup("") : explain(it, result),
    };
    int r = policy_results_add(&it->results, &kept);

    touch(it, rule);
    it->status = it->status != 0 ? it->status : r;
}

/* --- all of them --- */

static int tests_run(struct testing *it)
{
    const struct policy_folder *folder = &it->set->folder;
    size_t i;

    for (i = 0; it->status == 0 && i < folder->tests->file_count; i++) {
        struct access_cases *cases = NULL;
        char path[POLICY_FOLDER_PATH_MAX_BYTES];
        int r = policy_set_read_cases(it->set, i, &cases);

        if (r == 0) {
            r = policy_results_add_file(
                &it->results, policy_folder_place(folder, folder->tests->files[i].name, path));
        }
        if (r == 0) {
            access_cases_run(cases, it->set->policy, result_add, it);
        }
        access_cases_free(cases);
        it->status = r == ERR_NOMEM ? r : it->status;
    }
    return it->status;
}

static void rules_count(struct testing *it)
{
    size_t count = access_policy_rule_count(it->set->policy);
    struct access_rule_info info;
    size_t i;

    for (i = 0; i < count; i++) {
        access_rule_look(it->set->policy, i, &info);
        it->counting_count += info.is_observed ? 0 : 1;
    }
}

static uint64_t coverage_percent(const struct testing *it)
{
    return it->counting_count > 0 ? 100 * it->touched_count / it->counting_count : 100;
}

/* --- telling --- */

static void indented(struct buf *out, struct str text)
{
    while (text.len > 0) {
        struct str line = str_cut(&text, '\n');

        buf_printf(out, "      %.*s\n", STR_ARG(line));
    }
}

static void results_tell(const struct testing *it)
{
    struct buf *out = &it->cli->out;
    size_t at = 0;
    size_t i;

    for (i = 0; i < it->results.file_count; i++) {
        size_t passed = 0;

        for (; at < it->results.count && it->results.items[at].suite == i; at++) {
            const struct policy_result *result = &it->results.items[at];

            passed += result->has_passed ? 1 : 0;
            if (!result->has_passed) {
                buf_printf(out, "FAIL  %s:%u:%u: %s\n      %s\n", it->results.files[i],
                           result->line, result->column, result->name, result->detail);
                indented(out, str_of(result->explanation));
            }
        }
        if (passed > 0) {
            buf_printf(out, "ok    %s: %zu passed\n", it->results.files[i], passed);
        }
    }
    buf_printf(out, "%zu passed, %zu failed\n", it->results.count - it->results.failed_count,
               it->results.failed_count);
}

static void untouched_each(const struct testing *it, struct json_out *json)
{
    size_t count = access_policy_rule_count(it->set->policy);
    struct access_rule_info info;
    size_t i;

    for (i = 0; i < count; i++) {
        const struct yaml_node *node = access_rule_node(access_tree_nodes(it->set->tree), i);

        access_rule_look(it->set->policy, i, &info);
        if (it->is_touched[i] || info.is_observed) {
            continue;
        }
        if (json == NULL) {
            buf_printf(&it->cli->out, "  %s:%u:%u: rule %s is touched by no test\n", node->file,
                       node->line, node->column, info.name);
            continue;
        }
        json_out_object_open(json, NULL);
        json_out_string_c(json, "rule", info.name);
        json_out_string_c(json, "file", node->file);
        json_out_u64(json, "line", node->line);
        json_out_object_close(json);
    }
}

static void coverage_tell(const struct testing *it)
{
    buf_printf(&it->cli->out, "coverage: %zu of %zu rules, %llu %%\n", it->touched_count,
               it->counting_count, (unsigned long long)coverage_percent(it));
    untouched_each(it, NULL);
}

static void json_tell(const struct testing *it, struct json_out *json, bool is_ok)
{
    size_t i;

    json_out_array_open(json, "tests");
    for (i = 0; i < it->results.count; i++) {
        const struct policy_result *result = &it->results.items[i];

        json_out_object_open(json, NULL);
        json_out_string_c(json, "file", it->results.files[result->suite]);
        json_out_u64(json, "line", result->line);
        json_out_string_c(json, "name", result->name);
        json_out_bool(json, "passed", result->has_passed);
        json_out_string_c(json, "decision", result->outcome);
        json_out_string_c(json, "rule", result->rule);
        if (!result->has_passed) {
            json_out_string_c(json, "detail", result->detail);
            json_out_string_c(json, "explanation", result->explanation);
        }
        json_out_object_close(json);
    }
    json_out_array_close(json);
    json_out_u64(json, "passed", it->results.count - it->results.failed_count);
    json_out_u64(json, "failed", it->results.failed_count);
    json_out_object_open(json, "coverage");
    json_out_u64(json, "rules", it->counting_count);
    json_out_u64(json, "touched", it->touched_count);
    json_out_u64(json, "percent", coverage_percent(it));
    json_out_array_open(json, "untouched");
    untouched_each(it, json);
    json_out_array_close(json);
    json_out_object_close(json);
    json_out_bool(json, "ok", is_ok);
    json_out_object_close(json);
    buf_add_char(&it->cli->out, '\n');
}

/* The whole text, as a file of this name. 0, or -errno. */
static int file_write(const char *path, struct str text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int status = fd < 0 ? -errno : 0;

    while (status == 0 && text.len > 0) {
        ssize_t count = write(fd, text.ptr, text.len);

        if (count < 0 && errno != EINTR) {
            status = -errno;
        } else if (count > 0) {
            text.ptr += count;
            text.len -= (size_t)count;
        }
    }
    if (fd >= 0 && close(fd) != 0 && status == 0) {
        status = -errno;
    }
    return status;
}

static int junit_write(const struct testing *it, const char *path)
{
    BUF_AUTO text;
    int status;

    buf_init(&text, JUNIT_MAX_BYTES);
    policy_results_write_junit(&it->results, &text);
    status = buf_status(&text);
    if (status == 0) {
        status = file_write(path, buf_str(&text));
    }
    if (status != 0) {
        cli_message(it->cli, "%s: could not be written: %s", path, err_str(status));
    }
    return status == 0 ? CLI_OK : CLI_FAILED;
}

/* --- the command --- */

/* Mistakes instead of results. */
static int mistakes_tell(struct testing *it)
{
    struct policy_findings findings;

    policy_findings_begin(&findings, it->cli);
    policy_findings_add_errors(&findings, &it->set->errors);
    policy_findings_end(&findings);
    if (cli_wants_json(it->cli)) {
        json_out_bool(&findings.json, "ok", false);
        json_out_object_close(&findings.json);
        buf_add_char(&it->cli->out, '\n');
    } else {
        buf_printf(&it->cli->out, "%zu mistakes: nothing is tested\n", findings.error_count);
    }
    return CLI_FAILED;
}

static int min_read(struct cli *cli, uint64_t *ret_percent)
{
    const char *text = options_get(&cli->options, OPTION_COVERAGE_MIN);
    struct str number = str_of(text);

    if (text == NULL) {
        return CLI_OK;
    }
    if (str_ends_with(number, "%")) {
        number.len--;
    }
    if (str_parse_u64(number, ret_percent) != 0 || *ret_percent > 100) {
        return cli_usage_error(cli, "--coverage-min: '%s' is no percentage; write 80", text);
    }
    return CLI_OK;
}

static int tested(struct testing *it, uint64_t min_percent)
{
    const char *junit = options_get(&it->cli->options, OPTION_JUNIT);
    bool is_covered = coverage_percent(it) >= min_percent;
    bool is_ok = it->results.failed_count == 0 && is_covered;
    struct json_out json;

    if (cli_wants_json(it->cli)) {
        json_out_init(&json, &it->cli->out);
        json_out_object_open(&json, NULL);
        json_tell(it, &json, is_ok);
    } else {
        results_tell(it);
        if (!is_covered || options_get(&it->cli->options, OPTION_COVERAGE) != NULL) {
            coverage_tell(it);
        }
        if (!is_covered) {
            buf_printf(&it->cli->out, "not ok: less than %llu %% of the rules are tested\n",
                       (unsigned long long)min_percent);
        }
    }
    if (junit != NULL && junit_write(it, junit) != CLI_OK) {
        return CLI_FAILED;
    }
    return is_ok ? CLI_OK : CLI_FAILED;
}

static int set_test(struct testing *it, uint64_t min_percent)
{
    if (it->set->policy == NULL) {
        return mistakes_tell(it);
    }
    it->is_touched = mem_calloc(access_policy_rule_count(it->set->policy) + 1, sizeof(bool));
    if (it->is_touched == NULL || tests_run(it) != 0) {
        cli_message(it->cli, "%s", err_str(ERR_NOMEM));
        return CLI_FAILED;
    }
    if (it->set->errors.count > 0) {
        return mistakes_tell(it);
    }
    if (it->results.count == 0) {
        cli_message(it->cli,
                    "there are no tests in it: they stand in files that end in _test.yaml");
    }
    rules_count(it);
    return tested(it, min_percent);
}

int policy_run_test(struct cli *cli)
{
    struct policy_set set;
    struct testing it = {.cli = cli, .set = &set};
    uint64_t min_percent = 0;
    int exit_code = min_read(cli, &min_percent);

    if (exit_code == CLI_OK) {
        exit_code = policy_set_load(cli, cli->options.args[0], &set);
    }
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    exit_code = set_test(&it, min_percent);
    mem_free(it.is_touched);
    policy_results_fini(&it.results);
    policy_set_fini(&set);
    return exit_code;
}
