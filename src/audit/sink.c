/* One sink of the audit trail.
 *
 * Happy path: add puts a line into `pending` → release says that it may be appended (at once, or
 * when the ledger has it) → at the end of the loop's turn flush makes what was released the `batch`
 * and starts one append of it → append_done: the batch is durable, and what has
 * gathered meanwhile is the next one. So one write and one sync serve all records of the time that
 * the sync before took.
 *
 * Only one append runs at a time. Otherwise the first could fail and the second succeed, and the
 * file would have a gap that later writes can't fill.
 *
 * Failure paths. The append fails (nothing of it is in the file then): the batch stays as it is and
 * is appended again after a back-off, until it succeeds; `pending` grows behind it up to its limit.
 * The append doesn't end within confirm_max_ms: the sink counts as failing, and as restored if the
 * append succeeds after all. The append succeeds but the file's reserve can't be renewed: the sink
 * counts as failing (is_short) and goes on writing out of the reserve; while there is nothing to
 * write it tries with empty appends whether the reserve can be renewed. The sink is closed while it
 * fails: one more attempt, then what is left is dropped, since nobody will be there to try again.
 */
#include "audit/sink.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define AUDIT_SINK_MAGIC 0xa0d175e1U

/* A batch buffer that a failure made larger than this isn't kept. */
#define LINES_KEEP_MAX_BYTES (256U * 1024U)
#define LINES_FIRST_BYTES 4096U

static int lines_reserve(struct audit_lines *lines, size_t more)
{
    size_t cap = lines->cap > 0 ? lines->cap : LINES_FIRST_BYTES;
    char *bytes;

    if (lines->cap - lines->len >= more) {
        return 0;
    }
    while (cap - lines->len < more) {
        cap *= 2;
    }
    bytes = mem_realloc(lines->bytes, cap);
    if (bytes == NULL) {
        return ERR_NOMEM;
    }
    lines->bytes = bytes;
    lines->cap = cap;
    return 0;
}

static void lines_fini(struct audit_lines *lines)
{
    mem_free(lines->bytes);
    *lines = (struct audit_lines){0};
}

static void lines_clear(struct audit_lines *lines)
{
    if (lines->cap > LINES_KEEP_MAX_BYTES) {
        lines_fini(lines);
    }
    lines->len = 0;
    lines->count = 0;
}

static void sink_file_closed(void *user)
{
    struct audit_sink *sink = OBJ_CAST(user, struct audit_sink, AUDIT_SINK_MAGIC);

    sink->file = NULL;
    sink->fn(sink, AUDIT_SINK_CLOSED, 0); /* self may be gone */
}

static void sink_file_close(struct audit_sink *sink)
{
    env_timer_disarm(sink->env, &sink->confirm_timer);
    env_timer_disarm(sink->env, &sink->retry_timer);
    env_undefer(&sink->flush);
    env_file_close(sink->file, sink_file_closed, sink);
}

bool audit_sink_is_down(const struct audit_sink *sink)
{
    return sink->is_failing || sink->is_short;
}

static void retry_arm(struct audit_sink *sink)
{
    if (!sink->is_closing) {
        env_timer_arm(sink->env, &sink->retry_timer, env_now_ms(sink->env) + sink->retry_ms);
        sink->retry_ms =
            sink->retry_ms * 2 < AUDIT_RETRY_MAX_MS ? sink->retry_ms * 2 : AUDIT_RETRY_MAX_MS;
    }
}

/* The append failed, or didn't start. The batch stays for the next attempt. */
static void attempt_failed(struct audit_sink *sink, int status)
{
    bool is_new = !audit_sink_is_down(sink);

    sink->is_failing = true;
    sink->failure = status;
    retry_arm(sink);
    if (is_new) {
        sink->fn(sink, AUDIT_SINK_FAILED, status);
    }
    if (sink->is_closing) {
        sink_file_close(sink);
    }
}

static void attempt_succeeded(struct audit_sink *sink)
{
    bool was_down = audit_sink_is_down(sink);

    if (sink->batch.count > 0) {
        sink->durable_seq = sink->batch.last_seq;
    }
    sink->is_failing = false;
    sink->is_short = sink->append.is_short;
    if (sink->is_short) {
        retry_arm(sink);
    } else {
        sink->retry_ms = AUDIT_RETRY_MIN_MS;
    }
    lines_clear(&sink->batch);
    env_defer(sink->env, &sink->flush);
    sink->fn(sink, was_down && !sink->is_short ? AUDIT_SINK_RESTORED : AUDIT_SINK_WROTE, 0);
    if (sink->is_short) {
        sink->failure = -ENOSPC;
    }
    if (!was_down && sink->is_short) {
        sink->fn(sink, AUDIT_SINK_FAILED, -ENOSPC);
    }
}

static void append_done(struct env_append *append, int status)
{
    struct audit_sink *sink = OBJ_CAST(append->user, struct audit_sink, AUDIT_SINK_MAGIC);

    sink->is_in_flight = false;
    env_timer_disarm(sink->env, &sink->confirm_timer);
    if (status != 0) {
        attempt_failed(sink, status);
    } else {
        attempt_succeeded(sink);
    }
}

static void confirm_is_late(struct env_timer *timer)
{
    struct audit_sink *sink = OBJ_CAST(timer->user, struct audit_sink, AUDIT_SINK_MAGIC);

    bool is_new = !audit_sink_is_down(sink);

    CHECK(sink->is_in_flight && !sink->is_failing);
    sink->is_failing = true;
    sink->failure = ERR_TIMEOUT;
    if (is_new) {
        sink->fn(sink, AUDIT_SINK_FAILED, ERR_TIMEOUT);
    }
}

static void batch_start(struct audit_sink *sink)
{
    int r;

    if (sink->batch.count == 0) {
        sink->batch.since_ms = env_now_ms(sink->env);
    }
    sink->append.bytes = (struct str){.ptr = sink->batch.bytes, .len = sink->batch.len};
    r = env_append_start(sink->file, &sink->append);
    if (r != 0) {
        attempt_failed(sink, r);
        return;
    }
    sink->is_in_flight = true;
    if (!sink->is_failing) {
        env_timer_arm(sink->env, &sink->confirm_timer, sink->batch.since_ms + sink->confirm_max_ms);
    }
}

/* What may be appended becomes the next batch. ERR_NOMEM. */
static int batch_take(struct audit_sink *sink)
{
    struct audit_lines *batch = &sink->batch;
    struct audit_lines *pending = &sink->pending;
    const struct audit_ready *ready = &sink->ready;

    if (ready->len == pending->len) {
        struct audit_lines empty = *batch;

        *batch = *pending;
        *pending = empty;
    } else {
        int r = lines_reserve(batch, ready->len);

        if (r != 0) {
            return r;
        }
        memcpy(batch->bytes, pending->bytes, ready->len);
        pending->len -= ready->len;
        pending->count -= ready->count;
        memmove(pending->bytes, pending->bytes + ready->len, pending->len);
    }
    batch->len = ready->len;
    batch->count = ready->count;
    batch->last_seq = ready->last_seq;
    batch->since_ms = ready->since_ms;
    sink->ready = (struct audit_ready){.len = 0};
    return 0;
}

static void flush_run(struct env_deferred *deferred)
{
    struct audit_sink *sink = OBJ_CAST(deferred->user, struct audit_sink, AUDIT_SINK_MAGIC);

    if (sink->is_in_flight || (sink->is_failing && sink->retry_timer.heap_index != 0)) {
        return;
    }
    if (sink->batch.count == 0 && sink->ready.count > 0) {
        int r = batch_take(sink);

        if (r != 0) {
            attempt_failed(sink, r);
            return;
        }
    }
    if (sink->batch.count > 0) {
        env_timer_disarm(sink->env, &sink->retry_timer);
        batch_start(sink);
    } else if (sink->is_closing) {
        sink_file_close(sink);
    } else if (audit_sink_is_down(sink) && sink->retry_timer.heap_index == 0) {
        batch_start(sink); /* empty: can the reserve be renewed? */
    }
}

static void retry_is_due(struct env_timer *timer)
{
    struct audit_sink *sink = OBJ_CAST(timer->user, struct audit_sink, AUDIT_SINK_MAGIC);

    env_defer(sink->env, &sink->flush);
}

/* A crash may have left a line without its end. It isn't continued but ended, so that the next
 * record has a line of its own. */
static int cut_off_line_end(struct audit_sink *sink, struct err *e)
{
    char *bytes = NULL;
    size_t size = 0;
    int r = env_file_tail(sink->file, 1, &bytes, &size);

    if (r != 0) {
        return err_set(e, r, "could not read the end of %s: %s", sink->path, err_str(r));
    }
    if (size > 0 && bytes[0] != '\n') {
        r = lines_reserve(&sink->pending, 1);
        if (r == 0) {
            sink->pending.bytes[sink->pending.len++] = '\n';
            sink->ready.len = sink->pending.len;
        }
    }
    mem_free(bytes);
    return r;
}

int audit_sink_open(struct audit_sink *sink, struct env *env,
                    const struct audit_sink_options *options, struct err *e)
{
    bool is_stdout = strcmp(options->kind, "stdout") == 0;
    bool is_open = strcmp(options->kind, "open") == 0;
    int r;

    *sink = (struct audit_sink){.magic = AUDIT_SINK_MAGIC, .env = env, .file = options->file};
    CHECK(is_open == (options->file != NULL));
    if (!is_stdout && ((!is_open && strcmp(options->kind, "file") != 0) || options->path == NULL)) {
        return err_set(e, ERR_INVALID, "\"%s\" is no audit sink with a path", options->kind);
    }
    sink->is_required = options->is_required;
    sink->path = mem_strdup(is_stdout ? "-" : options->path);
    if (sink->path == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    r = is_open ? 0 : env_file_open(env, sink->path, &sink->file, e);
    if (r == 0) {
        r = cut_off_line_end(sink, e);
    }
    return r;
}

void audit_sink_start(struct audit_sink *sink, uint64_t seq, audit_sink_fn fn, void *user)
{
    sink->fn = fn;
    sink->user = user;
    sink->durable_seq = seq;
    sink->retry_ms = AUDIT_RETRY_MIN_MS;
    sink->confirm_max_ms = AUDIT_CONFIRM_DEFAULT_MS;
    sink->append.fn = append_done;
    sink->append.user = sink;
    sink->flush.fn = flush_run;
    sink->flush.user = sink;
    sink->confirm_timer.fn = confirm_is_late;
    sink->confirm_timer.user = sink;
    sink->retry_timer.fn = retry_is_due;
    sink->retry_timer.user = sink;
}

void audit_sink_limit(struct audit_sink *sink, uint64_t confirm_max_ms, size_t reserve_bytes)
{
    if (confirm_max_ms > 0) {
        sink->confirm_max_ms = confirm_max_ms;
    }
    if (reserve_bytes > 0) {
        env_file_reserve(sink->file, reserve_bytes);
    }
}

static void abandoned(void *user)
{
    (void)user;
}

void audit_sink_abandon(struct audit_sink *sink)
{
    env_undefer(&sink->flush);
    if (sink->file != NULL) {
        env_file_close(sink->file, abandoned, NULL);
        sink->file = NULL;
    }
    audit_sink_fini(sink);
}

int audit_sink_reserve(struct audit_sink *sink, size_t line_bytes, size_t max_bytes)
{
    size_t queued = sink->batch.len + sink->pending.len;

    if (queued > max_bytes || line_bytes > max_bytes - queued) {
        return ERR_LIMIT;
    }
    return lines_reserve(&sink->pending, line_bytes);
}

void audit_sink_add(struct audit_sink *sink, struct str line, uint64_t seq)
{
    struct audit_lines *pending = &sink->pending;

    CHECK(pending->cap - pending->len >= line.len);
    memcpy(pending->bytes + pending->len, line.ptr, line.len);
    pending->len += line.len;
    pending->count++;
    pending->last_seq = seq;
}

void audit_sink_release(struct audit_sink *sink, size_t line_bytes, uint64_t seq)
{
    struct audit_ready *ready = &sink->ready;

    CHECK(ready->len + line_bytes <= sink->pending.len);
    if (ready->count == 0) {
        ready->since_ms = env_now_ms(sink->env);
    }
    ready->len += line_bytes;
    ready->count++;
    ready->last_seq = seq;
    env_defer(sink->env, &sink->flush);
}

void audit_sink_lose(struct audit_sink *sink, uint64_t first_seq, uint64_t last_seq)
{
    if (sink->lost_count == 0) {
        sink->lost_first_seq = first_seq;
    }
    sink->lost_last_seq = last_seq;
    sink->lost_count += last_seq - first_seq + 1;
}

int audit_sink_reopen(struct audit_sink *sink, struct err *e)
{
    int r = env_file_reopen(sink->file, e);

    if (r == 0 && sink->retry_timer.heap_index != 0) {
        env_timer_disarm(sink->env, &sink->retry_timer);
        env_defer(sink->env, &sink->flush);
    }
    return r;
}

void audit_sink_close(struct audit_sink *sink)
{
    CHECK(!sink->is_closing);
    sink->is_closing = true;
    env_timer_disarm(sink->env, &sink->retry_timer);
    env_defer(sink->env, &sink->flush);
}

void audit_sink_fini(struct audit_sink *sink)
{
    CHECK(sink->file == NULL);
    lines_fini(&sink->batch);
    lines_fini(&sink->pending);
    mem_free(sink->path);
    sink->path = NULL;
}

uint64_t audit_sink_lag(const struct audit_sink *sink)
{
    return sink->batch.count + sink->pending.count;
}
