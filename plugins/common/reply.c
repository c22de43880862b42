/* Happy path: scan the bytes for depth and width, parse, see that it is an object.
 *
 * Refused: compressed bodies, more levels or values than the host allows (a bomb would cost more
 * than the body), duplicate keys, zero bytes. */
#include "reply.h"

/* Where the host doesn't say. */
#define DEPTH_MAX 32U
#define VALUES_MAX 20000U

struct leased_str plugin_header(const struct leased_http_reply *http, const char *name)
{
    for (size_t i = 0; i < http->header_count; i++) {
        if (plugin_str_eq(http->headers[i].name, name)) {
            return http->headers[i].value;
        }
    }
    return (struct leased_str){0};
}

/* Are depth and number of values within bounds? Counts on the raw bytes, before anything is
 * allocated. */
static bool is_bounded(const struct leased_http_reply *http)
{
    bool has_limits = LEASED_HAS(http, values_max);
    size_t depth_max = has_limits && http->depth_max > 0 ? http->depth_max : DEPTH_MAX;
    size_t values_max = has_limits && http->values_max > 0 ? http->values_max : VALUES_MAX;
    struct leased_str body = http->body;
    size_t depth = 0;
    size_t values = 0;
    bool is_in_string = false;

    for (size_t i = 0; i < body.len; i++) {
        char c = body.ptr[i];

        if (is_in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                is_in_string = false;
            }
            continue;
        }
        is_in_string = c == '"';
        depth += c == '{' || c == '[' ? 1U : 0U;
        depth -= depth > 0 && (c == '}' || c == ']') ? 1U : 0U;
        values += c == ',' || c == '{' || c == '[' ? 1U : 0U;
        if (depth > depth_max || values > values_max) {
            return false;
        }
    }
    return true;
}

json_t *plugin_reply_json(const struct leased_http_reply *http, size_t flags,
                          const char **ret_problem)
{
    struct leased_str encoding = plugin_header(http, "content-encoding");
    json_error_t problem = {0}; /* without memory jansson leaves it as it was */
    json_t *root;

    if (encoding.len > 0 && !plugin_str_eq(encoding, "identity")) {
        *ret_problem = "it is compressed, which was not asked for";
        return NULL;
    }
    if (!is_bounded(http)) {
        *ret_problem = "it is nested too deeply or has too many values";
        return NULL;
    }
    root = json_loadb(http->body.ptr, http->body.len, JSON_REJECT_DUPLICATES | flags, &problem);
    if (root == NULL && (json_error_code(&problem) == json_error_null_character ||
                         json_error_code(&problem) == json_error_null_byte_in_key)) {
        *ret_problem = "a text in it holds a zero byte, which no field can hold";
        return NULL;
    }
    if (!json_is_object(root)) {
        *ret_problem = "it is not a JSON object";
        json_decref(root);
        return NULL;
    }
    return root;
}
