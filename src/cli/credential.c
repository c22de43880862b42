/* Asking for credentials, as `get`, `exec` and the adapters do it. */
#include "cli/credential.h"

#include "base/units.h"
#include "cli/api.h"
#include "cli/clock.h"
#include "wire/json_out.h"
#include "wire/utf8.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --map as its parts; role is empty where the option names none. */
struct map_spec {
    struct str role;
    struct str field;
    struct str variable;
};

static struct map_spec map_parse(const char *text)
{
    struct map_spec map = {.variable = str_of(text)};

    map.field = str_cut(&map.variable, '=');
    if (memchr(map.field.ptr, '.', map.field.len) != NULL) {
        map.role = str_cut(&map.field, '.');
    }
    return map;
}

int credential_check_options(struct cli *cli)
{
    const struct option_values *maps = &cli->options.values[OPTION_MAP];
    uint64_t ignored_ms;
    struct err e = {0};
    size_t i;

    if (options_get_duration(&cli->options, OPTION_FOR, 0, &ignored_ms, &e) != 0) {
        return cli_usage_error(cli, "%s", e.text);
    }
    for (i = 0; i < maps->count; i++) {
        struct map_spec map = map_parse(maps->items[i]);

        if (map.field.len == 0 || !format_variable_is_valid(map.variable)) {
            return cli_usage_error(cli,
                                   "--map: '%s' is not FIELD=NAME with a NAME that a shell "
                                   "takes for a variable",
                                   maps->items[i]);
        }
    }
    return api_retry_ms(cli, &ignored_ms);
}

/* Nobody chose these words for leased, so none of them keeps a job from its credential. */
static void reason_fit(struct str text, char out[CREDENTIAL_REASON_MAX_BYTES + 1])
{
    size_t used = 0;

    while (text.len > 0) {
        uint32_t code_point = '?';
        size_t len = utf8_decode(text, &code_point);
        size_t taken = len > 0 ? len : 1;

        if (used + taken > CREDENTIAL_REASON_MAX_BYTES) {
            break;
        }
        if (len > 1) {
            memcpy(out + used, text.ptr, len);
        } else {
            out[used] = (char)(code_point < 0x20 || code_point == 0x7f ? ' ' : code_point);
        }
        used += taken;
        text.ptr += taken;
        text.len -= taken;
    }
    out[used] = '\0';
}

const char *credential_reason(const struct cli *cli, char out[CREDENTIAL_REASON_MAX_BYTES + 1])
{
    static const char *const places[] = {"LEASED_REASON", "CI_JOB_URL", "BUILD_URL",
                                         "BUILDKITE_BUILD_URL"};
    const char *said = options_get(&cli->options, OPTION_REASON);
    const char *server = getenv("GITHUB_SERVER_URL");
    const char *repository = getenv("GITHUB_REPOSITORY");
    const char *run = getenv("GITHUB_RUN_ID");
    const char *text = NULL;
    char job[2 * CREDENTIAL_REASON_MAX_BYTES];
    size_t i;

    if (said != NULL) {
        return said;
    }
    for (i = 0; text == NULL && i < ARRAY_LEN(places); i++) {
        text = getenv(places[i]);
        text = text != NULL && text[0] != '\0' ? text : NULL;
    }
    if (text == NULL && server != NULL && repository != NULL && run != NULL) {
        (void)snprintf(job, sizeof(job), "%s/%s/actions/runs/%s", server, repository, run);
        text = job;
    }
    if (text == NULL) {
        return NULL;
    }
    reason_fit(str_of(text), out);
    return out;
}

static void add_parameters(const struct cli *cli, const char *bindings, struct buf *path)
{
    const struct option_values *binds = &cli->options.values[OPTION_BIND];
    char fitted[CREDENTIAL_REASON_MAX_BYTES + 1];
    size_t i;

    api_add_parameter(path, "duration", options_get(&cli->options, OPTION_FOR));
    api_add_parameter(path, "reason", credential_reason(cli, fitted));
    api_add_parameter(path, "ticket", options_get(&cli->options, OPTION_TICKET));
    if (options_get(&cli->options, OPTION_BREAK_GLASS) != NULL) {
        api_add_parameter(path, "break_glass", "true");
    }
    for (i = 0; i < binds->count; i++) {
        api_add_parameter(path, "binding", binds->items[i]);
    }
    if (binds->count == 0) {
        api_add_parameter(path, "binding", client_is_remote(&cli->client) ? "none" : bindings);
    }
}

void credential_begin_question(const struct cli *cli, const char *role, const char *bindings,
                               struct json_out *json)
{
    const struct option_values *binds = &cli->options.values[OPTION_BIND];
    const char *duration = options_get(&cli->options, OPTION_FOR);
    const char *ticket = options_get(&cli->options, OPTION_TICKET);
    char fitted[CREDENTIAL_REASON_MAX_BYTES + 1];
    const char *reason = credential_reason(cli, fitted);
    size_t i;

    json_out_object_open(json, NULL);
    json_out_string_c(json, "role", role);
    if (duration != NULL) {
        json_out_string_c(json, "duration", duration);
    }
    if (reason != NULL) {
        json_out_string_c(json, "reason", reason);
    }
    if (ticket != NULL) {
        json_out_string_c(json, "ticket", ticket);
    }
    if (options_get(&cli->options, OPTION_BREAK_GLASS) != NULL) {
        json_out_bool(json, "break_glass", true);
    }
    if (binds->count > 0 || bindings != NULL) {
        json_out_array_open(json, "binding");
        for (i = 0; i < binds->count; i++) {
            json_out_string_c(json, NULL, binds->items[i]);
        }
        if (binds->count == 0) {
            json_out_string_c(json, NULL, client_is_remote(&cli->client) ? "none" : bindings);
        }
        json_out_array_close(json);
    }
}

void credential_add_question(const struct cli *cli, const char *role, const char *bindings,
                             bool wants_token, struct buf *body)
{
    struct json_out json;

    json_out_init(&json, body);
    credential_begin_question(cli, role, bindings, &json);
    if (wants_token) {
        json_out_bool(&json, "token", true);
    }
    json_out_object_close(&json);
}

static int too_long(struct cli *cli)
{
    return cli_usage_error(cli, "what is asked for is longer than %u bytes",
                           CREDENTIAL_QUESTION_MAX_BYTES);
}

/* Does it wait for an approval? */
static bool is_pending(int exit_code, const struct api_reply *reply)
{
    return exit_code == CLI_PENDING || (exit_code == CLI_OK && reply->status == 202);
}

/* One call, that the daemon answers when an approval is there, or after this long. */
static int fetch_waiting(struct cli *cli, const struct api_request *request, uint64_t left_ms,
                         struct api_reply *reply)
{
    struct api_request waiting = *request;
    char seconds[24];
    BUF_AUTO path;

    if (left_ms > CREDENTIAL_WAIT_MAX_MS) {
        left_ms = CREDENTIAL_WAIT_MAX_MS;
    }
    buf_init(&path, CREDENTIAL_QUESTION_MAX_BYTES);
    (void)snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)((left_ms + 999) / 1000));
    buf_add_c(&path, request->path);
    api_add_parameter(&path, "wait", seconds);
    if (buf_status(&path) != 0) {
        return too_long(cli);
    }
    waiting.path = buf_str(&path).ptr;
    waiting.server_wait_ms = left_ms;
    waiting.retry_ms = left_ms;
    return api_call(cli, &waiting, reply);
}

/* Until it is approved, or the time of --wait is over. */
static int fetch_approved(struct cli *cli, const struct api_request *request, const char *role,
                          struct api_reply *reply)
{
    uint64_t deadline_ms = clock_now_ms() + request->retry_ms;
    uint64_t now_ms = clock_now_ms();
    char left[UNITS_DURATION_MAX_BYTES];
    int exit_code = CLI_PENDING;

    cli_message(cli, "%s waits for an approval, for up to %s (lease requests shows it)", role,
                units_format_duration(request->retry_ms, left));
    while (is_pending(exit_code, reply) && now_ms < deadline_ms) {
        api_reply_fini(reply);
        api_reply_init(reply);
        exit_code = fetch_waiting(cli, request, deadline_ms - now_ms, reply);
        now_ms = clock_now_ms();
    }
    return exit_code;
}

static int pending(struct cli *cli, const struct api_request *request,
                   const struct api_reply *reply)
{
    json_t *document = json_loadb(buf_str(&reply->body).ptr, buf_str(&reply->body).len, 0, NULL);
    const char *id = json_string_value(json_object_get(document, "id"));

    if (reply->status == 202) {
        cli_message(cli, "could not %s yet: the request %s waits for an approval", request->action,
                    id != NULL ? id : "for it");
    }
    json_decref(document);
    return CLI_PENDING;
}

static int fetch(struct cli *cli, struct api_request *request, const char *role,
                 struct format_credential *ret_credential)
{
    struct api_reply reply;
    BUF_AUTO action;
    struct err e = {0};
    int exit_code;

    buf_init(&action, CREDENTIAL_QUESTION_MAX_BYTES);
    buf_printf(&action, "get %s", role);
    if (buf_status(&action) != 0) {
        return too_long(cli);
    }
    request->action = buf_str(&action).ptr;
    exit_code = api_retry_ms(cli, &request->retry_ms);
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    request->is_quiet_if_pending = request->retry_ms > 0;
    api_reply_init(&reply);
    exit_code = api_call(cli, request, &reply);
    request->is_quiet_if_pending = false;
    if (is_pending(exit_code, &reply) && request->retry_ms > 0) {
        exit_code = fetch_approved(cli, request, role, &reply);
    }
    if (is_pending(exit_code, &reply)) {
        exit_code = pending(cli, request, &reply);
    } else if (exit_code == CLI_OK &&
               format_credential_parse(buf_str(&reply.body), ret_credential, &e) != 0) {
        cli_message(cli, "could not %s: %s", request->action, e.text);
        exit_code = CLI_FAILED;
    }
    api_reply_fini(&reply);
    return exit_code;
}

int credential_fetch_held(struct cli *cli, const char *role, const char *bindings,
                          struct format_credential *ret_credential)
{
    const char *grant = getenv(CREDENTIAL_GRANT_VARIABLE);
    struct api_request request = {.method = "GET",
                                  .grant = grant != NULL && grant[0] != '\0' ? grant : NULL};
    BUF_AUTO path;

    buf_init(&path, CREDENTIAL_QUESTION_MAX_BYTES);
    buf_add_c(&path, API_ROOT "/credentials");
    api_add_segment(&path, role);
    add_parameters(cli, bindings, &path);
    if (buf_status(&path) != 0) {
        return too_long(cli);
    }
    request.path = buf_str(&path).ptr;
    return fetch(cli, &request, role, ret_credential);
}

int credential_fetch_new(struct cli *cli, const char *role, const char *bindings, bool wants_token,
                         struct format_credential *ret_credential)
{
    struct api_request request = {.method = "POST", .path = API_ROOT "/leases"};
    BUF_AUTO body;

    buf_init(&body, CREDENTIAL_QUESTION_MAX_BYTES);
    credential_add_question(cli, role, bindings, wants_token, &body);
    if (buf_status(&body) != 0) {
        return too_long(cli);
    }
    request.body = buf_str(&body).ptr;
    return fetch(cli, &request, role, ret_credential);
}

static int apply_map(struct cli *cli, const char *text, struct format_credential *credentials,
                     size_t count)
{
    struct map_spec map = map_parse(text);
    size_t applied = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        int status;

        if (map.role.len > 0 && !str_eq_c(map.role, credentials[i].role)) {
            continue;
        }
        status = format_credential_map(&credentials[i], map.field, map.variable);
        if (status == ERR_NOMEM) {
            cli_message(cli, "%s", err_str(status));
            return CLI_FAILED;
        }
        applied += status == 0 ? 1 : 0;
    }
    if (applied == 0) {
        cli_message(cli, "--map %s: there is no such field", text);
        return CLI_FAILED;
    }
    return CLI_OK;
}

int credential_apply_maps(struct cli *cli, struct format_credential *credentials, size_t count)
{
    const struct option_values *maps = &cli->options.values[OPTION_MAP];
    int exit_code = CLI_OK;
    size_t i;

    for (i = 0; exit_code == CLI_OK && i < maps->count; i++) {
        exit_code = apply_map(cli, maps->items[i], credentials, count);
    }
    return exit_code;
}

bool credential_is_mapped(const struct cli *cli, const char *role, const char *field)
{
    const struct option_values *maps = &cli->options.values[OPTION_MAP];
    size_t i;

    for (i = 0; i < maps->count; i++) {
        struct map_spec map = map_parse(maps->items[i]);

        if (str_eq_c(map.field, field) && (map.role.len == 0 || str_eq_c(map.role, role))) {
            return true;
        }
    }
    return false;
}
