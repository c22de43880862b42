/* `files`: what no table can say of credentials that are kept in files, and what of them needs a
 * restart. */
#include "daemon/config_internal.h"

#include "base/mem.h"
#include "daemon/signals.h"
#include "serve/files.h"
#include "wire/file_record.h"
#include "wire/format_template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RECORD_SUFFIX ".files"
#define MODE_DEFAULT 0400U
#define MODE_WITH_GROUP 0440U

const struct config_file *config_file_find(const struct config *config, const char *path)
{
    const struct config_file *files = config->settings.files.items;
    size_t i;

    for (i = 0; i < config->settings.files.count; i++) {
        if (strcmp(files[i].path, path) == 0) {
            return &files[i];
        }
    }
    return NULL;
}

mode_t config_file_mode(const struct config_file *file)
{
    if (file->mode != 0) {
        return (mode_t)file->mode;
    }
    return file->group != NULL ? MODE_WITH_GROUP : MODE_DEFAULT;
}

char *config_files_record(const struct config *config)
{
    const char *ledger = config->settings.state.ledger.sqlite;
    BUF_AUTO path;

    buf_init(&path, YAML_INPUT_MAX_BYTES);
    if (ledger == NULL) {
        return NULL;
    }
    buf_printf(&path, "%s" RECORD_SUFFIX, ledger);
    return buf_steal(&path);
}

/* ---- one file ---------------------------------------------------------------- */

static void role_check(const struct config_settings *settings, const struct config_file *file,
                       struct yaml_errors *errors)
{
    const struct config_role *roles = settings->roles.items;
    const char **names;
    const char *close;
    size_t i;

    for (i = 0; i < settings->roles.count; i++) {
        if (strcmp(roles[i].name, file->role) == 0) {
            return;
        }
    }
    names = config_names(&settings->roles, sizeof(struct config_role));
    close = names != NULL ? schema_suggest(str_of(file->role), names) : NULL;
    yaml_error_at(errors, config_place_of(file->node, "role"), "there is no role `%s`%s%s%s",
                  file->role, close != NULL ? ": did you mean `" : "", close != NULL ? close : "",
                  close != NULL ? "`?" : "");
    mem_free((void *)names);
}

static int read_text(int fd, struct buf *out)
{
    char bytes[4096];
    ssize_t size = 1;

    while (size > 0 && buf_status(out) == 0) {
        size = read(fd, bytes, sizeof(bytes));
        if (size > 0) {
            buf_add(out, bytes, (size_t)size);
        }
    }
    return size < 0 ? -errno : buf_status(out);
}

/* The text as it is when the configuration is read: a reload takes up a new one. */
static void template_take(struct config_file *file, struct str path, struct yaml_errors *errors)
{
    const struct format_credential own = {.role = file->role != NULL ? file->role : ""};
    const struct yaml_node *node = config_place_of(file->node, "format");
    struct str role = {.len = 0};
    struct err e = {.code = 0};
    int fd =
        path.len > 0 && path.ptr[0] == '/' ? open(path.ptr, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    int r = fd >= 0 ? 0 : -errno;
    BUF_AUTO text;

    buf_init(&text, FORMAT_TEMPLATE_MAX_BYTES);
    if (path.len == 0 || path.ptr[0] != '/') {
        yaml_error_at(errors, node, "expected the absolute path of a template");
        return;
    }
    if (fd >= 0) {
        r = read_text(fd, &text);
        (void)close(fd);
    }
    if (r != 0) {
        yaml_error_at(errors, node, "could not read the template %s: %s", path.ptr, err_str(r));
        return;
    }
    if (format_template_missing_role(buf_str(&text), &own, 1, &role, &e) != 0) {
        yaml_error_at(errors, node, "%s:%s", path.ptr, e.text);
    } else if (role.len > 0) {
        yaml_error_at(errors, node,
                      "%s: a file shows the credential of its own role, not of `%.*s`", path.ptr,
                      STR_ARG(role));
    }
    file->template_text = buf_steal(&text);
}

static void format_check(struct config_file *file, struct yaml_errors *errors)
{
    struct format_spec spec;
    struct err e = {.code = 0};

    if (format_spec_parse(str_of(file->format), &spec, &e) != 0) {
        yaml_error_at(errors, config_place_of(file->node, "format"), "%s", e.text);
    } else if (spec.kind == FORMAT_TABLE) {
        yaml_error_at(errors, config_place_of(file->node, "format"),
                      "a table is for people; choose a format for programs");
    } else if (spec.kind == FORMAT_TEMPLATE) {
        template_take(file, spec.argument, errors);
    }
}

static bool is_unit_name(const char *name)
{
    struct str text = str_of(name);
    size_t i;

    for (i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') &&
            strchr(":_.@\\-", c) == NULL) {
            return false;
        }
    }
    return text.len < ACCESS_UNIT_MAX_BYTES &&
           (str_ends_with(text, ".service") || str_ends_with(text, ".scope"));
}

static void unit_check(const struct yaml_node *node, const char *key, const char *name,
                       struct yaml_errors *errors)
{
    if (name != NULL && !is_unit_name(name)) {
        yaml_error_at(errors, config_place_of(node, key),
                      "expected a unit such as orders.service, found `%s`", name);
    }
}

static void on_change_check(const struct config_file *file, struct yaml_errors *errors)
{
    const struct config_on_change *change = &file->on_change;
    size_t count = (size_t)(change->reload != NULL) + (change->restart != NULL) +
                   (change->signal.node != NULL) + (change->exec.count > 0);

    if (change->node == NULL) {
        return;
    }
    if (count != 1) {
        yaml_error_at_key(errors, change->node,
                          "give one of `reload`, `restart`, `signal` and `exec`");
    }
    unit_check(change->node, "reload", change->reload, errors);
    unit_check(change->node, "restart", change->restart, errors);
    if (change->signal.node != NULL) {
        unit_check(change->signal.node, "unit", change->signal.unit, errors);
        if (change->signal.signal != NULL && signal_number(change->signal.signal) == 0) {
            yaml_error_at(errors, config_place_of(change->signal.node, "signal"),
                          "expected the name of a signal such as HUP, found `%s`",
                          change->signal.signal);
        }
    }
    if (change->exec.count > 0 && change->exec.items[0][0] != '/') {
        yaml_error_at(errors, config_place_of(change->node, "exec"),
                      "expected the absolute path of a program, found `%s`", change->exec.items[0]);
    }
}

static void file_check(const struct config_settings *settings, struct config_file *file,
                       struct yaml_errors *errors)
{
    if (file->path != NULL && !file_record_is_path(str_of(file->path))) {
        yaml_error_at(errors, config_place_of(file->node, "path"),
                      "expected the plain absolute path of a file, found `%s`", file->path);
    }
    if (file->role != NULL) {
        role_check(settings, file, errors);
    }
    if (file->format != NULL) {
        format_check(file, errors);
    }
    if ((file->mode & 07000) != 0 || (file->mode & 0002) != 0) {
        yaml_error_at(errors, config_place_of(file->node, "mode"),
                      "others may not write it, and it is no program");
    }
    if (file->holder.node != NULL) {
        unit_check(file->holder.node, "unit", file->holder.unit, errors);
    }
    on_change_check(file, errors);
}

void config_check_deliveries(const struct config_settings *settings, struct yaml_errors *errors)
{
    struct config_file *files = settings->files.items;
    size_t i;
    size_t k;

    for (i = 0; i < settings->files.count; i++) {
        file_check(settings, &files[i], errors);
        for (k = 0; k < i; k++) {
            if (files[i].path != NULL && files[k].path != NULL &&
                strcmp(files[i].path, files[k].path) == 0) {
                yaml_error_at(errors, config_place_of(files[i].node, "path"),
                              "another file has this path");
            }
        }
    }
}

/* ---- reloads ----------------------------------------------------------------- */

static bool is_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool exec_is_equal(const struct schema_strings *a, const struct schema_strings *b)
{
    size_t i;

    for (i = 0; i < a->count && i < b->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0) {
            return false;
        }
    }
    return a->count == b->count;
}

bool config_file_is_same(const struct config_file *before, const struct config_file *after)
{
    const struct config_on_change *one = &before->on_change;
    const struct config_on_change *other = &after->on_change;

    return is_equal(before->user, after->user) && is_equal(before->group, after->group) &&
           config_file_mode(before) == config_file_mode(after) &&
           is_equal(one->reload, other->reload) && is_equal(one->restart, other->restart) &&
           is_equal(one->signal.unit, other->signal.unit) &&
           is_equal(one->signal.signal, other->signal.signal) &&
           exec_is_equal(&one->exec, &other->exec) &&
           (one->exec.count == 0 || is_equal(before->holder.user, after->holder.user));
}
