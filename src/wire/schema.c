/* Decodes YAML trees by tables.
 *
 * Way: schema_decode → for each field of the table: field_decode (scalars in schema_scalar.c,
 * containers here), then whatever the mapping holds beyond the table is reported. Nothing stops at
 * a mistake, only memory running out does. */
#include "wire/schema.h"

#include "base/mem.h"
#include "wire/schema_internal.h"

#include <string.h>

/* Which fields of a table a mapping has, and which it has under a misspelt key. */
struct presence {
    bool is_given[SCHEMA_FIELDS_MAX];
    bool is_meant[SCHEMA_FIELDS_MAX];
};

static int object_decode(const struct schema_object *table, const struct yaml_node *node,
                         void *object, struct yaml_errors *errors);
static int object_refuse(const struct schema_object *table, const struct yaml_node *node,
                         void *object, struct yaml_errors *errors);

static void *field_slot(const struct schema_field *field, void *object)
{
    return (char *)object + field->offset;
}

/* ---- containers ------------------------------------------------------------- */

static size_t child_count(const struct yaml_node *node)
{
    const struct yaml_node *child;
    size_t count = 0;

    for (child = node->first; child != NULL; child = child->next) {
        count++;
    }
    return count;
}

static int container_report(const char *what, const struct yaml_node *node,
                            struct yaml_errors *errors)
{
    char found[YAML_DESCRIBE_MAX_BYTES];

    yaml_error_at_value(errors, node, "expected %s, found %s", what, yaml_describe(node, found));
    return ERR_INVALID;
}

static int string_add(const struct schema_field *field, const struct yaml_node *node,
                      struct schema_strings *strings, struct yaml_errors *errors)
{
    struct schema_field item = {.key = field->key, .type = SCHEMA_STRING, .max = field->max};
    char *text = NULL;
    int r;

    if (node->is_refused) {
        return 0;
    }
    r = schema_scalar_decode(&item, node, &text, errors);
    if (r != 0) {
        return r;
    }
    if (field->values != NULL && !schema_word_check(field->values, node, errors)) {
        mem_free(text);
        return ERR_INVALID;
    }
    strings->items[strings->count++] = text;
    return 0;
}

static int strings_decode(const struct schema_field *field, const struct yaml_node *node,
                          struct schema_strings *strings, struct yaml_errors *errors)
{
    const struct yaml_node *child;
    int first_failure = 0;

    if (node->type != YAML_SCALAR && node->type != YAML_SEQUENCE) {
        return container_report("a list of texts", node, errors);
    }
    strings->items = mem_calloc(child_count(node) + 1, sizeof(*strings->items));
    if (strings->items == NULL) {
        return ERR_NOMEM;
    }
    if (node->type == YAML_SCALAR) {
        return string_add(field, node, strings, errors);
    }
    for (child = node->first; child != NULL; child = child->next) {
        int r = string_add(field, child, strings, errors);

        if (r == ERR_NOMEM) {
            return r;
        }
        first_failure = first_failure != 0 ? first_failure : r;
    }
    return first_failure;
}

static int pairs_decode(const struct yaml_node *node, struct schema_pairs *pairs,
                        struct yaml_errors *errors)
{
    const struct yaml_node *child;

    if (node->type != YAML_MAPPING && node->type != YAML_NULL) {
        return container_report("a mapping of words to texts", node, errors);
    }
    pairs->items = mem_calloc(child_count(node) + 1, sizeof(*pairs->items));
    if (pairs->items == NULL) {
        return ERR_NOMEM;
    }
    for (child = node->first; child != NULL; child = child->next) {
        struct schema_pair *pair = &pairs->items[pairs->count];

        if (child->is_refused) {
            continue;
        }
        if (child->type != YAML_SCALAR) {
            (void)container_report("text", child, errors);
            continue;
        }
        pairs->count++;
        pair->name = mem_strndup(child->key.ptr, child->key.len);
        pair->value = mem_strndup(child->text.ptr, child->text.len);
        if (pair->name == NULL || pair->value == NULL) {
            return ERR_NOMEM;
        }
    }
    return 0;
}

static int name_decode(const struct yaml_node *child, struct schema_head *head,
                       struct yaml_errors *errors)
{
    if (!schema_is_name(child->key)) {
        yaml_error_at_key(errors, child,
                          "expected a name (small letters, digits, `-` and `_`, at most 64), found "
                          "`%.*s`",
                          STR_ARG(child->key));
    }
    head->name = mem_strndup(child->key.ptr, child->key.len);
    return head->name != NULL ? 0 : ERR_NOMEM;
}

/* An item that is nothing is a mistake: who checks items takes for granted that each was checked
 * for what it must have. */
static int list_decode(const struct schema_field *field, const struct yaml_node *node,
                       struct schema_list *list, struct yaml_errors *errors)
{
    bool is_map = field->type == SCHEMA_MAP;
    const struct yaml_node *child;

    if (node->type != YAML_NULL && node->type != (is_map ? YAML_MAPPING : YAML_SEQUENCE)) {
        return container_report(is_map ? "a mapping from names" : "a list", node, errors);
    }
    list->items = mem_calloc(child_count(node) + 1, field->object->size);
    if (list->items == NULL) {
        return ERR_NOMEM;
    }
    for (child = node->first; child != NULL; child = child->next) {
        char *item = (char *)list->items + list->count * field->object->size;
        int r = 0;

        if (child->is_refused) {
            continue;
        }
        list->count++;
        if (is_map) {
            r = name_decode(child, (struct schema_head *)(void *)item, errors);
        }
        if (r == 0) {
            r = child->type != YAML_NULL ? object_decode(field->object, child, item, errors)
                                         : object_refuse(field->object, child, item, errors);
        }
        if (r == ERR_NOMEM) {
            return r;
        }
    }
    return 0;
}

static int json_decode(const struct yaml_node *node, char **slot)
{
    BUF_AUTO json;
    int r;

    buf_init(&json, (size_t)8 * YAML_INPUT_MAX_BYTES);
    r = yaml_to_json(node, NULL, &json);
    if (r == 0) {
        *slot = buf_steal(&json);
        r = *slot != NULL ? 0 : ERR_NOMEM;
    }
    return r;
}

/* Items that were refused were meant. */
static bool lacks_items(const struct schema_field *field, const struct yaml_node *node)
{
    bool is_container =
        field->type == SCHEMA_STRINGS || field->type == SCHEMA_LIST || field->type == SCHEMA_OBJECT;

    return is_container && field->min > 0 &&
           (node->type == YAML_NULL || node->type == YAML_SEQUENCE) && node->first == NULL;
}

/* ---- objects ---------------------------------------------------------------- */

static int field_default(const struct schema_field *field, void *object);

static int field_decode(const struct schema_field *field, const struct yaml_node *node,
                        void *object, struct yaml_errors *errors)
{
    void *slot = field_slot(field, object);

    if ((field->flags & SCHEMA_UNSUPPORTED) != 0) {
        yaml_error_at_key(errors, node, "`%s` is not supported by this version%s%s", field->key,
                          field->doc != NULL ? ": " : "", field->doc != NULL ? field->doc : "");
        return ERR_INVALID;
    }
    if ((field->flags & SCHEMA_OR_NONE) != 0 && node->type == YAML_SCALAR &&
        str_eq_c(node->text, "none")) {
        return field_default(field, object);
    }
    if (lacks_items(field, node)) {
        yaml_error_at_key(errors, node, "`%s` is empty", field->key);
        return ERR_INVALID;
    }
    switch (field->type) {
    case SCHEMA_STRINGS:
        return strings_decode(field, node, slot, errors);
    case SCHEMA_PAIRS:
        return pairs_decode(node, slot, errors);
    case SCHEMA_OBJECT:
        return object_decode(field->object, node, slot, errors);
    case SCHEMA_LIST:
    case SCHEMA_MAP:
        return list_decode(field, node, slot, errors);
    case SCHEMA_JSON:
        return json_decode(node, slot);
    default:
        return schema_scalar_decode(field, node, slot, errors);
    }
}

static int strings_default(const struct schema_field *field, struct schema_strings *strings)
{
    struct schema_field item = {.key = field->key, .type = SCHEMA_STRING};
    struct str rest = str_of(field->default_text);

    strings->items = mem_calloc(rest.len + 1, sizeof(*strings->items));
    if (strings->items == NULL) {
        return ERR_NOMEM;
    }
    while (rest.len > 0) {
        int r = schema_scalar_default(&item, str_cut(&rest, ','), &strings->items[strings->count]);

        if (r != 0) {
            return r;
        }
        strings->count++;
    }
    return 0;
}

static int defaults_fill(const struct schema_object *table, void *object);

/* The default of one field that isn't there; of an embedded object, those of its fields. */
static int field_default(const struct schema_field *field, void *object)
{
    void *slot = field_slot(field, object);

    if ((field->flags & SCHEMA_UNSUPPORTED) != 0) {
        return 0;
    }
    if (field->type == SCHEMA_OBJECT) {
        return defaults_fill(field->object, slot);
    }
    if (field->default_text == NULL) {
        return 0;
    }
    if (field->type == SCHEMA_STRINGS) {
        return strings_default(field, slot);
    }
    return schema_scalar_default(field, str_of(field->default_text), slot);
}

static int defaults_fill(const struct schema_object *table, void *object)
{
    const struct schema_field *field;
    int r = 0;

    for (field = table->fields; r == 0 && field->key != NULL; field++) {
        r = field_default(field, object);
    }
    return r;
}

static const struct schema_field *field_find(const struct schema_object *table, struct str key)
{
    const struct schema_field *field;

    for (field = table->fields; field->key != NULL; field++) {
        if (str_eq_c(key, field->key)) {
            return field;
        }
    }
    return NULL;
}

/* Defaults for what isn't there, and complaints about what must be. */
static int absent_fill(const struct schema_object *table, const struct presence *presence,
                       void *object, struct yaml_errors *errors)
{
    const struct schema_field *field;

    for (field = table->fields; field->key != NULL; field++) {
        int r;

        if (presence->is_given[field - table->fields]) {
            continue;
        }
        if ((field->flags & SCHEMA_REQUIRED) != 0 && !presence->is_meant[field - table->fields]) {
            yaml_error_at_key(errors, ((struct schema_head *)object)->node, "`%s` is missing in %s",
                              field->key, table->name);
        }
        r = field_default(field, object);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

/* What is no mapping is reported and has its defaults. */
static int object_refuse(const struct schema_object *table, const struct yaml_node *node,
                         void *object, struct yaml_errors *errors)
{
    char found[YAML_DESCRIBE_MAX_BYTES];

    ((struct schema_head *)object)->node = node;
    yaml_error_at_value(errors, node, "expected a mapping with the keys of %s, found %s",
                        table->name, yaml_describe(node, found));
    return defaults_fill(table, object);
}

/* Returns ERR_NOMEM or 0: mistakes are in `errors`. */
static int object_decode(const struct schema_object *table, const struct yaml_node *node,
                         void *object, struct yaml_errors *errors)
{
    struct presence presence = {0};
    const struct yaml_node *child;

    ((struct schema_head *)object)->node = node;
    if (node->type != YAML_MAPPING && node->type != YAML_NULL) {
        return object_refuse(table, node, object, errors);
    }
    if (node->is_refused) {
        return defaults_fill(table, object);
    }
    for (child = node->first; child != NULL; child = child->next) {
        const struct schema_field *field = field_find(table, child->key);
        int r;

        if (field == NULL) {
            if (!table->is_open && !child->is_refused) {
                schema_report_unknown(table, child, presence.is_meant, errors);
            }
            continue;
        }
        presence.is_given[field - table->fields] = true;
        r = child->is_refused ? ERR_INVALID : field_decode(field, child, object, errors);
        if (r == ERR_INVALID && field->type < SCHEMA_STRINGS) {
            /* So that checks of the whole don't trip over a value that was never meant. */
            r = field_default(field, object);
        }
        if (r == ERR_NOMEM) {
            return r;
        }
    }
    return absent_fill(table, &presence, object, errors);
}

int schema_decode(const struct schema_object *table, const struct yaml_node *node, void *object,
                  struct yaml_errors *errors)
{
    size_t count_before = errors->count;
    int r = object_decode(table, node, object, errors);

    if (r == 0 && errors->count > count_before) {
        r = ERR_INVALID;
    }
    return r;
}

/* ---- freeing ---------------------------------------------------------------- */

static void list_fini(const struct schema_field *field, struct schema_list *list)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        char *item = (char *)list->items + i * field->object->size;

        if (field->type == SCHEMA_MAP) {
            mem_free(((struct schema_head *)(void *)item)->name);
        }
        schema_fini(field->object, item);
    }
    mem_free(list->items);
}

static void strings_fini(struct schema_strings *strings)
{
    size_t i;

    for (i = 0; i < strings->count; i++) {
        mem_free(strings->items[i]);
    }
    mem_free(strings->items);
}

static void pairs_fini(struct schema_pairs *pairs)
{
    size_t i;

    for (i = 0; i < pairs->count; i++) {
        mem_free(pairs->items[i].name);
        mem_free(pairs->items[i].value);
    }
    mem_free(pairs->items);
}

void schema_fini(const struct schema_object *table, void *object)
{
    const struct schema_field *field;

    for (field = table->fields; field->key != NULL; field++) {
        void *slot = field_slot(field, object);

        if ((field->flags & SCHEMA_UNSUPPORTED) != 0) {
            continue;
        }
        switch (field->type) {
        case SCHEMA_STRING:
        case SCHEMA_NAME:
        case SCHEMA_JSON:
            mem_free(*(char **)slot);
            break;
        case SCHEMA_STRINGS:
            strings_fini(slot);
            break;
        case SCHEMA_PAIRS:
            pairs_fini(slot);
            break;
        case SCHEMA_OBJECT:
            schema_fini(field->object, slot);
            break;
        case SCHEMA_LIST:
        case SCHEMA_MAP:
            list_fini(field, slot);
            break;
        default:
            break;
        }
    }
    memset(object, 0, table->size);
}
