/* The files that are configured: which there are, what is on record of them, start and stop.
 *
 * Happy path: files_set makes a hold for each holder and role (files_hold.c), with its files →
 * files_start puts them to work → events of their grants wake them.
 *
 * The record says before each write which contents may stand at which path. So whatever a crash
 * cuts off, the next start knows what is leased's: what is configured goes on, the rest is removed
 * if it is still what was written. Without a place for the record files are kept fresh all the
 * same, but what a crash leaves stays.
 *
 * Failure paths: no memory for a file: it is told, and not written until the next reload. The
 * record can't be written: nothing is, until it can. */
#include "serve/files_internal.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

/* ---- the record -------------------------------------------------------------- */

static void record_start(struct files *files);

static void record_add(struct buf *out, const struct file *file)
{
    struct file_record record = {.path = str_of(file->path)};
    size_t i;

    for (i = 0; i < FILE_RECORD_HASHES_MAX; i++) {
        if (file->hashes[i][0] != '\0') {
            record.hashes[record.hash_count++] = str_of(file->hashes[i]);
        }
    }
    if (record.hash_count > 0 && !file->is_replaced) {
        file_record_add(out, &record);
    }
}

static void record_fill(struct files *files)
{
    struct list *node;
    struct list *following;
    struct list *inner;
    struct list *inner_following;

    buf_fini(&files->record_bytes);
    buf_init(&files->record_bytes, FILE_RECORD_MAX_BYTES);
    LIST_EACH (&files->holds, node, following) {
        LIST_EACH (&LIST_ENTRY(node, struct hold, node)->items, inner, inner_following) {
            record_add(&files->record_bytes, LIST_ENTRY(inner, struct file, node));
        }
    }
}

static void record_tell(struct files *files, int status)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&files->holds, node, following) {
        struct hold *hold = LIST_ENTRY(node, struct hold, node);

        if (hold->step == HOLD_RECORD && hold->record_number <= files->record_under_way) {
            write_recorded(hold, status); /* the hold may be gone */
        }
    }
}

static void record_done(struct env_put *put, int status, const char *detail)
{
    struct files *files = CONTAINER_OF(put, struct files, record);

    files->is_recording = false;
    if (status == 0) {
        files->record_written = files->record_under_way;
    } else {
        log_event(LOG_LEVEL_ERROR, "files.record.failed", "path", files->record_path, "err", detail,
                  "hint", "no file is written until it can be put on record", NULL);
    }
    record_tell(files, status);
    if (status == 0 && files->record_wanted > files->record_written) {
        record_start(files);
    }
    files_rested(files);
}

static void record_start(struct files *files)
{
    int r;

    if (files->is_recording) {
        return;
    }
    record_fill(files);
    files->record_under_way = files->record_wanted;
    files->record.path = files->record_path;
    files->record.bytes = buf_str(&files->record_bytes);
    files->record.fn = record_done;
    r = buf_status(&files->record_bytes);
    if (r == 0) {
        r = env_put_start(files->serve->options.env, &files->record);
    }
    files->is_recording = r == 0;
    if (r != 0) {
        log_event(LOG_LEVEL_ERROR, "files.record.failed", "path", files->record_path, "err",
                  err_str(r), NULL);
        env_defer(files->serve->options.env, &files->going); /* never from inside the asking */
    }
}

uint64_t files_record(struct files *files)
{
    if (files->record_path == NULL) {
        return 0;
    }
    files->record_wanted++;
    record_start(files);
    return files->record_wanted;
}

/* ---- events ------------------------------------------------------------------ */

static bool is_grant(const char *id, const struct grant_view *view)
{
    return id[0] != '\0' && strcmp(id, view->id) == 0;
}

static void hold_hear(struct hold *hold, const struct lease_event *event,
                      const struct grant_view *view)
{
    struct lease_view lease;

    if (is_grant(hold->old_grant, view) && event->kind == LEASE_EVENT_GONE) {
        hold->old_grant[0] = '\0';
    }
    if (!is_grant(hold->grant, view)) {
        return;
    }
    switch (event->kind) {
    case LEASE_EVENT_CREDENTIAL:
        lease_view(event->lease, &lease);
        memcpy(hold->wanted, lease.id, strlen(lease.id) + 1);
        break;
    case LEASE_EVENT_ENDING:
        hold->wants_new_grant = true;
        break;
    case LEASE_EVENT_GONE:
        hold->is_over = true;
        break;
    default:
        break;
    }
}

static void on_event(struct lease_observer *observer, const struct lease_event *event)
{
    struct files *files = CONTAINER_OF(observer, struct files, observer);
    struct grant_view view;
    struct list *node;
    struct list *following;

    grant_view(event->grant, &view);
    LIST_EACH (&files->holds, node, following) {
        hold_hear(LIST_ENTRY(node, struct hold, node), event, &view);
    }
}

static void on_told(struct lease_observer *observer, uint64_t position)
{
    struct files *files = CONTAINER_OF(observer, struct files, observer);

    (void)position;
    env_defer(files->serve->options.env, &files->going);
}

static bool on_follows(struct lease_observer *observer, const struct grant *grant)
{
    struct files *files = CONTAINER_OF(observer, struct files, observer);
    struct grant_view view;
    struct list *node;
    struct list *following;

    grant_view(grant, &view);
    LIST_EACH (&files->holds, node, following) {
        if (is_grant(LIST_ENTRY(node, struct hold, node)->grant, &view)) {
            return true;
        }
    }
    return false;
}

static void go_all(struct env_deferred *deferred)
{
    struct files *files = CONTAINER_OF(deferred, struct files, going);
    struct list *node;
    struct list *following;

    if (files->record_path != NULL && !files->is_recording &&
        files->record_wanted > files->record_written) {
        files->record_under_way = files->record_wanted;
        record_tell(files, ERR_NOMEM);
    }
    LIST_EACH (&files->holds, node, following) {
        hold_wake(LIST_ENTRY(node, struct hold, node)); /* it may be gone */
    }
    files_rested(files);
}

/* ---- what is configured ------------------------------------------------------ */

static struct file *file_find(const struct files *files, const char *path)
{
    struct list *node;
    struct list *following;
    struct list *inner;
    struct list *inner_following;

    LIST_EACH (&files->holds, node, following) {
        LIST_EACH (&LIST_ENTRY(node, struct hold, node)->items, inner, inner_following) {
            struct file *file = LIST_ENTRY(inner, struct file, node);

            if (!file->is_replaced && strcmp(file->path, path) == 0) {
                return file;
            }
        }
    }
    return NULL;
}

static struct hold *hold_find(struct files *files, const struct serve_file *config)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&files->holds, node, following) {
        struct hold *hold = LIST_ENTRY(node, struct hold, node);

        if (hold_is_of(hold, config)) {
            return hold;
        }
    }
    return hold_new(files, config);
}

/* The file of another hold goes on as one of this. NULL: out of memory. */
static struct file *file_take_over(struct hold *hold, const char *path, struct file *before)
{
    struct file *file = file_new(hold, path);

    if (file != NULL && before != NULL) {
        memcpy(file->hashes, before->hashes, sizeof(file->hashes));
        before->is_replaced = true;
        before->is_configured = false;
    }
    return file;
}

static bool is_same(const char *a, const char *b)
{
    return (a == NULL && b == NULL) || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What it shows, and how. */
static int look_set(struct file *file, const struct serve_file *config)
{
    char *format = mem_strdup(config->format);
    char *text = config->template_text != NULL ? mem_strdup(config->template_text) : NULL;

    if (format == NULL || (config->template_text != NULL && text == NULL)) {
        mem_free(format);
        mem_free(text);
        return ERR_NOMEM;
    }
    if (!is_same(file->format, format) || !is_same(file->template_text, text)) {
        file->lease[0] = '\0';
    }
    mem_free(file->format);
    mem_free(file->template_text);
    file->format = format;
    file->template_text = text;
    return 0;
}

static int file_set(struct files *files, const struct serve_file *config)
{
    struct hold *hold = hold_find(files, config);
    struct file *file = file_find(files, config->path);

    if (hold != NULL && (file == NULL || file->hold != hold)) {
        file = file_take_over(hold, config->path, file);
    }
    if (hold == NULL || file == NULL || look_set(file, config) != 0) {
        return ERR_NOMEM;
    }
    file->is_configured = true;
    file->is_required = config->is_required;
    file->has_change = config->has_change;
    file->settle_ms = config->settle_ms;
    hold->retry_ms = 0; /* another policy may allow it */
    return 0;
}

void files_set(struct files *files, const struct serve_file *list, size_t count)
{
    struct list *node;
    struct list *following;
    struct list *inner;
    struct list *inner_following;
    size_t i;

    LIST_EACH (&files->holds, node, following) {
        LIST_EACH (&LIST_ENTRY(node, struct hold, node)->items, inner, inner_following) {
            LIST_ENTRY(inner, struct file, node)->is_configured = false;
        }
    }
    for (i = 0; i < count; i++) {
        if (file_set(files, &list[i]) != 0) {
            log_event(LOG_LEVEL_ERROR, "file.failed", "path", list[i].path, "role", list[i].role,
                      "err", err_str(ERR_NOMEM), NULL);
        }
    }
    if (files->has_started) {
        env_defer(files->serve->options.env, &files->going);
    }
}

/* ---- life -------------------------------------------------------------------- */

void files_init(struct files *files, struct serve *serve, const char *record_path)
{
    *files = (struct files){.serve = serve, .record_path = record_path};
    list_init(&files->holds);
    list_init(&files->waiting_runs);
    files->observer =
        (struct lease_observer){.event = on_event, .told = on_told, .follows = on_follows};
    files->going.fn = go_all;
    buf_init(&files->record_bytes, FILE_RECORD_MAX_BYTES);
}

void files_fini(struct files *files)
{
    struct list *node;

    CHECK(!files->is_recording);
    lease_unobserve(&files->observer);
    env_undefer(&files->going);
    env_undefer(&files->stopping);
    while ((node = files->holds.next) != &files->holds) {
        hold_free(LIST_ENTRY(node, struct hold, node));
    }
    buf_fini(&files->record_bytes);
}

/* What the daemon before has written and this one isn't configured for. */
static int remains_add(struct files *files, const struct file_record *record, struct hold **remains)
{
    struct file *file;
    char path[FILE_RECORD_PATH_MAX_BYTES + 1];
    size_t i;

    memcpy(path, record->path.ptr, record->path.len);
    path[record->path.len] = '\0';
    file = file_find(files, path);
    if (file == NULL && *remains == NULL) {
        *remains = hold_new(files, NULL);
    }
    if (file == NULL && *remains != NULL) {
        file = file_new(*remains, path);
    }
    if (file == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i < record->hash_count; i++) {
        memcpy(file->hashes[i], record->hashes[i].ptr, FILE_HASH_HEX_BYTES);
    }
    return 0;
}

/* Grants of an earlier start whose files aren't configured any more. */
static void strangers_end(struct files *files)
{
    struct lease_core *core = files->serve->options.core;
    struct grant *grant = NULL;

    while ((grant = lease_core_next_grant(core, grant)) != NULL) {
        struct grant_view view;
        struct list *node;
        struct list *following;
        bool is_known = false;

        grant_view(grant, &view);
        if (view.state == GRANT_STATE_ENDED ||
            !str_starts_with(str_of(view.identity_key), FILES_LISTENER "/")) {
            continue;
        }
        LIST_EACH (&files->holds, node, following) {
            const struct hold *hold = LIST_ENTRY(node, struct hold, node);

            is_known = is_known || (hold->role != NULL && hold->uid == view.uid &&
                                    strcmp(hold->role, view.role->name) == 0 &&
                                    strcmp(hold->unit != NULL ? hold->unit : "",
                                           view.unit != NULL ? view.unit : "") == 0);
        }
        if (!is_known) {
            lease_end_grant(core, grant, GRANT_END_POLICY, NULL);
        }
    }
}

void files_start(struct files *files, struct str known)
{
    struct hold *remains = NULL;
    struct file_record record;

    while (file_record_next(&known, &record)) {
        if (remains_add(files, &record, &remains) != 0) {
            log_event(LOG_LEVEL_ERROR, "file.failed", "err", err_str(ERR_NOMEM), "detail",
                      "a file of the daemon before stays where it is", NULL);
        }
    }
    strangers_end(files);
    lease_observe(files->serve->options.core, &files->observer);
    files->has_started = true;
    env_defer(files->serve->options.env, &files->going);
}

static void stopped(struct env_deferred *deferred)
{
    struct files *files = CONTAINER_OF(deferred, struct files, stopping);
    void (*fn)(void *user) = files->stopped;

    if (fn != NULL) {
        files->stopped = NULL;
        fn(files->stopped_user);
    }
}

void files_rested(struct files *files)
{
    struct list *node;
    struct list *following;

    if (!files->is_stopping || files->is_recording) {
        return;
    }
    LIST_EACH (&files->holds, node, following) {
        const struct hold *hold = LIST_ENTRY(node, struct hold, node);

        if (hold->step != HOLD_REST || hold->is_over) {
            return;
        }
    }
    files->stopping.fn = stopped;
    env_defer(files->serve->options.env, &files->stopping);
}

void files_stop(struct files *files, void (*stopped_fn)(void *user), void *user)
{
    files->is_stopping = true;
    files->stopped = stopped_fn;
    files->stopped_user = user;
    env_defer(files->serve->options.env, &files->going);
}
