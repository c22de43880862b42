/* Words that a table doesn't know: which one was meant, or which ones there are. */
#include "wire/schema_internal.h"

#include <stdio.h>
#include <string.h>

#define KNOWN_MAX_BYTES 400
/* Words that differ by more are no slips of the hand. */
#define SUGGEST_DISTANCE_MAX 2

/* Two neighbours in each other's place: one slip of the hand, though two edits. */
static bool is_swapped(struct str a, struct str b)
{
    size_t i = 0;

    if (a.len != b.len) {
        return false;
    }
    while (i < a.len && a.ptr[i] == b.ptr[i]) {
        i++;
    }
    return i + 1 < a.len && a.ptr[i] == b.ptr[i + 1] && a.ptr[i + 1] == b.ptr[i] &&
           memcmp(a.ptr + i + 2, b.ptr + i + 2, a.len - i - 2) == 0;
}

const char *schema_suggest(struct str word, const char *const *candidates)
{
    /* Short words are close to everything. */
    size_t limit = word.len <= 3 ? 1 : SUGGEST_DISTANCE_MAX;
    const char *best = NULL;

    for (; *candidates != NULL; candidates++) {
        size_t distance = is_swapped(word, str_of(*candidates))
                              ? 1
                              : str_distance(word, str_of(*candidates), limit);

        if (distance <= limit) {
            best = *candidates;
            /* Only a closer one replaces it. */
            if (distance == 0) {
                break;
            }
            limit = distance - 1;
        }
    }
    return best;
}

static size_t table_names(const struct schema_object *table,
                          const char *names[SCHEMA_FIELDS_MAX + 1])
{
    size_t count = 0;

    for (; table->fields[count].key != NULL; count++) {
        CHECK(count < SCHEMA_FIELDS_MAX);
        names[count] = table->fields[count].key;
    }
    names[count] = NULL;
    return count;
}

void schema_report_unknown(const struct schema_object *table, const struct yaml_node *child,
                           bool *is_meant, struct yaml_errors *errors)
{
    const char *names[SCHEMA_FIELDS_MAX + 1];
    char known[KNOWN_MAX_BYTES] = "";
    const char *close;
    size_t used = 0;
    size_t i;

    (void)table_names(table, names);
    close = schema_suggest(child->key, names);
    if (close != NULL) {
        yaml_error_at_key(errors, child, "unknown key `%.*s`: did you mean `%s`?",
                          STR_ARG(child->key), close);
    }
    for (i = 0; names[i] != NULL; i++) {
        if (close == names[i]) {
            is_meant[i] = true;
        }
        if ((table->fields[i].flags & SCHEMA_UNSUPPORTED) == 0 && used < sizeof(known)) {
            used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
                                     used > 0 ? ", " : "", names[i]);
        }
    }
    if (close == NULL) {
        yaml_error_at_key(errors, child, "unknown key `%.*s` in %s; known: %s", STR_ARG(child->key),
                          table->name, known);
    }
}

void schema_refuse_unknown(const struct schema_object *table, const struct yaml_node *node,
                           struct yaml_errors *errors)
{
    bool is_meant[SCHEMA_FIELDS_MAX] = {false};
    const struct yaml_node *child;

    for (child = node->first; child != NULL; child = child->next) {
        const struct schema_field *field = table->fields;

        while (field->key != NULL && !str_eq_c(child->key, field->key)) {
            field++;
        }
        if (field->key == NULL && !child->is_refused) {
            schema_report_unknown(table, child, is_meant, errors);
        }
    }
}
