/* What Status objects mean. A 4xx without one is a page of something in between: whatever it is, it
 * refuses nothing for good. */
#include "server.h"

#include "common/answer.h"
#include "common/reply.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LIMITED_MS 1000U

static const struct {
    uint32_t status;
    int32_t class;
    const char *advice;
} meanings[] = {
    {401, LEASED_DENIED, "it doesn't accept leased's own token or certificate"},
    {403, LEASED_DENIED, "no role of leased's own account allows it"},
    {404, LEASED_INVALID, "are the namespace, the service account and the bound object there?"},
};

struct status {
    struct plugin_said reason;
    struct plugin_said message;
    bool is_status; /* it is a Status object */
};

static void read_status(const struct leased_http_reply *reply, struct status *ret_status)
{
    const char *problem;
    json_t *root = plugin_reply_json(reply, 0, &problem);
    const char *kind = json_string_value(json_object_get(root, "kind"));

    ret_status->is_status = kind != NULL && strcmp(kind, "Status") == 0;
    plugin_said_read(json_object_get(root, "reason"), &ret_status->reason);
    plugin_said_read(json_object_get(root, "message"), &ret_status->message);
    json_decref(root);
}

bool kubernetes_is_word(const struct leased_http_reply *reply)
{
    struct status status;

    read_status(reply, &status);
    return status.is_status;
}

static int32_t class_of(uint32_t status, bool creates, const char **ret_advice)
{
    for (size_t i = 0; i < COUNT(meanings); i++) {
        if (meanings[i].status == status) {
            *ret_advice = meanings[i].advice;
            return meanings[i].class;
        }
    }
    *ret_advice = "";
    if (status >= 300 && status < 500) {
        return LEASED_INVALID;
    }
    return creates ? LEASED_LOST : LEASED_RETRY;
}

void kubernetes_explain(struct kubernetes_work *work, const struct leased_http_reply *reply,
                        bool creates)
{
    struct plugin_text detail;
    struct status said;
    const char *advice;
    int32_t class = class_of(reply->status, creates, &advice);
    uint64_t wait_ms = class == LEASED_RETRY ? plugin_retry_after_ms(reply) : 0;

    read_status(reply, &said);
    if (reply->status == 429) {
        wait_ms = plugin_retry_after_ms(reply);
        wait_ms = wait_ms > 0 ? wait_ms : LIMITED_MS;
        advice = "too many requests";
    } else if (!said.is_status && reply->status >= 300 && reply->status < 500) {
        class = LEASED_RETRY;
        advice = "this isn't the API server's answer but that of something in between";
    }
    plugin_text_set(&detail, "the API server answered %u%s%.40s%s%s%s%s%s", reply->status,
                    said.reason.bytes[0] != '\0' ? " " : "", said.reason.bytes,
                    said.message.bytes[0] != '\0' ? ": " : "", said.message.bytes,
                    advice[0] != '\0' ? " (" : "", advice, advice[0] != '\0' ? ")" : "");
    kubernetes_fail(work, wait_ms > 0 ? LEASED_RETRY_AFTER : class, wait_ms, detail.bytes);
}
