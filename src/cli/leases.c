/* `ls`, `show`, `renew`, `rotate`, `ack`, `revoke`. */
#include "cli/leases.h"

#include "base/units.h"
#include "cli/api.h"
#include "cli/drill.h"
#include "cli/drill_match.h"
#include "cli/show.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define LEASES_PATH_MAX_BYTES 4096U
#define LEASES_CONFIRM_MS 30000U
#define LEASES_WAIT_MAX_MS 600000U /* the API's own limit */

static const struct show_column lease_columns[] = {
    {"LEASE", "id", SHOW_TEXT},          {"ROLE", "role", SHOW_TEXT},
    {"STATE", "state", SHOW_STATE},      {"GRANTS", "grants", SHOW_TEXT},
    {"ISSUED", "issued_at", SHOW_TIME},  {"EXPIRES", "expires_at", SHOW_TIME},
    {"RENEWALS", "renewals", SHOW_TEXT}, {"LAST ERROR", "last_error", SHOW_TEXT},
};

static const struct show_column grant_columns[] = {
    {"GRANT", "id", SHOW_TEXT},           {"ROLE", "role", SHOW_TEXT},
    {"STATE", "state", SHOW_STATE},       {"USER", "identity.user", SHOW_TEXT},
    {"PID", "identity.pid", SHOW_TEXT},   {"BINDING", "binding", SHOW_TEXT},
    {"CREATED", "created_at", SHOW_TIME}, {"UNTIL", "until", SHOW_TIME},
    {"REASON", "reason", SHOW_TEXT},      {"LEASE", "lease", SHOW_TEXT},
};

int leases_run_ls(struct cli *cli)
{
    bool is_grants = options_get(&cli->options, OPTION_GRANTS) != NULL;
    json_t *items = json_array();
    int exit_code = api_list(cli, is_grants ? API_ROOT "/grants" : API_ROOT "/leases", items);

    if (exit_code == CLI_OK && cli_wants_json(cli)) {
        exit_code = show_json(cli, items);
    } else if (exit_code == CLI_OK) {
        exit_code = show_list(cli, items, is_grants ? grant_columns : lease_columns,
                              is_grants ? ARRAY_LEN(grant_columns) : ARRAY_LEN(lease_columns));
    }
    json_decref(items);
    return exit_code;
}

/* Ids say what they are: l-… is a lease, g-… a grant, q-… a request. */
static bool is_grant(const char *id)
{
    return str_starts_with(str_of(id), "g-");
}

static const char *kind_of(const char *id)
{
    if (str_starts_with(str_of(id), "q-")) {
        return API_ROOT "/requests";
    }
    return is_grant(id) ? API_ROOT "/grants" : API_ROOT "/leases";
}

/* One call about one id: METHOD /leases/ID/VERB, or /grants/ID. */
struct id_call {
    const char *method;
    const char *verb;   /* "/renew", or "" */
    const char *action; /* "renew" */
    uint64_t wait_ms;
    uint64_t retry_ms;
};

static int call_id(struct cli *cli, const struct id_call *call, const char *id,
                   uint32_t *ret_status, json_t **ret_document)
{
    struct api_request request = {.method = call->method,
                                  .server_wait_ms = call->wait_ms,
                                  .retry_ms = call->retry_ms};
    char seconds[24];
    BUF_AUTO path;
    BUF_AUTO action;

    buf_init(&path, LEASES_PATH_MAX_BYTES);
    buf_init(&action, LEASES_PATH_MAX_BYTES);
    buf_printf(&action, "%s %s", call->action, id);
    buf_add_c(&path, kind_of(id));
    api_add_segment(&path, id);
    buf_add_c(&path, call->verb);
    if (call->wait_ms > 0) {
        (void)snprintf(seconds, sizeof(seconds), "%llu",
                       (unsigned long long)((call->wait_ms + 999) / 1000));
        api_add_parameter(&path, "wait", seconds);
    }
    if (buf_status(&path) != 0 || buf_status(&action) != 0) {
        return cli_usage_error(cli, "the id is too long");
    }
    request.path = buf_str(&path).ptr;
    request.action = buf_str(&action).ptr;
    return api_call_json(cli, &request, ret_status, ret_document);
}

static int show_document(struct cli *cli, json_t *document)
{
    return cli_wants_json(cli) ? show_json(cli, document) : show_object(cli, document);
}

int leases_run_show(struct cli *cli)
{
    struct id_call call = {.method = "GET", .verb = "", .action = "show"};
    json_t *document = NULL;
    int exit_code = call_id(cli, &call, cli->options.args[0], NULL, &document);

    if (exit_code == CLI_OK) {
        exit_code = show_document(cli, document);
    }
    json_decref(document);
    return exit_code;
}

/* renew, rotate and ack: the answer is the lease as it is now. 202: it goes on by itself. */
static int run_effect(struct cli *cli, struct id_call *call)
{
    const char *id = cli->options.args[0];
    json_t *document = NULL;
    uint32_t status = 0;
    int exit_code;

    if (is_grant(id)) {
        return cli_usage_error(cli, "%s takes the id of a lease; %s is a grant", call->action, id);
    }
    exit_code = api_retry_ms(cli, &call->retry_ms);
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    exit_code = call_id(cli, call, id, &status, &document);
    if (exit_code == CLI_OK) {
        exit_code = show_document(cli, document);
    }
    if (exit_code == CLI_OK && status == 202) {
        cli_message(cli, "it isn't done yet; leased goes on trying");
        exit_code = CLI_TEMPORARY;
    }
    json_decref(document);
    return exit_code;
}

int leases_run_renew(struct cli *cli)
{
    struct id_call call = {.method = "POST", .verb = "/renew", .action = "renew"};

    return run_effect(cli, &call);
}

int leases_run_rotate(struct cli *cli)
{
    struct id_call call = {.method = "POST", .verb = "/rotate", .action = "rotate"};

    return run_effect(cli, &call);
}

int leases_run_ack(struct cli *cli)
{
    struct id_call call = {.method = "POST", .verb = "/ack", .action = "ack"};

    return run_effect(cli, &call);
}

static int revoke_one(struct cli *cli, const struct id_call *call, const char *id, json_t *results)
{
    json_t *document = NULL;
    uint32_t status = 0;
    int exit_code = call_id(cli, call, id, &status, &document);

    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (status == 202 && call->wait_ms > 0) {
        cli_message(cli, "the issuer has not confirmed the end of %s yet; leased goes on trying",
                    id);
        exit_code = CLI_TEMPORARY;
    } else if (!cli_wants_json(cli)) {
        buf_printf(&cli->out, "%s %s\n", id, status == 202 ? "ending" : "ended");
    }
    if (json_array_append(results, document) != 0) {
        exit_code = CLI_FAILED;
    }
    json_decref(document);
    return exit_code;
}

int leases_run_revoke(struct cli *cli)
{
    struct id_call call = {.method = "DELETE", .verb = "", .action = "revoke"};
    json_t *results;
    struct err e = {0};
    int exit_code = CLI_OK;
    size_t i;

    if (cli->options.arg_count == 0) {
        return drill_run_revoke(cli);
    }
    if (drill_match_is_given(cli) || options_get(&cli->options, OPTION_BLOCK) != NULL) {
        return cli_usage_error(cli, "either ids, or whom or what it is about");
    }
    if (options_get_duration(&cli->options, OPTION_CONFIRM, LEASES_CONFIRM_MS, &call.wait_ms, &e) !=
            0 ||
        call.wait_ms > LEASES_WAIT_MAX_MS) {
        return cli_usage_error(cli, "%s", e.code != 0 ? e.text : "--wait: at most 10m");
    }
    results = json_array();
    for (i = 0; i < cli->options.arg_count; i++) {
        int one = revoke_one(cli, &call, cli->options.args[i], results);

        /* All are tried; the first failure is the one that is told. */
        exit_code = exit_code == CLI_OK ? one : exit_code;
    }
    if (cli_wants_json(cli) && show_json(cli, results) != CLI_OK && exit_code == CLI_OK) {
        exit_code = CLI_FAILED;
    }
    json_decref(results);
    return exit_code;
}
