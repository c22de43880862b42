/* Reads nothing but headers and single texts: what an answer means is its plugin's. */
#include "answer.h"

#include "reply.h"
#include "when.h"

#include <string.h>

#define RETRY_AFTER_MAX_S 3600
#define RETRY_AFTER_DIGITS_MAX 6U

/* The length of at most PLUGIN_SAID_MAX_BYTES that doesn't end inside a UTF-8 sequence. */
static size_t cut(const char *text, size_t len)
{
    if (len > PLUGIN_SAID_MAX_BYTES) {
        len = PLUGIN_SAID_MAX_BYTES;
        while (len > 0 && ((unsigned char)text[len] & 0xc0U) == 0x80U) {
            len--;
        }
    }
    return len;
}

void plugin_said_read(const json_t *value, struct plugin_said *ret_said)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    size_t len = cut(text, strlen(text));

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        ret_said->bytes[i] = c < 0x20 || c == 0x7f ? ' ' : text[i];
    }
    ret_said->bytes[len] = '\0';
}

static int64_t retry_after_s(const struct leased_http_reply *reply)
{
    struct leased_str after = plugin_header(reply, "retry-after");
    int64_t then_s = plugin_when_http(after);
    int64_t now_s = plugin_when_http(plugin_header(reply, "date"));
    int64_t seconds = 0;

    if (then_s >= 0) {
        return now_s >= 0 ? then_s - now_s : 0;
    }
    for (size_t i = 0; i < after.len; i++) {
        if (after.ptr[i] < '0' || after.ptr[i] > '9' || after.len > RETRY_AFTER_DIGITS_MAX) {
            return 0;
        }
        seconds = seconds * 10 + (after.ptr[i] - '0');
    }
    return seconds;
}

uint64_t plugin_retry_after_ms(const struct leased_http_reply *reply)
{
    int64_t seconds = retry_after_s(reply);

    if (seconds <= 0) {
        return 0;
    }
    return (uint64_t)(seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000U;
}

int64_t plugin_answer_clock_s(const struct plugin_works *works,
                              const struct leased_http_reply *reply)
{
    int64_t date_s = plugin_when_http(plugin_header(reply, "date"));

    return date_s >= 0 ? date_s : works->host->wall_ms(works->context) / 1000;
}

uint64_t plugin_life_ms(const struct plugin_works *works, const struct leased_http_reply *reply,
                        int64_t end_s, int64_t most_s)
{
    int64_t now_s = plugin_answer_clock_s(works, reply);

    if (end_s <= now_s) {
        return 0;
    }
    return (uint64_t)(end_s - now_s < most_s ? end_s - now_s : most_s) * 1000U;
}
