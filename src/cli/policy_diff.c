/* `lease policy diff`: what an observed policy would change, by what the audit trail has of it, and
 * what a policy has that nobody uses.
 *
 * Callers are told by role, or by the backend whose paths they call: those who would lose it, those
 * who would gain it, those who would get it with other limits, and those for whom the answer would
 * be another one that isn't a credential either. */
#include "cli/policy.h"

#include "cli/api.h"
#include "cli/policy_drift.h"

#include <jansson.h>
#include <string.h>

#define NAMED_MAX 10 /* callers of one line; of more it says how many */

enum change {
    CHANGE_LOSES,
    CHANGE_GAINS,
    CHANGE_LIMITS,
    CHANGE_OTHER,
    CHANGE_COUNT,
};

static const char *const change_words[CHANGE_COUNT] = {"lose", "gain", "have other limits on",
                                                       "be answered otherwise for"};

static bool is_allowed(const char *outcome)
{
    return strcmp(outcome, "allow") == 0;
}

static enum change change_of(const struct policy_note *note)
{
    bool is_now = is_allowed(note->decided);
    bool would_be = is_allowed(note->observed);

    return is_now && !would_be   ? CHANGE_LOSES
           : !is_now && would_be ? CHANGE_GAINS
           : is_now              ? CHANGE_LIMITS
                                 : CHANGE_OTHER;
}

static bool is_about_the_same(const struct policy_note *a, const struct policy_note *b)
{
    return strcmp(a->role, b->role) == 0 && strcmp(a->backend, b->backend) == 0;
}

static bool belongs(const struct policy_note *note, const struct policy_note *first,
                    enum change change)
{
    return is_about_the_same(note, first) && change_of(note) == change;
}

static void caller_tell(struct cli *cli, const struct policy_note *note)
{
    bool has_limits = note->limits[0] != '\0';

    buf_printf(&cli->out, " %s (%s%snow %s, %llu times)", note->who,
               has_limits ? note->limits : note->observed, has_limits ? "; " : ", ", note->decided,
               (unsigned long long)note->count);
}

/* `first`: one of those that are about the same. */
static void group_tell(struct cli *cli, const struct policy_trail *trail,
                       const struct policy_note *first, enum change change)
{
    bool is_role = first->role[0] != '\0';
    const struct map *notes = &trail->differences;
    struct map_entry *entry;
    size_t count = 0;
    size_t told = 0;

    for (entry = map_first(notes); entry != NULL; entry = map_next(notes, entry)) {
        count += belongs(MAP_ENTRY(entry, struct policy_note, entry), first, change) ? 1 : 0;
    }
    if (count == 0) {
        return;
    }
    buf_printf(&cli->out, "%zu %s would %s %s%s:", count, count == 1 ? "caller" : "callers",
               change_words[change], is_role ? "" : "paths of ",
               is_role ? first->role : first->backend);
    for (entry = map_first(notes); entry != NULL; entry = map_next(notes, entry)) {
        const struct policy_note *note = MAP_ENTRY(entry, struct policy_note, entry);

        if (belongs(note, first, change) && told++ < NAMED_MAX) {
            buf_add_c(&cli->out, told > 1 ? "," : "");
            caller_tell(cli, note);
        }
    }
    if (told > NAMED_MAX) {
        buf_printf(&cli->out, ", and %zu more", told - NAMED_MAX);
    }
    buf_add_char(&cli->out, '\n');
}

/* Is this the first note about its role or backend? */
static bool is_first(const struct map *notes, const struct policy_note *note)
{
    struct map_entry *entry = map_first(notes);

    while (!is_about_the_same(MAP_ENTRY(entry, struct policy_note, entry), note)) {
        entry = map_next(notes, entry);
    }
    return entry == &note->entry;
}

static void differences_tell(struct cli *cli, const struct policy_trail *trail)
{
    const struct map *notes = &trail->differences;
    struct map_entry *entry;
    int change;

    for (entry = map_first(notes); entry != NULL; entry = map_next(notes, entry)) {
        const struct policy_note *note = MAP_ENTRY(entry, struct policy_note, entry);

        for (change = 0; is_first(notes, note) && change < CHANGE_COUNT; change++) {
            group_tell(cli, trail, note, (enum change)change);
        }
    }
    if (map_count(notes) == 0) {
        buf_add_c(&cli->out, "no observed policy has decided otherwise\n");
    }
}

static void differences_json(struct json_out *json, const struct policy_trail *trail)
{
    static const char *const words[CHANGE_COUNT] = {"loses", "gains", "limits", "other"};
    struct map_entry *entry;

    json_out_array_open(json, "differences");
    for (entry = map_first(&trail->differences); entry != NULL;
         entry = map_next(&trail->differences, entry)) {
        const struct policy_note *note = MAP_ENTRY(entry, struct policy_note, entry);

        json_out_object_open(json, NULL);
        json_out_string_c(json, "role", str_or_null(note->role));
        json_out_string_c(json, "backend", str_or_null(note->backend));
        json_out_string_c(json, "caller", note->who);
        json_out_string_c(json, "change", words[change_of(note)]);
        json_out_string_c(json, "decision", note->decided);
        json_out_string_c(json, "observed", note->observed);
        json_out_string_c(json, "limits", str_or_null(note->limits));
        json_out_u64(json, "count", note->count);
        json_out_object_close(json);
    }
    json_out_array_close(json);
    json_out_u64(json, "records", trail->record_count);
    json_out_u64(json, "other_lines", trail->foreign_count);
}

/* The policy that is an argument; NULL: none is. */
static const char *policy_argument(const struct cli *cli)
{
    size_t i;

    for (i = 0; i < cli->options.arg_count; i++) {
        if (!policy_trail_is_file(cli, cli->options.args[i])) {
            return cli->options.args[i];
        }
    }
    return NULL;
}

static int drift_tell(struct policy_findings *findings, const struct policy_trail *trail)
{
    const char *path = policy_argument(findings->cli);
    struct policy_set set;
    int exit_code;

    if (path == NULL) {
        return CLI_OK;
    }
    exit_code = policy_set_load(findings->cli, path, &set);
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (set.policy != NULL) {
        policy_drift_tell(findings, &set, trail);
    } else {
        policy_findings_add_errors(findings, &set.errors);
        exit_code = CLI_FAILED;
    }
    policy_set_fini(&set);
    return exit_code;
}

static int trail_tell(struct cli *cli, const struct policy_trail *trail)
{
    struct policy_findings findings;
    int exit_code;

    if (!cli_wants_json(cli)) {
        differences_tell(cli, trail);
    }
    policy_findings_begin(&findings, cli);
    exit_code = drift_tell(&findings, trail);
    policy_findings_end(&findings);
    if (cli_wants_json(cli)) {
        differences_json(&findings.json, trail);
        json_out_object_close(&findings.json);
        buf_add_char(&cli->out, '\n');
    }
    return exit_code;
}

/* The first file that the running leased writes its trail to; lives as long as `status`. */
static const char *file_of_status(const json_t *status)
{
    const json_t *sinks = json_object_get(json_object_get(status, "audit"), "sinks");
    const json_t *sink;
    size_t i;

    json_array_foreach (sinks, i, sink) {
        const char *name = json_string_value(json_object_get(sink, "sink"));

        if (name != NULL && name[0] == '/') {
            return name;
        }
    }
    return NULL;
}

/* Where --audit names none, it is the file that leased writes now. `ret_status` holds its name. */
static int trail_find(struct cli *cli, json_t **ret_status)
{
    const struct api_request request = {.method = "GET",
                                        .path = API_ROOT "/status",
                                        .action = "find the audit trail"};
    struct option_values *files = &cli->options.values[OPTION_AUDIT];
    int exit_code = api_call_json(cli, &request, NULL, ret_status);
    const char *file = exit_code == CLI_OK ? file_of_status(*ret_status) : NULL;

    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (file == NULL) {
        cli_message(cli, "leased doesn't tell where its audit trail is: it tells admins that may "
                         "read, and of files alone; name one with --audit");
        return CLI_FAILED;
    }
    files->items[files->count++] = file;
    return CLI_OK;
}

int policy_run_diff(struct cli *cli)
{
    struct policy_trail trail;
    json_t *status = NULL;
    int exit_code = CLI_OK;

    policy_trail_init(&trail);
    if (options_get(&cli->options, OPTION_AUDIT) == NULL) {
        exit_code = trail_find(cli, &status);
    }
    if (exit_code == CLI_OK) {
        exit_code = policy_trail_read(cli, &trail);
    }
    if (exit_code == CLI_OK) {
        exit_code = trail_tell(cli, &trail);
    }
    policy_trail_fini(&trail);
    json_decref(status);
    return exit_code;
}
