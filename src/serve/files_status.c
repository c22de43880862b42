/* What is shown of the files: which are written, which wait and for what. */
#include "serve/files_internal.h"
#include "serve/metrics.h"

#include <stdio.h>
#include <string.h>

enum shown {
    SHOWN_WRITTEN,
    SHOWN_HOLDER, /* its unit doesn't run */
    SHOWN_WAITING,
    SHOWN_FAILED,
    SHOWN_COUNT,
};

static const char *const words[] = {
    [SHOWN_WRITTEN] = "written",
    [SHOWN_HOLDER] = "waiting_for_holder",
    [SHOWN_WAITING] = "waiting",
    [SHOWN_FAILED] = "failed",
};

static bool is_written(const struct file *file)
{
    return file->lease[0] != '\0' && file_is_there(file) && !hold_has_end(file->hold);
}

/* What keeps it from being written, or up to date. "": nothing. */
static const char *reason_of(const struct file *file)
{
    return file->problem[0] != '\0' ? file->problem : file->hold->why;
}

static enum shown shown(const struct file *file)
{
    const struct hold *hold = file->hold;

    if (hold->unit != NULL && !hold->is_unit_there) {
        return SHOWN_HOLDER;
    }
    if (file->problem[0] != '\0' || (!is_written(file) && hold->why[0] != '\0')) {
        return SHOWN_FAILED;
    }
    return is_written(file) ? SHOWN_WRITTEN : SHOWN_WAITING;
}

/* Configured files one after the other; NULL starts. */
static const struct file *next_file(const struct files *files, const struct file *after)
{
    struct list *hold_node = after != NULL ? &after->hold->node : files->holds.next;
    struct list *node = after != NULL ? after->node.next : NULL;

    for (; hold_node != &files->holds; hold_node = hold_node->next, node = NULL) {
        const struct hold *hold = LIST_ENTRY(hold_node, struct hold, node);

        for (node = node != NULL ? node : hold->items.next; node != &hold->items;
             node = node->next) {
            const struct file *file = LIST_ENTRY(node, struct file, node);

            if (file->is_configured) {
                return file;
            }
        }
    }
    return NULL;
}

const char *files_missing(const struct files *files, struct err *e)
{
    const struct file *file = NULL;

    while ((file = next_file(files, file)) != NULL) {
        if (file->is_required && !is_written(file) && shown(file) != SHOWN_HOLDER) {
            (void)err_set(e, ERR_UNAVAILABLE, "the file %s isn't written: %s", file->path,
                          reason_of(file)[0] != '\0' ? reason_of(file)
                                                     : "its credential is awaited");
            return file->path;
        }
    }
    return NULL;
}

void files_status_write(const struct files *files, struct json_out *json)
{
    const struct file *file = NULL;

    json_out_array_open(json, "files");
    while ((file = next_file(files, file)) != NULL) {
        const struct hold *hold = file->hold;

        json_out_object_open(json, NULL);
        json_out_string_c(json, "path", file->path);
        json_out_string_c(json, "role", hold->role);
        json_out_u64(json, "uid", hold->uid);
        json_out_string_c(json, "unit", hold->unit);
        json_out_string_c(json, "state", words[shown(file)]);
        json_out_string_c(json, "lease", file->lease[0] != '\0' ? file->lease : NULL);
        json_out_string_c(json, "grant", hold->grant[0] != '\0' ? hold->grant : NULL);
        json_out_time(json, "written_at", file->written_wall_ms);
        json_out_string_c(json, "error", reason_of(file)[0] != '\0' ? reason_of(file) : NULL);
        json_out_object_close(json);
    }
    json_out_array_close(json);
}

void files_warnings_write(const struct files *files, struct json_out *json)
{
    char text[ERR_TEXT_MAX_BYTES + FILE_RECORD_PATH_MAX_BYTES + 64];
    const struct file *file = NULL;

    while ((file = next_file(files, file)) != NULL) {
        if (shown(file) == SHOWN_HOLDER) {
            (void)snprintf(text, sizeof(text), "the file %s waits for %s, which doesn't run",
                           file->path, file->hold->unit);
            json_out_string_c(json, NULL, text);
        } else if (shown(file) == SHOWN_FAILED) {
            (void)snprintf(text, sizeof(text), "the file %s is not up to date: %s", file->path,
                           reason_of(file));
            json_out_string_c(json, NULL, text);
        }
    }
}

static void total_write(struct buf *out, const char *series, uint64_t value)
{
    buf_printf(out, "%s %llu\n", series, (unsigned long long)value);
}

void files_metrics_write(const struct files *files, struct buf *out)
{
    const struct file *file = NULL;
    uint64_t counts[SHOWN_COUNT] = {0};
    size_t i;

    while ((file = next_file(files, file)) != NULL) {
        counts[shown(file)]++;
    }
    metrics_family(out, "leased_files", "gauge", "Files that are configured, by state.");
    for (i = 0; i < SHOWN_COUNT; i++) {
        buf_printf(out, "leased_files{state=\"%s\"} %llu\n", words[i],
                   (unsigned long long)counts[i]);
    }
    metrics_family(out, "leased_file_writes_total", "counter",
                   "Files handed to the helper process, by what came of it.");
    total_write(out, "leased_file_writes_total{outcome=\"written\"}", files->written_total);
    total_write(out, "leased_file_writes_total{outcome=\"unchanged\"}", files->unchanged_total);
    total_write(out, "leased_file_writes_total{outcome=\"failed\"}", files->failed_total);
    metrics_family(out, "leased_file_changes_total", "counter",
                   "Users of files that were told of a change, by what came of it.");
    total_write(out, "leased_file_changes_total{outcome=\"ok\"}", files->changed_total);
    total_write(out, "leased_file_changes_total{outcome=\"failed\"}", files->change_failed_total);
}
