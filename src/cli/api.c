/* Calls of the native API.
 *
 * Happy path: one call, its answer. Failures: the daemon can't be reached or hangs up (exit 5), it
 * answers with a problem document (exit code by the problem's code), or with something that isn't
 * ours (exit 1). What is temporary is tried again while `--wait` allows, no sooner than Retry-After
 * says. */
#include "cli/api.h"

#include "base/units.h"
#include "cli/clock.h"

#include <jansson.h>
#include <string.h>

#define API_RETRY_FIRST_MS 500U
#define API_RETRY_MAX_MS 15000U
#define API_PATH_MAX_BYTES 4096U
#define API_PAGE "1000"
#define API_PAGES_MAX 10000

void api_reply_init(struct api_reply *reply)
{
    *reply = (struct api_reply){0};
    buf_init(&reply->body, CLIENT_ANSWER_MAX_BYTES);
}

void api_reply_fini(struct api_reply *reply)
{
    buf_fini(&reply->body);
}

static void api_add_encoded(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        char c = *text;
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';

        if (is_plain) {
            buf_add_char(out, c);
        } else {
            buf_printf(out, "%%%02X", (unsigned char)c);
        }
    }
}

void api_add_parameter(struct buf *path, const char *name, const char *value)
{
    struct str so_far = buf_str(path);

    if (value != NULL) {
        bool is_first = so_far.len == 0 || memchr(so_far.ptr, '?', so_far.len) == NULL;

        buf_printf(path, "%c%s=", is_first ? '?' : '&', name);
        api_add_encoded(path, value);
    }
}

void api_add_segment(struct buf *path, const char *segment)
{
    buf_add_char(path, '/');
    api_add_encoded(path, segment);
}

int api_retry_ms(struct cli *cli, uint64_t *ret_ms)
{
    struct err e = {0};

    if (options_get_duration(&cli->options, OPTION_WAIT, 0, ret_ms, &e) != 0) {
        return cli_usage_error(cli, "%s", e.text);
    }
    return CLI_OK;
}

static const struct {
    const char *code;
    enum cli_exit exit;
} api_codes[] = {
    {"denied", CLI_DENIED},
    {"limit_exceeded", CLI_DENIED},
    {"reason_required", CLI_DENIED},
    {"blocked", CLI_DENIED},
    {"approval_pending", CLI_PENDING},
    {"unknown_role", CLI_NOT_FOUND},
    {"not_found", CLI_NOT_FOUND},
    {"issuer_unavailable", CLI_TEMPORARY},
    {"busy", CLI_TEMPORARY},
    {"degraded", CLI_TEMPORARY},
};

int api_exit_code(uint32_t status, const char *code)
{
    size_t i;

    if (status >= 200 && status < 300) {
        return CLI_OK;
    }
    /* 429 also carries limit_exceeded: a budget that fills up again, where trying later helps. */
    if (status == 429) {
        return CLI_TEMPORARY;
    }
    for (i = 0; i < ARRAY_LEN(api_codes); i++) {
        if (strcmp(code, api_codes[i].code) == 0) {
            return (int)api_codes[i].exit;
        }
    }
    switch (status) {
    case 401:
    case 403:
        return CLI_DENIED;
    case 404:
        return CLI_NOT_FOUND;
    case 502:
    case 503:
    case 504:
        return CLI_TEMPORARY;
    default:
        return CLI_FAILED;
    }
}

/* One try, and what it came to. */
struct api_try {
    int exit_code;
    uint64_t retry_after_ms;
    struct buf message; /* why */
    struct buf errors;  /* several, one a line, or empty */
    struct buf hint;    /* what to do, or empty */
};

static const char *api_text(const json_t *problem, const char *key)
{
    const char *text = json_string_value(json_object_get(problem, key));

    return text != NULL ? text : "";
}

static void api_read_problem(struct api_try *try, const struct client_reply *reply)
{
    struct str text = buf_str(&reply->body);
    json_t *problem = json_loadb(text.ptr, text.len, 0, NULL);
    const char *code = api_text(problem, "code");
    const char *detail = api_text(problem, "detail");
    const char *rule = api_text(problem, "rule");
    const char *limit = api_text(problem, "limit");
    const char *hint = api_text(problem, "hint");
    const json_t *error;
    size_t i;

    try->exit_code = api_exit_code(reply->status, code);
    try->retry_after_ms = reply->retry_after_ms;
    if (reply->status == 431) {
        buf_add_c(&try->message, "the request's head is larger than leased takes");
        hint = "the job token may be too long for limits.request_head of leased's configuration";
    } else if (code[0] == '\0') {
        /* Health checks answer with a line of text. */
        struct str line = str_trim(str_cut(&text, '\n'));

        buf_printf(&try->message, "leased answered with HTTP status %u%s%.*s", reply->status,
                   line.len > 0 ? ": " : "", (int)(line.len < 200 ? line.len : 200), line.ptr);
    } else {
        buf_printf(&try->message, "%s%s%s", code, detail[0] != '\0' ? ": " : "", detail);
    }
    json_array_foreach (json_object_get(problem, "errors"), i, error) {
        buf_printf(&try->errors, "%s\n", json_is_string(error) ? json_string_value(error) : "");
    }
    if (rule[0] != '\0') {
        buf_printf(&try->message, " (rule %s)", rule);
    }
    if (limit[0] != '\0') {
        buf_printf(&try->message, " (limit %s)", limit);
    }
    buf_add_c(&try->hint, hint);
    json_decref(problem);
}

static int api_status_exit(int status)
{
    return status == ERR_CONNECT || status == ERR_LOST ? CLI_UNREACHABLE
           : status == ERR_TIMEOUT                     ? CLI_TEMPORARY
                                                       : CLI_FAILED;
}

static void api_try_once(struct cli *cli, const struct api_request *request,
                         struct client_reply *reply, struct api_try *try)
{
    uint64_t timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : API_TIMEOUT_MS;
    struct client_request call = {.method = request->method,
                                  .path = request->path,
                                  .body = request->body,
                                  .grant = request->grant,
                                  .timeout_ms = timeout_ms + request->server_wait_ms};
    struct err e = {0};
    int status = client_call(&cli->client, &call, reply, &e);

    buf_reset(&try->message);
    buf_reset(&try->errors);
    buf_reset(&try->hint);
    try->retry_after_ms = 0;
    if (status == 0) {
        if (reply->status >= 200 && reply->status < 300) {
            try->exit_code = CLI_OK;
        } else {
            api_read_problem(try, reply);
        }
        return;
    }
    buf_add_c(&try->message, e.text);
    try->exit_code = api_status_exit(status);
}

static bool api_is_worth_retrying(int exit_code)
{
    return exit_code == CLI_TEMPORARY || exit_code == CLI_UNREACHABLE;
}

/* Waits before the next try; false when the time is up. */
static bool api_pause(struct cli *cli, const struct api_request *request, const struct api_try *try,
                      uint64_t deadline_ms, unsigned tries)
{
    uint64_t now_ms = clock_now_ms();
    uint64_t pause_ms = API_RETRY_FIRST_MS << (tries < 5 ? tries : 5);
    char left[UNITS_DURATION_MAX_BYTES];

    if (pause_ms > API_RETRY_MAX_MS) {
        pause_ms = API_RETRY_MAX_MS;
    }
    if (try->retry_after_ms > 0) {
        pause_ms = try->retry_after_ms;
    }
    if (now_ms + pause_ms > deadline_ms) {
        return false;
    }
    if (tries == 0 && request->retry_ms == API_FOR_EVER_MS) {
        cli_message(cli, "could not %s yet: %.*s; trying again until then", request->action,
                    STR_ARG(buf_str(&try->message)));
    } else if (tries == 0) {
        (void)units_format_duration((deadline_ms - now_ms + 999) / 1000 * 1000, left);
        cli_message(cli, "could not %s yet: %.*s; trying again for up to %s", request->action,
                    STR_ARG(buf_str(&try->message)), left);
    }
    clock_sleep_ms(pause_ms);
    return true;
}

static void api_try_init(struct api_try *try)
{
    *try = (struct api_try){.exit_code = CLI_OK};
    buf_init(&try->message, CLIENT_ANSWER_MAX_BYTES);
    buf_init(&try->errors, CLIENT_ANSWER_MAX_BYTES);
    buf_init(&try->hint, CLIENT_ANSWER_MAX_BYTES);
}

static void api_try_fini(struct api_try *try)
{
    buf_fini(&try->message);
    buf_fini(&try->errors);
    buf_fini(&try->hint);
}

/* Says why it has failed. */
static void api_complain(struct cli *cli, const struct api_request *request,
                         const struct api_try *try)
{
    struct str errors = buf_str(&try->errors);
    char duration[UNITS_DURATION_MAX_BYTES];

    cli_message(cli, "could not %s: %.*s", request->action, STR_ARG(buf_str(&try->message)));
    while (errors.len > 0) {
        struct str line = str_cut(&errors, '\n');

        cli_message(cli, "%.*s", STR_ARG(line));
    }
    if (try->hint.len > 0) {
        cli_message(cli, "hint: %.*s", STR_ARG(buf_str(&try->hint)));
    }
    if (try->retry_after_ms > 0) {
        cli_message(cli, "worth another try in %s",
                    units_format_duration(try->retry_after_ms, duration));
    }
}

int api_call(struct cli *cli, const struct api_request *request, struct api_reply *reply)
{
    uint64_t deadline_ms = clock_now_ms() + request->retry_ms;
    struct client_reply answer;
    struct api_try try;
    unsigned tries = 0;

    client_reply_init(&answer);
    api_try_init(&try);
    api_try_once(cli, request, &answer, &try);
    while (api_is_worth_retrying(try.exit_code) && request->retry_ms > 0 &&
           api_pause(cli, request, &try, deadline_ms, tries)) {
        tries++;
        api_try_once(cli, request, &answer, &try);
    }
    if (try.exit_code != CLI_OK && !(try.exit_code == CLI_NOT_FOUND && request->is_quiet_if_gone) &&
        !(try.exit_code == CLI_PENDING && request->is_quiet_if_pending)) {
        api_complain(cli, request, &try);
    }
    reply->status = answer.status;
    buf_fini(&reply->body);
    reply->body = answer.body;
    api_try_fini(&try);
    return try.exit_code;
}

int api_stream(struct cli *cli, const struct api_request *request,
               const struct client_stream *stream, bool *ret_is_over)
{
    struct client_request call = {.method = request->method,
                                  .path = request->path,
                                  .body = request->body};
    struct client_reply answer;
    struct api_try try;
    struct err e = {0};
    int status;

    client_reply_init(&answer);
    api_try_init(&try);
    status = client_stream(&cli->client, &call, stream, &answer, &e);
    *ret_is_over = status == ERR_CANCELED;
    if (status == 0 && answer.status != 200) {
        api_read_problem(&try, &answer);
    } else if (status != 0 && !*ret_is_over) {
        buf_add_c(&try.message, e.text);
        try.exit_code = api_status_exit(status);
    }
    if (try.exit_code != CLI_OK && !(request->is_quiet && api_is_worth_retrying(try.exit_code))) {
        api_complain(cli, request, &try);
    }
    client_reply_fini(&answer);
    api_try_fini(&try);
    return try.exit_code;
}

int api_call_json(struct cli *cli, const struct api_request *request, uint32_t *ret_status,
                  struct json_t **ret_document)
{
    struct api_reply reply;
    json_t *document;
    int exit_code;

    api_reply_init(&reply);
    exit_code = api_call(cli, request, &reply);
    if (exit_code == CLI_OK) {
        document = json_loadb(buf_str(&reply.body).ptr, buf_str(&reply.body).len,
                              JSON_REJECT_DUPLICATES, NULL);
        if (json_is_object(document)) {
            *ret_document = document;
            if (ret_status != NULL) {
                *ret_status = reply.status;
            }
        } else {
            json_decref(document);
            cli_message(cli, "could not %s: the answer is no JSON object", request->action);
            exit_code = CLI_FAILED;
        }
    }
    api_reply_fini(&reply);
    return exit_code;
}

/* Appends one page to `items`; *cursor (owned by the caller) becomes the next page's, or NULL. */
static int fetch_page(struct cli *cli, const char *list, json_t *items, json_t **cursor)
{
    struct api_request request = {.method = "GET", .action = "list"};
    json_t *page = NULL;
    BUF_AUTO path;
    int exit_code;

    buf_init(&path, API_PATH_MAX_BYTES);
    buf_add_c(&path, list);
    api_add_parameter(&path, "limit", API_PAGE);
    api_add_parameter(&path, "cursor", json_string_value(*cursor));
    json_decref(*cursor);
    *cursor = NULL;
    request.path = buf_str(&path).ptr;
    exit_code = api_call_json(cli, &request, NULL, &page);
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (json_array_extend(items, json_object_get(page, "items")) != 0) {
        cli_message(cli, "could not list: the answer is no list");
        exit_code = CLI_FAILED;
    } else if (json_is_string(json_object_get(page, "next"))) {
        *cursor = json_incref(json_object_get(page, "next"));
    }
    json_decref(page);
    return exit_code;
}

int api_list(struct cli *cli, const char *path, json_t *items)
{
    json_t *cursor = NULL;
    int exit_code = CLI_OK;
    int pages = 0;

    do {
        exit_code = fetch_page(cli, path, items, &cursor);
    } while (exit_code == CLI_OK && cursor != NULL && ++pages < API_PAGES_MAX);
    json_decref(cursor);
    return exit_code;
}
