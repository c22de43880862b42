/* JSON text written straight into a buffer, for answers on the hot path: no tree, no allocation but
 * the buffer's. Commas are put in by the writer. Reading JSON is jansson's job. */
#ifndef LEASED_WIRE_JSON_OUT_H
#define LEASED_WIRE_JSON_OUT_H

#include "base/buf.h"

struct json_out {
    struct buf *out; /* borrowed */
    bool needs_comma;
};

void json_out_init(struct json_out *json, struct buf *out);

/* `key` NULL: an element of an array, or the root. Keys are literals of ours and not escaped. */
void json_out_object_open(struct json_out *json, const char *key);
void json_out_object_close(struct json_out *json);
void json_out_array_open(struct json_out *json, const char *key);
void json_out_array_close(struct json_out *json);
void json_out_string(struct json_out *json, const char *key, struct str value);
void json_out_string_c(struct json_out *json, const char *key, const char *value); /* NULL: null */
void json_out_u64(struct json_out *json, const char *key, uint64_t value);
void json_out_bool(struct json_out *json, const char *key, bool value);

/* A member whose key comes from outside and is escaped. */
void json_out_member(struct json_out *json, struct str key, struct str value);

/* RFC 3339 of unix milliseconds; 0 is null. */
void json_out_time(struct json_out *json, const char *key, int64_t wall_ms);

/* `text` as a JSON string with its quotes: control characters, DEL, U+2028/9 and bidi controls are
 * escaped, bytes that aren't UTF-8 become U+FFFD. */
void json_out_add_quoted(struct buf *out, struct str text);

#endif
