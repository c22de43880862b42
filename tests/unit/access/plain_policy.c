/* Writes plain policies, and reads them as the documentation says it. */
#include "plain_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define HOUR_MS 3600000LL
#define DAY_MS (24 * HOUR_MS)

static const char *const group_names[PLAIN_GROUPS] = {"dba", "ops", "dev", "web", NULL, "aud"};

const char *plain_group_name(uint32_t gid)
{
    return gid >= 50 && gid < 50 + PLAIN_GROUPS ? group_names[gid - 50] : NULL;
}

/* --- text ----------------------------------------------------------------------------------- */

static void text_write(struct buf *out, const char *key, const char *value)
{
    if (value != NULL) {
        buf_printf(out, "%s: \"%s\", ", key, value);
    }
}

static void range_write(struct buf *out, const char *key, int first, int last)
{
    if (first >= 0 && first == last) {
        buf_printf(out, "%s: %d, ", key, first);
    } else if (first >= 0) {
        buf_printf(out, "%s: %d-%d, ", key, first, last);
    }
}

static void subject_write(struct buf *out, const struct plain_subject *subject)
{
    buf_add_c(out, "{");
    text_write(out, "user", subject->user);
    text_write(out, "group", subject->group);
    text_write(out, "unit", subject->unit);
    text_write(out, "container", subject->container);
    text_write(out, "image", subject->image);
    text_write(out, "listener", subject->listener);
    range_write(out, "uid", subject->uid_first, subject->uid_last);
    range_write(out, "gid", subject->gid_first, subject->gid_last);
    if (subject->san != NULL) {
        buf_printf(out, "tls: {san: \"%s\"}, ", subject->san);
    }
    if (subject->issuer != NULL) {
        buf_printf(out, "jwt: {issuer: \"%s\"", subject->issuer);
        if (subject->project != NULL) {
            buf_printf(out, ", claims: {project: \"%s\"}", subject->project);
        }
        buf_add_c(out, "}, ");
    }
    buf_add_c(out, "}, ");
}

static void allow_write(struct buf *out, const struct plain_rule *rule)
{
    buf_add_c(out, "  limits: {");
    if (rule->hours > 0) {
        buf_printf(out, "duration: %dh, ", rule->hours);
    }
    if (rule->live > 0) {
        buf_printf(out, "live: %d, ", rule->live);
    }
    buf_printf(out, "%s}\n", rule->lists_none ? "binding: [none]" : "");
    if (rule->needs_reason || rule->needs_ticket || rule->has_approval || rule->has_window) {
        buf_printf(out, "  require: {%s%s%s%s}\n", rule->needs_reason ? "reason: ^OPS-, " : "",
                   rule->needs_ticket ? "ticket: ^OPS-, " : "",
                   rule->has_approval ? "approval: {from: [{user: boss}]}, " : "",
                   rule->has_window ? "window: {days: [mon-fri], hours: \"08:00-19:00\"}" : "");
    }
    buf_add_c(out, rule->is_break_glass ? "  break_glass: true\n" : "");
}

static void paths_write(struct buf *out, const struct plain_rule *rule)
{
    uint32_t bit;
    size_t i;

    buf_add_c(out, rule->path_count > 0 ? "  paths:\n" : "");
    for (i = 0; i < rule->path_count; i++) {
        buf_add_c(out, "  - {");
        text_write(out, "path", rule->paths[i].pattern);
        text_write(out, "backend", rule->paths[i].backend);
        buf_add_c(out, "capabilities: [");
        for (bit = 1; bit <= ACCESS_CAN_SCAN; bit *= 2) {
            if ((rule->paths[i].may & bit) != 0) {
                buf_printf(out, "%s, ", access_capability_word(bit));
            }
        }
        buf_add_c(out, "]}\n");
    }
}

void plain_write(const struct plain_policy *policy, struct buf *out)
{
    size_t i;
    size_t k;

    buf_add_c(out, "rules:\n");
    for (i = 0; i < policy->rule_count; i++) {
        const struct plain_rule *rule = &policy->rules[i];

        buf_printf(out, "- name: %s\n  subjects: [", rule->name);
        for (k = 0; k < rule->subject_count; k++) {
            subject_write(out, &rule->subjects[k]);
        }
        buf_add_c(out, "]\n  roles: [");
        for (k = 0; k < rule->role_count; k++) {
            buf_printf(out, "\"%s\", ", rule->roles[k]);
        }
        buf_add_c(out, "]\n");
        paths_write(out, rule);
        buf_printf(out, "  mode: %s\n", rule->is_observed ? "observe" : "active");
        if (rule->is_deny) {
            buf_add_c(out, "  effect: deny\n");
        } else {
            allow_write(out, rule);
        }
    }
}

/* --- subjects ------------------------------------------------------------------------------- */

/* Letter by letter; every * may stand for nothing or for one letter more. */
static bool fits(const char *pattern, const char *text)
{
    if (*pattern == '\0') {
        return *text == '\0';
    }
    if (*pattern == '*') {
        return fits(pattern + 1, text) || (*text != '\0' && fits(pattern, text + 1));
    }
    return *pattern == *text && fits(pattern + 1, text + 1);
}

static bool is_met(const char *pattern, const char *text)
{
    return pattern == NULL || (text != NULL && text[0] != '\0' && fits(pattern, text));
}

static bool any_san(const char *pattern, const char *sans)
{
    char name[ENV_PEER_SANS_MAX_BYTES];

    while (*sans != '\0') {
        size_t len = strcspn(sans, " ");

        (void)snprintf(name, sizeof(name), "%.*s", (int)len, sans);
        if (fits(pattern, name)) {
            return true;
        }
        sans += sans[len] == ' ' ? len + 1 : len;
    }
    return false;
}

static bool token_is_met(const struct plain_subject *subject, const struct plain_caller *caller)
{
    return subject->issuer == NULL ||
           (is_met(subject->issuer, caller->issuer) && is_met(subject->project, caller->project));
}

static bool group_is_met(const char *group, const struct plain_caller *caller, bool is_denial)
{
    const struct access_identity *identity = caller->identity;
    bool is_unknown = caller->has_unknown_groups || identity->gid == ENV_NO_ID;
    size_t i;

    if (group == NULL || (is_unknown && is_denial)) {
        return true;
    }
    for (i = 0; !is_unknown && i < identity->group_count; i++) {
        if (is_met(group, plain_group_name(identity->groups[i]))) {
            return true;
        }
    }
    return !is_unknown && is_met(group, plain_group_name(identity->gid)) &&
           plain_group_name(identity->gid) != NULL;
}

static bool gid_is_met(const struct plain_subject *subject, const struct access_identity *identity,
                       bool is_denial)
{
    size_t i;

    if (subject->gid_first < 0 || (identity->gid == ENV_NO_ID && is_denial)) {
        return true;
    }
    for (i = 0; i < identity->group_count; i++) {
        if (identity->groups[i] >= (uint32_t)subject->gid_first &&
            identity->groups[i] <= (uint32_t)subject->gid_last) {
            return true;
        }
    }
    return identity->gid >= (uint32_t)subject->gid_first &&
           identity->gid <= (uint32_t)subject->gid_last;
}

static bool names_somebody(const struct plain_subject *subject)
{
    return subject->user != NULL || subject->group != NULL || subject->unit != NULL ||
           subject->container != NULL || subject->image != NULL || subject->uid_first >= 0 ||
           subject->gid_first >= 0;
}

static bool is_stranger_to(const struct plain_subject *subject,
                           const struct access_identity *identity)
{
    return identity->is_foreign && subject->container == NULL && subject->image == NULL &&
           !(identity->kind == ENV_PEER_FOREIGN && subject->listener != NULL);
}

static bool matches(const struct plain_subject *subject, const struct plain_caller *caller,
                    bool is_denial)
{
    const struct access_identity *identity = caller->identity;

    if (!is_met(subject->listener, identity->listener) || !token_is_met(subject, caller)) {
        return false;
    }
    if (identity->kind == ENV_PEER_TLS) {
        return subject->san != NULL ? any_san(subject->san, identity->sans)
                                    : is_denial && !names_somebody(subject);
    }
    if (subject->san != NULL || (!is_denial && is_stranger_to(subject, identity))) {
        return false;
    }
    return is_met(subject->user, identity->user) && is_met(subject->unit, identity->unit) &&
           is_met(subject->container, identity->container) &&
           is_met(subject->image, identity->image) &&
           (subject->uid_first < 0 || (identity->uid >= (uint32_t)subject->uid_first &&
                                       identity->uid <= (uint32_t)subject->uid_last)) &&
           gid_is_met(subject, identity, is_denial) &&
           group_is_met(subject->group, caller, is_denial);
}

static bool is_for(const struct plain_rule *rule, const struct plain_caller *caller)
{
    size_t i;

    for (i = 0; i < rule->subject_count; i++) {
        if (matches(&rule->subjects[i], caller, rule->is_deny)) {
            return true;
        }
    }
    return false;
}

static bool is_about(const struct plain_rule *rule, const struct plain_caller *caller,
                     const char *role)
{
    bool is_role = false;
    size_t i;

    for (i = 0; i < rule->role_count; i++) {
        is_role = is_role || fits(rule->roles[i], role);
    }
    return is_role && is_for(rule, caller);
}

/* --- rules ---------------------------------------------------------------------------------- */

/* 0 monday … 6 sunday; the first of january 1970 was a thursday. */
static bool is_open(int64_t wall_ms)
{
    int64_t of_day_ms = wall_ms % DAY_MS;

    return (wall_ms / DAY_MS + 3) % 7 < 5 && of_day_ms >= 8 * HOUR_MS && of_day_ms < 19 * HOUR_MS;
}

static int64_t change_of(int64_t wall_ms)
{
    bool was_open = is_open(wall_ms);

    wall_ms -= wall_ms % HOUR_MS;
    do {
        wall_ms += HOUR_MS;
    } while (is_open(wall_ms) == was_open);
    return wall_ms;
}

static bool begins(const char *text)
{
    return text != NULL && strncmp(text, "OPS-", 4) == 0;
}

/* What one rule that allows says. */
static struct plain_decision judge(const struct plain_rule *rule,
                                   const struct access_request *request)
{
    uint64_t max_ms =
        rule->hours > 0 ? (uint64_t)(rule->hours * HOUR_MS) : request->role_max_ttl_ms;
    struct plain_decision d = {.outcome = ACCESS_LIMIT_EXCEEDED, .rule = rule};
    bool asks_none = request->binding_count > 0;

    d.duration_ms = request->duration_ms > 0 ? request->duration_ms : max_ms;
    if (rule->has_window && is_open(request->wall_ms)) {
        d.until_wall_ms = change_of(request->wall_ms);
    }
    if (asks_none && !rule->lists_none) {
        d.limit = "binding";
    } else if (request->duration_ms > max_ms) {
        d.limit = "duration";
    } else if (rule->live > 0 && request->live_count >= (uint32_t)rule->live) {
        d.limit = "live";
    } else if (rule->has_window && !is_open(request->wall_ms)) {
        d.outcome = ACCESS_DENY;
        d.limit = "window";
        d.opens_wall_ms = change_of(request->wall_ms);
    } else if (rule->needs_reason && !begins(request->reason)) {
        d.outcome = ACCESS_REASON_REQUIRED;
    } else if (rule->needs_ticket && !begins(request->ticket)) {
        d.outcome = ACCESS_REASON_REQUIRED;
        d.limit = "ticket";
    } else if (rule->has_approval && !rule->is_break_glass) {
        d.outcome = ACCESS_APPROVAL_REQUIRED;
    } else {
        d.outcome = ACCESS_ALLOW;
    }
    return d;
}

static int turn_of(const struct plain_rule *rule)
{
    return rule->is_deny ? 0 : rule->is_break_glass ? 3 : rule->has_approval ? 2 : 1;
}

/* The better answer of two: the first that allows, else the first that asks for an approval, else
 * the first for broken glass, else the first. */
static bool is_better(const struct plain_decision *one, const struct plain_decision *best)
{
    if (best->rule == NULL || one->outcome == ACCESS_ALLOW) {
        return true;
    }
    if (best->outcome == ACCESS_APPROVAL_REQUIRED) {
        return false;
    }
    return one->outcome == ACCESS_APPROVAL_REQUIRED ||
           (one->rule->is_break_glass && !best->rule->is_break_glass);
}

struct plain_decision plain_decide(const struct plain_policy *policy,
                                   const struct plain_caller *caller,
                                   const struct access_request *request)
{
    struct plain_decision best = {.outcome = ACCESS_DENY};
    int turn;
    size_t i;

    for (turn = 0; turn < 4; turn++) {
        for (i = 0; i < policy->rule_count; i++) {
            const struct plain_rule *rule = &policy->rules[i];
            struct plain_decision d = {.outcome = ACCESS_DENY, .rule = rule};

            if (turn_of(rule) != turn || (rule->is_observed && !policy->counts_observed) ||
                (rule->is_break_glass && !request->is_break_glass) ||
                !is_about(rule, caller, request->role)) {
                continue;
            }
            if (rule->is_deny) {
                return d;
            }
            d = judge(rule, request);
            best = is_better(&d, &best) ? d : best;
            if (best.outcome == ACCESS_ALLOW) {
                return best;
            }
        }
    }
    return best;
}

/* --- paths ---------------------------------------------------------------------------------- */

/* Segment by segment: + is one that isn't empty, a * at the end of the last is any rest. */
static bool path_fits(const char *pattern, const char *path)
{
    size_t wanted = strcspn(pattern, "/");
    size_t given = strcspn(path, "/");
    bool is_last = pattern[wanted] == '\0';

    if (is_last && wanted > 0 && pattern[wanted - 1] == '*') {
        return strncmp(pattern, path, wanted - 1) == 0;
    }
    if (wanted == 1 && pattern[0] == '+' ? given == 0
                                         : wanted != given || strncmp(pattern, path, given) != 0) {
        return false;
    }
    if (is_last || path[given] == '\0') {
        return is_last && path[given] == '\0';
    }
    return path_fits(pattern + wanted + 1, path + given + 1);
}

/* A folder is meant with and without the slash at its end, where it is listed or denied. */
static bool is_about_path(const struct plain_path *entry, const char *path, bool has_two_forms)
{
    char bare[64];

    (void)snprintf(bare, sizeof(bare), "%s", path);
    if (has_two_forms && bare[0] != '\0' && bare[strlen(bare) - 1] == '/') {
        bare[strlen(bare) - 1] = '\0';
    }
    return path_fits(entry->pattern, path) || path_fits(entry->pattern, bare);
}

static bool names_path(const struct plain_rule *rule, const struct access_path_request *request)
{
    bool is_list = (request->needs & (ACCESS_CAN_LIST | ACCESS_CAN_SCAN)) != 0;
    size_t i;

    for (i = 0; i < rule->path_count; i++) {
        const struct plain_path *entry = &rule->paths[i];
        uint32_t given = entry->may & request->needs;

        if ((entry->backend == NULL || strcmp(entry->backend, request->backend) == 0) &&
            (rule->is_deny ? given != 0 : given == request->needs) &&
            is_about_path(entry, request->path.ptr, rule->is_deny || is_list)) {
            return true;
        }
    }
    return false;
}

static struct plain_decision judge_path(const struct plain_rule *rule,
                                        const struct access_path_request *request)
{
    struct plain_decision d = {.outcome = ACCESS_ALLOW, .rule = rule};

    if (rule->has_window && !is_open(request->wall_ms)) {
        d.outcome = ACCESS_DENY;
    } else if (rule->needs_reason || rule->needs_ticket || rule->has_approval) {
        d.outcome = ACCESS_REASON_REQUIRED;
    }
    return d;
}

struct plain_decision plain_decide_path(const struct plain_policy *policy,
                                        const struct plain_caller *caller,
                                        const struct access_path_request *request)
{
    struct plain_decision last = {.outcome = ACCESS_DENY};
    int turn;
    size_t i;

    for (turn = 0; turn < 2; turn++) {
        for (i = 0; i < policy->rule_count; i++) {
            const struct plain_rule *rule = &policy->rules[i];

            if (rule->is_deny != (turn == 0) || (rule->is_observed && !policy->counts_observed) ||
                !names_path(rule, request) || !is_for(rule, caller)) {
                continue;
            }
            if (rule->is_deny) {
                return (struct plain_decision){.outcome = ACCESS_DENY, .rule = rule};
            }
            last = judge_path(rule, request);
            if (last.outcome == ACCESS_ALLOW) {
                return last;
            }
        }
    }
    return last;
}
