/* `lease policy plan DIR --base DIR --audit FILE…`: the same without a daemon. Whoever an audit
 * trail has seen asking for a role is judged by both policies, by what the trail has about him,
 * with the reason and the ticket that he gave last. Groups aren't in it: where it was written on
 * this machine they are those of its user database. What hangs on groups that aren't known, or on
 * claims of a job token, is told as undecided, and counts as a change. */
#include "cli/policy_bring.h"

#include "access/assumed.h"
#include "access/compare.h"
#include "access/partial.h"
#include "base/mem.h"
#include "cli/clock.h"
#include "cli/policy_set.h"
#include "cli/policy_trail.h"

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
    struct local_groups groups;
    /* What identifies a caller and a role → {subject, role, node, token, reason, ticket}. */
    json_t *asked;
    json_t *decisions;  /* that change */
    json_t *undecided;  /* of which it can't be told whether they do */
    json_t *callers;    /* seen, as a set */
    size_t path_count;  /* calls of paths, of which the trail has hashes alone */
    size_t local_count; /* of whom groups were found on this machine */
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
    static const char *const keys[] = {"user", "uid", "unit", "container", "image", "san"};
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

/* What it said when it asked; a read of what it holds says nothing. */
static int words_note(json_t *asked, const json_t *record, bool is_read)
{
    static const char *const keys[] = {"reason", "ticket"};
    int r = 0;
    size_t i;

    for (i = 0; !is_read && r == 0 && i < ARRAY_LEN(keys); i++) {
        json_t *value = json_object_get(record, keys[i]);

        r = value != NULL ? json_object_set(asked, keys[i], value) : 0;
        if (value == NULL) {
            (void)json_object_del(asked, keys[i]);
        }
    }
    return r;
}

static int asked_note(struct offline *it, const json_t *record, json_t *subject, bool is_read)
{
    const char *role = json_string_value(json_object_get(record, "role"));
    const char *node = json_string_value(json_object_get(record, "node"));
    bool has_token = json_object_get(json_object_get(record, "identity"), "jwt") != NULL;
    char *who = json_dumps(subject, JSON_COMPACT | JSON_SORT_KEYS);
    char key[KEY_MAX_BYTES];
    json_t *asked;
    int r = who != NULL ? 0 : -1;

    if (r == 0) {
        (void)snprintf(key, sizeof(key), "%s %d %s %s", role, has_token, node != NULL ? node : "",
                       who);
        r = json_object_set_new(it->callers, who, json_true());
    }
    mem_free(who);
    if (r != 0) {
        return r;
    }
    asked = json_object_get(it->asked, key);
    if (asked != NULL) {
        return words_note(asked, record, is_read);
    }
    if (json_object_size(it->asked) >= ASKED_MAX) {
        it->left_count++;
        return 0;
    }
    asked = json_pack("{s:s, s:O, s:b, s:s?}", "role", role, "subject", subject, "token", has_token,
                      "node", node);
    return asked != NULL && words_note(asked, record, is_read) == 0
               ? json_object_set_new(it->asked, key, asked)
               : -1;
}

static bool is_asking(const char *event)
{
    return event != NULL &&
           (strcmp(event, "grant.created") == 0 || strcmp(event, "grant.denied") == 0 ||
            strcmp(event, "credential.read") == 0);
}

/* 0, or -1 when out of memory; what is no record is passed over, and counts as none. */
static int record_take(struct offline *it, const char *line, size_t size, size_t *known_count)
{
    json_t *record = json_loadb(line, size, 0, NULL);
    const char *event = json_string_value(json_object_get(record, "event"));
    const char *role = json_string_value(json_object_get(record, "role"));
    json_t *subject;
    int r = 0;

    *known_count += event != NULL ? 1 : 0;
    it->path_count += event != NULL && strcmp(event, "path.called") == 0 ? 1 : 0;
    if (role != NULL && json_is_object(json_object_get(record, "identity")) && is_asking(event)) {
        subject = subject_of(record);
        r = subject != NULL ? asked_note(it, record, subject, strcmp(event, "credential.read") == 0)
                            : -1;
        json_decref(subject);
    }
    json_decref(record);
    return r;
}

static int file_read(struct offline *it, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    size_t known_count = 0;
    size_t line_count = 0;
    char *line = NULL;
    size_t cap = 0;
    ssize_t size;
    int r = 0;

    if (file == NULL) {
        cli_message(it->cli, "%s: %s", path, err_str(-errno));
        return errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
    }
    while (r == 0 && (size = getline(&line, &cap, file)) > 0) {
        r = record_take(it, line, (size_t)size, &known_count);
        line_count++;
    }
    free(line); /* style-ok: raw-memory: getline's */
    if (file != stdin) {
        (void)fclose(file);
    }
    if (r == 0 && known_count == 0 && line_count > 0) {
        cli_message(it->cli, "%s: holds no audit record", path);
        return CLI_FAILED;
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

static json_t *needs_json(uint32_t needs)
{
    static const struct {
        uint32_t part;
        const char *word;
    } words[] = {{ACCESS_PART_GROUPS, "groups"},
                 {ACCESS_PART_CLAIMS, "claims"},
                 {ACCESS_PART_IMAGE, "image"}};
    json_t *list = json_array();
    size_t i;

    for (i = 0; list != NULL && i < ARRAY_LEN(words); i++) {
        if ((needs & words[i].part) != 0) {
            (void)json_array_append_new(list, json_string(words[i].word));
        }
    }
    return list;
}

static json_t *partial_json(const struct access_partial *partial)
{
    return partial->needs == 0 ? decision_json(&partial->decision)
                               : json_pack("{s:s, s:s?, s:o}", "decision", "unknown", "rule",
                                           partial->rule, "needs", needs_json(partial->needs));
}

static bool is_same(const struct access_partial *a, const struct access_partial *b)
{
    if (a->needs == 0 && b->needs == 0) {
        return access_decisions_are_equal(&a->decision, &b->decision);
    }
    return a->needs != 0 && b->needs != 0 && a->fingerprint == b->fingerprint;
}

static int pair_judge(struct offline *it, const json_t *asked,
                      const struct access_identity *identity, uint32_t unknown)
{
    const char *role = json_string_value(json_object_get(asked, "role"));
    const struct access_role_facts facts = access_roles_find(&it->after.known.roles, role);
    const struct access_request request = {
        .role = role,
        .role_binding = facts.binding,
        .role_max_ttl_ms = facts.max_ttl_ms,
        .reason = json_string_value(json_object_get(asked, "reason")),
        .ticket = json_string_value(json_object_get(asked, "ticket")),
        .wall_ms = clock_wall_ms()};
    struct access_partial before;
    struct access_partial after;
    char limits[ACCESS_DIFFERENCE_MAX_BYTES] = "";
    char key[ACCESS_KEY_MAX_BYTES];
    char uid[ACCESS_UID_TEXT_MAX_BYTES];

    access_policy_decide_partially(it->before.policy, identity, unknown, &request, &before);
    access_policy_decide_partially(it->after.policy, identity, unknown, &request, &after);
    if (is_same(&before, &after)) {
        return 0;
    }
    if (before.needs == 0 && after.needs == 0) {
        (void)access_decisions_difference(&before.decision, &after.decision, limits);
    }
    return json_array_append_new(
        before.needs == 0 && after.needs == 0 ? it->decisions : it->undecided,
        json_pack("{s:s, s:s, s:s, s:o, s:o, s:s?}", "identity", access_identity_key(identity, key),
                  "name", access_identity_name(identity, uid), "role", role, "before",
                  partial_json(&before), "after", partial_json(&after), "limits",
                  str_or_null(limits)));
}

static int identity_judge(struct offline *it, const json_t *asked,
                          const struct access_identity *assumed)
{
    const char *node = json_string_value(json_object_get(asked, "node"));
    struct access_identity identity = *assumed;
    uint32_t unknown =
        policy_trail_complete(&it->groups, node != NULL ? node : "",
                              json_is_true(json_object_get(asked, "token")), &identity);

    it->local_count += (unknown & ACCESS_PART_GROUPS) == 0 && identity.user[0] != '\0' ? 1 : 0;
    return pair_judge(it, asked, &identity, unknown);
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
        r = identity_judge(it, asked, access_assumed_identity(assumed));
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

/* NULL: out of memory. */
static json_t *warnings_json(const struct offline *it)
{
    json_t *warnings = json_array();
    int r = warnings != NULL ? 0 : -1;

    if (r == 0 && it->local_count > 0) {
        r = json_array_append_new(
            warnings, json_string("groups aren't in the trail: they are those that this machine's "
                                  "user database has now"));
    }
    if (r == 0 && json_array_size(it->undecided) > 0) {
        r = json_array_append_new(
            warnings,
            json_sprintf("%zu decisions can't be told offline, and count as changes: they hang on "
                         "what isn't in the trail",
                         json_array_size(it->undecided)));
    }
    if (r == 0 && it->path_count > 0) {
        r = json_array_append_new(
            warnings,
            json_sprintf("%zu calls of paths can't be tried offline: the trail has keyed hashes of "
                         "them; a running leased knows them",
                         it->path_count));
    }
    if (r != 0) {
        json_decref(warnings);
        return NULL;
    }
    return warnings;
}

static int judge(struct offline *it, json_t **ret_plan)
{
    bool has_changed = strcmp(access_policy_digest(it->before.policy),
                              access_policy_digest(it->after.policy)) != 0;
    json_t *warnings;
    const char *key;
    json_t *asked;
    int r = 0;

    json_object_foreach (it->asked, key, asked) {
        r = r == 0 ? asked_judge(it, asked) : r;
    }
    warnings = r == 0 ? warnings_json(it) : NULL;
    if (warnings == NULL) {
        return nomem(it->cli);
    }
    *ret_plan = json_pack("{s:b, s:o, s:o, s:O, s:O, s:I, s:I, s:o}", "changed", has_changed,
                          "before", policy_json(&it->before), "after", policy_json(&it->after),
                          "decisions", it->decisions, "undecided", it->undecided, "identities",
                          (json_int_t)json_object_size(it->callers), "identities_left_out",
                          (json_int_t)it->left_count, "warnings", warnings);
    return *ret_plan != NULL ? CLI_OK : nomem(it->cli);
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
    it->undecided = json_array();
    if (it->asked == NULL || it->callers == NULL || it->decisions == NULL ||
        it->undecided == NULL) {
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
    if (cli->options.values[OPTION_AUDIT].count == 0) {
        return cli_usage_error(cli,
                               "--base needs a trail that tells who asks for what: --audit FILE");
    }
    local_groups_init(&it.groups);
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
    json_decref(it.undecided);
    policy_set_fini(&it.before);
    policy_set_fini(&it.after);
    return exit_code;
}
