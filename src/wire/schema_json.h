/* The tables of a configuration as JSON Schema (2020-12), for editors and for who checks
 * configurations before they travel. What leased accepts, the schema accepts; what no schema can
 * say (the range of "90s", names that must exist elsewhere) stands in the descriptions. */
#ifndef LEASED_WIRE_SCHEMA_JSON_H
#define LEASED_WIRE_SCHEMA_JSON_H

#include "base/buf.h"
#include "wire/schema.h"

/* Writes the schema of `table` as one JSON object and a line end. An object whose table is open
 * accepts keys that it doesn't know and says so. What the buffer can't take shows in its status. */
void schema_json_write(const struct schema_object *table, const char *title, struct buf *out);

#endif
