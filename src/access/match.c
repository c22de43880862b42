/* What a block or a drill is about: reading and matching. */
#include "access/match.h"

#include "access/subject.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum part {
    PART_USER,
    PART_GROUP,
    PART_UNIT,
    PART_CONTAINER,
    PART_LISTENER,
    PART_ISSUER,
    PART_SUB,
    PART_SESSION,
    PART_PERSON,
    PART_SAN,
    PART_COUNT,
};

static const char *const part_names[] = {
    [PART_USER] = "user",         [PART_GROUP] = "group",
    [PART_UNIT] = "unit",         [PART_CONTAINER] = "container",
    [PART_LISTENER] = "listener", [PART_ISSUER] = "issuer",
    [PART_SUB] = "sub",           [PART_SESSION] = "session",
    [PART_PERSON] = "person",     [PART_SAN] = "san",
};

static_assert(ARRAY_LEN(part_names) == PART_COUNT, "one name a part");

struct access_match {
    bool has_uid;
    uint32_t uid;
    struct access_pattern role;
    struct access_pattern backend;
    struct access_pattern parts[PART_COUNT];
    char *identifier; /* NULL: none */
    json_t *tree;     /* what it was read from, without what says nothing */
    char *text;
};

/* --- reading ---------------------------------------------------------------------------------- */

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

/* `where` is what a message calls it. */
static int text_of(const json_t *value, const char *where, const char **ret_text, struct err *e)
{
    const char *text = json_string_value(value);

    if (text == NULL || text[0] == '\0') {
        return err_set(e, ERR_INVALID, "match.%s must be a text, and not empty", where);
    }
    if (json_string_length(value) != strlen(text) || !is_printable(text)) {
        return err_set(e, ERR_INVALID, "match.%s has a control character", where);
    }
    if (strlen(text) > ACCESS_MATCH_VALUE_MAX_BYTES) {
        return err_set(e, ERR_INVALID, "match.%s is longer than %u bytes", where,
                       ACCESS_MATCH_VALUE_MAX_BYTES);
    }
    *ret_text = text;
    return 0;
}

static int pattern_of(const json_t *value, const char *where, struct access_pattern *pattern,
                      struct err *e)
{
    const char *text = NULL;
    int r = text_of(value, where, &text, e);

    if (r == 0 && access_pattern_copy(text, pattern) != 0) {
        r = err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    return r;
}

static int unknown(const char *where, const char *name, const char *const *known, struct err *e)
{
    const char *best = schema_suggest(str_of(name), known);

    if (best != NULL) {
        return err_set(e, ERR_INVALID, "%s has no member \"%.64s\"; did you mean \"%s\"?", where,
                       name, best);
    }
    return err_set(e, ERR_INVALID, "%s has no member \"%.64s\"", where, name);
}

/* A number, or its digits. */
static int uid_of(const json_t *value, struct access_match *match, struct err *e)
{
    uint64_t number = UINT64_MAX;
    int r = 0;

    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        number = (uint64_t)json_integer_value(value);
    } else if (json_is_string(value)) {
        r = str_parse_u64(str_of(json_string_value(value)), &number);
    }
    if (r != 0 || number >= UINT32_MAX) {
        return err_set(e, ERR_INVALID, "match.subject.uid must be a number, and no larger than %u",
                       UINT32_MAX - 1);
    }
    match->has_uid = true;
    match->uid = (uint32_t)number;
    return 0;
}

static int part_of(const char *name, const json_t *value, struct access_match *match, struct err *e)
{
    static const char *const known[] = {"user",     "group",  "unit", "container",
                                        "listener", "issuer", "sub",  "session",
                                        "person",   "san",    "uid",  NULL};
    char where[64];
    size_t i;

    if (strcmp(name, "uid") == 0) {
        return uid_of(value, match, e);
    }
    for (i = 0; i < PART_COUNT; i++) {
        if (strcmp(name, part_names[i]) == 0) {
            (void)snprintf(where, sizeof(where), "subject.%s", name);
            return pattern_of(value, where, &match->parts[i], e);
        }
    }
    return unknown("match.subject", name, known, e);
}

static bool is_of_subject(const char *name)
{
    bool is_one = strcmp(name, "uid") == 0;
    size_t i;

    for (i = 0; i < PART_COUNT; i++) {
        is_one = is_one || strcmp(name, part_names[i]) == 0;
    }
    return is_one;
}

/* A certificate has no user, group, unit or container, so such a subject would be nobody. */
static int subject_check(const struct access_match *match, struct err *e)
{
    bool has_process = match->has_uid || match->parts[PART_USER].text != NULL ||
                       match->parts[PART_GROUP].text != NULL ||
                       match->parts[PART_UNIT].text != NULL ||
                       match->parts[PART_CONTAINER].text != NULL;

    if (match->parts[PART_SAN].text != NULL && has_process) {
        return err_set(e, ERR_INVALID,
                       "match.subject names a certificate (san) and a process: no caller is both");
    }
    return 0;
}

static int subject_of(json_t *value, struct access_match *match, struct err *e)
{
    const char *name;
    json_t *member;

    if (!json_is_object(value) || json_object_size(value) == 0) {
        return err_set(e, ERR_INVALID,
                       "match.subject must be an object that names somebody, as {\"user\": "
                       "\"alice\"}");
    }
    json_object_foreach (value, name, member) {
        int r = part_of(name, member, match, e);

        if (r != 0) {
            return r;
        }
    }
    return subject_check(match, e);
}

static int identifier_of(const json_t *value, struct access_match *match, struct err *e)
{
    const char *text = NULL;
    int r = text_of(value, "identifier", &text, e);

    if (r == 0) {
        match->identifier = mem_strdup(text);
        r = match->identifier != NULL ? 0 : err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    return r;
}

static int all_of(const json_t *value, const json_t *whole, struct err *e)
{
    if (!json_is_true(value)) {
        return err_set(e, ERR_INVALID, "match.all is true, or isn't there");
    }
    if (json_object_size(whole) > 1) {
        return err_set(e, ERR_INVALID, "match.all stands alone: nothing narrows it");
    }
    return 0;
}

static int member_of(const char *name, json_t *value, struct access_match *match, struct err *e)
{
    static const char *const known[] = {"role", "backend", "subject", "identifier", "all", NULL};

    if (strcmp(name, "role") == 0) {
        return pattern_of(value, "role", &match->role, e);
    }
    if (strcmp(name, "backend") == 0) {
        return pattern_of(value, "backend", &match->backend, e);
    }
    if (strcmp(name, "subject") == 0) {
        return subject_of(value, match, e);
    }
    if (strcmp(name, "identifier") == 0) {
        return identifier_of(value, match, e);
    }
    if (strcmp(name, "all") == 0) {
        return all_of(value, match->tree, e);
    }
    if (is_of_subject(name)) {
        return err_set(e, ERR_INVALID,
                       "match has no member \"%.64s\"; did you mean \"subject.%s\"?", name, name);
    }
    return unknown("match", name, known, e);
}

static int add_bytes(const char *bytes, size_t len, void *user)
{
    buf_add(user, bytes, len);
    return buf_status(user);
}

/* The text is made anew from the tree. */
static int text_make(struct access_match *match, struct err *e)
{
    BUF_AUTO text;
    int r;

    buf_init(&text, ACCESS_MATCH_TEXT_MAX_BYTES);
    r = json_dump_callback(match->tree, add_bytes, &text, JSON_COMPACT | JSON_SORT_KEYS);
    if (buf_status(&text) == ERR_TOO_LARGE) {
        return err_set(e, ERR_INVALID, "match is longer than %u bytes",
                       ACCESS_MATCH_TEXT_MAX_BYTES);
    }
    if (r != 0 || buf_status(&text) != 0) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    mem_free(match->text);
    match->text = buf_steal(&text);
    return 0;
}

static int match_fill(const json_t *value, struct access_match *match, struct err *e)
{
    const char *name;
    json_t *member;
    int r = 0;

    match->tree = json_deep_copy(value);
    if (match->tree == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    json_object_foreach (match->tree, name, member) {
        r = member_of(name, member, match, e);
        if (r != 0) {
            return r;
        }
    }
    return text_make(match, e);
}

int access_match_new(const json_t *value, struct access_match **ret_match, struct err *e)
{
    struct access_match *match;
    int r;

    if (!json_is_object(value) || json_object_size(value) == 0) {
        return err_set(e, ERR_INVALID,
                       "match must be an object with one of role, backend, subject, identifier, "
                       "or with all");
    }
    match = mem_calloc(1, sizeof(*match));
    if (match == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    r = match_fill(value, match, e);
    if (r != 0) {
        access_match_free(match);
        return r;
    }
    *ret_match = match;
    return 0;
}

void access_match_free(struct access_match *match)
{
    size_t i;

    if (match == NULL) {
        return;
    }
    for (i = 0; i < PART_COUNT; i++) {
        mem_free(match->parts[i].text);
    }
    mem_free(match->role.text);
    mem_free(match->backend.text);
    mem_free(match->identifier);
    mem_free(match->text);
    json_decref(match->tree);
    mem_free(match);
}

const char *access_match_text(const struct access_match *match)
{
    return match->text;
}

const char *access_match_role(const struct access_match *match)
{
    return match->role.has_glob ? NULL : match->role.text;
}

const char *access_match_identifier(const struct access_match *match)
{
    return match->identifier;
}

int access_match_set_identifier(struct access_match *match, const char *ref)
{
    char *copy = mem_strdup(ref);

    if (copy == NULL || json_object_set_new(match->tree, "identifier", json_string(ref)) != 0 ||
        text_make(match, NULL) != 0) {
        mem_free(copy);
        return ERR_NOMEM;
    }
    mem_free(match->identifier);
    match->identifier = copy;
    return 0;
}

/* --- matching --------------------------------------------------------------------------------- */

static bool has_subject(const struct access_match *match)
{
    return json_object_get(match->tree, "subject") != NULL;
}

bool access_match_is_of_callers(const struct access_match *match)
{
    return match->identifier == NULL;
}

static bool fits(const struct access_pattern *pattern, const char *text)
{
    return pattern->text == NULL || (text != NULL && access_pattern_fits(pattern, str_of(text)));
}

bool access_match_fits_role(const struct access_match *match, const char *role, const char *backend)
{
    return fits(&match->role, role) && fits(&match->backend, backend);
}

/* One that can't be looked up may be the one that is meant. */
static bool group_fits(const struct access_pattern *pattern, struct env *env, uint32_t gid)
{
    char name[ENV_NAME_MAX_BYTES];
    int r = env_group_name(env, gid, name);

    return r == 0 ? access_pattern_fits(pattern, str_of(name)) : r != ERR_NOT_FOUND;
}

static bool groups_fit(const struct access_match *match, const struct access_identity *identity)
{
    const struct access_pattern *pattern = &match->parts[PART_GROUP];
    const struct env_user_groups *known = NULL;
    const uint32_t *groups = identity->groups;
    size_t count = identity->group_count;
    uint32_t gid = identity->gid;
    size_t i;

    if (pattern->text == NULL) {
        return true;
    }
    if (identity->uid == ENV_NO_ID || identity->env == NULL) {
        return false; /* a certificate is in no group */
    }
    if (gid == ENV_NO_ID) {
        if (env_user_groups(identity->env, identity->uid, &known) != 0) {
            return true;
        }
        gid = known->gid;
        groups = known->groups;
        count = known->group_count;
    }
    for (i = 0; i < count; i++) {
        if (group_fits(pattern, identity->env, groups[i])) {
            return true;
        }
    }
    return group_fits(pattern, identity->env, gid);
}

static bool sans_fit(const struct access_pattern *pattern, const char *sans)
{
    struct str rest = str_of(sans);

    if (pattern->text == NULL) {
        return true;
    }
    while (rest.ptr != NULL) {
        if (access_pattern_fits(pattern, str_cut(&rest, ' '))) {
            return true;
        }
    }
    return false;
}

/* By the token or by the policy: nobody gets out of a block by showing a token. */
static bool person_fits(const struct access_match *match, const struct access_identity *identity,
                        const struct access_policy *policy)
{
    const struct access_pattern *pattern = &match->parts[PART_PERSON];

    return fits(pattern, identity->claims != NULL ? identity->claims->person : NULL) ||
           (policy != NULL && fits(pattern, access_policy_mapped_person(policy, identity)));
}

static bool claims_fit(const struct access_match *match, const struct access_identity *identity,
                       const struct access_policy *policy)
{
    const struct access_claims *claims = identity->claims;

    return fits(&match->parts[PART_ISSUER], claims != NULL ? claims->issuer : NULL) &&
           fits(&match->parts[PART_SUB], claims != NULL ? claims->sub : NULL) &&
           fits(&match->parts[PART_SESSION], claims != NULL ? claims->session : NULL) &&
           person_fits(match, identity, policy);
}

bool access_match_fits_identity(const struct access_match *match,
                                const struct access_identity *identity,
                                const struct access_policy *policy)
{
    if (!has_subject(match)) {
        return true;
    }
    return (!match->has_uid || match->uid == identity->uid) &&
           fits(&match->parts[PART_USER], identity->user) &&
           fits(&match->parts[PART_UNIT], identity->unit) &&
           fits(&match->parts[PART_CONTAINER], identity->container) &&
           fits(&match->parts[PART_LISTENER], identity->listener) &&
           sans_fit(&match->parts[PART_SAN], identity->sans) &&
           claims_fit(match, identity, policy) && groups_fit(match, identity);
}
