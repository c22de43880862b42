/* From `files` to what the helper process may do for them. */
#include "daemon/programs.h"

#include "base/mem.h"
#include "daemon/signals.h"
#include "io/accounts.h"
#include "wire/file_record.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_TIMEOUT_MS 10000U
#define CHANGE_TIMEOUT_MS 60000U
#define OWNER_MAX_BYTES (FILE_RECORD_PATH_MAX_BYTES + sizeof(HELPER_FILE_OWNER))

static struct helper_program *program_add(struct helper_programs *programs, const char *path,
                                          const char *name)
{
    struct helper_program *items =
        mem_realloc(programs->items, (programs->count + 1) * sizeof(*items));
    char owner[OWNER_MAX_BYTES];
    struct helper_program *program;

    if (items == NULL) {
        return NULL;
    }
    (void)snprintf(owner, sizeof(owner), HELPER_FILE_OWNER "%s", path);
    programs->items = items;
    program = &items[programs->count++];
    *program = (struct helper_program){.backend = mem_strdup(owner),
                                       .name = mem_strdup(name),
                                       .timeout_ms = FILE_TIMEOUT_MS};
    return program->backend != NULL && program->name != NULL ? program : NULL;
}

/* ---- the file ---------------------------------------------------------------- */

static int look_up(const struct config_file *file, struct helper_file *ret_file, struct err *e)
{
    struct err why = {.code = 0};
    int r = 0;

    if (file->user != NULL) {
        ret_file->has_owner = true;
        r = io_resolve_user(file->user, &ret_file->owner, &why);
    }
    if (r == 0 && file->group != NULL) {
        ret_file->has_group = true;
        r = io_resolve_group(file->group, &ret_file->group, &why);
    }
    if (r == 0 || r == ERR_NOMEM) {
        return r;
    }
    return err_set(e, ERR_INVALID, "file %s: %s", file->path, why.text);
}

static int add_operation(const struct config_file *file, const char *name, enum helper_kind kind,
                         struct helper_programs *programs, struct err *e)
{
    struct helper_program *program = program_add(programs, file->path, name);

    if (program == NULL) {
        return ERR_NOMEM;
    }
    program->kind = kind;
    program->file.mode = config_file_mode(file);
    program->file.path = mem_strdup(file->path);
    return program->file.path != NULL ? look_up(file, &program->file, e) : ERR_NOMEM;
}

/* ---- who is told ------------------------------------------------------------- */

static const char *systemctl(void)
{
    return access("/usr/bin/systemctl", X_OK) == 0 || access("/bin/systemctl", X_OK) != 0
               ? "/usr/bin/systemctl"
               : "/bin/systemctl";
}

static int set_argv(struct helper_program *program, const char *const *words, size_t count)
{
    size_t i;

    program->argv = mem_calloc(count + 1, sizeof(*program->argv));
    for (i = 0; program->argv != NULL && i < count; i++) {
        program->argv[i] = mem_strdup(words[i]);
        if (program->argv[i] == NULL) {
            return ERR_NOMEM;
        }
    }
    return program->argv != NULL ? 0 : ERR_NOMEM;
}

static int set_path_variable(struct helper_program *program, const char *path)
{
    char text[FILE_RECORD_PATH_MAX_BYTES + 16];

    (void)snprintf(text, sizeof(text), "LEASED_FILE=%s", path);
    program->environment = mem_calloc(2, sizeof(*program->environment));
    if (program->environment == NULL) {
        return ERR_NOMEM;
    }
    program->environment[0] = mem_strdup(text);
    return program->environment[0] != NULL ? 0 : ERR_NOMEM;
}

/* Where leased is root its programs aren't: they are the holder's. */
static int set_user(struct helper_program *program, const struct config_file *file, struct err *e)
{
    int count = HELPER_GROUPS_MAX;
    const struct passwd *account;
    uid_t uid;
    int r;

    if (geteuid() != 0) {
        return 0;
    }
    r = io_resolve_user(file->holder.user, &uid, e);
    account = r == 0 ? getpwuid(uid) : NULL;
    if (account == NULL ||
        getgrouplist(account->pw_name, account->pw_gid, program->groups, &count) < 0) {
        return err_set(e, ERR_INVALID, "file %s: the holder's user can't be looked up", file->path);
    }
    program->has_user = true;
    program->uid = uid;
    program->gid = account->pw_gid;
    program->group_count = (size_t)count;
    return 0;
}

static int add_exec(const struct config_file *file, struct helper_program *program, struct err *e)
{
    const struct schema_strings *exec = &file->on_change.exec;
    int r = set_argv(program, (const char *const *)exec->items, exec->count);

    if (r == 0) {
        r = set_path_variable(program, file->path);
    }
    return r == 0 ? set_user(program, file, e) : r;
}

static int add_change(const struct config_file *file, struct helper_programs *programs,
                      struct err *e)
{
    const struct config_on_change *change = &file->on_change;
    const char *unit = change->reload != NULL ? change->reload : change->restart;
    const char *const words[] = {systemctl(), "--no-ask-password",
                                 change->reload != NULL ? "reload" : "restart", "--", unit};
    struct helper_program *program = program_add(programs, file->path, HELPER_CHANGE);

    if (program == NULL) {
        return ERR_NOMEM;
    }
    program->timeout_ms = CHANGE_TIMEOUT_MS;
    if (change->exec.count > 0) {
        return add_exec(file, program, e);
    }
    if (unit != NULL) {
        return set_argv(program, words, ARRAY_LEN(words));
    }
    program->kind = HELPER_KIND_SIGNAL;
    program->signal = signal_number(change->signal.signal);
    program->unit = mem_strdup(change->signal.unit);
    return program->unit != NULL ? 0 : ERR_NOMEM;
}

/* ---- all --------------------------------------------------------------------- */

static int add_file(const struct config_file *file, struct helper_programs *programs, struct err *e)
{
    static const struct {
        const char *name;
        enum helper_kind kind;
    } operations[] = {
        {HELPER_CHECK, HELPER_KIND_CHECK},
        {HELPER_PUT, HELPER_KIND_PUT},
        {HELPER_REMOVE, HELPER_KIND_REMOVE},
    };
    size_t i;
    int r = 0;

    for (i = 0; r == 0 && i < ARRAY_LEN(operations); i++) {
        r = add_operation(file, operations[i].name, operations[i].kind, programs, e);
    }
    return r == 0 && file->on_change.node != NULL ? add_change(file, programs, e) : r;
}

/* What the daemon before has written, and nobody has configured. */
static int add_stale(struct str path, struct helper_programs *programs)
{
    char text[FILE_RECORD_PATH_MAX_BYTES + 1];
    struct helper_program *program;

    memcpy(text, path.ptr, path.len);
    text[path.len] = '\0';
    program = program_add(programs, text, HELPER_REMOVE);
    if (program == NULL) {
        return ERR_NOMEM;
    }
    program->kind = HELPER_KIND_REMOVE;
    program->file.is_stale = true;
    program->file.path = mem_strdup(text);
    return program->file.path != NULL ? 0 : ERR_NOMEM;
}

int programs_add_files(const struct config *config, struct str known,
                       struct helper_programs *programs, struct err *e)
{
    const struct config_file *files = config->settings.files.items;
    struct file_record record;
    size_t i;
    int r = 0;

    for (i = 0; r == 0 && i < config->settings.files.count; i++) {
        r = add_file(&files[i], programs, e);
    }
    while (r == 0 && file_record_next(&known, &record)) {
        char path[FILE_RECORD_PATH_MAX_BYTES + 1];

        (void)snprintf(path, sizeof(path), "%.*s", STR_ARG(record.path));
        if (config_file_find(config, path) == NULL) {
            r = add_stale(record.path, programs);
        }
    }
    return r == ERR_NOMEM ? err_set(e, r, "%s", err_str(r)) : r;
}
