/* `lease watch`: what becomes of the caller's grants, a line for each event.
 *
 * Happy path: one request whose answer goes on → an event, a line, written at once → SIGINT: exit
 * 0.
 *
 * Failure paths: the daemon has never been reached, or refuses: the exit code of any command. Once
 * it has been, it restarts or reloads at most: the watch comes back with the last id that it has,
 * at first when the daemon has said, then less and less often, and nothing is missed. */
#include "cli/watch.h"

#include "base/units.h"
#include "cli/api.h"
#include "cli/clock.h"
#include "wire/format.h"
#include "wire/sse.h"

#include <jansson.h>
#include <signal.h>
#include <string.h>

#define WATCH_PATH_MAX_BYTES 1024U
#define WATCH_SILENT_MAX_MS 45000U /* leased says something every 15 s */
#define WATCH_RETRY_FIRST_MS 1000U
#define WATCH_RETRY_MAX_MS 15000U

struct watching {
    struct cli *cli;
    const struct watch_follower *follower;
    struct sse_parser events;
    bool has_reached; /* the daemon has answered, ever */
    bool is_heard;    /* … on this connection */
    int exit_code;    /* CLI_OK: goes on */
};

static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int signum)
{
    (void)signum;
    is_interrupted = 1;
}

/* --- events --- */

static const char *text_of(const json_t *data, const char *key)
{
    const char *text = json_string_value(json_object_get(data, key));

    return text != NULL ? text : "-";
}

static void add(struct buf *out, const char *before, const char *text)
{
    buf_add_c(out, before);
    format_add_visible(out, str_of(text));
}

/* "2026-11-22T20:35:00.000Z  superseded  orders-db  version 1  until 2026-…  asked_for  l-…  g-…"
 */
static void line_add(struct buf *out, const char *name, const json_t *data)
{
    const json_t *version = json_object_get(data, "version");
    char now[UNITS_TIME_MAX_BYTES];

    add(out, "", units_format_time(clock_wall_ms(), now));
    add(out, "  ", name);
    add(out, "  ", text_of(data, "role"));
    buf_printf(out, "  version %lld", (long long)json_integer_value(version));
    if (json_is_string(json_object_get(data, "expires_at"))) {
        add(out, "  until ", text_of(data, "expires_at"));
    }
    if (json_is_string(json_object_get(data, "reason"))) {
        add(out, "  ", text_of(data, "reason"));
    }
    add(out, "  ", text_of(data, "lease"));
    add(out, "  ", text_of(data, "grant"));
    buf_add_char(out, '\n');
}

/* The API's object with the event's name in front. */
static void json_add(struct buf *out, const char *name, json_t *data)
{
    json_t *object = json_pack("{s:s}", "event", name);

    if (object == NULL || json_object_update(object, data) != 0 ||
        format_add_json(out, object, JSON_COMPACT) != 0) {
        buf_add_c(out, "{}");
    }
    buf_add_char(out, '\n');
    json_decref(object);
}

/* Who reads has seen enough, or a full disk: there is nobody to go on for. */
static bool print_event(void *user, const char *name, json_t *data)
{
    struct cli *cli = user;

    if (cli_wants_json(cli)) {
        json_add(&cli->out, name, data);
    } else {
        line_add(&cli->out, name, data);
    }
    return cli_flush(cli) == CLI_OK;
}

static void watch_event(void *user, const char *name, struct str text)
{
    struct watching *watching = user;
    json_t *data = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(data)) {
        cli_message(watching->cli, "could not read an event: it is no JSON object");
        watching->exit_code = CLI_FAILED;
    } else if (!watching->follower->event(watching->follower->user, name, data)) {
        watching->exit_code = CLI_FAILED;
    }
    json_decref(data);
}

static bool watch_take(void *user, struct str bytes)
{
    struct watching *watching = user;

    watching->has_reached = true;
    watching->is_heard = true;
    if (sse_read(&watching->events, bytes) != 0) {
        cli_message(watching->cli, "could not read an event: it is too large");
        watching->exit_code = CLI_FAILED;
    }
    return watching->exit_code == CLI_OK;
}

static bool watch_is_over(void *user)
{
    (void)user;
    return is_interrupted != 0;
}

/* --- coming back --- */

/* False: interrupted. */
static bool watch_pause(uint64_t ms)
{
    uint64_t deadline_ms = clock_now_ms() + ms;
    uint64_t now_ms;

    while (is_interrupted == 0 && (now_ms = clock_now_ms()) < deadline_ms) {
        clock_sleep_ms(deadline_ms - now_ms < 200 ? deadline_ms - now_ms : 200);
    }
    return is_interrupted == 0;
}

static uint64_t pause_after(const struct watching *watching, unsigned failures)
{
    uint64_t first_ms =
        watching->events.retry_ms > 0 ? watching->events.retry_ms : WATCH_RETRY_FIRST_MS;
    uint64_t ms = first_ms << (failures < 5 ? failures : 5);

    return ms < WATCH_RETRY_MAX_MS ? ms : WATCH_RETRY_MAX_MS;
}

static bool is_passing(int exit_code)
{
    return exit_code == CLI_OK || exit_code == CLI_TEMPORARY || exit_code == CLI_UNREACHABLE;
}

/* One connection; its exit code, CLI_OK when the daemon has ended it. */
static int watch_once(struct watching *watching, const char *path, bool is_quiet, bool *ret_is_over)
{
    const struct client_stream stream = {.last_id = watching->events.id,
                                         .take = watch_take,
                                         .is_over = watch_is_over,
                                         .user = watching,
                                         .silent_max_ms = WATCH_SILENT_MAX_MS};
    const struct api_request request = {
        .method = "GET", .path = path, .action = "watch", .is_quiet = is_quiet};

    watching->is_heard = false;
    sse_reset(&watching->events);
    return api_stream(watching->cli, &request, &stream, ret_is_over);
}

static int watch_on(struct watching *watching, const char *path, uint64_t wait_ms)
{
    uint64_t deadline_ms = clock_now_ms() + wait_ms;
    bool is_over = false;
    unsigned failures = 0;

    for (;;) {
        /* The first failure in a row is told, unless the daemon has ended the stream itself. */
        int exit_code = watch_once(watching, path, failures > 0, &is_over);

        if (is_over || watching->exit_code != CLI_OK) {
            return is_interrupted != 0 ? CLI_OK : watching->exit_code;
        }
        if (!is_passing(exit_code) || (!watching->has_reached && clock_now_ms() >= deadline_ms)) {
            return exit_code;
        }
        if (watching->is_heard) {
            failures = 0;
        }
        if (!watch_pause(pause_after(watching, failures))) {
            return CLI_OK;
        }
        failures += watching->is_heard && exit_code == CLI_OK ? 0 : 1;
    }
}

int watch_follow(struct cli *cli, const char *role, uint64_t wait_ms,
                 const struct watch_follower *follower)
{
    struct watching watching = {.cli = cli, .follower = follower, .exit_code = CLI_OK};
    int exit_code;
    BUF_AUTO path;

    buf_init(&path, WATCH_PATH_MAX_BYTES);
    buf_add_c(&path, API_ROOT "/watch");
    api_add_parameter(&path, "role", role);
    if (buf_status(&path) != 0) {
        return cli_usage_error(cli, "the role's name is too long");
    }
    sse_init(&watching.events, watch_event, &watching);
    exit_code = watch_on(&watching, buf_str(&path).ptr, wait_ms);
    sse_fini(&watching.events);
    return exit_code;
}

int watch_run(struct cli *cli)
{
    const struct watch_follower follower = {.event = print_event, .user = cli};
    struct sigaction interrupt = {.sa_handler = on_interrupt};
    struct sigaction before;
    uint64_t wait_ms = 0;
    int exit_code = api_retry_ms(cli, &wait_ms);

    if (exit_code != CLI_OK) {
        return exit_code;
    }
    is_interrupted = 0;
    (void)sigaction(SIGINT, &interrupt, &before);
    exit_code = watch_follow(cli, cli->options.arg_count > 0 ? cli->options.args[0] : NULL, wait_ms,
                             &follower);
    (void)sigaction(SIGINT, &before, NULL);
    return exit_code;
}
