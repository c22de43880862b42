/* Happy path: append_start queues and defers → step hands the plugin as many whole lines as fit →
 * sink_done: what was written is behind us, and the next step hands on what follows → all of the
 * append is written: its fn runs with 0.
 *
 * Failure paths: the plugin refuses, or ends a write with anything but LEASED_OK → this append and
 * those behind it fail, in their order; whoever appends tries again, and until LEASED_RETRY_AFTER's
 * time is over that waits here. A write takes too long → it is cancelled, and its append waits for
 * the plugin's end, because the trail's order would be lost if another write overtook it. The
 * plugin ends a write from inside of it → a bug of its own, which fails. It forgets the close →
 * that ends after CLOSE_TIMEOUT_MS without it. */
#include "backend/sink.h"

#include "backend/host.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

#define SINK_MAGIC 0x53494e4bU
#define CLOSE_TIMEOUT_MS 5000U
#define RESUME_MAX_MS 30000U
#define HTTP_TIMEOUT_MS 10000U
#define CONNECT_TIMEOUT_MS 5000U
#define ANSWER_DEPTH_MAX 32U
#define ANSWER_VALUES_MAX 1024U

enum sink_state {
    SINK_STATE_IDLE,
    SINK_STATE_WRITING,
    SINK_STATE_CLOSING, /* the plugin's close runs */
    SINK_STATE_ENDING,  /* the instance is gone */
};

struct sink {
    uint32_t magic;
    enum sink_state state;
    struct env_file file;
    struct env *env;
    const struct leased_sink_ops *plugin;
    leased_instance *instance;
    char *name;
    struct leased_host_context host;
    struct list pending; /* struct env_append, in their order */
    size_t pending_bytes;
    size_t written_bytes; /* of the first of them … */
    size_t piece_bytes;   /* … and with the plugin now */
    struct handles handles;
    void *op; /* the handle of what the plugin does; NULL: nothing */
    bool is_starting;
    bool is_done_early;
    uint64_t resume_ms;     /* the plugin asked to be left alone until then */
    struct env_timer timer; /* what the plugin does takes too long */
    struct env_deferred step;
    char failure[BACKEND_ERROR_MAX_BYTES]; /* what was logged last; "": it went well since */
    bool is_closed;
    void (*closed)(void *user);
    void *closed_user;
};

static struct sink *sink_cast(void *user)
{
    return OBJ_CAST(user, struct sink, SINK_MAGIC);
}

static struct sink *sink_of(struct env_file *file)
{
    return sink_cast(CONTAINER_OF(file, struct sink, file));
}

static struct env_append *first_append(const struct sink *sink)
{
    return LIST_ENTRY(sink->pending.next, struct env_append, node);
}

/* The first append has ended. */
static void append_end(struct sink *sink, int status)
{
    struct env_append *append = first_append(sink);

    list_remove(&append->node);
    sink->pending_bytes -= append->bytes.len;
    sink->written_bytes = 0;
    append->status = status;
    append->is_short = false;
    append->fn(append, status);
}

/* --- failing ---------------------------------------------------------------------------------- */

static int status_of(int32_t status)
{
    static const int statuses[] = {
        [LEASED_RETRY] = ERR_UNAVAILABLE, [LEASED_RETRY_AFTER] = ERR_UNAVAILABLE,
        [LEASED_DENIED] = ERR_DENIED,     [LEASED_GONE] = ERR_GONE,
        [LEASED_INVALID] = ERR_INVALID,   [LEASED_SEALED] = ERR_SEALED,
        [LEASED_LOST] = ERR_LOST,         [LEASED_CANCELED] = ERR_TIMEOUT,
    };

    return status > 0 && (size_t)status < ARRAY_LEN(statuses) ? statuses[status] : ERR_INVALID;
}

/* Those behind the failed one fail with it: else one could come through before it. */
static void fail(struct sink *sink, int status, const char *detail)
{
    struct list failed;
    struct list *node;

    if (strcmp(sink->failure, detail) != 0) {
        log_event(LOG_LEVEL_WARN, "sink.write.failed", "sink", sink->name, "err", err_str(status),
                  "detail", detail, NULL);
        (void)host_line(host_leased_str(str_of(detail)), sink->failure, sizeof(sink->failure));
    }
    /* Whoever is told may append again, behind them. */
    list_init(&failed);
    list_splice(&failed, &sink->pending);
    sink->pending_bytes = 0;
    sink->written_bytes = 0;
    while ((node = list_pop_front(&failed)) != NULL) {
        struct env_append *append = LIST_ENTRY(node, struct env_append, node);

        append->status = status;
        append->is_short = false;
        append->fn(append, status);
    }
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Whole lines of the first append; one that is longer than all that fits goes alone. */
static struct leased_str next_piece(const struct sink *sink)
{
    struct str rest = first_append(sink)->bytes;
    const char *end;

    rest.ptr += sink->written_bytes;
    rest.len -= sink->written_bytes;
    if (rest.len <= SINK_WRITE_MAX_BYTES) {
        return host_leased_str(rest);
    }
    end = memrchr(rest.ptr, '\n', SINK_WRITE_MAX_BYTES);
    if (end == NULL) {
        end = memchr(rest.ptr, '\n', rest.len);
    }
    rest.len = end != NULL ? (size_t)(end - rest.ptr) + 1 : rest.len;
    return host_leased_str(rest);
}

static uint64_t line_count(struct leased_str lines)
{
    uint64_t count = 0;

    for (size_t i = 0; i < lines.len; i++) {
        count += lines.ptr[i] == '\n';
    }
    return count;
}

/* The plugin is called, and begins something under a new handle. < 0: it doesn't. */
static int32_t begin(struct sink *sink, uint64_t timeout_ms)
{
    if (handles_add(&sink->handles, sink, &sink->op) != 0) {
        sink->op = NULL;
        return -LEASED_RETRY;
    }
    sink->is_done_early = false;
    sink->is_starting = true;
    env_timer_arm(sink->env, &sink->timer, env_now_ms(sink->env) + timeout_ms);
    host_enter(&sink->host);
    return 0;
}

static int32_t began(struct sink *sink, int32_t status, const char *call)
{
    host_leave(&sink->host, call);
    sink->is_starting = false;
    if (status < 0 || sink->is_done_early) {
        handles_remove(&sink->handles, sink->op);
        sink->op = NULL;
        env_timer_disarm(sink->env, &sink->timer);
    }
    return status;
}

static void write_start(struct sink *sink)
{
    struct leased_sink_write request = {.size = sizeof(request), .lines = next_piece(sink)};
    int32_t status = begin(sink, SINK_WRITE_TIMEOUT_MS);

    if (status == 0) {
        request.count = line_count(request.lines);
        sink->piece_bytes = request.lines.len;
        status = began(sink, sink->plugin->write(sink->instance, &request, (leased_op *)sink->op),
                       "write");
    }
    if (status < 0) {
        fail(sink, status_of(-status), "the plugin didn't take the records");
    } else if (sink->is_done_early) {
        fail(sink, ERR_INVALID, "the plugin ended a write from inside its own function");
    } else {
        sink->state = SINK_STATE_WRITING;
    }
}

static void write_ended(struct sink *sink, int32_t status, const struct leased_result *result)
{
    char text[BACKEND_ERROR_MAX_BYTES] = "";
    int error = status_of(status);

    sink->state = SINK_STATE_IDLE;
    env_defer(sink->env, &sink->step);
    if (status == LEASED_OK) {
        sink->failure[0] = '\0';
        sink->written_bytes += sink->piece_bytes;
        if (sink->written_bytes == first_append(sink)->bytes.len) {
            append_end(sink, 0);
        }
        return;
    }
    if (result != NULL && LEASED_HAS(result, detail)) {
        (void)host_line(result->detail, text, sizeof(text));
    }
    if (status == LEASED_RETRY_AFTER && result != NULL && LEASED_HAS(result, retry_after_ms)) {
        uint64_t now_ms = env_now_ms(sink->env);

        sink->resume_ms = result->retry_after_ms > RESUME_MAX_MS ? now_ms + RESUME_MAX_MS
                                                                 : now_ms + result->retry_after_ms;
    }
    fail(sink, error, text[0] != '\0' ? text : err_str(error));
}

/* --- closing ---------------------------------------------------------------------------------- */

static void sink_free(struct sink *sink)
{
    env_timer_disarm(sink->env, &sink->timer);
    env_undefer(&sink->step);
    handles_fini(&sink->handles);
    if (sink->host.magic != 0) {
        host_fini(&sink->host);
    }
    mem_free(sink->name);
    sink->magic = 0;
    mem_free(sink);
}

static void host_ended(void *user)
{
    struct sink *sink = sink_cast(user);
    void (*closed)(void *closed_user) = sink->closed;
    void *closed_user = sink->closed_user;

    sink_free(sink);
    if (closed != NULL) {
        closed(closed_user);
    }
}

/* The instance is gone, or is taken for gone. */
static void end(struct sink *sink)
{
    sink->state = SINK_STATE_ENDING;
    env_timer_disarm(sink->env, &sink->timer);
    if (sink->op != NULL) {
        handles_remove(&sink->handles, sink->op);
        sink->op = NULL;
    }
    host_end(&sink->host, host_ended);
}

static void close_start(struct sink *sink)
{
    int32_t status = begin(sink, CLOSE_TIMEOUT_MS);

    if (status == 0) {
        status =
            began(sink, sink->plugin->close(sink->instance, 0, (leased_op *)sink->op), "close");
    }
    if (status < 0 || sink->is_done_early) {
        end(sink);
    } else {
        sink->state = SINK_STATE_CLOSING;
    }
}

/* --- steps ------------------------------------------------------------------------------------ */

static void step_run(struct env_deferred *deferred)
{
    struct sink *sink = sink_cast(deferred->user);

    if (sink->state != SINK_STATE_IDLE) {
        return;
    }
    while (!list_is_empty(&sink->pending) && first_append(sink)->bytes.len == 0) {
        append_end(sink, 0);
    }
    if (list_is_empty(&sink->pending)) {
        if (sink->is_closed) {
            close_start(sink); /* self may be gone */
        }
    } else {
        write_start(sink);
        env_defer(sink->env, &sink->step);
    }
}

static void sink_done(void *user, const leased_op *handle, int32_t status,
                      const struct leased_result *result)
{
    struct sink *sink = sink_cast(user);

    if (handles_get(&sink->handles, handle) == NULL) {
        return;
    }
    if (sink->is_starting) {
        sink->is_done_early = true;
        return;
    }
    handles_remove(&sink->handles, handle);
    sink->op = NULL;
    env_timer_disarm(sink->env, &sink->timer);
    if (sink->state == SINK_STATE_CLOSING) {
        end(sink);
    } else {
        write_ended(sink, status, result);
    }
}

static void timer_ran(struct env_timer *timer)
{
    struct sink *sink = sink_cast(timer->user);

    if (sink->state == SINK_STATE_CLOSING) {
        end(sink);
    } else if (sink->state == SINK_STATE_WRITING) {
        log_event(LOG_LEVEL_WARN, "sink.write.late", "sink", sink->name, "detail",
                  "the plugin is asked to end it; no other write starts before it does", NULL);
        if (LEASED_HAS(sink->plugin, cancel) && sink->plugin->cancel != NULL) {
            host_enter(&sink->host);
            sink->plugin->cancel(sink->instance, (leased_op *)sink->op);
            host_leave(&sink->host, "cancel");
        }
    }
}

/* --- the file --------------------------------------------------------------------------------- */

static int append_start(struct env_file *file, struct env_append *append)
{
    struct sink *sink = sink_of(file);

    if (sink->is_closed) {
        return ERR_CLOSED;
    }
    /* It isn't kept here until then: the trail tries again, and gives up at its own end. */
    if (sink->resume_ms > env_now_ms(sink->env)) {
        return ERR_UNAVAILABLE;
    }
    if (append->bytes.len > ENV_FILE_QUEUE_MAX_BYTES - sink->pending_bytes) {
        return ERR_LIMIT;
    }
    sink->pending_bytes += append->bytes.len;
    list_push_back(&sink->pending, &append->node);
    env_defer(sink->env, &sink->step);
    return 0;
}

static int reopen(struct env_file *file, struct err *e)
{
    (void)e;
    sink_of(file)->resume_ms = 0;
    return 0;
}

static void close_file(struct env_file *file, void (*closed)(void *user), void *user)
{
    struct sink *sink = sink_of(file);

    CHECK(!sink->is_closed);
    sink->is_closed = true;
    sink->closed = closed;
    sink->closed_user = user;
    env_defer(sink->env, &sink->step);
}

static void reserve(struct env_file *file, size_t bytes)
{
    (void)file;
    (void)bytes;
}

static int tail(struct env_file *file, size_t max_bytes, char **ret_bytes, size_t *ret_size)
{
    (void)file;
    (void)max_bytes;
    *ret_bytes = NULL;
    *ret_size = 0;
    return 0;
}

static const struct env_file_ops file_ops = {
    .append_start = append_start,
    .reopen = reopen,
    .close = close_file,
    .reserve = reserve,
    .tail = tail,
};

/* --- open ------------------------------------------------------------------------------------- */

static void set_up(struct sink *sink)
{
    struct leased_host_context *host = &sink->host;

    handles_init(&sink->handles, 1);
    list_init(&sink->pending);
    sink->timer.fn = timer_ran;
    sink->timer.user = sink;
    sink->step.fn = step_run;
    sink->step.user = sink;
    sink->file = (struct env_file){.ops = &file_ops, .env = sink->env};
    host->env = sink->env;
    host->name = sink->name;
    host->timeout_ms = HTTP_TIMEOUT_MS;
    host->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    host->answer_max_bytes = ENV_HTTP_REPLY_MAX_BYTES;
    host->answer_depth_max = ANSWER_DEPTH_MAX;
    host->answer_values_max = ANSWER_VALUES_MAX;
    host->sink_done = sink_done;
    host->user = sink;
    host_init(host);
}

static int open_instance(struct sink *sink, const char *config_json, struct err *e)
{
    struct leased_str config = host_leased_str(str_of(config_json != NULL ? config_json : "{}"));
    struct leased_str detail = {0};
    char text[BACKEND_ERROR_MAX_BYTES];
    int32_t status;

    host_enter(&sink->host);
    status = sink->plugin->open(&host_table, &sink->host, config, &sink->instance, &detail);
    host_leave(&sink->host, "open");
    if (status < 0) {
        return err_set(e, status == -LEASED_RETRY ? ERR_NOMEM : ERR_INVALID, "%s",
                       detail.len > 0 ? host_line(detail, text, sizeof(text))
                                      : "the plugin refuses its configuration");
    }
    return 0;
}

/* A plugin may have left timers or exchanges behind; then the memory goes when those have ended. */
static void open_failed(struct sink *sink)
{
    if (host_is_used(&sink->host)) {
        end(sink);
    } else {
        sink_free(sink);
    }
}

int sink_open(const struct sink_options *options, struct env_file **ret_file, struct err *e)
{
    struct sink *sink = mem_calloc(1, sizeof(*sink));
    int r;

    if (sink == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    sink->magic = SINK_MAGIC;
    sink->env = options->env;
    sink->plugin = options->plugin->ops;
    sink->name = mem_strdup(options->name);
    if (sink->name == NULL) {
        mem_free(sink);
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    set_up(sink);
    r = open_instance(sink, options->config_json, e);
    if (r != 0) {
        open_failed(sink);
        return r;
    }
    *ret_file = &sink->file;
    return 0;
}
