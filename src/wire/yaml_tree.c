/* Trees of YAML nodes: looking things up, uniting several files, and the way to JSON for plugins.
 */
#include "wire/yaml.h"

#include "wire/json_out.h"
#include "wire/yaml_internal.h"

#include <stdio.h>
#include <string.h>

/* Longer numbers would lose digits in a double or in 64 bits, so they stay text. */
#define NUMBER_MAX_DIGITS 15

#define SHOWN_MAX_BYTES 48

const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key)
{
    const struct yaml_node *child;

    if (node->type != YAML_MAPPING) {
        return NULL;
    }
    for (child = node->first; child != NULL; child = child->next) {
        if (str_eq_c(child->key, key)) {
            return child;
        }
    }
    return NULL;
}

const char *yaml_describe(const struct yaml_node *node, char out[YAML_DESCRIBE_MAX_BYTES])
{
    struct str shown = node->text;

    switch (node->type) {
    case YAML_NULL:
        (void)snprintf(out, YAML_DESCRIBE_MAX_BYTES, "nothing");
        break;
    case YAML_SEQUENCE:
        (void)snprintf(out, YAML_DESCRIBE_MAX_BYTES, "a list");
        break;
    case YAML_MAPPING:
        (void)snprintf(out, YAML_DESCRIBE_MAX_BYTES, "a mapping");
        break;
    case YAML_SCALAR:
        shown = str_shorten(shown, SHOWN_MAX_BYTES);
        (void)snprintf(out, YAML_DESCRIBE_MAX_BYTES, "`%.*s%s`", STR_ARG(shown),
                       shown.len < node->text.len ? "…" : "");
        if (shown.len == 0) {
            (void)snprintf(out, YAML_DESCRIBE_MAX_BYTES, "an empty text");
        }
        break;
    }
    return out;
}

void yaml_refuse(struct yaml_document *document, const struct yaml_node *node)
{
    struct yaml_item *item;

    for (; document != NULL; document = document->merged) {
        for (item = document->items; item != NULL; item = item->next_item) {
            if (&item->node == node) {
                item->node.is_refused = true;
                return;
            }
        }
    }
}

static struct yaml_node *child_find(struct yaml_node *parent, struct str key)
{
    struct yaml_node *child;

    for (child = parent->first; child != NULL; child = child->next) {
        if (str_eq(child->key, key)) {
            return child;
        }
    }
    return NULL;
}

/* Moves the children of `from` under `into`. Recursion is bounded by YAML_DEPTH_MAX. */
static void children_merge(struct yaml_node *into, struct yaml_node *from,
                           struct yaml_errors *errors)
{
    struct yaml_node *child = from->first;

    while (child != NULL) {
        struct yaml_node *following = child->next;
        struct yaml_node *present =
            into->type == YAML_MAPPING ? child_find(into, child->key) : NULL;

        if (present == NULL) {
            yaml_append(into, child);
        } else if (present->type == child->type &&
                   (child->type == YAML_MAPPING || child->type == YAML_SEQUENCE)) {
            children_merge(present, child, errors);
        } else {
            yaml_error_at_key(errors, child, "`%.*s` is given already at %s:%u:%u",
                              STR_ARG(child->key), present->file, present->key_line,
                              present->key_column);
        }
        child = following;
    }
    from->first = NULL;
}

int yaml_merge(struct yaml_document *into, struct yaml_document *from, struct yaml_errors *errors)
{
    struct yaml_document *last = into;

    if (from->root->type == YAML_MAPPING && into->root->type == YAML_MAPPING) {
        children_merge(into->root, from->root, errors);
    } else if (from->root->type == YAML_MAPPING && into->root->type == YAML_NULL) {
        into->root = from->root;
    } else if (from->root->type != YAML_NULL) {
        yaml_error_at(errors, into->root->type == YAML_MAPPING ? from->root : into->root,
                      "expected a mapping at the top of a file that is merged with others");
        return ERR_INVALID;
    }
    while (last->merged != NULL) {
        last = last->merged;
    }
    last->merged = from;
    return 0;
}

/* Cuts leading digits off and returns how many there were. */
static size_t digits_cut(struct str *s)
{
    size_t count = 0;

    while (s->len > 0 && s->ptr[0] >= '0' && s->ptr[0] <= '9') {
        s->ptr++;
        s->len--;
        count++;
    }
    return count;
}

/* A number as JSON writes it, without exponent, short enough to survive a double. */
static bool text_is_number(struct str s)
{
    size_t digits;
    bool starts_with_zero;

    if (s.len > 0 && s.ptr[0] == '-') {
        s.ptr++;
        s.len--;
    }
    starts_with_zero = s.len > 0 && s.ptr[0] == '0';
    digits = digits_cut(&s);
    if (digits == 0 || digits > NUMBER_MAX_DIGITS || (starts_with_zero && digits > 1)) {
        return false;
    }
    if (s.len > 0 && s.ptr[0] == '.') {
        size_t fraction;

        s.ptr++;
        s.len--;
        fraction = digits_cut(&s);
        if (fraction == 0 || digits + fraction > NUMBER_MAX_DIGITS) {
            return false;
        }
    }
    return s.len == 0;
}

static bool key_is_in(struct str key, const char *const *keys)
{
    for (; keys != NULL && *keys != NULL; keys++) {
        if (str_eq_c(key, *keys)) {
            return true;
        }
    }
    return false;
}

/* Recursion is bounded by YAML_DEPTH_MAX. */
static void json_add(const struct yaml_node *node, const char *const *without, struct buf *out)
{
    bool is_mapping = node->type == YAML_MAPPING;
    const struct yaml_node *child;
    const char *separator = "";

    if (node->type == YAML_NULL) {
        buf_add_c(out, "null");
        return;
    }
    if (node->type == YAML_SCALAR) {
        if (node->is_plain && (str_eq_c(node->text, "true") || str_eq_c(node->text, "false") ||
                               text_is_number(node->text))) {
            buf_add_str(out, node->text);
        } else {
            json_out_add_quoted(out, node->text);
        }
        return;
    }
    buf_add_char(out, is_mapping ? '{' : '[');
    for (child = node->first; child != NULL; child = child->next) {
        if (child->is_refused || (is_mapping && key_is_in(child->key, without))) {
            continue;
        }
        buf_add_c(out, separator);
        separator = ",";
        if (is_mapping) {
            json_out_add_quoted(out, child->key);
            buf_add_char(out, ':');
        }
        json_add(child, NULL, out);
    }
    buf_add_char(out, is_mapping ? '}' : ']');
}

int yaml_to_json(const struct yaml_node *node, const char *const *without, struct buf *out)
{
    json_add(node, without, out);
    return buf_status(out);
}
