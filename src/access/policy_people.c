/* The people that a policy speaks of beside its rules: admins, and who is behind which subject. */
#include "access/policy_config.h"

#include "access/rules.h"
#include "base/mem.h"

#include <string.h>

#define ADMIN_ALL                                                                                  \
    (ACCESS_ADMIN_READ | ACCESS_ADMIN_REVOKE | ACCESS_ADMIN_POLICY | ACCESS_ADMIN_RELOAD)

/* --- admins --- */

static uint32_t admin_may(const struct access_admins_config *config)
{
    const struct schema_enum_value *word;
    uint32_t may = 0;
    size_t i;

    if (yaml_get(config->node, "may") == NULL) {
        return ADMIN_ALL;
    }
    for (i = 0; i < config->may.count; i++) {
        for (word = access_admin_words; word->name != NULL; word++) {
            may |= strcmp(config->may.items[i], word->name) == 0 ? (uint32_t)word->value : 0;
        }
    }
    return may;
}

static int admin_entry(struct access_parser *parser, const struct yaml_node *node,
                       struct access_admins *admins)
{
    struct access_admins_config config = {0};
    int r = schema_decode(&access_admins_table, node, &config, parser->errors);

    if (r != ERR_NOMEM) {
        admins->may = admin_may(&config);
        r = access_subjects_compile(config.subjects.items, config.subjects.count, &admins->subjects,
                                    parser);
    }
    schema_fini(&access_admins_table, &config);
    return r;
}

static int admin_bare(struct access_parser *parser, const struct yaml_node *node,
                      struct access_admins *admins)
{
    struct access_subject_config config = {0};
    int r = schema_decode(&access_subject_table, node, &config, parser->errors);

    if (r != ERR_NOMEM) {
        admins->may = ADMIN_ALL;
        r = access_subjects_compile(&config, 1, &admins->subjects, parser);
    }
    schema_fini(&access_subject_table, &config);
    return r;
}

static size_t child_count(const struct yaml_node *node)
{
    const struct yaml_node *child;
    size_t count = 0;

    for (child = node != NULL ? node->first : NULL; child != NULL; child = child->next) {
        count++;
    }
    return count;
}

static int admins_of_file(struct access_parser *parser, const struct yaml_node *list)
{
    struct access_policy *policy = parser->policy;
    const struct yaml_node *child;
    char found[YAML_DESCRIBE_MAX_BYTES];
    int r = 0;

    if (list == NULL || list->type == YAML_NULL || list->is_refused) {
        return 0;
    }
    if (list->type != YAML_SEQUENCE) {
        yaml_error_at(parser->errors, list, "expected a list, found %s",
                      yaml_describe(list, found));
        return 0;
    }
    for (child = list->first; r == 0 && child != NULL; child = child->next) {
        bool is_bare = yaml_get(child, "subjects") == NULL && yaml_get(child, "may") == NULL;

        if (child->type == YAML_NULL) {
            yaml_error_at(parser->errors, child,
                          "expected a mapping with the keys of admins or of a subject, found "
                          "nothing");
        } else if (!child->is_refused) {
            struct access_admins *admins = &policy->admins[policy->admin_count++];

            r = is_bare ? admin_bare(parser, child, admins) : admin_entry(parser, child, admins);
        }
    }
    return r;
}

int access_admins_compile(struct access_parser *parser, const struct access_nodes *nodes)
{
    size_t total = 0;
    size_t i;
    int r = 0;

    for (i = 0; i < nodes->count; i++) {
        total += child_count(yaml_get(nodes->items[i], "admins"));
    }
    parser->policy->admins = mem_calloc(total + 1, sizeof(*parser->policy->admins));
    if (parser->policy->admins == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; r == 0 && i < nodes->count; i++) {
        r = admins_of_file(parser, yaml_get(nodes->items[i], "admins"));
    }
    return r;
}

/* --- persons --- */

/* `node`: a subject, or a list of them. */
static int person_subjects(struct access_parser *parser, const struct yaml_node *node,
                           struct access_person *person)
{
    bool is_list = node->type == YAML_SEQUENCE;
    size_t count = is_list ? child_count(node) : 1;
    struct access_subject_config *configs = mem_calloc(count + 1, sizeof(*configs));
    const struct yaml_node *child = is_list ? node->first : node;
    size_t done = 0;
    int r = configs != NULL ? 0 : ERR_NOMEM;

    if (node->first == NULL) {
        yaml_error_at_value(parser->errors, node, "expected a subject or a list of them");
    }
    for (; r == 0 && child != NULL && done < count; child = child->next) {
        if (child->type == YAML_NULL && is_list) {
            yaml_error_at(parser->errors, child, "expected a subject, found nothing");
        }
        r = schema_decode(&access_subject_table, child, &configs[done++], parser->errors);
        r = r == ERR_NOMEM ? r : 0;
    }
    if (r == 0) {
        r = access_subjects_compile(configs, count, &person->subjects, parser);
    }
    while (done > 0) {
        schema_fini(&access_subject_table, &configs[--done]);
    }
    mem_free(configs);
    return r;
}

static int person_compile(struct access_parser *parser, const struct yaml_node *node)
{
    struct access_policy *policy = parser->policy;
    struct access_person *person = &policy->persons[policy->person_count++];

    person->name = mem_strndup(node->key.ptr, node->key.len);
    return person->name != NULL ? person_subjects(parser, node, person) : ERR_NOMEM;
}

static int persons_of_file(struct access_parser *parser, const struct yaml_node *map)
{
    const struct yaml_node *child;
    char found[YAML_DESCRIBE_MAX_BYTES];
    int r = 0;

    if (map == NULL || map->type == YAML_NULL || map->is_refused) {
        return 0;
    }
    if (map->type != YAML_MAPPING) {
        yaml_error_at(parser->errors, map,
                      "expected a mapping of names to subjects or lists of them, found %s",
                      yaml_describe(map, found));
        return 0;
    }
    for (child = map->first; r == 0 && child != NULL; child = child->next) {
        if (!child->is_refused) {
            r = person_compile(parser, child);
        }
    }
    return r;
}

int access_persons_compile(struct access_parser *parser, const struct access_nodes *nodes)
{
    size_t total = 0;
    size_t i;
    int r = 0;

    for (i = 0; i < nodes->count; i++) {
        total += child_count(yaml_get(nodes->items[i], "persons"));
    }
    parser->policy->persons = mem_calloc(total + 1, sizeof(*parser->policy->persons));
    if (parser->policy->persons == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; r == 0 && i < nodes->count; i++) {
        r = persons_of_file(parser, yaml_get(nodes->items[i], "persons"));
    }
    return r;
}
