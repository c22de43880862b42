/* Patterns of paths: compiled, matched, decided on.
 *
 * Way of a request: the rules that may be about its path and its caller (policy_index.c), in file
 * order. One that denies, matches the
 * caller and names what is asked: deny. Else the first that allows, matches the caller and has an
 * entry that gives all that is needed. An entry is judged whole: what two entries give doesn't add
 * up, nor is the more specific one stronger. Nothing here allocates once it is compiled. */
#include "access/paths.h"

#include "access/rules.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const struct schema_enum_value capability_words[] = {
    {"create", ACCESS_CAN_CREATE}, {"read", ACCESS_CAN_READ}, {"update", ACCESS_CAN_UPDATE},
    {"delete", ACCESS_CAN_DELETE}, {"list", ACCESS_CAN_LIST}, {"patch", ACCESS_CAN_PATCH},
    {"sudo", ACCESS_CAN_SUDO},     {"scan", ACCESS_CAN_SCAN}, {0},
};

static const struct schema_field path_fields[] = {
    {"path", SCHEMA_STRING, offsetof(struct access_path_config, path), .flags = SCHEMA_REQUIRED,
     .max = ACCESS_PATH_PATTERN_MAX_BYTES,
     .doc = "without v1/; * at its end stands for any rest, + for one segment"},
    {"capabilities", SCHEMA_STRINGS, offsetof(struct access_path_config, capabilities),
     .flags = SCHEMA_REQUIRED, .min = 1, .values = capability_words,
     .doc = "create, read, update, delete, list, patch, scan, sudo"},
    {"backend", SCHEMA_NAME, offsetof(struct access_path_config, backend),
     .doc = "for this backend alone; any by default"},
    {0},
};

const struct schema_object access_path_table = {
    .name = "paths",
    .size = sizeof(struct access_path_config),
    .fields = path_fields,
};

const char *access_capability_word(uint32_t capability)
{
    size_t i;

    for (i = 0; capability_words[i].name != NULL; i++) {
        if ((uint32_t)capability_words[i].value == capability) {
            return capability_words[i].name;
        }
    }
    return NULL;
}

/* --- patterns --- */

const char *access_path_pattern_problem(struct str pattern)
{
    size_t i;

    if (str_starts_with(pattern, "/") || str_starts_with(pattern, "v1/")) {
        return "write it without the leading / and v1/";
    }
    for (i = 0; i < pattern.len; i++) {
        unsigned char c = (unsigned char)pattern.ptr[i];

        if (c < 0x20 || c == 0x7f) {
            return "it has a control character";
        }
        if (c == '*' && i + 1 < pattern.len) {
            return "a * can stand at the end only; + stands for one whole segment";
        }
    }
    return NULL;
}

/* A + that is a segment of its own; in a name it is a letter like any other. */
static bool is_wild(struct str pattern, size_t at)
{
    return pattern.ptr[at] == '+' && (at == 0 || pattern.ptr[at - 1] == '/') &&
           (at + 1 == pattern.len || pattern.ptr[at + 1] == '/');
}

/* The end of the segment that begins at `at`. */
static size_t segment_end(struct str path, size_t at)
{
    while (at < path.len && path.ptr[at] != '/') {
        at++;
    }
    return at;
}

bool access_path_matches(struct str pattern, struct str path)
{
    bool is_prefix = pattern.len > 0 && pattern.ptr[pattern.len - 1] == '*';
    size_t at = 0;
    size_t i;

    pattern.len -= is_prefix ? 1 : 0;
    for (i = 0; i < pattern.len; i++) {
        if (is_wild(pattern, i)) {
            size_t end = segment_end(path, at);

            if (end == at) {
                return false;
            }
            at = end;
        } else if (at == path.len || path.ptr[at++] != pattern.ptr[i]) {
            return false;
        }
    }
    return is_prefix || at == path.len;
}

struct str access_path_beginning(struct str pattern)
{
    size_t end = 0; /* of what has been seen of the pattern up to a slash */
    size_t i;

    for (i = 0; i < pattern.len; i++) {
        if (is_wild(pattern, i) || (pattern.ptr[i] == '*' && i + 1 == pattern.len)) {
            return (struct str){.ptr = pattern.ptr, .len = end};
        }
        end = pattern.ptr[i] == '/' ? i + 1 : end;
    }
    return pattern;
}

/* --- compiling --- */

static uint32_t capabilities_of(const struct schema_strings *words)
{
    const struct schema_enum_value *word;
    uint32_t may = 0;
    size_t i;

    for (i = 0; i < words->count; i++) {
        for (word = capability_words; word->name != NULL; word++) {
            may |= strcmp(words->items[i], word->name) == 0 ? (uint32_t)word->value : 0;
        }
    }
    return may;
}

int access_paths_compile(struct schema_list *configs, struct access_path **ret_paths,
                         size_t *ret_count, struct yaml_errors *errors)
{
    struct access_path_config *items = configs->items;
    struct access_path *paths;
    size_t i;

    if (configs->count > ACCESS_PATHS_MAX) {
        yaml_error_at(errors, items[0].node, "a rule has at most %d paths", ACCESS_PATHS_MAX);
        return 0;
    }
    paths = mem_calloc(configs->count + 1, sizeof(*paths));
    if (paths == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i < configs->count; i++) {
        const char *problem =
            items[i].path != NULL ? access_path_pattern_problem(str_of(items[i].path)) : NULL;

        if (problem != NULL) {
            yaml_error_at(errors, yaml_get(items[i].node, "path"), "`%s` is no path: %s",
                          items[i].path, problem);
        }
        paths[i] = (struct access_path){.pattern = items[i].path,
                                        .backend = items[i].backend,
                                        .may = capabilities_of(&items[i].capabilities)};
        items[i].path = NULL;
        items[i].backend = NULL;
    }
    *ret_paths = paths;
    *ret_count = configs->count;
    return 0;
}

void access_paths_fini(struct access_path *paths, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        mem_free(paths[i].pattern);
        mem_free(paths[i].backend);
    }
    mem_free(paths);
}

/* --- deciding --- */

static bool is_about(const struct access_path *entry, const struct access_path_request *request,
                     bool is_deny)
{
    struct str bare = request->path;

    if (entry->backend != NULL && strcmp(entry->backend, request->backend) != 0) {
        return false;
    }
    /* Vault lists a folder with and without the slash at its end, and some of its paths can be read
     * with one, too: what is denied is denied either way. */
    if ((is_deny || (request->needs & (ACCESS_CAN_LIST | ACCESS_CAN_SCAN)) != 0) && bare.len > 0 &&
        bare.ptr[bare.len - 1] == '/') {
        bare.len--;
    }
    return access_path_matches(str_of(entry->pattern), request->path) ||
           access_path_matches(str_of(entry->pattern), bare);
}

/* What the rule's entries give: all of it. One that denies takes all where it names a part. */
static bool rule_gives(const struct access_rule *rule, const struct access_path_request *request)
{
    size_t i;

    for (i = 0; i < rule->path_count; i++) {
        uint32_t given = rule->paths[i].may & request->needs;

        if ((rule->is_deny ? given != 0 : given == request->needs) &&
            is_about(&rule->paths[i], request, rule->is_deny)) {
            return true;
        }
    }
    return false;
}

static void allow_by(const struct access_rule *rule, struct access_decision *decision)
{
    decision->outcome = ACCESS_ALLOW;
    decision->rule = rule->name;
    decision->rule_digest = rule->digest;
    decision->limit = NULL;
    decision->detail[0] = '\0';
}

/* Vault's API has no place for a reason or a ticket, and its clients don't wait for approvals. */
static void judge(const struct access_rule *rule, const struct access_path_request *request,
                  struct access_decision *decision)
{
    const char *what = rule->reason != NULL       ? "a reason"
                       : rule->ticket != NULL     ? "a ticket"
                       : rule->approval.count > 0 ? "an approval"
                                                  : NULL;

    if (!access_window_fits(rule, request->wall_ms, decision)) {
        return;
    }
    if (what != NULL) {
        (void)access_refuse(decision, rule, ACCESS_REASON_REQUIRED, NULL,
                            "rule %s requires %s, which a call of a path can't give", rule->name,
                            what);
    } else {
        allow_by(rule, decision);
    }
}

void access_policy_decide_path(const struct access_policy *policy,
                               const struct access_identity *identity,
                               const struct access_path_request *request,
                               struct access_decision *ret_decision)
{
    struct access_candidates candidates;
    const struct access_rule *rule;
    struct access_facts facts;

    access_decision_clear(ret_decision);
    (void)snprintf(ret_decision->detail, sizeof(ret_decision->detail),
                   "no rule allows it by its paths%s",
                   identity->is_foreign ? "; the caller runs in a container, which a rule must name"
                                        : "");
    access_facts_init(&facts, identity, policy->group_names);
    access_path_candidates_find(policy, request->path, &facts, &candidates);
    while (ret_decision->outcome != ACCESS_ALLOW &&
           (rule = access_candidates_next(&candidates)) != NULL) {
        if (!rule_gives(rule, request) ||
            !access_subjects_match(&rule->subjects, &facts, rule->is_deny)) {
            continue;
        }
        if (rule->is_deny) {
            (void)access_refuse(ret_decision, rule, ACCESS_DENY, NULL, "rule %s denies it",
                                rule->name);
            return;
        }
        judge(rule, request, ret_decision);
    }
}

uint32_t access_policy_capabilities(const struct access_policy *policy,
                                    const struct access_identity *identity,
                                    const struct access_path_request *asked)
{
    struct access_path_request request = *asked;
    struct access_decision decision;
    uint32_t may = 0;
    size_t i;

    for (i = 0; capability_words[i].name != NULL; i++) {
        request.needs = (uint32_t)capability_words[i].value;
        access_policy_decide_path(policy, identity, &request, &decision);
        may |= decision.outcome == ACCESS_ALLOW ? request.needs : 0;
    }
    return may;
}

/* Does the pattern begin as the path does, up to the first slash? */
static bool is_at_mount(struct str pattern, struct str path)
{
    struct str wanted = str_cut(&pattern, '/');
    struct str mount = str_cut(&path, '/');

    return str_eq_c(wanted, "+") || access_path_matches(wanted, mount);
}

bool access_policy_touches(const struct access_policy *policy,
                           const struct access_identity *identity, const char *backend,
                           struct str path)
{
    struct access_facts facts;
    size_t i;
    size_t k;

    access_facts_init(&facts, identity, policy->group_names);
    for (i = 0; i < policy->path_index.rule_count; i++) {
        const struct access_rule *rule = policy->path_index.order[i];

        for (k = 0; !rule->is_deny && k < rule->path_count; k++) {
            const struct access_path *entry = &rule->paths[k];

            if ((entry->backend == NULL || strcmp(entry->backend, backend) == 0) &&
                is_at_mount(str_of(entry->pattern), path) &&
                access_subjects_match(&rule->subjects, &facts, false)) {
                return true;
            }
        }
    }
    return false;
}
