/* What a configuration names, as this machine has it: users, groups, folders, certificates and
 * secrets. None of it is a mistake, because `leased --check` may run for another machine, as
 * another user, or before something is made; so what can't be looked at is passed over. What isn't
 * there at all was told by config_places.c. */
#include "daemon/config_internal.h"

#include "base/mem.h"
#include "daemon/harden.h"
#include "io/accounts.h"
#include "io/listener.h"
#include "io/source.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_MODE_WITH_GROUP 0660U

/* ---- folders ---------------------------------------------------------------- */

enum folder_need {
    FOLDER_WANTED, /* without it leased starts all the same */
    FOLDER_NEEDED,
    FOLDER_MADE, /* leased makes it, in a folder that it needs */
};

/* The folder of the file that `node` names. */
static void folder_check(const struct yaml_node *node, enum folder_need need,
                         struct yaml_errors *warnings)
{
    char *path = mem_strdup(node->text.ptr);
    const char *folder;
    struct stat facts;

    if (path == NULL) {
        return;
    }
    folder = dirname(path);
    if (need == FOLDER_MADE && stat(folder, &facts) != 0 && errno == ENOENT) {
        folder = dirname(path);
    }
    if (stat(folder, &facts) == 0) {
        if (!S_ISDIR(facts.st_mode)) {
            yaml_error_at(warnings, node, "warning: `%s` is no folder", folder);
        }
    } else if (errno == ENOENT || errno == ENOTDIR) {
        yaml_error_at(warnings, node, "warning: there is no folder `%s` (yet): %s", folder,
                      need == FOLDER_WANTED ? "what goes there is lost until it is there"
                                            : "leased doesn't start without it");
    }
    mem_free(path);
}

static void folders_check(const struct config_settings *settings, struct yaml_errors *warnings)
{
    const struct config_sink *sinks = settings->audit.items;
    const struct config_listener *listeners = settings->listeners.items;
    size_t i;

    for (i = 0; i < settings->listeners.count; i++) {
        if (listeners[i].unix_path != NULL) {
            folder_check(yaml_get(listeners[i].node, "unix"), FOLDER_MADE, warnings);
        }
    }
    for (i = 0; i < settings->audit.count; i++) {
        if (sinks[i].path != NULL) {
            folder_check(yaml_get(sinks[i].node, "path"),
                         sinks[i].is_required ? FOLDER_NEEDED : FOLDER_WANTED, warnings);
        }
    }
    if (settings->state.ledger.sqlite != NULL) {
        folder_check(yaml_get(settings->state.ledger.node, "sqlite"), FOLDER_MADE, warnings);
    }
}

/* ---- listeners -------------------------------------------------------------- */

static void owner_check(const struct config_listener *listener, struct yaml_errors *warnings)
{
    struct err e = {0};
    uid_t uid;
    gid_t gid;

    if (listener->user != NULL && io_resolve_user(listener->user, &uid, &e) == ERR_NOT_FOUND) {
        yaml_error_at(warnings, yaml_get(listener->node, "user"),
                      "warning: there is no user `%s` on this machine", listener->user);
    }
    if (listener->group != NULL && io_resolve_group(listener->group, &gid, &e) == ERR_NOT_FOUND) {
        yaml_error_at(warnings, yaml_get(listener->node, "group"),
                      "warning: there is no group `%s` on this machine", listener->group);
    }
}

static void tls_check(const struct config_listener *listener, struct yaml_errors *warnings)
{
    struct io_listener_tls tls = {.cert_file = listener->tls.cert_file,
                                  .key_file = listener->tls.key_file,
                                  .client_ca_file = listener->tls.client_ca_file};
    struct err e = {0};

    if (listener->tls.node == NULL) {
        return;
    }
    switch (io_listener_check_tls(&tls, &e)) {
    case 0:
    case -ENOENT:
    case -ENOTDIR:
    case -EACCES:
    case -EPERM:
    case ERR_NOMEM:
        return;
    default:
        yaml_error_at_key(warnings, listener->tls.node, "warning: %s", e.text);
    }
}

/* ---- secrets ---------------------------------------------------------------- */

/* Who may connect to a listener isn't yet who may have what leased itself logs in with. */
static void readers_check(const struct yaml_node *node, const struct stat *facts,
                          const struct config_settings *settings, struct yaml_errors *warnings)
{
    const struct config_listener *listeners = settings->listeners.items;
    size_t i;

    for (i = 0; (facts->st_mode & S_IRGRP) != 0 && i < settings->listeners.count; i++) {
        uint64_t mode = listeners[i].mode != 0 ? listeners[i].mode : DEFAULT_MODE_WITH_GROUP;
        gid_t gid;

        if (listeners[i].group != NULL && (mode & S_IWGRP) != 0 &&
            io_resolve_group(listeners[i].group, &gid, NULL) == 0 && gid == facts->st_gid) {
            yaml_error_at(warnings, node,
                          "warning: members of group `%s` may connect to listener `%s` and can "
                          "read this secret: give it to the user of leased alone (mode 0600)",
                          listeners[i].group, listeners[i].name);
            return;
        }
    }
}

static void secret_check(const struct yaml_node *node, unsigned int flags,
                         const struct config_settings *settings, struct yaml_errors *warnings)
{
    struct stat facts;
    struct err e = {0};

    if (stat(node->text.ptr, &facts) != 0) {
        return;
    }
    if (io_check_secret_file(node->text.ptr, &facts, flags, &e) != 0) {
        yaml_error_at(warnings, node, "warning: %s", e.text);
    } else {
        readers_check(node, &facts, settings, warnings);
    }
}

/* Certificates are public, and so is what is published. */
static bool is_secret(struct str key)
{
    return str_ends_with(key, "_file") && !str_eq_c(key, "ca_file") &&
           !str_eq_c(key, "cert_file") && !str_ends_with(key, "_cert_file") &&
           !config_key_is_written(key);
}

/* The secrets below a backend's `node`. Recursion is bounded by YAML_DEPTH_MAX. */
static void secrets_check(const struct yaml_node *node, const struct config_settings *settings,
                          struct yaml_errors *warnings)
{
    const struct yaml_node *method = yaml_get(node, "method");
    /* The kubelet writes a token that all of its pod can read. */
    bool is_shared = method != NULL && str_eq_c(method->text, "kubernetes");
    const struct yaml_node *child;

    for (child = node->first; child != NULL; child = child->next) {
        if (child->type == YAML_SCALAR && is_secret(child->key)) {
            secret_check(child, is_shared ? IO_SECRET_SHARED : 0, settings, warnings);
        }
        secrets_check(child, settings, warnings);
    }
}

/* The mode of a listener's key is tls_check's. */
static void key_check(const struct config_listener *listener,
                      const struct config_settings *settings, struct yaml_errors *warnings)
{
    struct stat facts;

    if (listener->tls.node != NULL && stat(listener->tls.key_file, &facts) == 0) {
        readers_check(yaml_get(listener->tls.node, "key_file"), &facts, settings, warnings);
    }
}

/* ---- programs --------------------------------------------------------------- */

static void program_check(const struct yaml_node *command, struct yaml_errors *warnings)
{
    const struct yaml_node *node = command != NULL ? command->first : NULL;
    struct stat facts;

    if (node == NULL) {
        return;
    }
    if (stat(node->text.ptr, &facts) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            yaml_error_at(warnings, node, "warning: there is no program `%s`", node->text.ptr);
        }
    } else if (!S_ISREG(facts.st_mode) || (facts.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0) {
        yaml_error_at(warnings, node, "warning: `%s` can't be run", node->text.ptr);
    } else if ((facts.st_mode & S_IWOTH) != 0) {
        yaml_error_at(warnings, node, "warning: others may write `%s`, which leased runs",
                      node->text.ptr);
    }
}

static void user_check(const struct yaml_node *user, struct yaml_errors *warnings)
{
    uid_t uid;

    if (user != NULL && io_find_user(user->text.ptr, &uid, NULL) == ERR_NOT_FOUND) {
        yaml_error_at(warnings, user, "warning: there is no user `%s` on this machine",
                      user->text.ptr);
    }
}

static void programs_check(const struct config_backend *backend, struct yaml_errors *warnings)
{
    if (!backend->runs_programs) {
        return;
    }
    program_check(yaml_get(backend->node, "command"), warnings);
    program_check(yaml_get(backend->node, "revoke_command"), warnings);
    user_check(yaml_get(backend->node, "user"), warnings);
}

/* ---- files ------------------------------------------------------------------ */

static void group_check(const struct yaml_node *group, struct yaml_errors *warnings)
{
    gid_t gid;

    if (group != NULL && io_find_group(group->text.ptr, &gid, NULL) == ERR_NOT_FOUND) {
        yaml_error_at(warnings, group, "warning: there is no group `%s` on this machine",
                      group->text.ptr);
    }
}

/* As root it may be checked for another user. */
static void rights_check(const struct config_file *file, struct yaml_errors *warnings)
{
    uid_t uid;

    if (file->user != NULL && geteuid() != 0 && io_resolve_user(file->user, &uid, NULL) == 0 &&
        uid != geteuid() && !harden_may_chown()) {
        yaml_error_at(warnings, config_place_of(file->node, "user"),
                      "warning: this user may not give files to `%s`: install the unit's drop-in "
                      "leased-helper.conf",
                      file->user);
    }
}

static void file_check(const struct config_file *file, struct yaml_errors *warnings)
{
    folder_check(config_place_of(file->node, "path"), FOLDER_WANTED, warnings);
    user_check(yaml_get(file->node, "user"), warnings);
    user_check(yaml_get(file->holder.node, "user"), warnings);
    group_check(yaml_get(file->node, "group"), warnings);
    group_check(yaml_get(file->holder.node, "group"), warnings);
    if (file->on_change.exec.count > 0) {
        program_check(yaml_get(file->on_change.node, "exec"), warnings);
    }
    rights_check(file, warnings);
}

void config_check_machine(const struct config_settings *settings, struct yaml_errors *warnings)
{
    const struct config_backend *backends = settings->backends.items;
    const struct config_listener *listeners = settings->listeners.items;
    const struct config_role *roles = settings->roles.items;
    const struct config_file *files = settings->files.items;
    const struct config_notify *notify = settings->notify.items;
    size_t i;

    folders_check(settings, warnings);
    for (i = 0; i < settings->listeners.count; i++) {
        owner_check(&listeners[i], warnings);
        tls_check(&listeners[i], warnings);
        key_check(&listeners[i], settings, warnings);
    }
    for (i = 0; i < settings->backends.count; i++) {
        secrets_check(backends[i].node, settings, warnings);
        programs_check(&backends[i], warnings);
    }
    for (i = 0; i < settings->files.count; i++) {
        file_check(&files[i], warnings);
    }
    for (i = 0; i < settings->roles.count; i++) {
        if (roles[i].verify.exec.count > 0) {
            program_check(yaml_get(roles[i].verify.node, "exec"), warnings);
            user_check(yaml_get(roles[i].verify.node, "user"), warnings);
        }
    }
    for (i = 0; i < settings->notify.count; i++) {
        secrets_check(notify[i].node, settings, warnings);
        if (notify[i].exec.count > 0) {
            program_check(yaml_get(notify[i].node, "exec"), warnings);
            user_check(yaml_get(notify[i].node, "user"), warnings);
        }
    }
}

/* ---- policies --------------------------------------------------------------- */

/* A name with a glob may stand for those to come; a number is compared as a name, too. */
static const struct yaml_node *name_of(const struct yaml_node *subject, const char *key)
{
    const struct yaml_node *node = yaml_get(subject, key);

    return node != NULL && node->type == YAML_SCALAR && strchr(node->text.ptr, '*') == NULL ? node
                                                                                            : NULL;
}

static void subject_check(const struct yaml_node *subject, struct yaml_errors *warnings)
{
    const struct yaml_node *user = name_of(subject, "user");
    const struct yaml_node *group = name_of(subject, "group");
    uid_t uid;
    gid_t gid;

    if (user != NULL && io_find_user(user->text.ptr, &uid, NULL) == ERR_NOT_FOUND) {
        yaml_error_at(warnings, user,
                      "warning: there is no user `%.*s` on this machine: nobody is meant",
                      STR_ARG(user->text));
    }
    if (group != NULL && io_find_group(group->text.ptr, &gid, NULL) == ERR_NOT_FOUND) {
        yaml_error_at(warnings, group,
                      "warning: there is no group `%.*s` on this machine: nobody is meant",
                      STR_ARG(group->text));
    }
}

void config_check_subjects(const struct yaml_node *policies, struct yaml_errors *warnings)
{
    static const char *const lists[] = {"rules", "admins"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(lists); i++) {
        const struct yaml_node *list = yaml_get(policies, lists[i]);
        const struct yaml_node *entry;

        for (entry = list != NULL ? list->first : NULL; entry != NULL; entry = entry->next) {
            const struct yaml_node *subjects = yaml_get(entry, "subjects");
            const struct yaml_node *subject = subjects != NULL ? subjects->first : NULL;

            /* A bare subject among the admins. */
            subject_check(entry, warnings);
            for (; subject != NULL; subject = subject->next) {
                subject_check(subject, warnings);
            }
        }
    }
}
