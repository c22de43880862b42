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

/* `key` NULL: an element of an array, or the root. Keys are literals of ours and not escaped; the
 * writers are inline so that the literals' lengths are known when they are compiled. */
void json_out_open_at(struct json_out *json, struct str key, char bracket);
void json_out_string_at(struct json_out *json, struct str key, struct str value);
void json_out_text_at(struct json_out *json, struct str key, struct str text); /* as it is */
void json_out_u64_at(struct json_out *json, struct str key, uint64_t value);
void json_out_i64_at(struct json_out *json, struct str key, int64_t value);
void json_out_time_at(struct json_out *json, struct str key, int64_t wall_ms);
void json_out_close(struct json_out *json, char bracket);

static inline void json_out_object_open(struct json_out *json, const char *key)
{
    json_out_open_at(json, str_of(key), '{');
}

static inline void json_out_object_close(struct json_out *json)
{
    json_out_close(json, '}');
}

static inline void json_out_array_open(struct json_out *json, const char *key)
{
    json_out_open_at(json, str_of(key), '[');
}

static inline void json_out_array_close(struct json_out *json)
{
    json_out_close(json, ']');
}

static inline void json_out_string(struct json_out *json, const char *key, struct str value)
{
    json_out_string_at(json, str_of(key), value);
}

/* NULL: null */
static inline void json_out_string_c(struct json_out *json, const char *key, const char *value)
{
    if (value != NULL) {
        json_out_string_at(json, str_of(key), str_of(value));
    } else {
        json_out_text_at(json, str_of(key), STR("null"));
    }
}

static inline void json_out_u64(struct json_out *json, const char *key, uint64_t value)
{
    json_out_u64_at(json, str_of(key), value);
}

static inline void json_out_i64(struct json_out *json, const char *key, int64_t value)
{
    json_out_i64_at(json, str_of(key), value);
}

static inline void json_out_bool(struct json_out *json, const char *key, bool value)
{
    json_out_text_at(json, str_of(key), value ? STR("true") : STR("false"));
}

/* RFC 3339 of unix milliseconds; 0 is null. */
static inline void json_out_time(struct json_out *json, const char *key, int64_t wall_ms)
{
    json_out_time_at(json, str_of(key), wall_ms);
}

/* A member whose key comes from outside and is escaped. */
void json_out_member(struct json_out *json, struct str key, struct str value);

/* `text` as a JSON string with its quotes: control characters, DEL, U+2028/9 and bidi controls are
 * escaped, bytes that aren't UTF-8 become U+FFFD. */
void json_out_add_quoted(struct buf *out, struct str text);

#endif
