/* Credentials as files, kept fresh: the daemon itself asks for them, for the holder that the
 * configuration names, and the helper process writes them. Internal to serve/, but for struct
 * serve_file. */
#ifndef LEASED_SERVE_FILES_H
#define LEASED_SERVE_FILES_H

#include "env/file.h"
#include "lease/observe.h"
#include "wire/json_out.h"

/* The listener in the identity of their holders: rules and the trail tell by it who asked. */
#define FILES_LISTENER "files"

/* One file as it is configured. Borrowed until the call returns. */
struct serve_file {
    const char *path;
    const char *role;
    const char *format;        /* as format_spec_parse takes it */
    const char *template_text; /* of a template; NULL: it is none */
    const char *unit;          /* the holder's; NULL: it is held as long as it is configured */
    uint32_t uid;              /* the holder's */
    uint32_t gid;              /* another one than its user has; ENV_NO_ID: none */
    bool is_required;          /* not ready without it */
    bool has_change;           /* somebody is told when it has changed */
    uint64_t settle_ms;        /* how long after that the one before is needed */
};

struct serve;
struct files_run;

struct files {
    struct serve *serve;
    struct list holds; /* struct hold */
    struct lease_observer observer;
    struct env_deferred going; /* events have come */
    const char *record_path;   /* NULL: nothing survives */
    struct env_put record;
    struct buf record_bytes;
    bool is_recording;
    uint64_t record_wanted; /* states of it, counted; */
    uint64_t record_written;
    uint64_t record_under_way;
    size_t run_count;
    struct list waiting_runs; /* struct hold, by waiting_node */
    bool has_started;
    bool is_stopping;
    void (*stopped)(void *user);
    void *stopped_user;
    struct env_deferred stopping;
    uint64_t written_total;
    uint64_t unchanged_total;
    uint64_t failed_total;
    uint64_t changed_total;
    uint64_t change_failed_total;
};

/* `serve` outlives it. */
void files_init(struct files *files, struct serve *serve, const char *record_path);

/* Nothing is under way: before files_start, or after files_stop's callback. */
void files_fini(struct files *files);

/* What is configured from now on; what isn't any more ends and is removed. */
void files_set(struct files *files, const struct serve_file *list, size_t count);

/* Begins; `known` is the record (wire/file_record.h) that the daemon before has left. Once. */
void files_start(struct files *files, struct str known);

/* No new ones. What has ended is removed, what is under way ends, then `stopped` runs from the
 * loop. */
void files_stop(struct files *files, void (*stopped)(void *user), void *user);

/* The first required file that isn't written though its holder is there, with the reason in `e`.
 * NULL: none. Borrowed. */
const char *files_missing(const struct files *files, struct err *e);

/* Members of the status, its warnings, and the metrics. */
void files_status_write(const struct files *files, struct json_out *json);
void files_warnings_write(const struct files *files, struct json_out *json);
void files_metrics_write(const struct files *files, struct buf *out);

#endif
