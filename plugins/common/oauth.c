/* Happy path: plugin_oauth_send → the answer → plugin_oauth_token → plugin_oauth_end.
 *
 * An answer that can't be used (no JSON, no token, no end, an end in the past) is told apart from a
 * refusal: somebody else may have answered, a proxy or a portal. */
#include "oauth.h"

#include "answer.h"
#include "base64.h"
#include "reply.h"
#include "when.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LIFE_MAX_S INT64_C(172800) /* two days: nothing here lives longer */
#define TOKEN_MAX_BYTES (32U * 1024U)
#define SKEW_LEAST_S 30
#define S_MS 1000

/* --- requests --------------------------------------------------------------------------------- */

int plugin_oauth_send(struct plugin_work *work, const struct plugin_oauth_request *request,
                      plugin_replied_fn replied)
{
    struct leased_http_header headers[4];
    struct leased_http_request http = {.size = sizeof(http),
                                       .flags = request->is_metadata ? LEASED_HTTP_METADATA : 0,
                                       .method = plugin_str(request->method),
                                       .path = request->path,
                                       .headers = headers,
                                       .body = request->body,
                                       .address = plugin_str(request->address)};
    const struct leased_http_header wanted[] = {
        {PLUGIN_STR("content-type"), plugin_str(request->content_type)},
        {PLUGIN_STR("accept"), PLUGIN_STR("application/json")},
        request->header,
        request->other,
    };

    for (size_t i = 0; i < COUNT(wanted); i++) {
        if (wanted[i].name.len > 0 && wanted[i].value.len > 0) {
            headers[http.header_count++] = wanted[i];
        }
    }
    return plugin_work_send(work, &http, replied);
}

/* --- answers ---------------------------------------------------------------------------------- */

static bool is_token(struct leased_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return text.len > 0 && text.len <= TOKEN_MAX_BYTES;
}

/* A number that may be written as a text; -1: it is neither, 0: it isn't there. Parts are cut off.
 */
static int64_t number_of(const json_t *value)
{
    const char *text = json_string_value(value);
    double real = json_number_value(value);
    int64_t number = 0;

    if (value == NULL || json_is_null(value)) {
        return 0;
    }
    if (json_is_number(value)) {
        return real > 0 && real < 1e12 ? (int64_t)real : -1;
    }
    if (text == NULL || *text == '\0' || strlen(text) > 12) {
        return -1;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return -1;
        }
        number = number * 10 + (*text - '0');
    }
    return number > 0 ? number : -1;
}

/* The `exp` of a JWT that isn't ours to verify; -1: it has none. */
static int64_t jwt_end_s(const struct plugin_work *work, struct leased_str jwt)
{
    const struct leased_host *host = work->works->host;
    const char *first = memchr(jwt.ptr, '.', jwt.len);
    const char *begin = first != NULL ? first + 1 : jwt.ptr + jwt.len;
    size_t rest = jwt.len - (size_t)(begin - jwt.ptr);
    const char *end = rest > 0 ? memchr(begin, '.', rest) : NULL;
    const struct leased_str part = {begin, end != NULL ? (size_t)(end - begin) : 0};
    char *claims = plugin_alloc(host, part.len + 1);
    int64_t len = claims != NULL ? plugin_base64_decode(part, claims, part.len) : -1;
    int64_t exp_s = -1;

    if (len > 0) {
        const struct leased_http_reply read = {.size = sizeof(read), .body = {claims, (size_t)len}};
        const char *problem;
        json_t *root = plugin_reply_json(&read, 0, &problem);

        exp_s = number_of(json_object_get(root, "exp"));
        json_decref(root);
    }
    host->secret_free(claims);
    return exp_s > 0 ? exp_s : -1;
}

/* Of the ends that an answer gives the earliest, as unix time; 0: it gives none, -1: one of them
 * can't be read. */
static int64_t end_of(const json_t *root, int64_t now_s)
{
    const json_t *text = json_object_get(root, "expireTime");
    int64_t life_s = number_of(json_object_get(root, "expires_in"));
    const int64_t ends_s[] = {
        life_s > 0 ? now_s + life_s : life_s, number_of(json_object_get(root, "expires_on")),
        text != NULL
            ? plugin_when_rfc3339(plugin_str(json_is_string(text) ? json_string_value(text) : ""))
            : 0};
    int64_t first_s = 0;

    for (size_t i = 0; i < COUNT(ends_s); i++) {
        if (ends_s[i] < 0) {
            return -1;
        }
        if (ends_s[i] > 0 && (first_s == 0 || ends_s[i] < first_s)) {
            first_s = ends_s[i];
        }
    }
    return first_s;
}

/* `end_s` as end_of gives it. */
static const char *take(struct plugin_work *work, int64_t now_s, int64_t end_s,
                        struct plugin_token *token)
{
    if (!is_token(token->text)) {
        return "it holds no token";
    }
    if (end_s == 0) {
        end_s = jwt_end_s(work, token->text);
    }
    if (end_s < 0) {
        return "it doesn't say when the token ends";
    }
    if (end_s <= now_s) {
        return "its token has ended already";
    }
    token->life_s = end_s - now_s < LIFE_MAX_S ? end_s - now_s : LIFE_MAX_S;
    token->ends_s = now_s + token->life_s;
    return NULL;
}

const char *plugin_oauth_token(struct plugin_work *work, const struct leased_http_reply *http,
                               const char *key, struct plugin_token *ret_token)
{
    int64_t now_s = plugin_answer_clock_s(work->works, http);
    const char *problem = NULL;
    json_t *root = plugin_reply_json(http, 0, &problem);
    json_t *text = json_object_get(root, key);
    json_t *type = json_object_get(root, "token_type");
    struct plugin_token token = {.root = root};

    if (root == NULL) {
        return problem;
    }
    token.text = (struct leased_str){json_string_value(text), json_string_length(text)};
    if (type != NULL && !plugin_str_is(plugin_str(json_string_value(type)), "bearer")) {
        problem = "its token is of another type than Bearer";
    } else {
        problem = take(work, now_s, end_of(root, now_s), &token);
    }
    if (problem == NULL) {
        *ret_token = token;
    } else {
        plugin_token_fini(&token);
    }
    return problem;
}

const char *plugin_oauth_bare_token(struct plugin_work *work, const struct leased_http_reply *http,
                                    struct plugin_token *ret_token)
{
    struct plugin_token token = {.text = http->body};
    const char *problem;

    while (token.text.len > 0 && token.text.ptr[token.text.len - 1] == '\n') {
        token.text.len--;
    }
    problem = take(work, plugin_answer_clock_s(work->works, http), 0, &token);
    if (problem == NULL) {
        *ret_token = token;
    }
    return problem;
}

void plugin_token_fini(struct plugin_token *token)
{
    json_decref(token->root);
    *token = (struct plugin_token){0};
}

void plugin_oauth_end(struct plugin_work *work, const char *name, const struct plugin_token *token,
                      const struct leased_kv *more)
{
    char ends[24];
    struct leased_kv fields[4] = {
        {.key = plugin_str(name), .value = token->text, .flags = LEASED_KV_SECRET}};
    struct leased_result result = {.size = sizeof(result),
                                   .lifetime_ms = (uint64_t)token->life_s * S_MS,
                                   .fields = fields,
                                   .field_count = 1,
                                   .asked_ms = work->sent_ms};

    (void)snprintf(ends, sizeof(ends), "%" PRId64, token->ends_s);
    if (strcmp(name, "access_token") == 0) {
        fields[result.field_count++] =
            (struct leased_kv){.key = PLUGIN_STR("token_type"), .value = PLUGIN_STR("Bearer")};
    }
    if (more->key.len > 0) {
        fields[result.field_count++] = *more;
    }
    fields[result.field_count++] =
        (struct leased_kv){.key = PLUGIN_STR("expires_on"), .value = plugin_str(ends)};
    plugin_work_end(work, LEASED_OK, &result);
}

/* --- clocks ----------------------------------------------------------------------------------- */

bool plugin_oauth_corrects_clock(const struct plugin_work *work,
                                 const struct leased_http_reply *http, int64_t *skew_s)
{
    const struct plugin_works *works = work->works;
    int64_t date_s = plugin_when_http(plugin_header(http, "date"));
    int64_t behind_s = date_s - works->host->wall_ms(works->context) / S_MS;
    int64_t change_s = behind_s - *skew_s;

    if (date_s <= 0 || (change_s < SKEW_LEAST_S && change_s > -SKEW_LEAST_S)) {
        return false;
    }
    *skew_s = behind_s;
    return true;
}

/* --- secrets ---------------------------------------------------------------------------------- */

char *plugin_oauth_secret(const struct plugin_works *works, const struct plugin_source *source,
                          struct plugin_text *detail)
{
    struct leased_str why = {0};
    char *bytes = NULL;
    int64_t len = works->host->secret_read(works->context, plugin_str(source->text), &bytes, &why);

    if (len < 0) {
        plugin_text_set(detail, "%.*s", (int)why.len, why.len > 0 ? why.ptr : "");
        return NULL;
    }
    if (len == 0 || memchr(bytes, '\0', (size_t)len) != NULL) {
        plugin_text_set(detail, "%.300s is empty or holds a zero byte", source->text);
        works->host->secret_free(bytes);
        return NULL;
    }
    return bytes; /* the host puts a NUL behind it */
}

static int can_read(const struct plugin_works *works, const struct plugin_source *sources,
                    size_t count, struct plugin_text *detail)
{
    for (size_t i = 0; i < count; i++) {
        char *bytes;

        if (sources[i].text[0] == '\0') {
            continue;
        }
        bytes = plugin_oauth_secret(works, &sources[i], detail);
        if (bytes == NULL) {
            return -1;
        }
        works->host->secret_free(bytes);
    }
    return 0;
}

int32_t plugin_oauth_health(struct plugin_works *works, const struct plugin_source *sources,
                            size_t count, leased_op *op)
{
    struct plugin_work *work = plugin_work_new(works, sizeof(*work), op);
    struct plugin_text detail = {{0}};
    int32_t status = LEASED_OK;

    if (work == NULL) {
        return -LEASED_RETRY;
    }
    if (can_read(works, sources, count, &detail) != 0) {
        status = LEASED_RETRY;
    }
    return plugin_work_fail_soon(work, status, detail.bytes);
}
