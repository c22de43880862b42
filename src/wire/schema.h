/* Configuration as tables: what keys an object has, of which type and range, with default and
 * explanation. One table drives decoding, the errors ("unknown key, did you mean …"), and the JSON
 * Schema for editors.
 *
 * A decoded object is a struct whose first member is `const struct yaml_node *node` (its place, for
 * later checks; the document must outlive it). Members of a SCHEMA_MAP have `char *name` as their
 * second. */
#ifndef LEASED_WIRE_SCHEMA_H
#define LEASED_WIRE_SCHEMA_H

#include "base/units.h"
#include "wire/yaml.h"

#include <limits.h>

/* Scalars come first. */
enum schema_type {
    SCHEMA_BOOL,     /* bool */
    SCHEMA_UINT,     /* uint64_t, within min..max */
    SCHEMA_STRING,   /* char *, owned, not empty, min..max bytes; NULL when absent */
    SCHEMA_NAME,     /* char *, [a-z0-9][a-z0-9_-]{0,63} */
    SCHEMA_DURATION, /* uint64_t milliseconds, min..max */
    SCHEMA_SIZE,     /* uint64_t bytes, min..max */
    SCHEMA_RATE,     /* struct units_rate */
    SCHEMA_PERCENT,  /* uint64_t, "50%" as 50 */
    SCHEMA_MODE,     /* uint64_t, "0660" (octal, quoted or not) */
    SCHEMA_RANGE,    /* struct schema_range, "1000-1999" or one number, within min..max */
    SCHEMA_ENUM,     /* int, one of `values` */
    SCHEMA_STRINGS,  /* struct schema_strings, at least min; a single scalar counts as a list of
                        one. With `values` each must be one of these */
    SCHEMA_PAIRS,    /* struct schema_pairs: a mapping of words to texts, in file order */
    SCHEMA_OBJECT,   /* embedded struct of `object`; with a min it may not be left empty */
    SCHEMA_LIST,     /* struct schema_list of `object`, at least min */
    SCHEMA_MAP,      /* struct schema_list of `object`, keys into `name` in file order */
    SCHEMA_JSON,     /* char *, the subtree as JSON text; NULL when absent. `object` and
                        `other_object`, when given, are what its entries may be; their owner decodes
                        them, and the JSON Schema shows them */
};

/* Of a word that is known but that this version doesn't implement: using it is an error that says
 * so. */
#define SCHEMA_VALUE_UNSUPPORTED INT_MIN

struct schema_range {
    uint64_t first;
    uint64_t last;
};

struct schema_enum_value {
    const char *name;
    int value;
};

struct schema_strings {
    char **items;
    size_t count;
};

struct schema_pair {
    char *name;
    char *value;
};

struct schema_pairs {
    struct schema_pair *items;
    size_t count;
};

struct schema_list {
    void *items; /* count structs of object->size, one after the other */
    size_t count;
};

struct schema_object;

#define SCHEMA_REQUIRED 1u
/* The value names a secret's place and is recorded as "file:…" etc. by its owner; only for the
 * docs. */
#define SCHEMA_SECRET_PLACE 2u
/* Known by name, not implemented by this version: using it is an error that says so, followed by
 * `doc` when there is one. Type and offset don't matter. */
#define SCHEMA_UNSUPPORTED 4u
/* Must be there too, but its owner says so, who also knows the keys beside the table's; the JSON
 * Schema shows it. */
#define SCHEMA_REQUIRED_BY_OWNER 8u
/* A change takes effect at the next start only; see schema_compare.h. */
#define SCHEMA_RESTART 16u

/* Of a JSON with an `object`: a mapping of names, each to one of these or to a list of them. */
#define SCHEMA_BY_NAME 64u

/* Of an OBJECT: the word `none` may stand there, which is as if nothing did. */
#define SCHEMA_OR_NONE 32u

struct schema_field {
    const char *key;
    enum schema_type type;
    size_t offset;
    uint32_t flags;
    uint64_t min;
    uint64_t max;                           /* 0: no limit */
    const char *default_text;               /* as a user would write it (STRINGS: separated by
                                               commas); NULL: zero/empty */
    const struct schema_enum_value *values; /* ended by a NULL name */
    const struct schema_object *object;
    const char *doc; /* one line */
    const struct schema_object *other_object;
    /* Of a STRING, and of each of STRINGS: a regular expression that stands in the JSON Schema; its
     * owner checks the text. */
    const char *pattern;
};

struct schema_object {
    const char *name;
    size_t size;
    const struct schema_field *fields; /* ended by a NULL key */
    /* Keys that aren't in the table are kept for the owner (a plugin's own) instead of being
     * errors. */
    bool is_open;
    /* What the keys say about each other, as members of the JSON Schema ("oneOf":[…]); the owner
     * checks it. NULL: nothing. */
    const char *relations_json;
};

/* Decodes `node` (mapping or null; below it, items of lists and maps are mappings) into the zeroed
 * struct `object`, defaults filled in. All mistakes go to `errors`; the struct is always left in a
 * state that schema_fini can free. An embedded object that is absent has its defaults and a NULL
 * node. 0 or ERR_INVALID / ERR_NOMEM. */
int schema_decode(const struct schema_object *table, const struct yaml_node *node, void *object,
                  struct yaml_errors *errors) ATTR_MUST_USE;

/* Frees what decoding allocated inside `object`, and zeroes it. */
void schema_fini(const struct schema_object *table, void *object);

/* One of `values` by its word, as SCHEMA_ENUM does it. 0 or ERR_INVALID, reported at `node`. */
int schema_decode_enum(const struct schema_enum_value *values, const struct yaml_node *node,
                       int *ret_value, struct yaml_errors *errors) ATTR_MUST_USE;

/* Reports the keys of `node` that the table doesn't know, as if it weren't open. */
void schema_refuse_unknown(const struct schema_object *table, const struct yaml_node *node,
                           struct yaml_errors *errors);

/* The closest of `candidates` (NULL-ended) for "did you mean", or NULL. */
const char *schema_suggest(struct str word, const char *const *candidates);

#endif
