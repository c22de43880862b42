/* `status`: how leased is, for people; and whether it is ready, for scripts. `wait`: until it is.
 */
#include "cli/leases.h"

#include "cli/api.h"
#include "cli/clock.h"
#include "cli/show.h"

#include <jansson.h>
#include <sys/stat.h>

#define FILE_LOOK_MS 100U

static const struct show_column backend_columns[] = {
    {"BACKEND", "name", SHOW_TEXT},
    {"PLUGIN", "plugin", SHOW_TEXT},
    {"STATE", "up", SHOW_UP},
    {"BREAKER", "breaker.state", SHOW_TEXT},
    {"LOGIN EXPIRES", "login_expires_at", SHOW_TIME},
    {"LAST ERROR", "last_error", SHOW_TEXT},
};

static const struct show_column address_columns[] = {
    {"ADDRESS", "address", SHOW_TEXT},
    {"STATE", "up", SHOW_UP},
    {"ASKED AGAIN", "next_probe_at", SHOW_TIME},
    {"LAST ERROR", "last_error", SHOW_TEXT},
};

/* Where there is a choice. Only readers are told the addresses. */
static int show_addresses(struct cli *cli, const json_t *backends)
{
    json_t *backend;
    size_t index;
    int exit_code = CLI_OK;

    json_array_foreach (backends, index, backend) {
        const json_t *addresses = json_object_get(backend, "addresses");

        if (exit_code == CLI_OK && json_array_size(addresses) > 1) {
            buf_add_char(&cli->out, '\n');
            exit_code = show_list(cli, addresses, address_columns, ARRAY_LEN(address_columns));
        }
    }
    return exit_code;
}

/* /readyz answers with a plain text; its status is what counts. */
static int await_ready(struct cli *cli, uint64_t retry_ms)
{
    const struct api_request request = {.method = "GET",
                                        .path = "/readyz",
                                        .action = "find leased ready",
                                        .timeout_ms = 10000,
                                        .retry_ms = retry_ms};
    struct api_reply reply;
    int exit_code;

    api_reply_init(&reply);
    exit_code = api_call(cli, &request, &reply);
    api_reply_fini(&reply);
    return exit_code;
}

static int run_ready(struct cli *cli)
{
    uint64_t retry_ms;
    int exit_code = api_retry_ms(cli, &retry_ms);

    return exit_code == CLI_OK ? await_ready(cli, retry_ms) : exit_code;
}

/* A file with a credential gets its name when it is whole. */
static int await_file(struct cli *cli, const char *path, uint64_t patience_ms)
{
    uint64_t until_ms = clock_now_ms() + patience_ms;
    struct stat facts;

    while (stat(path, &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size == 0) {
        if (clock_now_ms() >= until_ms) {
            cli_message(cli, "could not wait any longer: %s isn't written", path);
            return CLI_TEMPORARY;
        }
        clock_sleep_ms(FILE_LOOK_MS);
    }
    return CLI_OK;
}

int leases_run_wait(struct cli *cli)
{
    const char *path = options_get(&cli->options, OPTION_PATH);
    uint64_t patience_ms;
    struct err e = {0};

    if (options_get_duration(&cli->options, OPTION_PATIENCE, API_FOR_EVER_MS, &patience_ms, &e) !=
        0) {
        return cli_usage_error(cli, "%s", e.text);
    }
    return path != NULL ? await_file(cli, path, patience_ms) : await_ready(cli, patience_ms);
}

int leases_run_status(struct cli *cli)
{
    struct api_request request = {.method = "GET",
                                  .path = API_ROOT "/status",
                                  .action = "ask for the status"};
    json_t *document = NULL;
    json_t *backends;
    int exit_code;

    if (options_get(&cli->options, OPTION_READY) != NULL) {
        return run_ready(cli);
    }
    exit_code = api_retry_ms(cli, &request.retry_ms);
    if (exit_code == CLI_OK) {
        exit_code = api_call_json(cli, &request, NULL, &document);
    }
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (cli_wants_json(cli)) {
        exit_code = show_json(cli, document);
    } else {
        backends = json_incref(json_object_get(document, "backends"));
        (void)json_object_del(document, "backends");
        exit_code = show_object(cli, document);
        if (exit_code == CLI_OK && json_array_size(backends) > 0) {
            buf_add_char(&cli->out, '\n');
            exit_code = show_list(cli, backends, backend_columns, ARRAY_LEN(backend_columns));
        }
        if (exit_code == CLI_OK) {
            exit_code = show_addresses(cli, backends);
        }
        json_decref(backends);
    }
    json_decref(document);
    return exit_code;
}
