/* Subjects: decoding, compiling, matching.
 *
 * What can't be established doesn't match: an attribute that the caller lacks matches no pattern,
 * "*" included. */
#include "access/subject.h"

#include "access/policy_config.h"
#include "base/mem.h"

#include <string.h>

#define FIELD(key, type, member) key, type, offsetof(struct access_subject_config, member)

static const struct schema_field tls_fields[] = {
    {"san", SCHEMA_STRING, offsetof(struct access_tls_config, san), .flags = SCHEMA_REQUIRED,
     .doc = "a URI or DNS name in the client's certificate; globs with *"},
    {0},
};
static const struct schema_object tls_table = {
    .name = "tls",
    .size = sizeof(struct access_tls_config),
    .fields = tls_fields,
};

static const struct schema_field jwt_fields[] = {
    {"issuer", SCHEMA_STRING, offsetof(struct access_jwt_config, issuer), .flags = SCHEMA_REQUIRED,
     .doc = "the name of one of `issuers`; globs with *"},
    {"claims", SCHEMA_JSON, offsetof(struct access_jwt_config, claims_json),
     .doc =
         "what the token must claim: a text with globs, a number, a boolean, or a list of these, of "
         "which one must be there; /a/b names a claim within another"},
    {0},
};
static const struct schema_object jwt_table = {
    .name = "jwt",
    .size = sizeof(struct access_jwt_config),
    .fields = jwt_fields,
};

static const struct schema_field subject_fields[] = {
    {FIELD("user", SCHEMA_STRING, user), .doc = "the name behind the uid; globs with *"},
    {FIELD("group", SCHEMA_STRING, group), .doc = "a group of the caller, by name; globs with *"},
    {FIELD("uid", SCHEMA_RANGE, uid), .max = UINT32_MAX - 1,
     .doc = "the uid, or a range of them: \"1000-1999\""},
    {FIELD("gid", SCHEMA_RANGE, gid), .max = UINT32_MAX - 1,
     .doc = "a group of the caller, or a range of them"},
    {FIELD("unit", SCHEMA_STRING, unit), .doc = "the systemd unit; narrows a user or group"},
    {FIELD("container", SCHEMA_STRING, container),
     .doc = "the container's id; narrows a user or group"},
    {FIELD("image", SCHEMA_STRING, image),
     .doc = "what the container was made from, as its runtime has it; globs with *; narrows a user "
            "or group"},
    {FIELD("listener", SCHEMA_STRING, listener), .doc = "the listener that the caller came by"},
    {FIELD("tls", SCHEMA_OBJECT, tls), .object = &tls_table,
     .doc = "what the client's certificate says, on a listener with TLS"},
    {FIELD("jwt", SCHEMA_OBJECT, jwt), .object = &jwt_table,
     .doc = "what the caller's job token says, which one of `issuers` has signed"},
    {.key = "exe",
     .flags = SCHEMA_UNSUPPORTED,
     .doc = "there are no rules on executables, because any process can run an allowed program "
            "and let it hand over the credential; use `unit`"},
    {0},
};

/* As subject_check has it. */
#define HAS_USER                                                                                   \
    "{\"anyOf\":[{\"required\":[\"user\"]},{\"required\":[\"group\"]},{\"required\":"              \
    "[\"uid\"]},{\"required\":[\"gid\"]}]}"

const struct schema_object access_subject_table = {
    .name = "a subject",
    .size = sizeof(struct access_subject_config),
    .fields = subject_fields,
    .relations_json = "\"minProperties\":1,\"dependentSchemas\":{\"unit\":" HAS_USER
                      ",\"container\":" HAS_USER ",\"image\":" HAS_USER
                      ",\"tls\":{\"propertyNames\":{\"enum\":[\"tls\",\"listener\",\"jwt\"]}}}",
};

/* --- compiling --- */

int access_pattern_copy(const char *text, struct access_pattern *ret_pattern)
{
    if (text == NULL) {
        return 0;
    }
    ret_pattern->text = mem_strdup(text);
    if (ret_pattern->text == NULL) {
        return ERR_NOMEM;
    }
    ret_pattern->len = strlen(text);
    ret_pattern->has_glob = strchr(text, '*') != NULL;
    return 0;
}

static bool names_somebody_here(const struct access_subject *subject)
{
    return subject->has_uid || subject->has_gid || subject->user.text != NULL ||
           subject->group.text != NULL || subject->unit.text != NULL ||
           subject->container.text != NULL || subject->image.text != NULL;
}

/* Unit, container and image can be had by whoever wins a race for a pid; the uid can't. So they
 * only narrow a user or group. */
static void subject_check(const struct access_subject_config *config,
                          const struct access_subject *subject, struct yaml_errors *errors)
{
    const struct yaml_node *node = config->node;
    const char *narrow = config->unit != NULL        ? "unit"
                         : config->container != NULL ? "container"
                         : config->image != NULL     ? "image"
                                                     : NULL;
    bool has_user =
        subject->has_uid || subject->has_gid || config->user != NULL || config->group != NULL;

    /* An empty mapping that is one because of a mistake in it was reported already. */
    if (node->type == YAML_MAPPING && node->first != NULL) {
        if (config->tls.node != NULL && names_somebody_here(subject)) {
            yaml_error_at(errors, node,
                          "a subject that names `tls` can name `listener` and `jwt` beside it and "
                          "nothing else: a certificate has no user, group, unit or container");
        } else if (!has_user && narrow != NULL) {
            yaml_error_at(errors, node,
                          "a subject that names a `%s` must name a `user` or `group` too", narrow);
        }
    } else if (node->type == YAML_MAPPING) {
        yaml_error_at(errors, node,
                      "this subject names nobody; for everybody, write `{user: \"*\"}`");
    }
}

static int subject_compile(const struct access_subject_config *config,
                           struct access_subject *subject, const struct access_parser *parser)
{
    const struct {
        const char *text;
        struct access_pattern *pattern;
    } patterns[] = {
        {config->user, &subject->user},   {config->group, &subject->group},
        {config->unit, &subject->unit},   {config->container, &subject->container},
        {config->image, &subject->image}, {config->listener, &subject->listener},
        {config->tls.san, &subject->san},
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(patterns); i++) {
        int r = access_pattern_copy(patterns[i].text, patterns[i].pattern);

        if (r != 0) {
            return r;
        }
    }
    subject->has_uid = yaml_get(config->node, "uid") != NULL;
    subject->has_gid = yaml_get(config->node, "gid") != NULL;
    subject->uid = config->uid;
    subject->gid = config->gid;
    subject_check(config, subject, parser->errors);
    return config->jwt.node != NULL ? access_token_compile(&config->jwt, &subject->token, parser)
                                    : 0;
}

int access_subjects_compile(const struct access_subject_config *configs, size_t count,
                            struct access_subjects *ret_subjects,
                            const struct access_parser *parser)
{
    size_t i;

    *ret_subjects = (struct access_subjects){0};
    if (count > ACCESS_SUBJECTS_MAX) {
        yaml_error_at(parser->errors, configs[ACCESS_SUBJECTS_MAX].node,
                      "there are %zu subjects here; at most %d are possible", count,
                      ACCESS_SUBJECTS_MAX);
        return 0;
    }
    ret_subjects->items = mem_calloc(count + 1, sizeof(*ret_subjects->items));
    if (ret_subjects->items == NULL) {
        return ERR_NOMEM;
    }
    ret_subjects->count = count;
    for (i = 0; i < count; i++) {
        int r = subject_compile(&configs[i], &ret_subjects->items[i], parser);

        if (r != 0) {
            return r;
        }
    }
    return 0;
}

void access_subjects_fini(struct access_subjects *subjects)
{
    size_t i;

    for (i = 0; i < subjects->count; i++) {
        struct access_subject *subject = &subjects->items[i];

        mem_free(subject->user.text);
        mem_free(subject->group.text);
        mem_free(subject->unit.text);
        mem_free(subject->container.text);
        mem_free(subject->image.text);
        mem_free(subject->listener.text);
        mem_free(subject->san.text);
        access_token_fini(&subject->token);
    }
    mem_free(subjects->items);
    *subjects = (struct access_subjects){0};
}

/* --- matching --- */

void access_facts_init(struct access_facts *facts, const struct access_identity *identity,
                       struct access_group_names *group_names)
{
    facts->identity = identity;
    facts->user = str_of(identity->user);
    facts->unit = str_of(identity->unit);
    facts->container = str_of(identity->container);
    facts->image = str_of(identity->image);
    facts->listener = str_of(identity->listener);
    facts->sans = str_of(identity->sans);
    facts->has_group_names = false;
    facts->has_unknown_groups = false;
    facts->group_names = group_names;
}

bool access_pattern_fits(const struct access_pattern *pattern, struct str text)
{
    if (text.len == 0) {
        return false;
    }
    if (pattern->has_glob) {
        return str_glob((struct str){.ptr = pattern->text, .len = pattern->len}, text);
    }
    return pattern->len == text.len && memcmp(pattern->text, text.ptr, text.len) == 0;
}

static bool pattern_matches(const struct access_pattern *pattern, struct str text)
{
    return pattern->text == NULL || access_pattern_fits(pattern, text);
}

static void group_name_add(struct access_facts *facts, uint32_t gid)
{
    struct access_group_names *names = facts->group_names;

    int r = env_group_name(facts->identity->env, gid, names->names[names->count]);

    if (r == 0) {
        names->count++;
    } else if (r != ERR_NOT_FOUND) {
        facts->has_unknown_groups = true;
    }
}

void access_facts_load_groups(struct access_facts *facts)
{
    const struct access_identity *identity = facts->identity;
    size_t i;

    if (facts->has_group_names) {
        return;
    }
    facts->has_group_names = true;
    facts->group_names->count = 0;
    if (identity->env == NULL) {
        return;
    }
    if (identity->gid == ENV_NO_ID) {
        facts->has_unknown_groups = true;
        return;
    }
    group_name_add(facts, identity->gid);
    for (i = 0; i < identity->group_count; i++) {
        if (identity->groups[i] != identity->gid) {
            group_name_add(facts, identity->groups[i]);
        }
    }
}

static bool group_matches(const struct access_pattern *pattern, struct access_facts *facts,
                          bool is_denial)
{
    size_t i;

    access_facts_load_groups(facts);
    for (i = 0; i < facts->group_names->count; i++) {
        if (access_pattern_fits(pattern, str_of(facts->group_names->names[i]))) {
            return true;
        }
    }
    return is_denial && facts->has_unknown_groups;
}

/* No range reaches as far as ENV_NO_ID. */
static bool is_within(const struct schema_range *range, uint32_t id)
{
    return id >= range->first && id <= range->last;
}

static bool gid_matches(const struct access_identity *identity, const struct schema_range *gids,
                        bool is_denial)
{
    size_t i;

    if (is_within(gids, identity->gid) || (identity->gid == ENV_NO_ID && is_denial)) {
        return true;
    }
    for (i = 0; i < identity->group_count; i++) {
        if (is_within(gids, identity->groups[i])) {
            return true;
        }
    }
    return false;
}

static bool san_matches(const struct access_pattern *pattern, struct str sans)
{
    while (sans.ptr != NULL) {
        if (access_pattern_fits(pattern, str_cut(&sans, ' '))) {
            return true;
        }
    }
    return false;
}

/* Of a caller with a certificate. */
static const char *certificate_mismatch(const struct access_subject *subject,
                                        const struct access_facts *facts, bool is_denial)
{
    if (subject->san.text == NULL ? !is_denial || names_somebody_here(subject)
                                  : !san_matches(&subject->san, facts->sans)) {
        return "tls";
    }
    if (!pattern_matches(&subject->listener, facts->listener)) {
        return "listener";
    }
    return access_token_mismatch(&subject->token, facts->identity->claims) == NULL ? NULL : "jwt";
}

/* Who is in another container or pid namespace is meant by what only such callers have. */
static bool names_foreign(const struct access_subject *subject,
                          const struct access_identity *identity)
{
    return subject->container.text != NULL || subject->image.text != NULL ||
           (identity->kind == ENV_PEER_FOREIGN && subject->listener.text != NULL);
}

/* Cheap comparisons first; names of groups may have to be looked up. */
const char *access_subject_mismatch(const struct access_subject *subject,
                                    struct access_facts *facts, bool is_denial)
{
    const struct access_identity *identity = facts->identity;

    if (identity->kind == ENV_PEER_TLS) {
        return certificate_mismatch(subject, facts, is_denial);
    }
    if (subject->san.text != NULL) {
        return "tls";
    }
    if (identity->is_foreign && !is_denial && !names_foreign(subject, identity)) {
        return identity->kind == ENV_PEER_FOREIGN ? "listener" : "container";
    }
    if (subject->has_uid && !is_within(&subject->uid, identity->uid)) {
        return "uid";
    }
    if (!pattern_matches(&subject->user, facts->user)) {
        return "user";
    }
    if (!pattern_matches(&subject->unit, facts->unit)) {
        return "unit";
    }
    if (!pattern_matches(&subject->container, facts->container)) {
        return "container";
    }
    if (!pattern_matches(&subject->image, facts->image)) {
        return "image";
    }
    if (!pattern_matches(&subject->listener, facts->listener)) {
        return "listener";
    }
    if (access_token_mismatch(&subject->token, identity->claims) != NULL) {
        return "jwt";
    }
    if (subject->has_gid && !gid_matches(identity, &subject->gid, is_denial)) {
        return "gid";
    }
    if (subject->group.text != NULL && !group_matches(&subject->group, facts, is_denial)) {
        return "group";
    }
    return NULL;
}

bool access_subjects_match(const struct access_subjects *subjects, struct access_facts *facts,
                           bool is_denial)
{
    size_t i;

    for (i = 0; i < subjects->count; i++) {
        if (access_subject_mismatch(&subjects->items[i], facts, is_denial) == NULL) {
            return true;
        }
    }
    return false;
}
