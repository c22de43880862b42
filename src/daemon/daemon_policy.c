/* Policies at start: what is told about them, and the one that a crash has kept from its place. The
 * ledger's word says which copy counts; daemon_apply.c writes both. */
#include "daemon/daemon_internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define NOTE_MAX_BYTES 1024

/* ---- telling ------------------------------------------------------------------ */

static void notes_log(const char *notes)
{
    struct str lines = str_of(notes);

    while (lines.len > 0) {
        struct str line = str_cut(&lines, '\n');
        char text[NOTE_MAX_BYTES];

        (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(line));
        log_event(LOG_LEVEL_WARN, "policy.note", "detail", text, NULL);
    }
}

void daemon_policy_tell(struct daemon *daemon, const struct config *config)
{
    const struct config_policy *access = &config->access;
    const char *digest = access_policy_digest(access->policy);

    audit_set_revision(daemon->audit, digest, access->copy->bundle->revision);
    daemon->policies = (struct serve_policies){.copy = access->copy, .notes = access->notes};
    log_event(LOG_LEVEL_INFO, "policy.counts", "policy", digest, "source",
              access->copy->is_seed ? "seed" : "applied", "revision",
              str_or_null(access->copy->bundle->revision), NULL);
    notes_log(access->notes);
}

/* ---- at start ------------------------------------------------------------------ */

struct word {
    char id[POLICY_COPY_ID_BYTES + 1];
};

static int word_read(void *user, struct str id, struct str body)
{
    struct word *word = user;

    if (str_eq_c(id, DAEMON_POLICY_WORD) && body.len < sizeof(word->id)) {
        memcpy(word->id, body.ptr, body.len);
        word->id[body.len] = '\0';
    }
    return 0;
}

static int refuse(const char *path, const char *why)
{
    log_event(LOG_LEVEL_ERROR, "daemon.start.failed", "detail", "policy", "path", path, "err", why,
              NULL);
    return EX_CONFIG;
}

/* The copy that was to count is put in its place, now: nothing else goes on meanwhile. */
static int next_take(struct daemon *daemon, const char *path, struct policy_copy *copy)
{
    struct config *config = daemon->config;
    struct yaml_errors unknown;
    struct yaml_errors errors;
    struct config_policy access;
    int exit_code = 0;

    yaml_errors_init(&unknown);
    yaml_errors_init(&errors);
    if (copy->is_seed) {
        copy->bundle = policy_bundle_dup(config->access.copy->bundle);
    }
    if (copy->bundle == NULL || config_policy_make(config, copy, &unknown, &access, &errors) != 0) {
        exit_code = refuse(path, errors.count > 0 ? buf_str(&errors.text).ptr : err_str(ERR_NOMEM));
        policy_copy_free(copy);
    } else {
        config_policy_fini(&config->access);
        config->access = access;
        daemon->is_copy_due = true;
        log_event(LOG_LEVEL_WARN, "policy.recovered", "policy", access_policy_digest(access.policy),
                  "detail",
                  "leased had ended before it had replaced the copy of the policy that was applied",
                  NULL);
    }
    yaml_errors_fini(&unknown);
    yaml_errors_fini(&errors);
    return exit_code;
}

/* The ledger names another copy than the one that was read. */
static int copy_recover(struct daemon *daemon, const struct word *word)
{
    char *path = config_policy_next_path(daemon->config);
    struct policy_copy *copy = NULL;
    struct err e = {.code = 0};
    int exit_code;
    int r = path != NULL ? config_policy_copy_read(path, &copy, &e) : ERR_NOMEM;

    if (r == 0 && strcmp(copy->id, word->id) == 0) {
        exit_code = next_take(daemon, path, copy);
    } else if (r == ERR_NOT_FOUND && daemon->config->access.copy->id[0] == '\0') {
        struct audit_record record = {
            .event = "policy.rejected",
            .outcome = "failed",
            .policy_digest = access_policy_digest(daemon->config->access.policy),
            .error = "the copy of the policy that was applied was taken away: what the "
                     "configuration says counts again"};

        log_event(LOG_LEVEL_WARN, "policy.copy.gone", "detail", record.error, NULL);
        audit_record_note(daemon->audit, &record);
        exit_code =
            env_ledger_remove(daemon->ledger, ENV_LEDGER_SETTING, STR(DAEMON_POLICY_WORD)) == 0
                ? 0
                : EX_OSERR;
        policy_copy_free(copy);
    } else {
        exit_code = refuse(path, r == ERR_INVALID
                                     ? e.text
                                     : "the ledger knows of another policy that was applied last: "
                                       "put back its copy, or take away the copies beside the "
                                       "ledger to begin again with what the configuration says");
        policy_copy_free(copy);
    }
    mem_free(path);
    return exit_code;
}

int daemon_policy_recover(struct daemon *daemon)
{
    struct word word = {.id = ""};
    struct err e = {.code = 0};
    int exit_code = 0;

    if (daemon->ledger != NULL &&
        env_ledger_each(daemon->ledger, ENV_LEDGER_SETTING, word_read, &word, &e) != 0) {
        return refuse(daemon->config->settings.state.ledger.sqlite, e.text);
    }
    if (word.id[0] != '\0' && strcmp(word.id, daemon->config->access.copy->id) != 0) {
        exit_code = copy_recover(daemon, &word);
    }
    if (exit_code == 0) {
        daemon_policy_tell(daemon, daemon->config);
    }
    return exit_code;
}

/* ---- for serve/ -------------------------------------------------------------------- */

int daemon_policy_compile(struct daemon *daemon, const struct policy_bundle *bundle,
                          struct access_policy **ret_policy, struct yaml_errors *mistakes)
{
    struct policy_bundle *own = policy_bundle_dup(bundle);
    struct policy_copy *copy = own != NULL ? policy_copy_new(own) : NULL;
    struct config_policy access;
    int r;

    if (copy == NULL) {
        policy_bundle_free(own);
        return ERR_NOMEM;
    }
    r = config_policy_make(daemon->config, copy, NULL, &access, mistakes);
    if (r != 0) {
        policy_copy_free(copy);
        return r;
    }
    *ret_policy = access.policy;
    access.policy = NULL;
    config_policy_fini(&access);
    return 0;
}
