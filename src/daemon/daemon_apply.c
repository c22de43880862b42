/* A new policy for a daemon that runs.
 *
 * Happy path: compiled for the roles that there are → its texts into the archive, under
 * its digest → the whole of what is to count beside the copy, as the next one → the trail's
 * policy.applied and the ledger's word that this one counts, in one commit → from here on it does,
 * whatever happens: the copy is replaced → serve/ goes by it, the grants that live are judged → who
 * asked is told.
 *
 * Failure paths: up to the commit nothing has changed but files that nobody reads. The commit
 * fails: the ledger is told of the copy before again, behind it in the same order, and the trail
 * says policy.rejected. The copy can't be replaced: it counts all the same, by the next one; that
 * stays what it is until the copy is replaced, which is tried again, so no other policy is applied
 * before. The process is killed: behind the commit the next start finds that the ledger's word and
 * the copy differ, and puts the next one in its place; before it, it finds nothing. An apply that a
 * stop overtakes ends by itself, and counts from the next start. */
#include "daemon/daemon_internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define APPLY_MAGIC 0x6170706cU /* "appl" */
#define COPY_AGAIN_MS 30000U

struct daemon_apply {
    uint32_t magic;
    struct daemon *daemon;
    struct serve_apply *asked;   /* owned */
    struct config_policy access; /* owned, until it counts */
    char before_id[POLICY_COPY_ID_BYTES + 1];
    struct buf texts; /* for the archive */
    struct buf copy;
    char *archive_path;
    char *next_path;
    char *path;
    struct env_put put;
    struct audit_write write;
};

/* ---- the end of an apply --------------------------------------------------------- */

static void apply_free(struct daemon_apply *apply)
{
    config_policy_fini(&apply->access);
    serve_apply_free(apply->asked);
    buf_fini(&apply->texts);
    buf_fini(&apply->copy);
    mem_free(apply->archive_path);
    mem_free(apply->next_path);
    mem_free(apply->path);
    apply->magic = 0;
    mem_free(apply);
}

static void apply_end(struct daemon_apply *apply, int status)
{
    struct daemon *daemon = apply->daemon;
    struct serve_apply *asked = apply->asked;

    daemon->apply = NULL;
    if (asked != NULL && asked->done != NULL) {
        asked->done(asked, status);
    }
    apply_free(apply);
    if (daemon->is_reload_due && !daemon->is_stopping) {
        daemon->is_reload_due = false;
        (void)daemon_reload(daemon, NULL); /* it has told what went wrong */
    }
    if (daemon->is_backends_closed) {
        daemon_backends_closed(daemon);
    }
}

/* What the trail says of it. */
static void record_fill(const struct daemon_apply *apply, const char *event, const char *outcome,
                        char reason[128], struct audit_record *ret_record)
{
    const struct access_policy *policy =
        apply->asked->is_observed ? apply->access.observed : apply->access.policy;

    serve_apply_record(apply->asked, event, outcome, ret_record);
    ret_record->policy_digest = access_policy_digest(apply->access.policy);
    if (apply->asked->bundle == NULL || policy == NULL) {
        (void)snprintf(reason, 128, "nothing is observed any more");
    } else {
        (void)snprintf(reason, 128, "%s policy sha256:%s",
                       apply->asked->is_observed ? "observe" : "apply",
                       access_policy_digest(policy));
    }
    ret_record->reason = reason;
}

/* Behind the commit's own word, in the same order. */
static void word_take_back(const struct daemon_apply *apply)
{
    struct env_ledger *ledger = apply->daemon->ledger;
    int r = apply->before_id[0] != '\0'
                ? env_ledger_put(ledger, ENV_LEDGER_SETTING, STR(DAEMON_POLICY_WORD),
                                 str_of(apply->before_id))
                : env_ledger_remove(ledger, ENV_LEDGER_SETTING, STR(DAEMON_POLICY_WORD));

    if (r != 0) {
        log_event(LOG_LEVEL_ERROR, "policy.word.kept", "err", err_str(r), "hint",
                  "after a restart the policy counts that could not be applied", NULL);
    }
}

static void apply_fail(struct daemon_apply *apply, int status, const char *why)
{
    struct audit_record record;
    char reason[128];

    (void)err_set(&apply->asked->error, status, "the policy could not be applied: %s", why);
    record_fill(apply, "policy.rejected", "failed", reason, &record);
    record.policy_digest = access_policy_digest(apply->daemon->config->access.policy);
    record.error = apply->asked->error.text;
    audit_record_note(apply->daemon->audit, &record);
    log_event(LOG_LEVEL_ERROR, "policy.rejected", "err", why, NULL);
    apply_end(apply, status);
}

/* ---- a copy that isn't in its place yet ------------------------------------------- */

static void copy_again(struct env_timer *timer)
{
    daemon_policy_keep(OBJ_CAST(timer->user, struct daemon, DAEMON_MAGIC));
}

static void copy_due(struct daemon *daemon, const char *why)
{
    daemon->is_copy_due = true;
    log_event(LOG_LEVEL_ERROR, "policy.copy.kept", "err", why, "hint",
              "the policy counts, also after a restart; its copy is written again", NULL);
    if (!daemon->is_stopping) {
        daemon->copy_timer = (struct env_timer){.fn = copy_again, .user = daemon};
        env_timer_arm(daemon->env, &daemon->copy_timer, env_now_ms(daemon->env) + COPY_AGAIN_MS);
    }
}

/* ---- the steps of an apply -------------------------------------------------------- */

/* It counts, and is kept. */
static void apply_count(struct daemon_apply *apply)
{
    struct daemon *daemon = apply->daemon;
    struct config_policy before = daemon->config->access;
    struct serve_apply *asked = apply->asked;
    struct lease_recheck recheck = {.judge = daemon_judge, .drain_ms = asked->drain_ms};

    daemon->config->access = apply->access;
    apply->access = before; /* which goes with the apply */
    daemon_policy_tell(daemon, daemon->config);
    serve_set_policy(daemon->serve, daemon->config->access.policy, daemon->config->access.observed,
                     &daemon->policies);
    recheck.policy_digest = access_policy_digest(daemon->config->access.policy);
    recheck.user = daemon->config->access.policy;
    (void)lease_core_recheck(daemon->core, &recheck);
    asked->ended_count = recheck.ended_count;
    asked->draining_count = recheck.draining_count;
    asked->reduced_count = recheck.reduced_count;
    apply_end(apply, 0);
}

/* It was applied with the commit, wherever its copy is. */
static void apply_committed(struct daemon_apply *apply)
{
    if (apply->daemon->is_stopping) {
        (void)err_set(&apply->asked->error, ERR_CLOSED,
                      "leased is stopping: it counts from the "
                      "next start");
        apply_end(apply, ERR_CLOSED);
    } else {
        apply_count(apply);
    }
}

static void apply_kept(struct env_put *put, int status, const char *detail)
{
    struct daemon_apply *apply = OBJ_CAST(put->user, struct daemon_apply, APPLY_MAGIC);

    if (status != 0) {
        copy_due(apply->daemon, detail);
    }
    apply_committed(apply);
}

ATTR_MUST_USE
static int put_start(struct daemon_apply *apply, const char *path, const struct buf *bytes,
                     void (*fn)(struct env_put *put, int status, const char *detail))
{
    apply->put = (struct env_put){
        .path = path, .bytes = buf_str(bytes), .is_private = true, .fn = fn, .user = apply};
    return env_put_start(apply->daemon->env, &apply->put);
}

static void apply_recorded(struct audit_write *write, int status)
{
    struct daemon_apply *apply = OBJ_CAST(write->user, struct daemon_apply, APPLY_MAGIC);
    int r;

    if (status != 0) {
        word_take_back(apply);
        apply_fail(apply, status, "it could not be put on record");
        return;
    }
    r = put_start(apply, apply->path, &apply->copy, apply_kept);
    if (r != 0) {
        copy_due(apply->daemon, err_str(r));
        apply_committed(apply);
    }
}

/* Both in the commit of this turn. */
static void apply_commit(struct daemon_apply *apply)
{
    struct daemon *daemon = apply->daemon;
    struct audit_record record;
    char reason[128];
    int r;

    audit_set_revision(daemon->audit, access_policy_digest(apply->access.policy),
                       apply->access.copy->bundle->revision);
    record_fill(apply, "policy.applied", "ok", reason, &record);
    r = env_ledger_put(daemon->ledger, ENV_LEDGER_SETTING, STR(DAEMON_POLICY_WORD),
                       str_of(apply->access.copy->id));
    if (r != 0) {
        apply_fail(apply, r, "the ledger doesn't take it");
        return;
    }
    apply->write = (struct audit_write){.fn = apply_recorded, .user = apply};
    r = audit_record_write(daemon->audit, &record, &apply->write);
    if (r != 0) {
        word_take_back(apply);
        apply_fail(apply, r, "it can't be put on record");
    }
}

static void apply_prepared(struct env_put *put, int status, const char *detail)
{
    struct daemon_apply *apply = OBJ_CAST(put->user, struct daemon_apply, APPLY_MAGIC);

    if (status != 0) {
        apply_fail(apply, status, detail);
    } else if (apply->daemon->is_stopping) {
        apply_fail(apply, ERR_CLOSED, "leased is stopping");
    } else {
        apply_commit(apply);
    }
}

static void apply_archived(struct env_put *put, int status, const char *detail)
{
    struct daemon_apply *apply = OBJ_CAST(put->user, struct daemon_apply, APPLY_MAGIC);

    int r = status == 0 ? put_start(apply, apply->next_path, &apply->copy, apply_prepared) : status;

    if (r != 0) {
        apply_fail(apply, r, status != 0 ? detail : err_str(r));
    }
}

/* ---- the beginning ----------------------------------------------------------------- */

static void id_make(struct env *env, char out[POLICY_COPY_ID_BYTES + 1])
{
    unsigned char bytes[POLICY_COPY_ID_BYTES / 2];
    size_t i;

    env_random(env, bytes, sizeof(bytes));
    for (i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* What is to be kept. NULL: out of memory. */
static struct policy_copy *copy_make(const struct daemon *daemon, struct serve_apply *asked)
{
    const struct policy_copy *now = daemon->config->access.copy;
    struct policy_copy *copy = policy_copy_new(NULL);

    if (copy == NULL) {
        return NULL;
    }
    id_make(daemon->env, copy->id);
    copy->is_seed = asked->is_observed && now->is_seed;
    if (asked->is_observed) {
        copy->bundle = policy_bundle_dup(now->bundle);
        copy->observed = asked->bundle != NULL ? policy_bundle_dup(asked->bundle) : NULL;
        copy->applied_wall_ms = now->applied_wall_ms;
        memcpy(copy->applied_by, now->applied_by, sizeof(copy->applied_by));
    } else {
        copy->bundle = policy_bundle_dup(asked->bundle);
        copy->applied_wall_ms = env_wall_ms(daemon->env);
        (void)snprintf(copy->applied_by, sizeof(copy->applied_by), "%.*s",
                       (int)POLICY_COPY_BY_MAX_BYTES, asked->by);
    }
    if (copy->bundle == NULL ||
        (copy->observed == NULL && asked->is_observed && asked->bundle != NULL)) {
        policy_copy_free(copy);
        return NULL;
    }
    return copy;
}

static int apply_compile(struct daemon_apply *apply)
{
    struct daemon *daemon = apply->daemon;
    struct policy_copy *copy = copy_make(daemon, apply->asked);
    struct yaml_errors unknown;
    struct yaml_errors errors;
    int r;

    if (copy == NULL) {
        return ERR_NOMEM;
    }
    yaml_errors_init(&unknown);
    yaml_errors_init(&errors);
    /* What counts already may name what is gone meanwhile; what is new was looked at. */
    r = config_policy_make(daemon->config, copy, &unknown, &apply->access, &errors);
    if (r != 0) {
        policy_copy_free(copy);
    }
    yaml_errors_fini(&unknown);
    yaml_errors_fini(&errors);
    return r;
}

static int apply_write(struct daemon_apply *apply)
{
    const struct policy_bundle *bundle = apply->asked->bundle;
    struct json_out json;
    int r;

    buf_init(&apply->texts, POLICY_COPY_MAX_BYTES);
    buf_init(&apply->copy, POLICY_COPY_MAX_BYTES);
    r = policy_copy_write(apply->access.copy, &apply->copy);
    if (r == 0 && bundle != NULL) {
        json_out_init(&json, &apply->texts);
        json_out_object_open(&json, NULL);
        policy_bundle_write(bundle, &json);
        json_out_object_close(&json);
        buf_add_char(&apply->texts, '\n');
        r = buf_status(&apply->texts);
    }
    return r;
}

static int apply_prepare(struct daemon_apply *apply)
{
    const struct config *config = apply->daemon->config;
    const struct access_policy *policy;
    int r = apply_compile(apply);

    if (r == 0) {
        r = apply_write(apply);
    }
    if (r != 0) {
        return r;
    }
    policy = apply->asked->is_observed && apply->access.observed != NULL ? apply->access.observed
                                                                         : apply->access.policy;
    apply->path = config_policy_path(config);
    apply->next_path = config_policy_next_path(config);
    apply->archive_path = config_policy_archive_path(config, access_policy_digest(policy));
    return apply->path != NULL && apply->next_path != NULL && apply->archive_path != NULL
               ? 0
               : ERR_NOMEM;
}

static int may_apply(struct daemon *daemon, struct serve_apply *asked)
{
    if (!daemon->has_started || daemon->is_stopping) {
        return err_set(&asked->error, ERR_CLOSED, "leased is starting or stopping");
    }
    if (daemon->ledger == NULL) {
        return err_set(&asked->error, ERR_UNSUPPORTED,
                       "without a ledger there is no place to keep a policy that is applied");
    }
    if (daemon->apply != NULL) {
        return err_set(&asked->error, ERR_BUSY, "another policy is being applied");
    }
    if (daemon->is_copy_due) {
        daemon_policy_keep(daemon);
        return err_set(&asked->error, ERR_BUSY,
                       "the policy before could not be written to its place, which is tried again "
                       "now: see the log, and try again");
    }
    if (strcmp(asked->base, access_policy_digest(daemon->config->access.policy)) != 0) {
        return err_set(&asked->error, ERR_EXISTS, "the policy that counts has changed meanwhile");
    }
    return 0;
}

int daemon_policy_apply(struct daemon *daemon, struct serve_apply *asked)
{
    struct daemon_apply *apply;
    int r = may_apply(daemon, asked);

    if (r != 0) {
        return r;
    }
    apply = mem_calloc(1, sizeof(*apply));
    if (apply == NULL) {
        return err_set(&asked->error, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    apply->magic = APPLY_MAGIC;
    apply->daemon = daemon;
    apply->asked = asked;
    memcpy(apply->before_id, daemon->config->access.copy->id, sizeof(apply->before_id));
    r = apply_prepare(apply);
    if (r == 0) {
        r = asked->bundle != NULL
                ? put_start(apply, apply->archive_path, &apply->texts, apply_archived)
                : put_start(apply, apply->next_path, &apply->copy, apply_prepared);
    }
    if (r != 0) {
        apply->asked = NULL;
        apply_free(apply);
        return err_set(&asked->error, r, "%s",
                       r == ERR_TOO_LARGE ? "the policy is too large to be kept" : err_str(r));
    }
    daemon->apply = apply;
    return 0;
}

/* ---- after a crash, or a failure ------------------------------------------------------ */

static void copy_kept(struct env_put *put, int status, const char *detail)
{
    struct daemon_apply *apply = OBJ_CAST(put->user, struct daemon_apply, APPLY_MAGIC);

    apply->daemon->is_copy_due = false;
    if (status != 0) {
        copy_due(apply->daemon, detail);
    }
    apply_end(apply, status);
}

static int keep_start(struct daemon *daemon)
{
    struct daemon_apply *apply = mem_calloc(1, sizeof(*apply));
    int r = ERR_NOMEM;

    if (apply == NULL) {
        return r;
    }
    apply->magic = APPLY_MAGIC;
    apply->daemon = daemon;
    apply->path = config_policy_path(daemon->config);
    buf_init(&apply->copy, POLICY_COPY_MAX_BYTES);
    if (apply->path != NULL) {
        r = policy_copy_write(daemon->config->access.copy, &apply->copy);
    }
    if (r == 0) {
        r = put_start(apply, apply->path, &apply->copy, copy_kept);
    }
    if (r != 0) {
        apply_free(apply);
        return r;
    }
    daemon->apply = apply;
    return 0;
}

void daemon_policy_keep(struct daemon *daemon)
{
    int r;

    env_timer_disarm(daemon->env, &daemon->copy_timer);
    if (!daemon->is_copy_due || daemon->is_stopping || daemon->apply != NULL) {
        return;
    }
    r = keep_start(daemon);
    if (r != 0) {
        copy_due(daemon, err_str(r));
    }
}
