/* `lease request`, `requests`, `approve`, `deny` and `withdraw`.
 *
 * A request that is waited for is asked about by its id, so that a daemon that restarts meanwhile
 * loses nothing: the next one knows it. */
#include "cli/requests.h"

#include "base/units.h"
#include "cli/api.h"
#include "cli/clock.h"
#include "cli/credential.h"
#include "cli/show.h"
#include "wire/json_out.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 4096U
#define ASK_AGAIN_MS 30000U /* while leased can't be reached */
#define SAY_AGAIN_MS 5000U  /* somebody else may be saying something to it just now */

static const struct show_column columns[] = {
    {"REQUEST", "id", SHOW_TEXT},          {"STATE", "state", SHOW_STATE},
    {"REVIEW", "review", SHOW_TEXT},       {"ROLE", "role", SHOW_TEXT},
    {"USER", "requester.user", SHOW_TEXT}, {"FOR", "for", SHOW_TEXT},
    {"REASON", "reason", SHOW_TEXT},       {"TICKET", "ticket", SHOW_TEXT},
    {"CREATED", "created_at", SHOW_TIME},  {"DECIDE", "decide_by", SHOW_TIME},
    {"USE", "use_by", SHOW_TIME},
};

static const char *text_of(const json_t *document, const char *key)
{
    const char *text = json_string_value(json_object_get(document, key));

    return text != NULL ? text : "";
}

/* --- asking --- */

static bool is_state(const json_t *document, const char *state)
{
    return strcmp(text_of(document, "state"), state) == 0;
}

static bool is_pending(const json_t *document)
{
    return is_state(document, "pending") || is_state(document, "approval_pending");
}

static int exit_of(const json_t *document)
{
    if (is_pending(document)) {
        return CLI_PENDING;
    }
    return is_state(document, "approved") || is_state(document, "used") ||
                   is_state(document, "not_needed")
               ? CLI_OK
               : CLI_DENIED;
}

/* Asks for it once; the request as it is then. */
static int ask(struct cli *cli, json_t **ret_document)
{
    struct api_request request = {.method = "POST",
                                  .path = API_ROOT "/requests",
                                  .action = "request an approval"};
    BUF_AUTO body;

    buf_init(&body, CREDENTIAL_QUESTION_MAX_BYTES);
    credential_add_question(cli, cli->options.args[0], NULL, false, &body);
    if (buf_status(&body) != 0) {
        return cli_usage_error(cli, "what is asked for is longer than %u bytes",
                               CREDENTIAL_QUESTION_MAX_BYTES);
    }
    request.body = buf_str(&body).ptr;
    return api_call_json(cli, &request, NULL, ret_document);
}

/* The request as it is when it has been decided, or after this long. */
static int look(struct cli *cli, const char *id, uint64_t wait_ms, json_t **ret_document)
{
    struct api_request request = {.method = "GET",
                                  .action = "wait for the decision",
                                  .server_wait_ms = wait_ms,
                                  .retry_ms = wait_ms < ASK_AGAIN_MS ? wait_ms : ASK_AGAIN_MS};
    char seconds[24];
    BUF_AUTO path;

    buf_init(&path, PATH_MAX_BYTES);
    buf_add_c(&path, API_ROOT "/requests");
    api_add_segment(&path, id);
    (void)snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)((wait_ms + 999) / 1000));
    api_add_parameter(&path, "wait", seconds);
    if (buf_status(&path) != 0) {
        return CLI_FAILED;
    }
    request.path = buf_str(&path).ptr;
    return api_call_json(cli, &request, NULL, ret_document);
}

/* *document: what was asked for; then what it has become. */
static int await(struct cli *cli, uint64_t wait_ms, json_t **document)
{
    uint64_t deadline_ms = wait_ms != UINT64_MAX ? clock_now_ms() + wait_ms : UINT64_MAX;
    uint64_t now_ms = clock_now_ms();
    char id[64];

    (void)snprintf(id, sizeof(id), "%s", text_of(*document, "id"));
    cli_message(cli, "the request %s waits for an approval", id);
    while (is_pending(*document) && now_ms < deadline_ms) {
        uint64_t left_ms = deadline_ms - now_ms;
        json_t *next = NULL;
        int exit_code =
            look(cli, id, left_ms < CREDENTIAL_WAIT_MAX_MS ? left_ms : CREDENTIAL_WAIT_MAX_MS,
                 &next);

        if (exit_code != CLI_OK) {
            return exit_code;
        }
        json_decref(*document);
        *document = next;
        now_ms = clock_now_ms();
    }
    return CLI_OK;
}

static int wait_of(struct cli *cli, uint64_t *ret_ms)
{
    const char *text = options_get(&cli->options, OPTION_DECISION);
    struct err e = {0};

    *ret_ms = 0;
    if (text == NULL) {
        return CLI_OK;
    }
    if (text[0] == '\0') {
        *ret_ms = UINT64_MAX;
        return CLI_OK;
    }
    return options_get_duration(&cli->options, OPTION_DECISION, 0, ret_ms, &e) == 0
               ? CLI_OK
               : cli_usage_error(cli, "%s", e.text);
}

static int tell(struct cli *cli, json_t *document)
{
    const char *why = text_of(document, "why");

    if (cli_wants_json(cli)) {
        return show_json(cli, document);
    }
    if (is_state(document, "not_needed")) {
        buf_printf(&cli->out, "%s needs no approval\n", text_of(document, "role"));
    } else {
        buf_printf(&cli->out, "%s %s%s%s\n", text_of(document, "id"),
                   is_pending(document) ? "pending" : text_of(document, "state"),
                   why[0] != '\0' ? ": " : "", why);
    }
    return CLI_OK;
}

int requests_run_request(struct cli *cli)
{
    json_t *document = NULL;
    uint64_t wait_ms;
    int told;
    int exit_code = wait_of(cli, &wait_ms);

    if (exit_code == CLI_OK) {
        exit_code = ask(cli, &document);
    }
    if (exit_code == CLI_OK && wait_ms > 0 && is_pending(document)) {
        exit_code = await(cli, wait_ms, &document);
    }
    if (exit_code == CLI_OK) {
        told = tell(cli, document);
        exit_code = told == CLI_OK ? exit_of(document) : told;
    }
    json_decref(document);
    return exit_code;
}

/* --- looking --- */

/* For the table: for how long as people say it, and no time that doesn't matter any more. */
static void times_flatten(json_t *items)
{
    char text[UNITS_DURATION_MAX_BYTES];
    json_t *item;
    size_t i;

    json_array_foreach (items, i, item) {
        const json_t *duration = json_object_get(item, "duration");

        if (json_is_integer(duration) && json_integer_value(duration) > 0) {
            uint64_t ms = (uint64_t)json_integer_value(duration) * 1000;

            (void)json_object_set_new(item, "for", json_string(units_format_duration(ms, text)));
        }
        if (!is_pending(item)) {
            (void)json_object_del(item, "decide_by");
        }
        if (!is_state(item, "approved")) {
            (void)json_object_del(item, "use_by");
        }
    }
}

int requests_run_list(struct cli *cli)
{
    bool is_review = options_get(&cli->options, OPTION_REVIEW) != NULL;
    json_t *items = json_array();
    int exit_code =
        api_list(cli, is_review ? API_ROOT "/requests?review=true" : API_ROOT "/requests", items);

    if (exit_code == CLI_OK && cli_wants_json(cli)) {
        exit_code = show_json(cli, items);
    } else if (exit_code == CLI_OK) {
        times_flatten(items);
        exit_code = show_list(cli, items, columns, ARRAY_LEN(columns));
    }
    json_decref(items);
    return exit_code;
}

/* --- saying something to it --- */

static int say(struct cli *cli, const char *verb)
{
    const char *comment = options_get(&cli->options, OPTION_COMMENT);
    struct api_request request = {.method = "POST", .retry_ms = SAY_AGAIN_MS};
    json_t *document = NULL;
    struct json_out json;
    BUF_AUTO action;
    BUF_AUTO path;
    BUF_AUTO body;
    int exit_code;

    buf_init(&action, PATH_MAX_BYTES);
    buf_init(&path, PATH_MAX_BYTES);
    buf_init(&body, PATH_MAX_BYTES);
    buf_printf(&action, "%s %s", verb, cli->options.args[0]);
    buf_add_c(&path, API_ROOT "/requests");
    api_add_segment(&path, cli->options.args[0]);
    buf_printf(&path, "/%s", verb);
    json_out_init(&json, &body);
    json_out_object_open(&json, NULL);
    if (comment != NULL) {
        json_out_string_c(&json, "comment", comment);
    }
    json_out_object_close(&json);
    if (buf_status(&path) != 0 || buf_status(&action) != 0 || buf_status(&body) != 0) {
        return cli_usage_error(cli, "the id or the comment is too long");
    }
    request.path = buf_str(&path).ptr;
    request.body = buf_str(&body).ptr;
    request.action = buf_str(&action).ptr;
    exit_code = api_call_json(cli, &request, NULL, &document);
    if (exit_code == CLI_OK) {
        exit_code = tell(cli, document);
    }
    json_decref(document);
    return exit_code;
}

int requests_run_approve(struct cli *cli)
{
    return say(cli, "approve");
}

int requests_run_deny(struct cli *cli)
{
    return say(cli, "deny");
}

int requests_run_withdraw(struct cli *cli)
{
    return say(cli, "withdraw");
}
