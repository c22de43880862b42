/* YAML text to a tree of nodes with positions, on libfyaml's event API.
 *
 * Happy path: yaml_text_check → parse_events → (event_add → node_add)* → the document. The event
 * API is used because the library's own documents stop at the first duplicate key and can't tell
 * where an empty value stands. Failure paths: a syntax error, a second document, too much depth or
 * a key that is no text end the parse (fatal); duplicate keys, anchors, aliases and tags are noted
 * and the tree goes on growing. */
#include "wire/yaml.h"

#include "base/map.h"
#include "base/mem.h"
#include "wire/yaml_internal.h"

#include <libfyaml.h>
#include <string.h>

/* A mapping or sequence that is open now. */
struct frame {
    struct yaml_node *node;
    /* The key whose value comes next, in a mapping. */
    bool has_key;
    char *key_bytes;
    size_t key_len;
    uint32_t key_line;
    uint32_t key_column;
};

struct builder {
    struct yaml_document *document;
    struct yaml_errors *errors;
    struct frame frames[YAML_DEPTH_MAX];
    size_t depth;
    uint32_t document_count;
    /* Where the last event stood, for nodes that have no place of their own. */
    uint32_t line;
    uint32_t column;
};

/* ---- nodes ------------------------------------------------------------------ */

static void frame_clear_key(struct frame *frame)
{
    mem_free(frame->key_bytes);
    frame->key_bytes = NULL;
    frame->has_key = false;
}

/* Makes a node at the current place and hangs it into the innermost open container. */
static int node_add(struct builder *builder, enum yaml_type type, struct yaml_node **ret_node)
{
    struct frame *frame = builder->depth > 0 ? &builder->frames[builder->depth - 1] : NULL;
    struct yaml_item *item = mem_calloc(1, sizeof(*item));

    if (item == NULL) {
        return ERR_NOMEM;
    }
    item->next_item = builder->document->items;
    builder->document->items = item;
    item->node = (struct yaml_node){.type = type,
                                    .line = builder->line,
                                    .column = builder->column,
                                    .file = builder->document->file};
    if (frame == NULL) {
        builder->document->root = &item->node;
    } else {
        if (frame->has_key) {
            item->key_bytes = frame->key_bytes;
            item->node.key = (struct str){.ptr = frame->key_bytes, .len = frame->key_len};
            item->node.key_line = frame->key_line;
            item->node.key_column = frame->key_column;
            frame->key_bytes = NULL;
            frame->has_key = false;
        }
        yaml_append(frame->node, &item->node);
    }
    *ret_node = &item->node;
    return 0;
}

/* Takes the children whose key an earlier one has out of the mapping, and reports each. */
static int mapping_check(struct builder *builder, struct yaml_node *mapping)
{
    struct yaml_item *item = yaml_item_of(mapping);
    struct yaml_node *child = mapping->first;
    struct map_entry *entries;
    struct map map;
    size_t count = 0;
    int r = 0;

    for (; child != NULL; child = child->next) {
        count++;
    }
    entries = mem_calloc(count, sizeof(*entries));
    if (entries == NULL) {
        return ERR_NOMEM;
    }
    map_init(&map, 0);
    child = mapping->first;
    mapping->first = NULL;
    item->last = NULL;
    for (count = 0; child != NULL; count++) {
        struct yaml_node *following = child->next;

        r = map_add(&map, &entries[count], child->key);
        if (r == ERR_EXISTS) {
            yaml_error_at_key(builder->errors, child, "`%.*s` is given twice", STR_ARG(child->key));
            r = 0;
        } else if (r == 0) {
            yaml_append(mapping, child);
        } else {
            break;
        }
        child = following;
    }
    map_fini(&map);
    mem_free(entries);
    return r;
}

/* ---- events ----------------------------------------------------------------- */

static void builder_refuse(struct builder *builder, const char *text)
{
    yaml_error_in(builder->errors, builder->document->file, builder->line, builder->column, "%s",
                  text);
}

static void event_locate(struct builder *builder, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    struct fy_token *token = event->type == FYET_SCALAR ? event->scalar.value : NULL;
    bool is_quoted = false;

    if (mark == NULL || mark->line < 0 || mark->column < 0) {
        return;
    }
    if (token != NULL) {
        enum fy_scalar_style style = fy_token_scalar_style(token);

        is_quoted = style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
    }
    builder->line = (uint32_t)mark->line + 1;
    /* The library's mark is behind the opening quote. */
    builder->column = (uint32_t)mark->column + (is_quoted && mark->column > 0 ? 0 : 1);
}

/* Aliases make small files large and hide where a value comes from; tags choose types, which the
 * tables do here. */
static void properties_refuse(struct builder *builder, const struct fy_token *anchor,
                              const struct fy_token *tag)
{
    if (anchor != NULL) {
        builder_refuse(builder, "anchors (&name) are not supported: write the value out");
    }
    if (tag != NULL) {
        builder_refuse(builder, "tags (!type) are not supported: leave it out");
    }
}

static bool text_is_null(struct str text)
{
    return text.len == 0 || str_eq_c(text, "~") || str_eq_c(text, "null") ||
           str_eq_c(text, "Null") || str_eq_c(text, "NULL");
}

static int scalar_add(struct builder *builder, struct str text, bool is_plain)
{
    struct yaml_node *node;
    int r = node_add(builder, is_plain && text_is_null(text) ? YAML_NULL : YAML_SCALAR, &node);
    char *bytes;

    if (r != 0) {
        return r;
    }
    bytes = mem_strndup(text.len > 0 ? text.ptr : "", text.len);
    if (bytes == NULL) {
        return ERR_NOMEM;
    }
    yaml_item_of(node)->text_bytes = bytes;
    node->text = (struct str){.ptr = bytes, .len = text.len};
    node->is_plain = is_plain;
    return 0;
}

static int key_add(struct builder *builder, struct frame *frame, struct str text)
{
    frame->key_bytes = mem_strndup(text.len > 0 ? text.ptr : "", text.len);
    if (frame->key_bytes == NULL) {
        return ERR_NOMEM;
    }
    frame->key_len = text.len;
    frame->key_line = builder->line;
    frame->key_column = builder->column;
    frame->has_key = true;
    return 0;
}

/* Does a key come next? */
static struct frame *frame_wanting_key(struct builder *builder)
{
    struct frame *frame = builder->depth > 0 ? &builder->frames[builder->depth - 1] : NULL;

    return frame != NULL && frame->node->type == YAML_MAPPING && !frame->has_key ? frame : NULL;
}

static int scalar_event(struct builder *builder, const struct fy_event *event)
{
    struct frame *frame = frame_wanting_key(builder);
    struct fy_token *token = event->scalar.value;
    struct str text = {.ptr = "", .len = 0};
    bool is_plain = true;

    properties_refuse(builder, event->scalar.anchor, event->scalar.tag);
    if (token != NULL) {
        text.ptr = fy_token_get_text(token, &text.len);
        is_plain = fy_token_scalar_style(token) == FYSS_PLAIN;
        if (text.ptr == NULL) {
            return ERR_NOMEM;
        }
    }
    /* Only "\0" in double quotes can make one. Texts end at it in too many places. */
    if (memchr(text.ptr, '\0', text.len) != NULL) {
        builder_refuse(builder, "a NUL character is not allowed");
        return ERR_INVALID;
    }
    if (frame == NULL) {
        return scalar_add(builder, text, is_plain);
    }
    if (is_plain && text_is_null(text)) {
        builder_refuse(builder, "expected a key before `:`");
        return ERR_INVALID;
    }
    return key_add(builder, frame, text);
}

static int container_start(struct builder *builder, enum yaml_type type,
                           const struct fy_token *anchor, const struct fy_token *tag)
{
    struct yaml_node *node;
    int r;

    properties_refuse(builder, anchor, tag);
    if (frame_wanting_key(builder) != NULL) {
        builder_refuse(builder, "a key must be a word, not a list or a mapping");
        return ERR_INVALID;
    }
    if (builder->depth == YAML_DEPTH_MAX) {
        yaml_error_in(builder->errors, builder->document->file, builder->line, builder->column,
                      "nested more than %d levels deep", YAML_DEPTH_MAX);
        return ERR_INVALID;
    }
    r = node_add(builder, type, &node);
    if (r == 0) {
        builder->frames[builder->depth++] = (struct frame){.node = node};
    }
    return r;
}

static int container_end(struct builder *builder)
{
    struct yaml_node *node;

    CHECK(builder->depth > 0);
    builder->depth--;
    frame_clear_key(&builder->frames[builder->depth]);
    node = builder->frames[builder->depth].node;
    return node->type == YAML_MAPPING && node->first != NULL ? mapping_check(builder, node) : 0;
}

static int alias_event(struct builder *builder)
{
    struct yaml_node *node;
    int r;

    builder_refuse(builder, "aliases (*name) are not supported: write the value out");
    if (frame_wanting_key(builder) != NULL) {
        return ERR_INVALID;
    }
    r = node_add(builder, YAML_NULL, &node);
    if (r == 0) {
        node->is_refused = true;
    }
    return r;
}

static int event_add(struct builder *builder, struct fy_event *event)
{
    event_locate(builder, event);
    switch (event->type) {
    case FYET_DOCUMENT_START:
        builder->document_count++;
        if (builder->document_count > 1) {
            builder_refuse(builder, "only one document is allowed in a file");
            return ERR_INVALID;
        }
        return 0;
    case FYET_SCALAR:
        return scalar_event(builder, event);
    case FYET_ALIAS:
        return alias_event(builder);
    case FYET_MAPPING_START:
        return container_start(builder, YAML_MAPPING, event->mapping_start.anchor,
                               event->mapping_start.tag);
    case FYET_SEQUENCE_START:
        return container_start(builder, YAML_SEQUENCE, event->sequence_start.anchor,
                               event->sequence_start.tag);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        return container_end(builder);
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END:
        return 0;
    }
    return 0;
}

/* ---- the parser ------------------------------------------------------------- */

static void diag_swallow(struct fy_diag *diag, void *user, const char *text, size_t size)
{
    (void)diag;
    (void)user;
    (void)text;
    (void)size;
}

/* The library collects its errors here instead of printing them. NULL when out of memory. */
static struct fy_diag *diag_new(void)
{
    struct fy_diag_cfg config;
    struct fy_diag *diag;

    fy_diag_cfg_default(&config);
    config.fp = NULL;
    config.output_fn = diag_swallow;
    config.colorize = false;
    diag = fy_diag_create(&config);
    if (diag != NULL) {
        fy_diag_set_collect_errors(diag, true);
    }
    return diag;
}

/* Only the first: what follows a syntax error is guesswork of the parser. */
static void diag_report(struct fy_diag *diag, struct builder *builder)
{
    void *cursor = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &cursor);

    if (error == NULL || error->msg == NULL) {
        builder_refuse(builder, "not valid YAML");
        return;
    }
    yaml_error_in(builder->errors, builder->document->file,
                  error->line > 0 ? (uint32_t)error->line : builder->line,
                  error->column > 0 ? (uint32_t)error->column : builder->column, "%s", error->msg);
}

static int parse_events(struct builder *builder, struct str text)
{
    struct fy_parse_cfg config = {.flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE};
    struct fy_parser *parser = NULL;
    int r = ERR_NOMEM;

    config.diag = diag_new();
    if (config.diag == NULL) {
        return ERR_NOMEM;
    }
    parser = fy_parser_create(&config);
    if (parser == NULL || fy_parser_set_string(parser, text.ptr, text.len) != 0) {
        goto out;
    }
    for (r = 0; r == 0;) {
        struct fy_event *event = fy_parser_parse(parser);

        if (event == NULL) {
            if (fy_parser_get_stream_error(parser)) {
                diag_report(config.diag, builder);
                r = ERR_INVALID;
            }
            break;
        }
        r = event_add(builder, event);
        fy_parser_event_free(parser, event);
    }

out:
    if (parser != NULL) {
        fy_parser_destroy(parser);
    }
    fy_diag_destroy(config.diag);
    return r;
}

int yaml_parse(const char *file, struct str text, struct yaml_document **ret_document,
               struct yaml_errors *errors)
{
    struct yaml_document *document = mem_calloc(1, sizeof(*document));
    struct builder builder = {.document = document, .errors = errors, .line = 1, .column = 1};
    struct yaml_node *node;
    int r = ERR_NOMEM;

    if (document == NULL) {
        return ERR_NOMEM;
    }
    document->file = mem_strdup(file);
    if (document->file == NULL) {
        goto out;
    }
    if (text.len > YAML_INPUT_MAX_BYTES) {
        yaml_error_in(errors, file, 0, 0, "larger than %u bytes", YAML_INPUT_MAX_BYTES);
        r = ERR_TOO_LARGE;
        goto out;
    }
    r = yaml_text_check(file, text, errors);
    if (r == 0) {
        /* libfyaml takes no NULL, which is what an empty slice may have. */
        r = parse_events(&builder, text.ptr != NULL ? text : STR(""));
    }
    if (r == 0 && document->root == NULL) {
        builder.line = 1;
        builder.column = 1;
        r = node_add(&builder, YAML_NULL, &node);
    }

out:
    while (builder.depth > 0) {
        frame_clear_key(&builder.frames[--builder.depth]);
    }
    if (r != 0) {
        yaml_free(document);
        return r;
    }
    *ret_document = document;
    return 0;
}

void yaml_free(struct yaml_document *document)
{
    while (document != NULL) {
        struct yaml_document *merged = document->merged;

        while (document->items != NULL) {
            struct yaml_item *item = document->items;

            document->items = item->next_item;
            mem_free(item->text_bytes);
            mem_free(item->key_bytes);
            mem_free(item);
        }
        mem_free(document->file);
        mem_free(document);
        document = merged;
    }
}

const struct yaml_node *yaml_root(const struct yaml_document *document)
{
    return document->root;
}
