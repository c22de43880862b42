/* Puts values where a tree names variables.
 *
 * Each text is looked at once, in the order of the file. A text in which nothing is named stays as
 * it is; else it is written anew, and the node keeps its place for messages. */
#include "wire/yaml_vars.h"

#include "base/mem.h"
#include "wire/yaml_internal.h"

struct putting {
    struct yaml_document *document;
    const struct yaml_vars *vars;
    struct yaml_errors *errors;
    size_t left_bytes; /* by which texts may still grow */
    bool is_over;      /* … and that this was too little has been reported */
};

bool yaml_vars_is_name(struct str name)
{
    size_t i;

    for (i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-')) {
            return false;
        }
    }
    return name.len > 0;
}

/* Where `${` begins, at `at` or later; text.len: nowhere. */
static size_t mark_find(struct str text, size_t at)
{
    while (at < text.len &&
           !(text.ptr[at] == '$' && at + 1 < text.len && text.ptr[at + 1] == '{')) {
        at++;
    }
    return at;
}

/* The name behind the mark at `at`, and where its text goes on. */
static bool name_read(struct str text, size_t at, struct str *ret_name, size_t *ret_end)
{
    struct str rest = {.ptr = text.ptr + at + 2, .len = text.len - at - 2};
    struct str name = str_cut(&rest, '}');

    if (rest.ptr == NULL || !yaml_vars_is_name(name)) {
        return false;
    }
    *ret_name = name;
    *ret_end = at + 2 + name.len + 1;
    return true;
}

/* Counts what a text grows by. */
static bool has_room(struct putting *it, const struct yaml_node *node, size_t bytes)
{
    if (bytes <= it->left_bytes) {
        it->left_bytes -= bytes;
        return true;
    }
    if (!it->is_over) {
        yaml_error_at(it->errors, node, "variables make the texts of this file longer by %u bytes",
                      YAML_VARS_GROWTH_MAX_BYTES);
    }
    it->is_over = true;
    return false;
}

static const struct yaml_node *value_find(struct putting *it, const struct yaml_node *node,
                                          struct str name)
{
    return it->vars->find(it->vars->user, node, name);
}

/* --- texts ---------------------------------------------------------------------------------- */

static int text_set(struct yaml_node *node, struct str text)
{
    struct yaml_item *item = yaml_item_of(node);
    char *bytes = mem_strndup(text.ptr != NULL ? text.ptr : "", text.len);

    if (bytes == NULL) {
        return ERR_NOMEM;
    }
    mem_free(item->text_bytes);
    item->text_bytes = bytes;
    node->text = (struct str){.ptr = bytes, .len = text.len};
    return 0;
}

/* One value amid a text. False: a mistake, which has been reported. */
static bool value_add(struct putting *it, const struct yaml_node *node, struct str name,
                      struct buf *out)
{
    const struct yaml_node *value = value_find(it, node, name);

    if (value == NULL) {
        return false;
    }
    if (value->type != YAML_SCALAR) {
        yaml_error_at(it->errors, node,
                      "`%.*s` is a list: it can only stand by itself, as a whole item",
                      STR_ARG(name));
        return false;
    }
    buf_add_str(out, value->text);
    return has_room(it, node, value->text.len);
}

/* The text as it is to be. False: a mistake, which has been reported. */
static bool text_write(struct putting *it, const struct yaml_node *node, struct buf *out)
{
    struct str text = node->text;
    size_t begin = 0;
    size_t at = mark_find(text, 0);

    while (at < text.len) {
        bool is_escaped = at > begin && text.ptr[at - 1] == '$';
        struct str name;
        size_t end = at + 2;

        buf_add(out, text.ptr + begin, at - begin - (is_escaped ? 1 : 0));
        if (is_escaped) {
            buf_add_c(out, "${");
        } else if (!name_read(text, at, &name, &end)) {
            yaml_error_at(it->errors, node,
                          "`${` begins the name of a variable, such as ${NAME}; `$${` is `${`");
            return false;
        } else if (!value_add(it, node, name, out)) {
            return false;
        }
        begin = end;
        at = mark_find(text, end);
    }
    buf_add(out, text.ptr + begin, text.len - begin);
    return true;
}

static int text_put(struct putting *it, struct yaml_node *node)
{
    BUF_AUTO out;
    int r = 0;

    buf_init(&out, YAML_INPUT_MAX_BYTES + YAML_VARS_GROWTH_MAX_BYTES);
    if (text_write(it, node, &out)) {
        r = buf_status(&out);
        if (r == 0) {
            r = text_set(node, buf_str(&out));
        }
        node->is_plain = false;
    } else {
        node->is_refused = true;
    }
    return r;
}

/* --- lists ---------------------------------------------------------------------------------- */

/* A text of a list, at the place where the list is named. NULL: out of memory. */
static struct yaml_node *text_new(struct putting *it, const struct yaml_node *place,
                                  const struct yaml_node *text)
{
    struct yaml_item *item = mem_calloc(1, sizeof(*item));

    if (item == NULL) {
        return NULL;
    }
    item->next_item = it->document->items;
    it->document->items = item;
    item->node = (struct yaml_node){.type = YAML_SCALAR,
                                    .is_plain = text->is_plain,
                                    .line = place->line,
                                    .column = place->column,
                                    .file = place->file};
    return text_set(&item->node, text->text) == 0 ? &item->node : NULL;
}

/* Appends the texts of a list to `into`. */
static int list_put(struct putting *it, struct yaml_node *into, const struct yaml_node *place,
                    const struct yaml_node *list)
{
    const struct yaml_node *child;

    for (child = list->first; child != NULL; child = child->next) {
        struct yaml_node *text;

        if (!has_room(it, place, sizeof(struct yaml_item) + child->text.len)) {
            return 0;
        }
        text = text_new(it, place, child);
        if (text == NULL) {
            return ERR_NOMEM;
        }
        yaml_append(into, text);
    }
    return 0;
}

/* The value that is all of a text, if it names one and nothing else. */
static bool is_whole(const struct yaml_node *node, struct str *ret_name)
{
    size_t end;

    return node->type == YAML_SCALAR && mark_find(node->text, 0) == 0 && node->text.len > 0 &&
           name_read(node->text, 0, ret_name, &end) && end == node->text.len;
}

/* A text that is nothing but a variable becomes what that is. */
static int whole_put(struct putting *it, struct yaml_node *node, const struct yaml_node *value)
{
    if (value->type == YAML_SEQUENCE) {
        node->type = YAML_SEQUENCE;
        node->text = (struct str){0};
        return list_put(it, node, node, value);
    }
    node->is_plain = value->is_plain;
    return has_room(it, node, value->text.len) ? text_set(node, value->text) : 0;
}

/* --- the tree ------------------------------------------------------------------------------- */

static int node_put(struct putting *it, struct yaml_node *node);

/* The children are hung in anew, so that a list can take the place of one. */
static int children_put(struct putting *it, struct yaml_node *node)
{
    struct yaml_node *child = node->first;
    int r = 0;

    node->first = NULL;
    yaml_item_of(node)->last = NULL;
    while (child != NULL) {
        struct yaml_node *following = child->next;
        const struct yaml_node *value = NULL;
        struct str name;

        if (r == 0 && node->type == YAML_SEQUENCE && is_whole(child, &name)) {
            value = value_find(it, child, name);
            child->is_refused = value == NULL;
        }
        if (value != NULL && value->type == YAML_SEQUENCE) {
            r = list_put(it, node, child, value);
        } else {
            yaml_append(node, child);
            if (r == 0 && !child->is_refused) {
                r = value != NULL ? whole_put(it, child, value) : node_put(it, child);
            }
        }
        child = following;
    }
    return r;
}

static int node_put(struct putting *it, struct yaml_node *node)
{
    const struct yaml_node *value;
    struct str name;

    if (node->is_refused) {
        return 0;
    }
    if (node->type != YAML_SCALAR) {
        return children_put(it, node);
    }
    if (is_whole(node, &name)) {
        value = value_find(it, node, name);
        node->is_refused = value == NULL;
        return value != NULL ? whole_put(it, node, value) : 0;
    }
    return mark_find(node->text, 0) < node->text.len ? text_put(it, node) : 0;
}

static bool is_left_out(const struct yaml_vars *vars, struct str key)
{
    const char *const *without = vars->without;

    while (without != NULL && *without != NULL && !str_eq_c(key, *without)) {
        without++;
    }
    return without != NULL && *without != NULL;
}

int yaml_vars_put(struct yaml_document *document, const struct yaml_vars *vars,
                  struct yaml_errors *errors)
{
    struct putting it = {.document = document,
                         .vars = vars,
                         .errors = errors,
                         .left_bytes = YAML_VARS_GROWTH_MAX_BYTES};
    struct yaml_node *child;
    int r = 0;

    if (document->root->type != YAML_MAPPING) {
        return 0;
    }
    for (child = document->root->first; r == 0 && child != NULL; child = child->next) {
        if (!is_left_out(vars, child->key)) {
            r = node_put(&it, child);
        }
    }
    return r;
}
