/* Compares decoded objects by their tables. */
#include "wire/schema_compare.h"

#include "wire/schema_internal.h"

#include <string.h>

static const void *slot_of(const struct schema_field *field, const void *object)
{
    return (const char *)object + field->offset;
}

static bool text_is_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool strings_are_equal(const struct schema_strings *a, const struct schema_strings *b)
{
    size_t i;

    for (i = 0; i < a->count && a->count == b->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0) {
            return false;
        }
    }
    return a->count == b->count;
}

static bool pairs_are_equal(const struct schema_pairs *a, const struct schema_pairs *b)
{
    size_t i;

    for (i = 0; i < a->count && a->count == b->count; i++) {
        if (strcmp(a->items[i].name, b->items[i].name) != 0 ||
            strcmp(a->items[i].value, b->items[i].value) != 0) {
            return false;
        }
    }
    return a->count == b->count;
}

static bool lists_are_equal(const struct schema_field *field, const struct schema_list *a,
                            const struct schema_list *b)
{
    size_t size = field->object->size;
    size_t i;

    for (i = 0; i < a->count && a->count == b->count; i++) {
        const char *one = (const char *)a->items + i * size;
        const char *other = (const char *)b->items + i * size;

        if (field->type == SCHEMA_MAP &&
            strcmp(((const struct schema_head *)(const void *)one)->name,
                   ((const struct schema_head *)(const void *)other)->name) != 0) {
            return false;
        }
        if (!schema_is_equal(field->object, one, other)) {
            return false;
        }
    }
    return a->count == b->count;
}

static bool rate_is_equal(const struct units_rate *a, const struct units_rate *b)
{
    return a->count == b->count && a->per_ms == b->per_ms;
}

static bool range_is_equal(const struct schema_range *a, const struct schema_range *b)
{
    return a->first == b->first && a->last == b->last;
}

bool schema_field_is_equal(const struct schema_field *field, const void *a, const void *b)
{
    const void *one = slot_of(field, a);
    const void *other = slot_of(field, b);

    if ((field->flags & SCHEMA_UNSUPPORTED) != 0) {
        return true;
    }
    switch (field->type) {
    case SCHEMA_BOOL:
        return *(const bool *)one == *(const bool *)other;
    case SCHEMA_ENUM:
        return *(const int *)one == *(const int *)other;
    case SCHEMA_STRING:
    case SCHEMA_NAME:
    case SCHEMA_JSON:
        return text_is_equal(*(char *const *)one, *(char *const *)other);
    case SCHEMA_RATE:
        return rate_is_equal(one, other);
    case SCHEMA_RANGE:
        return range_is_equal(one, other);
    case SCHEMA_STRINGS:
        return strings_are_equal(one, other);
    case SCHEMA_PAIRS:
        return pairs_are_equal(one, other);
    case SCHEMA_OBJECT:
        return schema_is_equal(field->object, one, other);
    case SCHEMA_LIST:
    case SCHEMA_MAP:
        return lists_are_equal(field, one, other);
    default:
        return *(const uint64_t *)one == *(const uint64_t *)other;
    }
}

bool schema_is_equal(const struct schema_object *table, const void *a, const void *b)
{
    const struct schema_field *field;

    for (field = table->fields; field->key != NULL; field++) {
        if (!schema_field_is_equal(field, a, b)) {
            return false;
        }
    }
    return true;
}

static void restart_report(const struct schema_field *field, const struct yaml_node *place,
                           struct yaml_errors *errors)
{
    const struct yaml_node *node = yaml_get(place, field->key);

    yaml_error_at_key(errors, node != NULL ? node : place,
                      "`%s` can't be changed without a restart", field->key);
}

/* `place`: of the object, or of what it would stand in. */
static void differences_report(const struct schema_object *table, const void *before,
                               const void *after, const struct yaml_node *place,
                               struct yaml_errors *errors)
{
    const struct yaml_node *own = ((const struct schema_head *)after)->node;
    const struct schema_field *field;

    place = own != NULL ? own : place;
    for (field = table->fields; field->key != NULL; field++) {
        if ((field->flags & SCHEMA_UNSUPPORTED) != 0) {
            continue;
        }
        if ((field->flags & SCHEMA_RESTART) != 0 && !schema_field_is_equal(field, before, after)) {
            restart_report(field, place, errors);
        } else if (field->type == SCHEMA_OBJECT) {
            differences_report(field->object, slot_of(field, before), slot_of(field, after), place,
                               errors);
        }
    }
}

void schema_report_restart(const struct schema_object *table, const void *before, const void *after,
                           struct yaml_errors *errors)
{
    differences_report(table, before, after, ((const struct schema_head *)after)->node, errors);
}
