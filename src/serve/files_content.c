/* One file: what it is to have as its content, and what it may have. */
#include "serve/files_internal.h"

#include "base/log.h"
#include "base/mem.h"
#include "wire/format.h"

#include <stdio.h>
#include <string.h>

struct file *file_new(struct hold *hold, const char *path)
{
    struct file *file = mem_calloc(1, sizeof(*file));

    if (file == NULL) {
        return NULL;
    }
    file->hold = hold;
    file->path = mem_strdup(path);
    if (file->path == NULL) {
        mem_free(file);
        return NULL;
    }
    list_push_back(&hold->items, &file->node);
    return file;
}

void file_free(struct file *file)
{
    list_remove(&file->node);
    mem_free(file->path);
    mem_free(file->format);
    mem_free(file->template_text);
    mem_free(file);
}

bool file_is_there(const struct file *file)
{
    size_t i;

    for (i = 0; i < FILE_RECORD_HASHES_MAX; i++) {
        if (file->hashes[i][0] != '\0') {
            return true;
        }
    }
    return false;
}

void file_set_problem(struct file *file, const char *text)
{
    if (strcmp(file->problem, text) != 0) {
        log_event(LOG_LEVEL_WARN, "file.failed", "path", file->path, "role", file->hold->role,
                  "err", text, NULL);
        (void)snprintf(file->problem, sizeof(file->problem), "%s", text);
    }
}

/* ---- content ---------------------------------------------------------------- */

static int render(const struct hold *hold, const struct file *file, struct buf *out, struct err *e)
{
    const struct grant *grant = hold_grant(hold);
    struct format_credential credential;
    struct format_spec spec;
    struct json_out json;
    BUF_AUTO document;
    int r = grant != NULL ? 0 : ERR_GONE;

    buf_init(&document, SERVE_REPLY_MIN_BYTES);
    if (r == 0) {
        json_out_init(&json, &document);
        json_out_object_open(&json, NULL);
        r = view_write_credential(&json, hold->files->serve->options.core, grant);
        json_out_object_close(&json);
    }
    if (r != 0) {
        return err_set(e, r, "the credential can't be had: %s", err_str(r));
    }
    r = format_credential_parse(buf_str(&document), &credential, e);
    if (r != 0) {
        return r;
    }
    r = format_spec_parse(str_of(file->format), &spec, e);
    if (r == 0) {
        spec.text = file->template_text != NULL ? str_of(file->template_text) : STR("");
        r = format_render(&credential, &spec, out, e);
    }
    format_credential_fini(&credential);
    return r;
}

int file_content(const struct hold *hold, struct file *file, struct buf *out,
                 char ret_hash[FILE_HASH_HEX_BYTES + 1])
{
    struct err e = {.code = 0};
    int r;

    r = render(hold, file, out, &e);
    if (r == ERR_TOO_LARGE) {
        (void)err_set(&e, r, "its content would be larger than %u KiB",
                      ENV_RUN_INPUT_MAX_BYTES / 1024U);
    }
    if (r == 0) {
        r = file_hash(str_of(file->path), buf_str(out), ret_hash);
    }
    if (r != 0) {
        file_set_problem(file, e.code != 0 ? e.text : err_str(r));
    }
    return r;
}

void file_hash_add(struct file *file, const char *hash)
{
    size_t i;

    for (i = 0; i < FILE_RECORD_HASHES_MAX; i++) {
        if (strcmp(file->hashes[i], hash) == 0) {
            return;
        }
    }
    memcpy(file->hashes[2], file->hashes[1], sizeof(file->hashes[2]));
    memcpy(file->hashes[1], hash, sizeof(file->hashes[1]));
}

void file_hash_settle(struct file *file, const char *hash)
{
    memcpy(file->hashes[0], hash, sizeof(file->hashes[0]));
    memset(file->hashes[1], 0, sizeof(file->hashes) - sizeof(file->hashes[0]));
}

bool file_has_hash(const struct file *file, const char *hash)
{
    return strcmp(file->hashes[0], hash) == 0 || strcmp(file->hashes[1], hash) == 0;
}
