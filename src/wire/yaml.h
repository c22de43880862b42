/* YAML 1.2 (JSON is a subset) as a tree with positions. Duplicate keys are errors, aliases,
 * anchors, tags and several documents are refused, and the parser stops at the first syntax error
 * (libfyaml's limit). */
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
void yaml_error_at_key(struct yaml_errors *errors, const struct yaml_node *node, const char *format,
                       ...) ATTR_PRINTF(3, 4);

/* Parses `text`. `file` is copied. 0, ERR_NOMEM, ERR_TOO_LARGE or ERR_INVALID (then `errors` has
 * grown; also for duplicate keys, which are all reported). */
int yaml_parse(const char *file, struct str text, struct yaml_document **ret_document,
               struct yaml_errors *errors) ATTR_MUST_USE;
void yaml_free(struct yaml_document *document);

/* The root; an empty document gives a YAML_NULL node. */
const struct yaml_node *yaml_root(const struct yaml_document *document);

/* The value under `key` of a mapping; NULL when absent, or when `node` is no mapping. */
const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key);

/* The node as JSON text (plain true/false/null/numbers keep their type, durations and all else are
 * strings). */
int yaml_to_json(const struct yaml_node *node, struct buf *out) ATTR_MUST_USE;

#endif
