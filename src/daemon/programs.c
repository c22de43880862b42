/* From a backend's keys to programs. The plugin has checked the keys, and has a place in the file
 * for what is wrong; what is checked here is what the helper relies on, whoever wrote the plugin,
 * and what only this machine can tell. */
#include "daemon/programs.h"

#include "audit/hooks.h"
#include "backend/verifier.h"
#include "base/mem.h"
#include "base/units.h"
#include "wire/run_message.h"

#include <errno.h>
#include <grp.h>
#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_DEFAULT_MS 20000U
#define TIMEOUT_MAX_MS 180000U
#define WORDS_MAX 64U
#define VARIABLES_MAX 32U
#define ACCOUNT_MAX_BYTES 16384U

static const char *const program_keys[] = {"command", "revoke_command"};

/* What the programs of one backend or role have in common. */
struct shared {
    const char *kind; /* "backend" */
    const char *name;
    const char *owner; /* what the helper knows it by */
    json_t *keys;
    struct helper_programs *programs;
    struct err *e;
};

static int refuse(const struct shared *shared, const char *key, const char *what)
{
    return err_set(shared->e, ERR_INVALID, "%s %s: `%s` %s", shared->kind, shared->name, key, what);
}

/* ---- texts ------------------------------------------------------------------ */

static int take_argv(const struct shared *shared, const char *key, struct helper_program *program)
{
    json_t *words = json_object_get(shared->keys, key);
    size_t count = json_array_size(words);
    json_t *word;
    size_t i;

    if (count == 0 || count > WORDS_MAX) {
        return refuse(shared, key, "is no list of a program and its arguments");
    }
    program->argv = mem_calloc(count + 1, sizeof(*program->argv));
    if (program->argv == NULL) {
        return ERR_NOMEM;
    }
    json_array_foreach (words, i, word) {
        const char *text = json_string_value(word);

        if (text == NULL || (i == 0 && text[0] != '/')) {
            return refuse(shared, key, "is no list of texts that begins with an absolute path");
        }
        program->argv[i] = mem_strdup(text);
        if (program->argv[i] == NULL) {
            return ERR_NOMEM;
        }
    }
    return 0;
}

static char *assignment(const char *name, const char *value)
{
    BUF_AUTO text;

    buf_init(&text, YAML_INPUT_MAX_BYTES);
    buf_printf(&text, "%s=%s", name, value);
    return buf_steal(&text);
}

static int take_environment(const struct shared *shared, struct helper_program *program)
{
    json_t *env = json_object_get(shared->keys, "env");
    size_t count = json_object_size(env);
    const char *name;
    json_t *value;
    size_t i = 0;

    if (count > VARIABLES_MAX || (env != NULL && !json_is_object(env))) {
        return refuse(shared, "env", "is no object of at most 32 texts");
    }
    program->environment = mem_calloc(count + 1, sizeof(*program->environment));
    if (program->environment == NULL) {
        return ERR_NOMEM;
    }
    json_object_foreach (env, name, value) {
        if (!json_is_string(value) || name[0] == '\0' || strchr(name, '=') != NULL ||
            strncmp(name, "LEASED_", strlen("LEASED_")) == 0) {
            return refuse(shared, "env", "has a variable that can't be set");
        }
        program->environment[i] = assignment(name, json_string_value(value));
        if (program->environment[i] == NULL) {
            return ERR_NOMEM;
        }
        i++;
    }
    return 0;
}

static int take_timeout(const struct shared *shared, struct helper_program *program)
{
    json_t *timeout = json_object_get(shared->keys, "timeout");
    uint64_t ms = TIMEOUT_DEFAULT_MS;

    if (json_is_integer(timeout) && json_integer_value(timeout) > 0 &&
        json_integer_value(timeout) < TIMEOUT_MAX_MS) {
        ms = (uint64_t)json_integer_value(timeout) * 1000U;
    } else if (timeout != NULL &&
               (!json_is_string(timeout) ||
                units_parse_duration(str_of(json_string_value(timeout)), &ms) != 0)) {
        ms = 0;
    }
    if (ms == 0 || ms > TIMEOUT_MAX_MS) {
        return refuse(shared, "timeout", "is no duration up to 180s");
    }
    program->timeout_ms = ms;
    return 0;
}

/* ---- user ------------------------------------------------------------------- */

static int look_up(const struct shared *shared, const char *name, struct helper_program *program)
{
    char *bytes = mem_alloc(ACCOUNT_MAX_BYTES);
    struct passwd account;
    struct passwd *found = NULL;
    int count = HELPER_GROUPS_MAX;
    int r = bytes != NULL ? 0 : ERR_NOMEM;

    if (r == 0 &&
        (getpwnam_r(name, &account, bytes, ACCOUNT_MAX_BYTES, &found) != 0 || found == NULL)) {
        r = refuse(shared, "user", "names nobody that this machine knows");
    }
    if (r == 0 && getgrouplist(name, account.pw_gid, program->groups, &count) < 0) {
        r = refuse(shared, "user", "is in more than 64 groups");
    }
    if (r == 0) {
        program->has_user = true;
        program->uid = account.pw_uid;
        program->gid = account.pw_gid;
        program->group_count = (size_t)count;
    }
    mem_free(bytes);
    return r;
}

static int take_user(const struct shared *shared, struct helper_program *program)
{
    const char *name = json_string_value(json_object_get(shared->keys, "user"));

    if (name != NULL) {
        return look_up(shared, name, program);
    }
    /* Nobody should find out later that it was everything that it could do. */
    return geteuid() != 0 ? 0
                          : refuse(shared, "user",
                                   "is missing: leased runs as root, so say as "
                                   "whom its programs run");
}

/* ---- programs --------------------------------------------------------------- */

static int add_program(const struct shared *shared, const char *key)
{
    struct helper_programs *programs = shared->programs;
    struct helper_program *items =
        mem_realloc(programs->items, (programs->count + 1) * sizeof(*items));
    struct helper_program *program;
    int r;

    if (items == NULL) {
        return ERR_NOMEM;
    }
    programs->items = items;
    program = &items[programs->count++];
    *program =
        (struct helper_program){.backend = mem_strdup(shared->owner), .name = mem_strdup(key)};
    r = program->backend != NULL && program->name != NULL ? 0 : ERR_NOMEM;
    if (r == 0) {
        r = take_argv(shared, key, program);
    }
    if (r == 0) {
        r = take_environment(shared, program);
    }
    if (r == 0) {
        r = take_timeout(shared, program);
    }
    return r == 0 ? take_user(shared, program) : r;
}

static int add_backend(const struct config_backend *backend, struct helper_programs *programs,
                       struct err *e)
{
    json_error_t problem;
    struct shared shared = {.kind = "backend",
                            .name = backend->name,
                            .owner = backend->name,
                            .keys = json_loads(backend->config_json, 0, &problem),
                            .programs = programs,
                            .e = e};
    size_t i;
    int r = shared.keys != NULL ? 0 : ERR_NOMEM;

    for (i = 0; r == 0 && i < ARRAY_LEN(program_keys); i++) {
        if (json_object_get(shared.keys, program_keys[i]) != NULL) {
            r = add_program(&shared, program_keys[i]);
        }
    }
    json_decref(shared.keys);
    return r;
}

/* What tries a role's credentials out. */
static int add_role(const struct config_role *role, struct helper_programs *programs, struct err *e)
{
    char owner[RUN_NAME_MAX_BYTES + 1];
    struct shared shared = {.kind = "role",
                            .name = role->name,
                            .owner = owner,
                            .keys = json_loads(role->verify_json, 0, NULL),
                            .programs = programs,
                            .e = e};
    int r = shared.keys != NULL ? 0 : ERR_NOMEM;

    (void)snprintf(owner, sizeof(owner), BACKEND_VERIFY_OWNER "%s", role->name);
    if (r == 0) {
        r = add_program(&shared, BACKEND_VERIFY_PROGRAM);
    }
    json_decref(shared.keys);
    return r;
}

/* Who is told of events. */
static int add_hook(const struct config_notify *notify, struct helper_programs *programs,
                    struct err *e)
{
    char owner[RUN_NAME_MAX_BYTES + 1];
    struct shared shared = {.kind = "notify",
                            .name = notify->name,
                            .owner = owner,
                            .keys = json_object(),
                            .programs = programs,
                            .e = e};
    json_t *words = json_array();
    size_t i;
    int r = 0;

    (void)snprintf(owner, sizeof(owner), HOOK_PROGRAM_OWNER "%s", notify->name);
    for (i = 0; i < notify->exec.count; i++) {
        r |= json_array_append_new(words, json_string(notify->exec.items[i]));
    }
    r |= json_object_set_new(shared.keys, HOOK_PROGRAM, words);
    if (notify->user != NULL) {
        r |= json_object_set_new(shared.keys, "user", json_string(notify->user));
    }
    r = r == 0 ? add_program(&shared, HOOK_PROGRAM) : ERR_NOMEM;
    json_decref(shared.keys);
    return r;
}

int programs_of_config(const struct config *config, struct helper_programs *ret_programs,
                       struct err *e)
{
    const struct config_backend *backends = config->settings.backends.items;
    const struct config_role *roles = config->settings.roles.items;
    const struct config_notify *hooks = config->settings.notify.items;
    struct helper_programs programs = {.count = 0};
    size_t i;
    int r = 0;

    for (i = 0; r == 0 && i < config->settings.backends.count; i++) {
        if (backends[i].runs_programs) {
            r = add_backend(&backends[i], &programs, e);
        }
    }
    for (i = 0; r == 0 && i < config->settings.roles.count; i++) {
        if (roles[i].verify.exec.count > 0) {
            r = add_role(&roles[i], &programs, e);
        }
    }
    for (i = 0; r == 0 && i < config->settings.notify.count; i++) {
        if (hooks[i].exec.count > 0) {
            r = add_hook(&hooks[i], &programs, e);
        }
    }
    if (r != 0) {
        helper_programs_fini(&programs);
        return r == ERR_NOMEM ? err_set(e, r, "%s", err_str(r)) : r;
    }
    *ret_programs = programs;
    return 0;
}
