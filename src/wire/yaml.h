/* YAML 1.2 (JSON is a subset) as a tree with positions. Duplicate keys are errors, aliases,
 * anchors, tags and several documents are refused, and the parser stops at the first syntax error
 * (libfyaml's limit).
 *
 * Files: yaml.c (bytes to tree), yaml_tree.c (looking, merging, JSON), yaml_errors.c. */
#ifndef LEASED_WIRE_YAML_H
#define LEASED_WIRE_YAML_H

#include "base/buf.h"
#include "base/err.h"

#define YAML_INPUT_MAX_BYTES (1024U * 1024U)
#define YAML_DEPTH_MAX 32
#define YAML_ERRORS_MAX 100

enum yaml_type {
    YAML_NULL, /* nothing, or ~ or null */
    YAML_SCALAR,
    YAML_SEQUENCE,
    YAML_MAPPING,
};

struct yaml_node {
    enum yaml_type type;
    bool is_plain;           /* scalar without quotes: may be a bool or number */
    bool is_refused;         /* reported already (an alias, yaml_refuse): decoding passes over it */
    uint32_t line;           /* from 1 */
    uint32_t column;         /* from 1 */
    const char *file;        /* the document's name */
    struct str text;         /* scalar; NUL-terminated behind the end */
    struct yaml_node *first; /* sequence and mapping: children */
    struct yaml_node *next;  /* sibling */
    struct str key;          /* child of a mapping */
    uint32_t key_line;
    uint32_t key_column;
};

struct yaml_document;

/* All mistakes found, in the order found: "file:line:column: text" each on a line. */
struct yaml_errors {
    size_t count; /* also counts those past YAML_ERRORS_MAX, which aren't kept */
    struct buf text;
};

void yaml_errors_init(struct yaml_errors *errors);
void yaml_errors_fini(struct yaml_errors *errors);

/* Adds one mistake at the node's place (at its key's place with yaml_error_at_key). */
void yaml_error_at(struct yaml_errors *errors, const struct yaml_node *node, const char *format,
                   ...) ATTR_PRINTF(3, 4);
/* The same with the node's key, if it has one, and ": " before the text. */
void yaml_error_at_value(struct yaml_errors *errors, const struct yaml_node *node,
                         const char *format, ...) ATTR_PRINTF(3, 4);
void yaml_error_at_key(struct yaml_errors *errors, const struct yaml_node *node, const char *format,
                       ...) ATTR_PRINTF(3, 4);
/* The same without a node: line 0 leaves line and column out. */
void yaml_error_in(struct yaml_errors *errors, const char *file, uint32_t line, uint32_t column,
                   const char *format, ...) ATTR_PRINTF(5, 6);

/* Parses `text`. `file` is copied. ERR_NOMEM, ERR_TOO_LARGE or ERR_INVALID (syntax; `errors` has
 * grown in the last two cases). Mistakes that leave a whole tree behind (duplicate keys, of which
 * the first counts, anchors, aliases and tags) are added to `errors` and the call returns 0, so
 * that decoding can report the rest as well: whoever is done looks at errors->count. */
int yaml_parse(const char *file, struct str text, struct yaml_document **ret_document,
               struct yaml_errors *errors) ATTR_MUST_USE;
void yaml_free(struct yaml_document *document);

/* The root; an empty document gives a YAML_NULL node. */
const struct yaml_node *yaml_root(const struct yaml_document *document);

/* The value under `key` of a mapping; NULL when absent, or when `node` is no mapping. */
const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key);

/* Adds what `from` (taken on success) holds to `into`: lists append, mappings unite, and a key that
 * both give a value is an error at its second place. Nodes keep the name of their own file. 0 or
 * ERR_INVALID (one root is no mapping: `errors` has grown). */
int yaml_merge(struct yaml_document *into, struct yaml_document *from,
               struct yaml_errors *errors) ATTR_MUST_USE;

/* Marks a node of the document as reported already: JSON and decoding pass over it from now on. */
void yaml_refuse(struct yaml_document *document, const struct yaml_node *node);

/* The node as JSON text (plain true/false/null/numbers keep their type, durations and all else are
 * strings). `without` (NULL: nothing) lists keys of the node itself to leave out, ended by NULL. 0
 * or the failure of `out`. */
int yaml_to_json(const struct yaml_node *node, const char *const *without,
                 struct buf *out) ATTR_MUST_USE;

/* What people call the node: "a mapping", "a list", "`text`", "nothing". Returns `out`. */
#define YAML_DESCRIBE_MAX_BYTES 80
const char *yaml_describe(const struct yaml_node *node, char out[YAML_DESCRIBE_MAX_BYTES]);

#endif
