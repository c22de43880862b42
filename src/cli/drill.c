/* `revoke --subject …`, `block`, `blocks`, `unblock`.
 *
 * Happy path of a drill: one POST whose answer goes on → a line a lease, written at once → the
 * summary decides on the exit code: 0, or 8 when something lives on.
 *
 * Failure paths: the answer breaks off: leased goes on with it, also after a restart, and so this
 * says; a refusal is the exit code of any command. */
#include "cli/drill.h"

#include "base/mem.h"
#include "cli/api.h"
#include "cli/drill_match.h"
#include "cli/show.h"
#include "wire/format.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DRILL_WAIT_MS 30000U
#define DRILL_WAIT_MAX_MS 600000U /* the API's own limit */
#define DRILL_SILENT_MAX_MS 45000U
#define DRILL_LINE_MAX_BYTES 8192U
#define DRILL_PATH_MAX_BYTES 256U

struct drilling {
    struct cli *cli;
    struct buf line; /* what has come of the next one */
    bool has_failed; /* what came is none of ours, or can't be written */
    bool is_over;    /* the summary has come */
    bool lives_on;   /* … and something does */
};

/* --- what comes ------------------------------------------------------------------------------- */

static const char *text_of(const json_t *event, const char *key)
{
    const char *text = json_string_value(json_object_get(event, key));

    return text != NULL ? text : "-";
}

static long long number_of(const json_t *event, const char *key)
{
    return (long long)json_integer_value(json_object_get(event, key));
}

static bool has(const json_t *event, const char *key)
{
    return json_is_string(json_object_get(event, key));
}

static void add(struct buf *out, const char *before, const char *text)
{
    buf_add_c(out, before);
    format_add_visible(out, str_of(text));
}

static void found_show(struct buf *out, const json_t *event)
{
    if (has(event, "block")) {
        add(out, "blocked until ", text_of(event, "until"));
        add(out, "  ", text_of(event, "block"));
        buf_add_char(out, '\n');
    }
    buf_printf(out, "%lld lease%s to revoke\n", number_of(event, "leases"),
               number_of(event, "leases") == 1 ? "" : "s");
}

static void summary_show(struct buf *out, const json_t *event)
{
    buf_printf(out, "%lld revoked", number_of(event, "revoked"));
    if (number_of(event, "pending") > 0) {
        buf_printf(out, ", %lld pending: leased goes on trying", number_of(event, "pending"));
    }
    if (number_of(event, "unconfirmed") > 0) {
        buf_printf(out, ", %lld never confirmed by their issuer", number_of(event, "unconfirmed"));
    }
    if (number_of(event, "unrevocable") > 0) {
        buf_printf(out, ", %lld can't be revoked and live", number_of(event, "unrevocable"));
        add(out, " until ", text_of(event, "expires_at"));
    }
    buf_add_char(out, '\n');
}

/* "pending      l-…  orders-db  vault  connection refused" */
static void lease_show(struct buf *out, const char *name, const json_t *event)
{
    buf_printf(out, "%-11s  ", strcmp(name, "expires_at") == 0 ? "unrevocable" : name);
    add(out, "", text_of(event, "lease"));
    add(out, "  ", text_of(event, "role"));
    add(out, "  ", text_of(event, "backend"));
    if (strcmp(name, "expires_at") == 0) {
        add(out, "  lives until ", text_of(event, "expires_at"));
    }
    if (has(event, "error")) {
        add(out, "  ", text_of(event, "error"));
    }
    buf_add_char(out, '\n');
}

static void event_show(struct buf *out, const json_t *event)
{
    const char *name = text_of(event, "event");

    if (strcmp(name, "found") == 0) {
        found_show(out, event);
    } else if (strcmp(name, "summary") == 0) {
        summary_show(out, event);
    } else if (has(event, "lease")) {
        lease_show(out, name, event);
    }
}

static void event_take(struct drilling *drilling, const json_t *event)
{
    if (strcmp(text_of(event, "event"), "summary") == 0) {
        drilling->is_over = true;
        drilling->lives_on = number_of(event, "pending") > 0 ||
                             number_of(event, "unrevocable") > 0 ||
                             number_of(event, "unconfirmed") > 0;
    }
}

static bool line_take(struct drilling *drilling, struct str line)
{
    struct cli *cli = drilling->cli;
    json_t *event =
        line.len > 0 ? json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, NULL) : NULL;

    if (line.len == 0) {
        return true; /* it is still there, that is all */
    }
    if (!json_is_object(event)) {
        json_decref(event);
        cli_message(cli, "could not read the progress: a line is no JSON object");
        return false;
    }
    event_take(drilling, event);
    if (cli_wants_json(cli)) {
        buf_add_str(&cli->out, line);
        buf_add_char(&cli->out, '\n');
    } else {
        event_show(&cli->out, event);
    }
    json_decref(event);
    return cli_flush(cli) == CLI_OK;
}

static bool bytes_take(void *user, struct str bytes)
{
    struct drilling *drilling = user;

    while (bytes.len > 0 && !drilling->has_failed) {
        const char *end = memchr(bytes.ptr, '\n', bytes.len);
        struct str piece = {.ptr = bytes.ptr,
                            .len = end != NULL ? (size_t)(end - bytes.ptr) : bytes.len};

        buf_add_str(&drilling->line, piece);
        bytes.ptr += piece.len + (end != NULL ? 1 : 0);
        bytes.len -= piece.len + (end != NULL ? 1 : 0);
        if (buf_status(&drilling->line) != 0) {
            cli_message(drilling->cli, "could not read the progress: a line is too long");
            drilling->has_failed = true;
        } else if (end != NULL) {
            drilling->has_failed = !line_take(drilling, buf_str(&drilling->line));
            buf_reset(&drilling->line);
        }
    }
    return !drilling->has_failed;
}

static bool never(void *user)
{
    (void)user;
    return false;
}

/* --- the drill -------------------------------------------------------------------------------- */

static int drill_call(struct cli *cli, const char *body, uint64_t wait_ms)
{
    struct drilling drilling = {.cli = cli};
    const struct client_stream stream = {.last_id = "",
                                         .take = bytes_take,
                                         .is_over = never,
                                         .user = &drilling,
                                         .silent_max_ms = DRILL_SILENT_MAX_MS};
    struct api_request request = {.method = "POST", .body = body, .action = "revoke"};
    char path[DRILL_PATH_MAX_BYTES];
    bool is_broken_off = false;
    int exit_code;

    (void)snprintf(path, sizeof(path), API_ROOT "/revoke?wait=%llu",
                   (unsigned long long)(wait_ms < 1000 ? 1 : (wait_ms + 999) / 1000));
    request.path = path;
    buf_init(&drilling.line, DRILL_LINE_MAX_BYTES);
    exit_code = api_stream(cli, &request, &stream, &is_broken_off);
    buf_fini(&drilling.line);
    if (drilling.has_failed) {
        return CLI_FAILED;
    }
    if (exit_code == CLI_OK && !drilling.is_over) {
        cli_message(cli, "leased goes on with it; what it has done stands in its audit trail");
        return CLI_PARTLY;
    }
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    return drilling.lives_on ? CLI_PARTLY : CLI_OK;
}

/* Everything: only for who says so twice. */
static int sure(struct cli *cli)
{
    char answer[8] = "";

    if (options_get(&cli->options, OPTION_ALL) == NULL ||
        options_get(&cli->options, OPTION_SURE) != NULL) {
        return CLI_OK;
    }
    if (isatty(STDIN_FILENO) != 1) {
        return cli_usage_error(cli, "--all ends every lease of everybody; without a terminal to "
                                    "ask, say --yes");
    }
    cli_message(cli, "this ends every lease of everybody. Go on? (yes)");
    if (read(STDIN_FILENO, answer, sizeof(answer) - 1) <= 0 ||
        strncmp(answer, "yes\n", sizeof("yes\n") - 1) != 0) {
        cli_message(cli, "nothing was done");
        return CLI_FAILED;
    }
    return CLI_OK;
}

int drill_run_revoke(struct cli *cli)
{
    uint64_t wait_ms = 0;
    struct err e = {0};
    char *body = NULL;
    int exit_code;

    if (options_get_duration(&cli->options, OPTION_CONFIRM, DRILL_WAIT_MS, &wait_ms, &e) != 0 ||
        wait_ms > DRILL_WAIT_MAX_MS) {
        return cli_usage_error(cli, "%s", e.code != 0 ? e.text : "--wait: at most 10m");
    }
    exit_code = drill_match_body(cli, options_get(&cli->options, OPTION_BLOCK), &body);
    if (exit_code == CLI_OK) {
        exit_code = sure(cli);
    }
    if (exit_code == CLI_OK) {
        exit_code = drill_call(cli, body, wait_ms);
    }
    mem_free(body);
    return exit_code;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static int block_show(struct cli *cli, json_t *block, const char *what)
{
    if (cli_wants_json(cli)) {
        return show_json(cli, block);
    }
    add(&cli->out, "", text_of(block, "id"));
    if (strcmp(what, "blocked") == 0) {
        add(&cli->out, " blocked until ", text_of(block, "until"));
    } else {
        add(&cli->out, " ", what);
    }
    buf_add_char(&cli->out, '\n');
    return CLI_OK;
}

int drill_run_block(struct cli *cli)
{
    struct api_request request = {.method = "POST", .path = API_ROOT "/blocks", .action = "block"};
    json_t *document = NULL;
    char *body = NULL;
    int exit_code = drill_match_body(cli, cli->options.args[0], &body);

    if (exit_code == CLI_OK) {
        request.body = body;
        exit_code = api_call_json(cli, &request, NULL, &document);
    }
    if (exit_code == CLI_OK) {
        exit_code = block_show(cli, document, "blocked");
    }
    json_decref(document);
    mem_free(body);
    return exit_code;
}

/* What it is about, as JSON: one column. */
static void match_flatten(json_t *items)
{
    json_t *item;
    size_t i;

    json_array_foreach (items, i, item) {
        BUF_AUTO text;

        buf_init(&text, DRILL_LINE_MAX_BYTES);
        if (format_add_json(&text, json_object_get(item, "match"), JSON_COMPACT) == 0) {
            (void)json_object_set_new(item, "match", json_string(buf_str(&text).ptr));
        }
    }
}

int drill_run_blocks(struct cli *cli)
{
    static const struct show_column columns[] = {
        {"BLOCK", "id", SHOW_TEXT},        {"WHO OR WHAT", "match", SHOW_TEXT},
        {"UNTIL", "until", SHOW_TIME},     {"BY", "by", SHOW_TEXT},
        {"CREATED", "created", SHOW_TIME}, {"REASON", "reason", SHOW_TEXT},
    };
    json_t *items = json_array();
    int exit_code = api_list(cli, API_ROOT "/blocks", items);

    if (exit_code == CLI_OK && cli_wants_json(cli)) {
        exit_code = show_json(cli, items);
    } else if (exit_code == CLI_OK) {
        match_flatten(items);
        exit_code = show_list(cli, items, columns, ARRAY_LEN(columns));
    }
    json_decref(items);
    return exit_code;
}

static int unblock(struct cli *cli, const char *id)
{
    struct api_request request = {.method = "DELETE"};
    json_t *document = NULL;
    BUF_AUTO path;
    BUF_AUTO action;
    int exit_code;

    buf_init(&path, DRILL_PATH_MAX_BYTES);
    buf_init(&action, DRILL_PATH_MAX_BYTES);
    buf_add_c(&path, API_ROOT "/blocks");
    api_add_segment(&path, id);
    buf_printf(&action, "unblock %s", id);
    if (buf_status(&path) != 0 || buf_status(&action) != 0) {
        return cli_usage_error(cli, "the id is too long");
    }
    request.path = buf_str(&path).ptr;
    request.action = buf_str(&action).ptr;
    exit_code = api_call_json(cli, &request, NULL, &document);
    if (exit_code == CLI_OK) {
        exit_code = block_show(cli, document, "ended");
    }
    json_decref(document);
    return exit_code;
}

int drill_run_unblock(struct cli *cli)
{
    int exit_code = CLI_OK;
    size_t i;

    for (i = 0; i < cli->options.arg_count; i++) {
        int one = unblock(cli, cli->options.args[i]);

        exit_code = exit_code == CLI_OK ? one : exit_code;
    }
    return exit_code;
}
