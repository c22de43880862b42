/* The ledger: the loop's side.
 *
 * Happy path: put and remove copy the change into the turn's list → at the end of the turn the list
 * and those who wait go to the writer, a thread of the ledger's own → the writer takes all that has
 * gathered and commits it as one transaction (ledger_sqlite.c) → wakes the loop → the waits end.
 *
 * Failure paths: a transaction fails → its waits end with the error, its changes stay with the
 * writer in their order, before all later ones, and are tried again with the next group or after a
 * second. The files are gone or others → the same, noticed before each commit and every few seconds
 * without one. Closing: the writer tries what is left once more and ends; then the loop joins it.
 *
 * The threads share the queue, the done list, the error and the flags, all under one lock. */
#include "base/log.h"
#include "base/mem.h"
#include "io/ledger_internal.h"
#include "io/ledger_key.h"

#include <string.h>

#define RETRY_NS 1000000000ULL
#define LOOK_NS (5 * RETRY_NS) /* at the files, without work */

struct io_ledger {
    uint32_t magic;
    struct env_ledger base;
    struct io *io;
    struct ledger_db *db; /* the writer's once it has something to do */
    struct ledger_keys *keys;
    uv_thread_t writer;
    uv_async_t wake;
    struct env_deferred flush;
    bool has_flushed;
    int writer_status;        /* the writer's: of the last group */
    struct list turn_changes; /* the loop's: of this turn */
    struct list turn_syncs;
    size_t pending_bytes; /* the loop's: queued and not committed */
    bool is_failing;      /* the loop's: the last group could not be committed */
    struct err failure;   /* … and why */
    bool is_closing;
    void (*closed)(void *user);
    void *closed_user;

    uv_mutex_t lock;
    uv_cond_t has_work;
    struct list changes;
    struct list syncs;
    struct list done;       /* struct env_ledger_sync */
    size_t committed_bytes; /* since the loop looked last */
    struct err result;      /* of the last group */
    bool has_result;
    bool is_stopping;
    bool has_stopped;
};

static struct io_ledger *ledger_of(struct env_ledger *base)
{
    struct io_ledger *ledger = CONTAINER_OF(base, struct io_ledger, base);

    CHECK(ledger->magic == LEDGER_MAGIC);
    return ledger;
}

/* --- the writer ------------------------------------------------------------------------------- */

static size_t change_size(const struct ledger_change *change)
{
    return sizeof(*change) + change->id_len + change->body_len;
}

static size_t free_changes(struct list *changes)
{
    struct list *node;
    size_t size = 0;

    while ((node = list_pop_front(changes)) != NULL) {
        struct ledger_change *change = LIST_ENTRY(node, struct ledger_change, node);

        size += change_size(change);
        mem_free(change);
    }
    return size;
}

/* `kept` is what is to be committed, all of it in order; empty afterwards if that worked. */
static void write_group(struct io_ledger *ledger, struct list *kept, struct list *syncs)
{
    struct err e = {.code = 0};
    bool is_look = list_is_empty(kept) && list_is_empty(syncs);
    int r = ledger_db_look(ledger->db, &e);
    struct list *node;
    size_t size;

    if (r == 0 && !list_is_empty(kept)) {
        r = ledger_db_commit(ledger->db, kept, &e);
    }
    size = r == 0 ? free_changes(kept) : 0;
    if (is_look && r == ledger->writer_status) {
        return;
    }
    ledger->writer_status = r;
    for (node = syncs->next; node != syncs; node = node->next) {
        LIST_ENTRY(node, struct env_ledger_sync, node)->status = r;
    }
    uv_mutex_lock(&ledger->lock);
    list_splice(&ledger->done, syncs);
    ledger->committed_bytes += size;
    ledger->result = e;
    ledger->result.code = r;
    ledger->has_result = true;
    uv_mutex_unlock(&ledger->lock);
    (void)uv_async_send(&ledger->wake);
}

/* Waits for work; what failed before is work again after a while, and so is a look at the files. */
static bool take_work(struct io_ledger *ledger, struct list *kept, struct list *syncs)
{
    bool is_retry = !list_is_empty(kept) || ledger->writer_status != 0;
    bool is_over;
    int r = 0;

    uv_mutex_lock(&ledger->lock);
    while (list_is_empty(&ledger->changes) && list_is_empty(&ledger->syncs) &&
           !ledger->is_stopping && r == 0) {
        r = uv_cond_timedwait(&ledger->has_work, &ledger->lock, is_retry ? RETRY_NS : LOOK_NS);
    }
    is_over = ledger->is_stopping;
    list_splice(kept, &ledger->changes);
    list_splice(syncs, &ledger->syncs);
    uv_mutex_unlock(&ledger->lock);
    return !is_over;
}

static void run_writer(void *user)
{
    struct io_ledger *ledger = OBJ_CAST(user, struct io_ledger, LEDGER_MAGIC);
    bool goes_on = true;
    struct list kept;

    list_init(&kept);
    while (goes_on) {
        struct list syncs;

        list_init(&syncs);
        goes_on = take_work(ledger, &kept, &syncs);
        write_group(ledger, &kept, &syncs);
    }
    (void)free_changes(&kept);
    uv_mutex_lock(&ledger->lock);
    ledger->has_stopped = true;
    uv_mutex_unlock(&ledger->lock);
    (void)uv_async_send(&ledger->wake);
}

/* --- back on the loop ------------------------------------------------------------------------- */

static void note_result(struct io_ledger *ledger, const struct err *result)
{
    if (result->code != 0 && (!ledger->is_failing || result->code != ledger->failure.code)) {
        log_event(LOG_LEVEL_ERROR, "ledger.failed", "err", result->text, NULL);
    } else if (result->code == 0 && ledger->is_failing) {
        log_event(LOG_LEVEL_INFO, "ledger.restored", NULL);
    }
    ledger->is_failing = result->code != 0;
    ledger->failure = *result;
}

static void ledger_free(struct io_ledger *ledger)
{
    ledger_db_close(ledger->db);
    ledger_keys_free(ledger->keys);
    mem_free(ledger);
}

static void on_wake_closed(uv_handle_t *handle)
{
    struct io_ledger *ledger = OBJ_CAST(handle->data, struct io_ledger, LEDGER_MAGIC);
    void (*closed)(void *user) = ledger->closed;
    void *user = ledger->closed_user;

    if (ledger->is_closing) {
        ledger->io->closing_file_count--;
    }
    uv_cond_destroy(&ledger->has_work);
    uv_mutex_destroy(&ledger->lock);
    ledger_free(ledger);
    if (closed != NULL) {
        closed(user);
    }
}

static void on_wake(uv_async_t *handle)
{
    struct io_ledger *ledger = OBJ_CAST(handle->data, struct io_ledger, LEDGER_MAGIC);
    struct err result = {.code = 0};
    struct list done;
    struct list *node;
    bool has_stopped;
    bool has_result;

    io_enter(ledger->io);
    list_init(&done);
    uv_mutex_lock(&ledger->lock);
    list_splice(&done, &ledger->done);
    ledger->pending_bytes -= ledger->committed_bytes;
    ledger->committed_bytes = 0;
    has_result = ledger->has_result;
    ledger->has_result = false;
    if (has_result) {
        result = ledger->result;
    }
    has_stopped = ledger->has_stopped;
    uv_mutex_unlock(&ledger->lock);
    if (has_result) {
        note_result(ledger, &result);
    }
    while ((node = list_pop_front(&done)) != NULL) {
        struct env_ledger_sync *sync = LIST_ENTRY(node, struct env_ledger_sync, node);

        sync->fn(sync, sync->status); /* the sync may be gone, the ledger isn't */
    }
    if (has_stopped) {
        (void)uv_thread_join(&ledger->writer);
        uv_close((uv_handle_t *)&ledger->wake, on_wake_closed);
    }
}

/* --- changes ---------------------------------------------------------------------------------- */

static void flush(struct env_deferred *deferred)
{
    struct io_ledger *ledger = OBJ_CAST(deferred->user, struct io_ledger, LEDGER_MAGIC);

    if (!ledger->has_flushed && ledger_keys_are_unsaved(ledger->keys)) {
        struct err e = {.code = 0};

        /* The start is through. Without a file what is sealed from here on is lost to the next. */
        if (ledger_keys_save(ledger->keys, &e) != 0) {
            log_event(LOG_LEVEL_ERROR, "ledger.key.failed", "err", e.text, NULL);
        }
    }
    ledger->has_flushed = true;
    uv_mutex_lock(&ledger->lock);
    list_splice(&ledger->changes, &ledger->turn_changes);
    list_splice(&ledger->syncs, &ledger->turn_syncs);
    uv_cond_signal(&ledger->has_work);
    uv_mutex_unlock(&ledger->lock);
}

static int change(struct io_ledger *ledger, const struct ledger_change *head, struct str id,
                  struct str body)
{
    size_t size = sizeof(*head) + id.len + body.len;
    size_t max_bytes = ENV_LEDGER_QUEUE_MAX_BYTES * (head->is_removal ? 2 : 1);
    struct ledger_change *queued;

    if (ledger->is_closing) {
        return ERR_CLOSED;
    }
    if (id.len == 0 || id.len > ENV_LEDGER_ID_MAX_BYTES || body.len > ENV_LEDGER_BODY_MAX_BYTES) {
        return ERR_TOO_LARGE;
    }
    if (ledger->pending_bytes + size > max_bytes) {
        return ERR_LIMIT;
    }
    queued = mem_alloc(size);
    if (queued == NULL) {
        return ERR_NOMEM;
    }
    *queued = *head;
    queued->node = (struct list){.next = NULL};
    queued->id_len = (uint32_t)id.len;
    queued->body_len = (uint32_t)body.len;
    memcpy(queued->bytes, id.ptr, id.len);
    if (body.len > 0) {
        memcpy(queued->bytes + id.len, body.ptr, body.len);
    }
    ledger->pending_bytes += size;
    list_push_back(&ledger->turn_changes, &queued->node);
    env_defer(ledger->base.env, &ledger->flush);
    return 0;
}

static int ledger_put(struct env_ledger *base, enum env_ledger_kind kind, struct str id,
                      struct str body)
{
    return change(ledger_of(base), &(struct ledger_change){.kind = kind}, id, body);
}

static int ledger_remove(struct env_ledger *base, enum env_ledger_kind kind, struct str id)
{
    return change(ledger_of(base), &(struct ledger_change){.kind = kind, .is_removal = true}, id,
                  (struct str){.len = 0});
}

static int ledger_remove_up_to(struct env_ledger *base, enum env_ledger_kind kind, struct str id)
{
    return change(ledger_of(base),
                  &(struct ledger_change){.kind = kind, .is_removal = true, .is_range = true}, id,
                  (struct str){.len = 0});
}

static void ledger_sync(struct env_ledger *base, struct env_ledger_sync *sync)
{
    struct io_ledger *ledger = ledger_of(base);

    CHECK(!ledger->is_closing);
    list_push_back(&ledger->turn_syncs, &sync->node);
    env_defer(base->env, &ledger->flush);
}

static bool ledger_is_ready(const struct env_ledger *base, struct err *e)
{
    const struct io_ledger *ledger =
        (const struct io_ledger *)(const void *)((const char *)base -
                                                 offsetof(struct io_ledger, base));

    if (ledger->is_failing && e != NULL) {
        *e = ledger->failure;
    }
    return !ledger->is_failing;
}

static int ledger_each(struct env_ledger *base, enum env_ledger_kind kind, env_ledger_fn fn,
                       void *user, struct err *e)
{
    struct io_ledger *ledger = ledger_of(base);

    CHECK(!ledger->has_flushed); /* the writer has had nothing to do, so isn't at the database */
    return ledger_db_each(ledger->db, kind, fn, user, e);
}

static int ledger_seal(struct env_ledger *base, struct str owner, struct str plain,
                       char *ret_sealed)
{
    return ledger_keys_seal(ledger_of(base)->keys, owner, plain, ret_sealed);
}

static int ledger_unseal(struct env_ledger *base, struct str owner, struct str sealed,
                         char *ret_plain)
{
    return ledger_keys_unseal(ledger_of(base)->keys, owner, sealed, ret_plain);
}

static void ledger_close(struct env_ledger *base, void (*closed)(void *user), void *user)
{
    struct io_ledger *ledger = ledger_of(base);

    CHECK(!ledger->is_closing);
    ledger->is_closing = true;
    ledger->io->closing_file_count++;
    ledger->closed = closed;
    ledger->closed_user = user;
    env_undefer(&ledger->flush);
    if (!ledger->has_flushed && ledger_keys_are_unsaved(ledger->keys)) {
        /* A start that was refused: whoever finds the key again finds all as it was. */
        ledger->pending_bytes -= free_changes(&ledger->turn_changes);
        ledger->has_flushed = true;
    }
    flush(&ledger->flush);
    uv_mutex_lock(&ledger->lock);
    ledger->is_stopping = true;
    uv_cond_signal(&ledger->has_work);
    uv_mutex_unlock(&ledger->lock);
}

static const struct env_ledger_ops ledger_ops = {
    .put = ledger_put,
    .remove = ledger_remove,
    .remove_up_to = ledger_remove_up_to,
    .sync = ledger_sync,
    .is_ready = ledger_is_ready,
    .each = ledger_each,
    .seal = ledger_seal,
    .unseal = ledger_unseal,
    .close = ledger_close,
};

/* --- opening ---------------------------------------------------------------------------------- */

/* The lock, the wake-up and the thread. `ledger` is taken even on error. */
static int start_writer(struct io_ledger *ledger, struct err *e)
{
    int r = uv_mutex_init(&ledger->lock);

    if (r != 0) {
        goto err_ledger;
    }
    r = uv_cond_init(&ledger->has_work);
    if (r != 0) {
        goto err_lock;
    }
    r = uv_async_init(io_uv(ledger->io), &ledger->wake, on_wake);
    if (r != 0) {
        goto err_cond;
    }
    ledger->wake.data = ledger;
    r = uv_thread_create(&ledger->writer, run_writer, ledger);
    if (r != 0) {
        /* The handle is the loop's now, so its close callback frees the ledger. */
        uv_close((uv_handle_t *)&ledger->wake, on_wake_closed);
        return err_set(e, r, "could not start the ledger's writer: %s", uv_strerror(r));
    }
    return 0;

err_cond:
    uv_cond_destroy(&ledger->has_work);
err_lock:
    uv_mutex_destroy(&ledger->lock);
err_ledger:
    (void)err_set(e, r, "could not start the ledger's writer: %s", uv_strerror(r));
    ledger_free(ledger);
    return r;
}

/* Of a new ledger it is made at once. Where it may only be mislaid it waits for the first group. */
static int take_new_key(struct io_ledger *ledger, struct err *e)
{
    bool has_sealed = false;
    int r = ledger_db_has_sealed(ledger->db, &has_sealed, e);

    if (r == 0 && !has_sealed) {
        r = ledger_keys_save(ledger->keys, e);
    } else if (r == 0) {
        log_event(LOG_LEVEL_WARN, "ledger.key.missing", "detail",
                  "the ledger's key is gone, and with it every credential that the ledger holds: "
                  "these leases are revoked, and a new key is made",
                  "hint", "it was beside the ledger, with .key at the end of its name", NULL);
    }
    return r;
}

int io_ledger_open(struct env *env, const struct env_ledger_options *options,
                   struct env_ledger **ret_ledger, struct err *e)
{
    struct io_ledger *ledger = mem_calloc(1, sizeof(*ledger));
    int r;

    if (ledger == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    ledger->magic = LEDGER_MAGIC;
    ledger->base.ops = &ledger_ops;
    ledger->base.env = env;
    ledger->io = io_of(env);
    ledger->flush = (struct env_deferred){.fn = flush, .user = ledger};
    list_init(&ledger->turn_changes);
    list_init(&ledger->turn_syncs);
    list_init(&ledger->changes);
    list_init(&ledger->syncs);
    list_init(&ledger->done);
    r = ledger_db_open(options->path, &ledger->db, e);
    if (r == 0) {
        r = ledger_keys_read(env, options, &ledger->keys, e);
    }
    if (r == 0 && ledger_keys_are_unsaved(ledger->keys)) {
        r = take_new_key(ledger, e);
    }
    if (r != 0) {
        ledger_free(ledger);
        return r;
    }
    r = start_writer(ledger, e);
    if (r != 0) {
        return r;
    }
    *ret_ledger = &ledger->base;
    return 0;
}
