/* Counts brackets and commas outside of strings. A parser that reads on beyond what is counted here
 * has been given something that isn't JSON, and stops there. */
#include "wire/json_bounds.h"

/* What begins or ends at one byte outside of strings. */
struct json_bounds {
    size_t depth;
    size_t value_count;
};

static void count(struct json_bounds *bounds, char c)
{
    if (c == '{' || c == '[') {
        bounds->depth++;
        bounds->value_count++;
    } else if (c == ',') {
        bounds->value_count++;
    } else if ((c == '}' || c == ']') && bounds->depth > 0) {
        bounds->depth--;
    }
}

bool json_bounds_hold(struct str text, size_t depth_max, size_t values_max)
{
    struct json_bounds bounds = {0};
    bool is_in_string = false;
    size_t i;

    for (i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (is_in_string && c == '\\') {
            i++;
        } else if (c == '"') {
            is_in_string = !is_in_string;
        } else if (!is_in_string) {
            count(&bounds, c);
        }
        if (bounds.depth > depth_max || bounds.value_count > values_max) {
            return false;
        }
    }
    return true;
}
