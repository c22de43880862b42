/* What the files of the schema share. */
#ifndef LEASED_WIRE_SCHEMA_INTERNAL_H
#define LEASED_WIRE_SCHEMA_INTERNAL_H

#include "wire/schema.h"

/* A table has fewer fields than this. */
#define SCHEMA_FIELDS_MAX 64

/* How each decoded object begins; `name` only in a SCHEMA_MAP. */
struct schema_head {
    const struct yaml_node *node;
    char *name;
};

/* schema_scalar.c. Decodes a scalar of `field` into `slot`. ERR_INVALID has been reported at
 * `node`. */
int schema_scalar_decode(const struct schema_field *field, const struct yaml_node *node, void *slot,
                         struct yaml_errors *errors) ATTR_MUST_USE;

/* The same for a default, which is right by construction. 0 or ERR_NOMEM. */
int schema_scalar_default(const struct schema_field *field, struct str text,
                          void *slot) ATTR_MUST_USE;

/* Is it a word of `values`, and one that this version implements? Reports if not. `node` is a
 * scalar. */
bool schema_word_check(const struct schema_enum_value *values, const struct yaml_node *node,
                       struct yaml_errors *errors);

bool schema_is_name(struct str text);

/* The amount as a user would write it for this field: "1m30s", "64KiB", "0660", "50%". Returns
 * `out`. */
const char *schema_amount_format(const struct schema_field *field, uint64_t amount,
                                 char out[UNITS_DURATION_MAX_BYTES]);

/* schema_pattern.c. "pattern": which texts are in the field's range. */
struct json_out;
void schema_pattern_write(struct json_out *json, const struct schema_field *field);

/* schema_known.c. Reports an unknown key, and marks the field that was meant, so that one slip is
 * one error. */
void schema_report_unknown(const struct schema_object *table, const struct yaml_node *child,
                           bool *is_meant, struct yaml_errors *errors);

#endif
