/* `lease policy plan DIR --base DIR --audit FILE…`: the same without a daemon. Whoever an audit
 * trail has seen asking for a role is judged by both policies, by what the trail has about him: no
 * groups, and no claims of a job token, so rules about those match nobody; that is told. */
#include "cli/policy_bring.h"

#include "access/assumed.h"
#include "access/compare.h"
#include "base/mem.h"
#include "cli/clock.h"
#include "cli/policy_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKED_MAX 20000U /* callers and roles that are told apart */
#define KEY_MAX_BYTES 2048U

struct offline {
    struct cli *cli;
    struct policy_set before;
    struct policy_set after;
    json_t *asked;      /* what identifies a caller and a role → {identity, role} */
    json_t *decisions;  /* that change */
    json_t *callers;    /* seen, as a set */
    size_t token_count; /* records of callers with job tokens */
    size_t left_count;  /* over ASKED_MAX */
};

static int nomem(struct cli *cli)
{
    cli_message(cli, "could not plan: %s", err_str(ERR_NOMEM));
    return CLI_FAILED;
}

/* ---- the trail ------------------------------------------------------------------ */

/* Who it was, in the words of access/assumed.h. NULL: out of memory. */
static json_t *subject_of(const json_t *record)
{
    static const char *const keys[] = {"user", "uid", "unit", "container", "san"};
    const json_t *identity = json_object_get(record, "identity");
    json_t *listener = json_object_get(record, "listener");
    json_t *subject = json_object();
    size_t i;

    for (i = 0; subject != NULL && i < ARRAY_LEN(keys); i++) {
        json_t *value = json_object_get(identity, keys[i]);

        if (value != NULL && json_object_set(subject, keys[i], value) != 0) {
            json_decref(subject);
            return NULL;
        }
    }
    if (subject != NULL && listener != NULL &&
        json_object_set(subject, "listener", listener) != 0) {
        json_decref(subject);
        return NULL;
    }
    return subject;
}

static int asked_note(struct offline *it, const char *role, json_t *subject)
{
    char *who = json_dumps(subject, JSON_COMPACT | JSON_SORT_KEYS);
    char key[KEY_MAX_BYTES];
    int r = who != NULL ? 0 : -1;

    if (r == 0) {
        (void)snprintf(key, sizeof(key), "%s %s", role, who);
        r = json_object_set_new(it->callers, who, json_true());
    }
    mem_free(who);
    if (r != 0 || json_object_get(it->asked, key) != NULL) {
        return r;
    }
    if (json_object_size(it->asked) >= ASKED_MAX) {
        it->left_count++;
        return 0;
    }
    return json_object_set_new(it->asked, key,
                               json_pack("{s:s, s:O}", "role", role, "subject", subject));
}

static bool is_asking(const char *event)
{
    return event != NULL &&
           (strcmp(event, "grant.created") == 0 || strcmp(event, "grant.denied") == 0 ||
            strcmp(event, "credential.read") == 0);
}

/* 0, or -1 when out of memory; what is no record is passed over. */
static int record_take(struct offline *it, const char *line, size_t size)
{
    json_t *record = json_loadb(line, size, 0, NULL);
    const char *role = json_string_value(json_object_get(record, "role"));
    const json_t *identity = json_object_get(record, "identity");
    json_t *subject;
    int r = 0;

    if (role != NULL && json_is_object(identity) &&
        is_asking(json_string_value(json_object_get(record, "event")))) {
        it->token_count += json_object_get(identity, "jwt") != NULL ? 1 : 0;
        subject = subject_of(record);
        r = subject != NULL ? asked_note(it, role, subject) : -1;
        json_decref(subject);
    }
    json_decref(record);
    return r;
}

static int file_read(struct offline *it, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    ssize_t size;
    int r = 0;

    if (file == NULL) {
        cli_message(it->cli, "%s: %s", path, err_str(-errno));
        return errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
    }
    while (r == 0 && (size = getline(&line, &cap, file)) > 0) {
        r = record_take(it, line, (size_t)size);
    }
    free(line); /* style-ok: raw-memory: getline's */
    if (file != stdin) {
        (void)fclose(file);
    }
    return r == 0 ? CLI_OK : nomem(it->cli);
}

/* ---- both policies --------------------------------------------------------------- */

/* As leased's plan has it. */
static const char *outcome_word(enum access_outcome outcome)
{
    switch (outcome) {
    case ACCESS_DENY:
        return "denied";
    case ACCESS_APPROVAL_REQUIRED:
        return "approval_required";
    default:
        return access_outcome_word(outcome);
    }
}

static json_t *decision_json(const struct access_decision *decision)
{
    json_t *json =
        json_pack("{s:s, s:s?, s:s?}", "decision", outcome_word(decision->outcome), "rule",
                  decision->rule, "detail", decision->detail[0] != '\0' ? decision->detail : NULL);

    if (json != NULL && decision->duration_ms > 0) {
        (void)json_object_set_new(json, "duration",
                                  json_integer((json_int_t)(decision->duration_ms / 1000)));
    }
    if (json != NULL && decision->ttl_ms > 0) {
        (void)json_object_set_new(json, "ttl", json_integer((json_int_t)(decision->ttl_ms / 1000)));
    }
    return json;
}

static int pair_judge(struct offline *it, const char *role, const struct access_identity *identity)
{
    const struct access_role_facts facts = access_roles_find(&it->after.known.roles, role);
    const struct access_request request = {.role = role,
                                           .role_binding = facts.binding,
                                           .role_max_ttl_ms = facts.max_ttl_ms,
                                           .wall_ms = clock_wall_ms()};
    struct access_decision before;
    struct access_decision after;
    char key[ACCESS_KEY_MAX_BYTES];
    char uid[ACCESS_UID_TEXT_MAX_BYTES];

    access_policy_decide(it->before.policy, identity, &request, &before);
    access_policy_decide(it->after.policy, identity, &request, &after);
    if (access_decisions_are_equal(&before, &after)) {
        return 0;
    }
    return json_array_append_new(
        it->decisions,
        json_pack("{s:s, s:s, s:s, s:o, s:o}", "identity", access_identity_key(identity, key),
                  "name", access_identity_name(identity, uid), "role", role, "before",
                  decision_json(&before), "after", decision_json(&after)));
}

/* Whom the trail describes in a way that no identity has is left out. */
static int asked_judge(struct offline *it, const json_t *asked)
{
    char *text = json_dumps(json_object_get(asked, "subject"), JSON_COMPACT);
    struct access_assumed *assumed = NULL;
    struct yaml_errors mistakes;
    int r;

    if (text == NULL) {
        return -1;
    }
    yaml_errors_init(&mistakes);
    r = access_assumed_read("the trail", str_of(text), &assumed, &mistakes);
    mem_free(text);
    if (r == 0) {
        r = pair_judge(it, json_string_value(json_object_get(asked, "role")),
                       access_assumed_identity(assumed));
    } else {
        it->left_count++;
        r = r == ERR_NOMEM ? -1 : 0;
    }
    access_assumed_free(assumed);
    yaml_errors_fini(&mistakes);
    return r;
}

static json_t *policy_json(const struct policy_set *set)
{
    return json_pack("{s:s, s:s?, s:I}", "digest", access_policy_digest(set->policy), "revision",
                     str_or_null(set->folder.policy->revision), "rules",
                     (json_int_t)access_policy_rule_count(set->policy));
}

static int judge(struct offline *it, json_t **ret_plan)
{
    bool has_changed = strcmp(access_policy_digest(it->before.policy),
                              access_policy_digest(it->after.policy)) != 0;
    json_t *warnings = json_array();
    const char *key;
    json_t *asked;
    int r = warnings != NULL ? 0 : -1;

    json_object_foreach (it->asked, key, asked) {
        r = r == 0 ? asked_judge(it, asked) : r;
    }
    if (r == 0) {
        r = json_array_append_new(
            warnings,
            json_string("groups aren't in the trail: rules about them match nobody here"));
    }
    if (r == 0 && it->token_count > 0) {
        r = json_array_append_new(
            warnings,
            json_string("claims of job tokens aren't in the trail: rules about them match nobody "
                        "here"));
    }
    *ret_plan = json_pack("{s:b, s:o, s:o, s:O, s:I, s:I, s:o}", "changed", has_changed, "before",
                          policy_json(&it->before), "after", policy_json(&it->after), "decisions",
                          it->decisions, "identities", (json_int_t)json_object_size(it->callers),
                          "identities_left_out", (json_int_t)it->left_count, "warnings", warnings);
    return r == 0 && *ret_plan != NULL ? CLI_OK : nomem(it->cli);
}

/* ---- the way through --------------------------------------------------------------- */

static int set_load(struct cli *cli, const char *path, struct policy_set *ret_set)
{
    int exit_code = policy_set_load(cli, path, ret_set);
    struct str lines;

    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (ret_set->policy != NULL && ret_set->errors.count == 0) {
        return policy_bring_revision(&ret_set->folder) == 0 ? CLI_OK : nomem(cli);
    }
    lines = buf_str(&ret_set->errors.text);
    while (lines.len > 0) {
        struct str line = str_cut(&lines, '\n');

        cli_message(cli, "%.*s", STR_ARG(line));
    }
    return CLI_FAILED;
}

static int files_read(struct offline *it)
{
    const struct option_values *files = &it->cli->options.values[OPTION_AUDIT];
    int exit_code = CLI_OK;
    size_t i;

    it->asked = json_object();
    it->callers = json_object();
    it->decisions = json_array();
    if (it->asked == NULL || it->callers == NULL || it->decisions == NULL) {
        return nomem(it->cli);
    }
    for (i = 0; exit_code == CLI_OK && i < files->count; i++) {
        exit_code = file_read(it, files->items[i]);
    }
    /* The shell has more of them for FILE*. */
    for (i = 1; exit_code == CLI_OK && i < it->cli->options.arg_count; i++) {
        exit_code = file_read(it, it->cli->options.args[i]);
    }
    return exit_code;
}

int policy_offline_plan(struct cli *cli, json_t **ret_plan)
{
    const char *base = options_get(&cli->options, OPTION_BASE);
    struct offline it = {.cli = cli};
    int exit_code;

    if (base == NULL) {
        return cli_usage_error(cli, "--audit needs the policy to compare with: --base DIR (lease "
                                    "policy export DIR writes the one that counts)");
    }
    exit_code = set_load(cli, base, &it.before);
    if (exit_code == CLI_OK) {
        exit_code = set_load(cli, cli->options.args[0], &it.after);
    }
    if (exit_code == CLI_OK && !it.after.known.roles.are_known) {
        cli_message(cli, "without the roles that leased has, patterns of roles fit none: name its "
                         "configuration, --config leased.yaml");
        exit_code = CLI_FAILED;
    }
    if (exit_code == CLI_OK) {
        exit_code = files_read(&it);
    }
    if (exit_code == CLI_OK) {
        exit_code = judge(&it, ret_plan);
    }
    json_decref(it.asked);
    json_decref(it.callers);
    json_decref(it.decisions);
    policy_set_fini(&it.before);
    policy_set_fini(&it.after);
    return exit_code;
}
