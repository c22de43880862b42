/* What differs between two decoded objects of one table: for a reload, which must know what has
 * changed and what may. */
#ifndef LEASED_WIRE_SCHEMA_COMPARE_H
#define LEASED_WIRE_SCHEMA_COMPARE_H

#include "wire/schema.h"

/* Do the values of one field agree in two objects of its table? How they were written doesn't
 * count: "60s" is "1m". */
bool schema_field_is_equal(const struct schema_field *field, const void *a, const void *b);

/* All fields of two objects, without their places. */
bool schema_is_equal(const struct schema_object *table, const void *a, const void *b);

/* Reports at its place in `after`, which has one, each field marked SCHEMA_RESTART whose value has
 * changed, also in embedded objects. */
void schema_report_restart(const struct schema_object *table, const void *before, const void *after,
                           struct yaml_errors *errors);

#endif
