/* One table of statuses. A 4xx without a message is a page of something in between: whatever it is,
 * it refuses nothing for good. */
#include "explain.h"

#include "common/answer.h"
#include "common/reply.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LIMITED_MS 60000U /* where GitHub names no moment it asks for a minute at least */
#define LIMITED_MAX_S 3600
#define TIMED_OUT 408U /* something in between gave up waiting for the answer */

static const struct {
    uint32_t status;
    int32_t class;
    const char *advice;
} meanings[] = {
    {301, LEASED_INVALID, "it was renamed or moved: `owner` must say what it is called now"},
    {401, LEASED_DENIED, "is the private key one of this app_id's app?"},
    {403, LEASED_DENIED, "the app or its installation may not do this"},
    {404, LEASED_INVALID, "is the app installed there, and is the address that of GitHub's API?"},
    {422, LEASED_INVALID, "a token can't have more than its installation has"},
    {503, LEASED_RETRY, "it can't serve now"},
};

static void read_message(const struct leased_http_reply *reply, struct plugin_said *ret_said)
{
    const char *problem;
    json_t *root = plugin_reply_json(reply, 0, &problem);

    plugin_said_read(json_object_get(root, "message"), ret_said);
    json_decref(root);
}

bool github_is_word(const struct leased_http_reply *reply)
{
    struct plugin_said said;

    read_message(reply, &said);
    return said.bytes[0] != '\0';
}

/* --- limits ----------------------------------------------------------------------------------- */

/* From now to x-ratelimit-reset (unix seconds by GitHub's clock); 0: it isn't there, or past. */
static uint64_t until_reset_ms(const struct plugin_works *works,
                               const struct leased_http_reply *reply)
{
    struct leased_str reset = plugin_header(reply, "x-ratelimit-reset");
    int64_t reset_s = 0;

    if (reset.len > 12) {
        return 0;
    }
    for (size_t i = 0; i < reset.len; i++) {
        if (reset.ptr[i] < '0' || reset.ptr[i] > '9') {
            return 0;
        }
        reset_s = reset_s * 10 + (reset.ptr[i] - '0');
    }
    return plugin_life_ms(works, reply, reset_s, LIMITED_MAX_S);
}

/* 0: it isn't about too many requests. */
static uint64_t limited_ms(const struct plugin_works *works, const struct leased_http_reply *reply,
                           const struct plugin_said *said)
{
    bool is_used_up = plugin_str_eq(plugin_header(reply, "x-ratelimit-remaining"), "0");
    uint64_t wait_ms = plugin_retry_after_ms(reply);

    if (reply->status != 429 &&
        (reply->status != 403 ||
         !(wait_ms > 0 || is_used_up || plugin_str_has(plugin_str(said->bytes), "rate limit")))) {
        return 0;
    }
    if (wait_ms == 0 && is_used_up) {
        wait_ms = until_reset_ms(works, reply);
    }
    return wait_ms > 0 ? wait_ms : LIMITED_MS;
}

/* --- the rest --------------------------------------------------------------------------------- */

static int32_t class_of(uint32_t status, bool creates, const char **ret_advice)
{
    for (size_t i = 0; i < COUNT(meanings); i++) {
        if (meanings[i].status == status) {
            *ret_advice = meanings[i].advice;
            return meanings[i].class;
        }
    }
    *ret_advice = "";
    if (status >= 400 && status < 500 && status != TIMED_OUT) {
        return LEASED_INVALID;
    }
    return creates ? LEASED_LOST : LEASED_RETRY;
}

void github_explain(struct github_work *work, const struct leased_http_reply *reply, bool creates)
{
    struct plugin_text detail;
    struct plugin_said said;
    const char *advice;
    int32_t class = class_of(reply->status, creates, &advice);
    uint64_t wait_ms;

    read_message(reply, &said);
    wait_ms = limited_ms(&work->github->works, reply, &said);
    if (wait_ms > 0) {
        class = LEASED_RETRY_AFTER;
        advice = "too many requests";
    } else if (said.bytes[0] == '\0' && reply->status >= 300 && reply->status < 500 &&
               reply->status != TIMED_OUT) {
        class = LEASED_RETRY;
        advice = "this isn't GitHub's answer but that of something in between";
    } else if (class == LEASED_RETRY) {
        wait_ms = plugin_retry_after_ms(reply);
    }
    plugin_text_set(&detail, "GitHub answered %u%s%s%s%s%s", reply->status,
                    said.bytes[0] != '\0' ? ": " : "", said.bytes, advice[0] != '\0' ? " (" : "",
                    advice, advice[0] != '\0' ? ")" : "");
    if (wait_ms > 0) {
        plugin_work_retry_after(&work->work, wait_ms, detail.bytes);
    } else {
        plugin_work_fail(&work->work, class, detail.bytes);
    }
}
