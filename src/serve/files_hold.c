/* One holder of one role: its grant, for as long as its files are to be there.
 *
 * Happy path: at rest hold_go looks at what is true → its unit runs (or it has none) → the places
 * of its files are looked at → policy decides as for any caller → the core finds or issues → its
 * files are written and their users told (files_write.c) → the one before is given up. A new
 * version, or the end of the grant's duration coming near, begins that anew.
 *
 * It ends as a client's hold does: policy, revocation, duration, its unit's last process, or the
 * entry is taken out of the configuration. Then its files are removed first of all.
 *
 * Failure paths: each failed step is tried again, later and later; what there is stays meanwhile. A
 * credential that reached no file counts as undelivered, so it is revoked. */
#include "serve/files_internal.h"

#include "base/log.h"
#include "base/mem.h"
#include "env/unit.h"

#include <stdio.h>
#include <string.h>

#define RETRY_FIRST_MS 1000U
#define RETRY_MAX_MS (5U * 60U * 1000U)
/* Who took it away doesn't want it back at once. */
#define REVOKED_PAUSE_MS 30000U
#define UNIT_LOOK_MS 500U

static struct env *env_of(const struct hold *hold)
{
    return hold->files->serve->options.env;
}

static struct lease_core *core_of(const struct hold *hold)
{
    return hold->files->serve->options.core;
}

/* ---- what is true ------------------------------------------------------------ */

static bool is_configured(const struct hold *hold)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&hold->items, node, following) {
        if (LIST_ENTRY(node, struct file, node)->is_configured) {
            return true;
        }
    }
    return false;
}

bool hold_is_wanted(const struct hold *hold)
{
    return is_configured(hold) && (hold->unit == NULL || hold->is_unit_there);
}

bool hold_has_end(const struct hold *hold)
{
    return hold->is_over || !hold_is_wanted(hold);
}

struct grant *hold_grant(const struct hold *hold)
{
    struct grant *grant =
        hold->grant[0] != '\0' ? lease_core_find_grant(core_of(hold), str_of(hold->grant)) : NULL;
    struct grant_view view = {.id = NULL};

    if (grant != NULL) {
        grant_view(grant, &view);
    }
    return grant != NULL && view.state != GRANT_STATE_ENDED ? grant : NULL;
}

static bool needs_credential(const struct hold *hold)
{
    struct list *node;
    struct list *following;

    if (hold->grant[0] == '\0' || hold->wants_new_grant) {
        return true;
    }
    LIST_EACH (&hold->items, node, following) {
        const struct file *file = LIST_ENTRY(node, struct file, node);

        if (file->is_configured && (file->is_changed || strcmp(file->lease, hold->wanted) != 0)) {
            return true;
        }
    }
    return false;
}

/* ---- its end ----------------------------------------------------------------- */

static enum grant_end why_it_ends(const struct hold *hold)
{
    return is_configured(hold) ? GRANT_END_BINDING : GRANT_END_POLICY;
}

static void grant_give_up(struct hold *hold, char id[LEASE_ID_BYTES + 1], enum grant_end end)
{
    struct grant *grant = id[0] != '\0' ? lease_core_find_grant(core_of(hold), str_of(id)) : NULL;

    id[0] = '\0';
    if (grant != NULL) {
        lease_end_grant(core_of(hold), grant, end, NULL);
    }
}

/* How long nothing is asked for after its grant has ended. */
static uint64_t pause_after(const struct hold *hold)
{
    const struct grant *grant = lease_core_find_grant(core_of(hold), str_of(hold->grant));
    struct grant_view view = {.end = GRANT_END_FAILED};

    if (grant != NULL) {
        grant_view(grant, &view);
    }
    switch (view.end) {
    case GRANT_END_DURATION:
    case GRANT_END_BINDING:
        return 0;
    case GRANT_END_FAILED:
    case GRANT_END_UNDELIVERED:
        return RETRY_FIRST_MS;
    default:
        return REVOKED_PAUSE_MS;
    }
}

/* The grant has ended, or is to end: everything of it goes. */
static void end(struct hold *hold)
{
    if (hold->is_over && hold->grant[0] != '\0') {
        uint64_t retry_ms = env_now_ms(env_of(hold)) + pause_after(hold);

        hold->retry_ms = retry_ms > hold->retry_ms ? retry_ms : hold->retry_ms;
        hold->grant[0] = '\0';
    }
    grant_give_up(hold, hold->grant, why_it_ends(hold));
    grant_give_up(hold, hold->old_grant, why_it_ends(hold));
    hold->wanted[0] = '\0';
    hold->wants_new_grant = false;
}

/* ---- the steps --------------------------------------------------------------- */

static void due(struct env_timer *timer)
{
    struct hold *hold = OBJ_CAST(timer->user, struct hold, HOLD_MAGIC);

    if (hold->step == HOLD_SETTLE) {
        hold_moved(hold);
        hold_rest(hold);
    } else {
        hold_go(hold);
    }
}

static void drop_items(struct hold *hold)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&hold->items, node, following) {
        struct file *file = LIST_ENTRY(node, struct file, node);

        if (!file->is_configured && (file->is_replaced || !file_is_there(file))) {
            file_free(file);
        }
    }
}

void hold_go(struct hold *hold)
{
    const struct files *files = hold->files;
    uint64_t now_ms = env_now_ms(env_of(hold));

    if (hold->step != HOLD_REST || !files->has_started) {
        return;
    }
    if (files->is_stopping && hold->grant[0] != '\0' && hold_grant(hold) == NULL) {
        hold->is_over = true;
    }
    if (hold_has_end(hold) && !(files->is_stopping && !hold->is_over)) {
        end(hold);
    }
    if (now_ms >= hold->remove_ms && write_has_remains(hold)) {
        write_remove(hold);
        return;
    }
    drop_items(hold);
    if (list_is_empty(&hold->items)) {
        hold_free(hold);
        return;
    }
    if (!write_has_remains(hold)) {
        hold->is_over = false;
    }
    if (files->is_stopping) {
        hold->is_over = false; /* what could not be removed is on record, for the next start */
        return;
    }
    hold_watch_unit(hold);
    if (write_has_remains(hold)) {
        env_timer_arm(env_of(hold), &hold->timer, hold->remove_ms);
    } else if (now_ms < hold->retry_ms) {
        env_timer_arm(env_of(hold), &hold->timer, hold->retry_ms);
    } else if (hold_is_wanted(hold) && needs_credential(hold)) {
        if (hold->grant[0] == '\0') {
            write_check(hold);
        } else {
            ask_begin(hold);
        }
    }
}

void hold_wake(struct hold *hold)
{
    if (hold->step == HOLD_SETTLE && (hold_has_end(hold) || hold->files->is_stopping)) {
        env_timer_disarm(env_of(hold), &hold->timer);
        hold->step = HOLD_REST;
    } else if (hold->step == HOLD_ACQUIRE && (hold_has_end(hold) || hold->files->is_stopping)) {
        lease_acquire_cancel(core_of(hold), &hold->acquire);
    }
    hold_go(hold);
}

void hold_rest(struct hold *hold)
{
    struct files *files = hold->files;

    hold->step = HOLD_REST;
    hold_go(hold); /* the hold may be gone */
    files_rested(files);
}

uint64_t hold_backoff_ms(struct hold *hold)
{
    uint64_t backoff_ms = RETRY_FIRST_MS;
    uint32_t random;
    uint32_t i;

    for (i = 0; i < hold->failure_count && backoff_ms < RETRY_MAX_MS; i++) {
        backoff_ms *= 2;
    }
    hold->failure_count++;
    env_random(env_of(hold), &random, sizeof(random));
    backoff_ms = backoff_ms < RETRY_MAX_MS ? backoff_ms : RETRY_MAX_MS;
    return backoff_ms + random % (backoff_ms / 4);
}

void hold_fail(struct hold *hold, const char *why, uint64_t retry_after_ms)
{
    struct files *files = hold->files;
    uint64_t backoff_ms = hold_backoff_ms(hold);

    backoff_ms = backoff_ms > retry_after_ms ? backoff_ms : retry_after_ms;
    if (strcmp(hold->why, why) != 0 && !files->is_stopping) {
        char retry[24];

        (void)snprintf(retry, sizeof(retry), "%llu", (unsigned long long)backoff_ms);
        log_event(LOG_LEVEL_WARN, "file.waits", "role", hold->role, "err", why, "retry_ms", retry,
                  NULL);
    }
    (void)snprintf(hold->why, sizeof(hold->why), "%s", why);
    hold->retry_ms = env_now_ms(env_of(hold)) + backoff_ms;
    hold_rest(hold);
}

void hold_delivered(struct hold *hold)
{
    struct grant *grant = lease_core_find_grant(core_of(hold), str_of(hold->grant));

    if (grant != NULL) {
        lease_core_delivered(core_of(hold), grant, hold->is_delivered);
    }
}

void hold_moved(struct hold *hold)
{
    struct grant *grant = hold_grant(hold);
    int r = grant != NULL ? lease_core_ack(core_of(hold), grant_lease(grant), &hold->identity,
                                           str_of(hold->grant))
                          : 0;

    if (r != 0) { /* another version has come meanwhile: the round for that says it */
        log_event(LOG_LEVEL_DEBUG, "file.ack.later", "grant", hold->grant, "err", err_str(r), NULL);
    }
    grant_give_up(hold, hold->old_grant, GRANT_END_RELEASED);
}

/* ---- its unit ---------------------------------------------------------------- */

void hold_look(struct env_timer *timer)
{
    struct hold *hold = OBJ_CAST(timer->user, struct hold, HOLD_MAGIC);
    int r = env_unit_is_running(env_of(hold), hold->unit);
    bool was_there = hold->is_unit_there;

    /* What can't be found out changes nothing. */
    hold->is_unit_there = r >= 0 ? r > 0 : was_there;
    hold_watch_unit(hold);
    if (was_there != hold->is_unit_there) {
        log_event(LOG_LEVEL_INFO, hold->is_unit_there ? "file.holder.runs" : "file.holder.ended",
                  "role", hold->role, "detail", hold->unit, NULL);
        hold->retry_ms = 0;
        hold_wake(hold); /* the hold may be gone */
    }
}

void hold_watch_unit(struct hold *hold)
{
    if (hold->unit != NULL && is_configured(hold) && !hold->files->is_stopping &&
        hold->unit_look.heap_index == 0) {
        env_timer_arm(env_of(hold), &hold->unit_look, env_now_ms(env_of(hold)) + UNIT_LOOK_MS);
    }
}

/* ---- life -------------------------------------------------------------------- */

bool hold_is_of(const struct hold *hold, const struct serve_file *config)
{
    const char *unit = config->unit != NULL ? config->unit : "";

    return hold->role != NULL && strcmp(hold->role, config->role) == 0 &&
           hold->uid == config->uid && hold->gid == config->gid &&
           strcmp(hold->unit != NULL ? hold->unit : "", unit) == 0;
}

struct hold *hold_new(struct files *files, const struct serve_file *config)
{
    struct hold *hold = mem_calloc(1, sizeof(*hold));

    if (hold == NULL) {
        return NULL;
    }
    hold->magic = HOLD_MAGIC;
    hold->files = files;
    list_init(&hold->items);
    hold->timer = (struct env_timer){.fn = due, .user = hold};
    hold->unit_look = (struct env_timer){.fn = hold_look, .user = hold};
    list_push_back(&files->holds, &hold->node);
    if (config == NULL) {
        return hold;
    }
    hold->role = mem_strdup(config->role);
    hold->unit = config->unit != NULL ? mem_strdup(config->unit) : NULL;
    hold->uid = config->uid;
    hold->gid = config->gid;
    if (hold->role == NULL || (config->unit != NULL && hold->unit == NULL)) {
        hold_free(hold);
        return NULL;
    }
    if (hold->unit != NULL) {
        hold->is_unit_there = env_unit_is_running(env_of(hold), hold->unit) > 0;
    }
    return hold;
}

void hold_free(struct hold *hold)
{
    struct list *node;

    CHECK(hold->step == HOLD_REST);
    env_timer_disarm(env_of(hold), &hold->timer);
    env_timer_disarm(env_of(hold), &hold->unit_look);
    list_remove(&hold->node);
    while ((node = hold->items.next) != &hold->items) {
        file_free(LIST_ENTRY(node, struct file, node));
    }
    mem_free(hold->role);
    mem_free(hold->unit);
    mem_free(hold);
}
