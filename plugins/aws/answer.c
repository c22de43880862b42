/* Whose word an answer is: AWS's errors are documents with a code. A refusal without one is a page
 * of something in between, and whatever it says is tried again. */
#include "answer.h"

#include "charset.h"
#include "common/reply.h"
#include "common/when.h"
#include "xml.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define RETRY_AFTER_MAX_MS UINT64_C(300000)
#define SECRET_PART_BYTES 16U

/* Codes with a class of their own; for others the status says it. */
static const struct {
    const char *code;
    int32_t class;
} classes[] = {
    {"Throttling", LEASED_RETRY},
    {"ThrottlingException", LEASED_RETRY},
    {"ThrottledException", LEASED_RETRY},
    {"RequestThrottledException", LEASED_RETRY},
    {"RequestThrottled", LEASED_RETRY},
    {"TooManyRequestsException", LEASED_RETRY},
    {"RequestLimitExceeded", LEASED_RETRY},
    {"SlowDown", LEASED_RETRY},
    {"PriorRequestNotComplete", LEASED_RETRY},
    {"LimitExceededException", LEASED_RETRY},
    {"BandwidthLimitExceeded", LEASED_RETRY},
    {"RequestTimeout", LEASED_RETRY},
    {"RequestTimeoutException", LEASED_RETRY},
    {"IDPCommunicationError", LEASED_RETRY},
    {"ConcurrentModification", LEASED_RETRY},
    {"InternalFailure", LEASED_RETRY},
    {"ServiceUnavailable", LEASED_RETRY},
    /* Whoever keeps the source fresh has yet to do so. */
    {"ExpiredToken", LEASED_RETRY},
    {"ExpiredTokenException", LEASED_RETRY},
    {"AccessDenied", LEASED_DENIED},
    {"AccessDeniedException", LEASED_DENIED},
    {"InvalidIdentityToken", LEASED_DENIED},
    {"InvalidClientTokenId", LEASED_DENIED},
    {"IncompleteSignature", LEASED_DENIED},
    {"MissingAuthenticationToken", LEASED_DENIED},
    {"LimitExceeded", LEASED_DENIED},
    {"UnmodifiableEntity", LEASED_DENIED},
};

static bool is_code(const struct aws_answer *answer, const char *code)
{
    return strcmp(answer->code, code) == 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Milliseconds in AWS's own header, seconds in HTTP's. */
static uint64_t retry_after_ms(const struct leased_http_reply *reply)
{
    const struct {
        const char *header;
        uint64_t unit_ms;
    } places[] = {{"x-amz-retry-after", 1}, {"retry-after", 1000}};

    for (size_t i = 0; i < COUNT(places); i++) {
        struct leased_str text = plugin_header(reply, places[i].header);
        uint64_t value = 0;

        if (text.len == 0 || text.len > 9 || !aws_text_is_of(text, AWS_DIGITS)) {
            continue;
        }
        for (size_t j = 0; j < text.len; j++) {
            value = value * 10 + (uint64_t)(text.ptr[j] - '0');
        }
        value *= places[i].unit_ms;
        return value < RETRY_AFTER_MAX_MS ? value : RETRY_AFTER_MAX_MS;
    }
    return 0;
}

/* The decoded text's first line. */
static void read_line(struct leased_str raw, char *out, size_t out_size)
{
    char text[1024];
    struct leased_str part = {raw.ptr, raw.len < sizeof(text) ? raw.len : sizeof(text) - 1};
    int64_t len = aws_xml_text(part, text);

    /* An entity that is cut in two, a letter beyond ASCII: as it came, then. */
    aws_text_line(len >= 0 ? (struct leased_str){text, (size_t)len} : part, out, out_size);
}

/* An error that repeats what nobody may see says its code alone. Any part of it counts: the line
 * may have been cut, or begin in the middle. */
static void hide(struct aws_answer *answer, struct leased_str secret)
{
    size_t len = strlen(answer->message);
    size_t part = secret.len < SECRET_PART_BYTES ? secret.len : SECRET_PART_BYTES;

    for (size_t at = 0; part > 0 && at + part <= len; at++) {
        if (memmem(secret.ptr, secret.len, answer->message + at, part) != NULL) {
            answer->message[0] = '\0';
            return;
        }
    }
}

void aws_answer_read(const struct leased_http_reply *reply, struct leased_str secret,
                     struct aws_answer *ret_answer)
{
    /* The second form is that of older services, and of moto. */
    struct aws_xml_want wants[] = {{.path = "ErrorResponse/Error/Code"},
                                   {.path = "ErrorResponse/Error/Message"},
                                   {.path = "ErrorResponse/Errors/Error/Code"},
                                   {.path = "ErrorResponse/Errors/Error/Message"}};
    const struct aws_xml_want *found = wants;
    struct aws_answer answer = {.status = reply->status,
                                .date_s = plugin_when_http(plugin_header(reply, "date")),
                                .retry_after_ms = retry_after_ms(reply),
                                .body = reply->body};

    if (!aws_answer_is_ok(&answer) && aws_xml_read(reply->body, wants, COUNT(wants)) == 0) {
        found += wants[0].is_found ? 0 : 2;
        if (aws_text_fits(found[0].raw, AWS_WORD ".", 1, sizeof(answer.code) - 1)) {
            memcpy(answer.code, found[0].raw.ptr, found[0].raw.len);
            read_line(found[1].raw, answer.message, sizeof(answer.message));
            hide(&answer, secret);
        }
    }
    *ret_answer = answer;
}

bool aws_answer_text(const struct aws_answer *answer, const char *path, char *out, size_t out_size)
{
    struct aws_xml_want want = {.path = path};

    return aws_xml_read(answer->body, &want, 1) == 0 && want.is_found && want.raw.len < out_size &&
           aws_xml_text(want.raw, out) >= 0;
}

/* --- what it means ---------------------------------------------------------------------------- */

bool aws_answer_is_ok(const struct aws_answer *answer)
{
    return answer->status == 200;
}

bool aws_answer_is_refusal(const struct aws_answer *answer)
{
    return answer->code[0] != '\0' && answer->status < 500;
}

bool aws_answer_is_expired(const struct aws_answer *answer)
{
    return is_code(answer, "ExpiredToken") || is_code(answer, "ExpiredTokenException");
}

bool aws_answer_is_unknown(const struct aws_answer *answer)
{
    return is_code(answer, "InvalidClientTokenId");
}

bool aws_answer_may_be_skewed(const struct aws_answer *answer)
{
    static const char *const codes[] = {"SignatureDoesNotMatch", "InvalidSignatureException",
                                        "RequestExpired",        "RequestTimeTooSkewed",
                                        "RequestInTheFuture",    "AuthFailure"};

    for (size_t i = 0; i < COUNT(codes); i++) {
        if (is_code(answer, codes[i])) {
            return true;
        }
    }
    return false;
}

static int32_t class_of(const struct aws_answer *answer)
{
    for (size_t i = 0; i < COUNT(classes); i++) {
        if (is_code(answer, classes[i].code)) {
            return classes[i].class;
        }
    }
    if (answer->code[0] == '\0' || answer->status == 429 || answer->status >= 500) {
        return LEASED_RETRY;
    }
    return answer->status == 401 || answer->status == 403 ? LEASED_DENIED : LEASED_INVALID;
}

int32_t aws_answer_class(const struct aws_answer *answer)
{
    int32_t class = class_of(answer);

    return class == LEASED_RETRY && answer->retry_after_ms > 0 ? LEASED_RETRY_AFTER : class;
}

/* What to do, where AWS's own words don't say it. */
static const char *hint(const struct aws_answer *answer)
{
    if (aws_answer_is_expired(answer)) {
        return "; the source's credential has expired: whatever writes it has to renew it";
    }
    if (aws_answer_is_unknown(answer)) {
        return "; the source's access key is unknown there";
    }
    if (is_code(answer, "SignatureDoesNotMatch")) {
        return "; the source's secret access key is wrong, or a clock is";
    }
    return "";
}

void aws_answer_explain(const struct aws_answer *answer, const char *what, struct plugin_text *text)
{
    if (answer->code[0] == '\0') {
        plugin_text_set(text, "%s answered %u with what is no answer of AWS", what,
                        (unsigned)answer->status);
        return;
    }
    plugin_text_set(text, "%s was refused: %s%s%s%s", what, answer->code,
                    answer->message[0] != '\0' ? ": " : "", answer->message, hint(answer));
}

/* --- credentials ------------------------------------------------------------------------------ */

/* Decodes the three texts one after the other into `room`. */
static bool decode(const struct aws_xml_want *wants, char *room, struct leased_str *ret_texts)
{
    for (size_t i = 0; i < 4; i++) {
        int64_t len = wants[i].is_found ? aws_xml_text(wants[i].raw, room) : -1;

        if (len < 0) {
            return false;
        }
        ret_texts[i] = (struct leased_str){room, (size_t)len};
        room += len + 1;
    }
    return true;
}

struct aws_keys *aws_answer_keys(const struct leased_host *host, const struct aws_answer *answer,
                                 const char *action, const char **ret_problem)
{
    static const char *const names[] = {"AccessKeyId", "SecretAccessKey", "SessionToken",
                                        "Expiration"};
    char paths[COUNT(names)][128];
    struct aws_xml_want wants[COUNT(names)];
    struct leased_str texts[COUNT(names)];
    struct aws_keys_parts parts = {.is_role_session = strncmp(action, "AssumeRole", 10) == 0};
    struct aws_keys *keys = NULL;
    char *room;

    for (size_t i = 0; i < COUNT(names); i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "%sResponse/%sResult/Credentials/%s", action,
                       action, names[i]);
        wants[i] = (struct aws_xml_want){.path = paths[i]};
    }
    room = plugin_alloc(host, answer->body.len + COUNT(names));
    if (room == NULL) {
        *ret_problem = "out of memory";
        return NULL;
    }
    if (aws_xml_read(answer->body, wants, COUNT(wants)) != 0 || !decode(wants, room, texts)) {
        *ret_problem = "it holds no credentials";
    } else {
        parts.id = texts[0];
        parts.secret = texts[1];
        parts.token = texts[2];
        parts.expires_s = plugin_when_rfc3339(texts[3]);
        if (parts.expires_s <= 0 || parts.token.len == 0) {
            *ret_problem = "its credentials have no end, or no session token";
        } else {
            keys = aws_keys_new(host, &parts, ret_problem);
        }
    }
    host->secret_free(room);
    return keys;
}
