/* `lease policy plan DIR`: what a policy would change if it were applied now. Says it as a list of
 * who loses and who gets what, and of the live grants that would end. */
#include "cli/policy.h"

#include "base/units.h"
#include "cli/policy_bring.h"
#include "cli/show.h"
#include "wire/format.h"

#include <string.h>

static const struct show_column grant_columns[] = {
    {"GRANT", "grant", SHOW_TEXT},     {"WHO", "name", SHOW_TEXT},   {"ROLE", "role", SHOW_TEXT},
    {"BECOMES", "becomes", SHOW_TEXT}, {"WHY", "detail", SHOW_TEXT},
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "-";
}

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

bool policy_plan_has_changes(const json_t *plan)
{
    return json_is_true(json_object_get(plan, "changed")) ||
           json_array_size(json_object_get(plan, "decisions")) > 0 ||
           json_array_size(json_object_get(plan, "paths")) > 0 ||
           json_array_size(json_object_get(plan, "undecided")) > 0 ||
           number_of(plan, "grants_ending") > 0 || number_of(plan, "grants_shrinking") > 0;
}

/* "lead read+list"; nothing where there are no words. */
static void words_add(struct buf *out, const char *lead, const json_t *words)
{
    const json_t *word;
    size_t i;

    json_array_foreach (words, i, word) {
        buf_add_c(out, i > 0 ? "+" : lead);
        format_add_visible(out, str_of(json_is_string(word) ? json_string_value(word) : "-"));
    }
}

/* "allow by rule ci-runners for 1h", "unknown by dba needs groups+claims" */
static void decision_add(struct buf *out, const json_t *decision)
{
    const char *rule = text_of(decision, "rule");
    json_int_t duration = number_of(decision, "duration");
    json_int_t ttl = number_of(decision, "ttl");
    char text[UNITS_DURATION_MAX_BYTES];

    format_add_visible(out, str_of(text_of(decision, "decision")));
    if (strcmp(rule, "-") != 0) {
        buf_add_c(out, " by ");
        format_add_visible(out, str_of(rule));
    }
    words_add(out, " needs ", json_object_get(decision, "needs"));
    if (duration > 0) {
        buf_printf(out, " for %s", units_format_duration((uint64_t)duration * 1000, text));
    }
    if (ttl > 0) {
        buf_printf(out, ", ttl %s", units_format_duration((uint64_t)ttl * 1000, text));
    }
}

static bool is_unknown(const json_t *decision)
{
    return json_object_get(decision, "needs") != NULL;
}

static bool is_allowed(const json_t *decision)
{
    return strcmp(text_of(decision, "decision"), "allow") == 0;
}

/* The role, or the path with what was wanted of it: "read vault-prod:secret/data/app". */
static void asked_add(struct buf *out, const json_t *change)
{
    if (json_object_get(change, "path") == NULL) {
        format_add_visible(out, str_of(text_of(change, "role")));
        return;
    }
    words_add(out, "", json_object_get(change, "capabilities"));
    buf_add_char(out, ' ');
    format_add_visible(out, str_of(text_of(change, "backend")));
    buf_add_char(out, ':');
    format_add_visible(out, str_of(text_of(change, "path")));
}

static void change_show(struct cli *cli, const json_t *change)
{
    const json_t *before = json_object_get(change, "before");
    const json_t *after = json_object_get(change, "after");
    const char *limits = json_string_value(json_object_get(change, "limits"));
    const char *detail = limits != NULL ? limits : text_of(after, "detail");
    bool was_allowed = is_allowed(before);
    bool will_be = is_allowed(after);
    char sign = was_allowed == will_be ? '~' : was_allowed ? '-' : '+';

    buf_printf(&cli->out, "  %c ", is_unknown(before) || is_unknown(after) ? '?' : sign);
    format_add_visible(&cli->out, str_of(text_of(change, "name")));
    buf_add_c(&cli->out, " (");
    format_add_visible(&cli->out, str_of(text_of(change, "identity")));
    buf_add_c(&cli->out, ")  ");
    asked_add(&cli->out, change);
    buf_add_c(&cli->out, ": ");
    decision_add(&cli->out, before);
    buf_add_c(&cli->out, " -> ");
    decision_add(&cli->out, after);
    buf_add_char(&cli->out, '\n');
    if (limits != NULL || (!will_be && strcmp(detail, "-") != 0)) {
        buf_add_c(&cli->out, "      ");
        format_add_visible(&cli->out, str_of(detail));
        buf_add_char(&cli->out, '\n');
    }
}

static void changes_list(struct cli *cli, const json_t *changes, json_int_t more)
{
    const json_t *change;
    size_t i;

    json_array_foreach (changes, i, change) {
        change_show(cli, change);
    }
    if (more > 0) {
        buf_printf(&cli->out, "  … and %lld more\n", (long long)more);
    }
}

static void decisions_show(struct cli *cli, const json_t *plan)
{
    const json_t *decisions = json_object_get(plan, "decisions");
    const json_t *paths = json_object_get(plan, "paths");
    const json_t *undecided = json_object_get(plan, "undecided");

    if (json_array_size(decisions) > 0) {
        buf_printf(&cli->out, "\nDecisions that change, of %lld callers seen:\n",
                   (long long)number_of(plan, "identities"));
    }
    changes_list(cli, decisions, number_of(plan, "more_decisions"));
    if (json_array_size(paths) > 0) {
        buf_printf(&cli->out, "\nPaths that change, of %lld called:\n",
                   (long long)number_of(plan, "paths_tried"));
    }
    changes_list(cli, paths, number_of(plan, "more_paths"));
    if (json_array_size(undecided) > 0) {
        buf_add_c(&cli->out, "\nCan't be told offline, and counts as a change:\n");
    }
    changes_list(cli, undecided, 0);
    if (number_of(plan, "identities_left_out") > 0) {
        buf_printf(&cli->out, "  (%lld callers were not tried: there are too many)\n",
                   (long long)number_of(plan, "identities_left_out"));
    }
}

static int grants_show(struct cli *cli, const json_t *plan)
{
    const json_t *grants = json_object_get(plan, "grants");
    json_t *grant;
    size_t i;

    if (json_array_size(grants) == 0) {
        return CLI_OK;
    }
    buf_printf(&cli->out, "\nLive grants: %lld would end, %lld would get shorter\n",
               (long long)number_of(plan, "grants_ending"),
               (long long)number_of(plan, "grants_shrinking"));
    json_array_foreach (grants, i, grant) {
        bool ends = json_is_true(json_object_get(grant, "ends"));

        if (json_object_set_new(grant, "becomes",
                                json_string(ends ? "ended" : text_of(grant, "until"))) != 0) {
            cli_message(cli, "could not show it: %s", err_str(ERR_NOMEM));
            return CLI_FAILED;
        }
    }
    return show_list(cli, grants, grant_columns, ARRAY_LEN(grant_columns));
}

static void policy_add(struct buf *out, const json_t *policy)
{
    const char *revision = text_of(policy, "revision");

    buf_printf(out, "%.12s", text_of(policy, "digest"));
    if (strcmp(revision, "-") != 0) {
        buf_add_c(out, " at ");
        format_add_visible(out, str_of(revision));
    }
    buf_printf(out, " (%lld rules)", (long long)number_of(policy, "rules"));
}

static void warnings_show(struct cli *cli, const json_t *plan)
{
    const json_t *warnings = json_object_get(plan, "warnings");
    const json_t *warning;
    size_t i;

    json_array_foreach (warnings, i, warning) {
        buf_add_c(&cli->out, "warning: ");
        format_add_visible(&cli->out,
                           str_of(json_is_string(warning) ? json_string_value(warning) : "-"));
        buf_add_char(&cli->out, '\n');
    }
}

static int changes_show(struct cli *cli, const json_t *plan)
{
    int exit_code;

    decisions_show(cli, plan);
    exit_code = grants_show(cli, plan);
    if (json_array_size(json_object_get(plan, "decisions")) == 0 &&
        json_array_size(json_object_get(plan, "paths")) == 0 &&
        json_array_size(json_object_get(plan, "undecided")) == 0) {
        buf_add_c(&cli->out, "\nnothing changes for those who have asked so far\n");
    }
    return exit_code;
}

int policy_plan_show(struct cli *cli, const json_t *plan)
{
    int exit_code = CLI_OK;

    buf_add_c(&cli->out, json_is_true(json_object_get(plan, "observe")) ? "observe " : "policy ");
    policy_add(&cli->out, json_object_get(plan, "before"));
    buf_add_c(&cli->out, " -> ");
    policy_add(&cli->out, json_object_get(plan, "after"));
    buf_add_char(&cli->out, '\n');
    warnings_show(cli, plan);
    if (policy_plan_has_changes(plan)) {
        exit_code = changes_show(cli, plan);
    } else {
        buf_add_c(&cli->out, "no change\n");
    }
    if (json_object_get(plan, "digest") != NULL) {
        buf_printf(&cli->out, "\nplan %s\n", text_of(plan, "digest"));
    }
    return exit_code;
}

int policy_run_plan(struct cli *cli)
{
    struct policy_folder folder = {.path = NULL};
    json_t *plan = NULL;
    bool is_offline =
        cli->options.values[OPTION_AUDIT].count > 0 || cli->options.values[OPTION_BASE].count > 0;
    int exit_code;

    if (!is_offline && cli->options.arg_count > 1) {
        return cli_usage_error(cli, "too many arguments");
    }
    exit_code = is_offline ? policy_offline_plan(cli, &plan)
                           : policy_bring_plan(cli, cli->options.args[0], &folder, &plan);

    if (exit_code == CLI_OK) {
        exit_code = cli_wants_json(cli) ? show_json(cli, plan) : policy_plan_show(cli, plan);
    }
    if (exit_code == CLI_OK && policy_plan_has_changes(plan)) {
        exit_code = CLI_CHANGES;
    }
    json_decref(plan);
    policy_folder_fini(&folder);
    return exit_code;
}
