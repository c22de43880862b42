/* Fractions are written with as many digits as it takes for the same number to be read again: 15 do
 * for most, 17 for all. One text has one number of digits. */
#include "dump.h"

#define DIGITS_LEAST 15
#define DIGITS_MOST 17

static char *dump(const struct leased_host *host, const json_t *value, int digits, size_t *ret_len)
{
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits);
    size_t size = json_dumpb(value, NULL, 0, flags);
    char *text = size > 0 ? plugin_alloc(host, size + 1) : NULL;

    if (text != NULL && json_dumpb(value, text, size, flags) != size) {
        host->secret_free(text);
        text = NULL;
    }
    if (text != NULL) {
        *ret_len = size;
    }
    return text;
}

/* Is it read as the same again? */
static bool is_same(const json_t *value, const char *text, size_t len)
{
    json_t *again = json_loadb(text, len, JSON_DECODE_ANY, NULL);
    bool is_equal = json_equal(value, again) != 0;

    json_decref(again);
    return is_equal;
}

char *plugin_dump(const struct leased_host *host, const json_t *value, size_t *ret_len)
{
    size_t len = 0;
    char *text = NULL;

    for (int digits = DIGITS_LEAST; digits <= DIGITS_MOST; digits++) {
        text = dump(host, value, digits, &len);
        if (text == NULL || digits == DIGITS_MOST || is_same(value, text, len)) {
            break;
        }
        host->secret_free(text);
    }
    if (text != NULL) {
        *ret_len = len;
    }
    return text;
}
