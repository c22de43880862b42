/* What a token service says when it refuses, as a class and one line.
 *
 * Only known members of the body are shown, cut, without control bytes; and nothing at all of what
 * they say when they hold the secret that was sent: a service that echoes it must not put it into a
 * log. */
#include "oauth.h"

#include "answer.h"
#include "reply.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECRET_LEAST_BYTES 4U /* shorter ones stand in any text */

/* Microsoft says: go by `error`, not by the numbers; Google's status is as good. */
static const struct {
    const char *error;
    int32_t status;
} classes[] = {
    {"temporarily_unavailable", LEASED_RETRY}, {"server_error", LEASED_RETRY},
    {"internal_failure", LEASED_RETRY},        {"UNAVAILABLE", LEASED_RETRY},
    {"RESOURCE_EXHAUSTED", LEASED_RETRY},      {"invalid_client", LEASED_DENIED},
    {"invalid_grant", LEASED_DENIED},          {"unauthorized_client", LEASED_DENIED},
    {"access_denied", LEASED_DENIED},          {"PERMISSION_DENIED", LEASED_DENIED},
    {"UNAUTHENTICATED", LEASED_DENIED},        {"invalid_request", LEASED_INVALID},
    {"invalid_scope", LEASED_INVALID},         {"invalid_target", LEASED_INVALID},
    {"invalid_resource", LEASED_INVALID},      {"unsupported_grant_type", LEASED_INVALID},
    {"INVALID_ARGUMENT", LEASED_INVALID},      {"NOT_FOUND", LEASED_INVALID},
};

/* Without a word of the service's own, it was something on the way to it that answered. */
static int32_t class_of(uint32_t status, const char *error)
{
    if (status == 408 || status == 429 || status >= 500) {
        return LEASED_RETRY;
    }
    for (size_t i = 0; i < COUNT(classes); i++) {
        if (strcmp(error, classes[i].error) == 0) {
            return classes[i].status;
        }
    }
    if (status == 401 || status == 403) {
        return LEASED_DENIED;
    }
    return error[0] != '\0' ? LEASED_INVALID : LEASED_RETRY;
}

/* Does it hold the secret? A few bytes of one may be anything. */
static bool echoes(const json_t *text, struct leased_str secret)
{
    return secret.len >= SECRET_LEAST_BYTES && json_is_string(text) &&
           memmem(json_string_value(text), json_string_length(text), secret.ptr, secret.len) !=
               NULL;
}

/* Microsoft's number: in `error_codes`, and in the sentence. */
static int64_t code_of(const json_t *root, const char *said)
{
    const char *mark = strstr(said, "AADSTS");
    json_int_t code = json_integer_value(json_array_get(json_object_get(root, "error_codes"), 0));

    if (code <= 0 && mark != NULL) {
        code = strtoll(mark + strlen("AADSTS"), NULL, 10);
    }
    return code > 0 ? (int64_t)code : 0;
}

void plugin_oauth_refused(const struct leased_http_reply *http, const char *who,
                          struct leased_str secret, struct plugin_refusal *ret)
{
    const char *problem;
    json_t *root = plugin_reply_json(http, 0, &problem);
    const json_t *error = json_object_get(root, "error");
    const json_t *inner = json_is_object(error) ? error : NULL;
    const json_t *name = inner != NULL ? json_object_get(inner, "status") : error;
    const json_t *said = json_object_get(root, "error_description");
    const char *word = json_is_string(name) ? json_string_value(name) : "";
    struct plugin_said name_text = {""};
    struct plugin_said said_text = {""};

    if (said == NULL) {
        said = json_object_get(inner != NULL ? inner : root, "message");
    }
    if (!echoes(name, secret) && !echoes(said, secret)) {
        plugin_said_read(name, &name_text);
        plugin_said_read(said, &said_text);
    }
    *ret = (struct plugin_refusal){.status = class_of(http->status, word),
                                   .code = code_of(root, said_text.bytes)};
    json_decref(root);
    if (ret->status == LEASED_RETRY) {
        ret->retry_after_ms = plugin_retry_after_ms(http);
        ret->status = ret->retry_after_ms > 0 ? LEASED_RETRY_AFTER : LEASED_RETRY;
    }
    plugin_text_set(&ret->detail, "%.100s answered with HTTP status %" PRIu32 "%s%s%s%s", who,
                    http->status, name_text.bytes[0] != '\0' ? ": " : "", name_text.bytes,
                    said_text.bytes[0] != '\0' ? ": " : "", said_text.bytes);
}

void plugin_oauth_fail(struct plugin_work *work, const struct plugin_refusal *refusal)
{
    struct plugin_text detail = refusal->detail;

    plugin_work_fail_by(work, refusal->status, refusal->retry_after_ms, detail.bytes);
}
