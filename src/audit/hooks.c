/* Who is told of what goes on record.
 *
 * Happy path: hooks_tell → the event is one that the hook wants → it waits its turn → hook_send →
 * told: the next one. Failure paths: the hook can't be reached, or doesn't say that it is well: the
 * same again after a while, twice as long each time, up to a limit; then it is lost. Too many wait,
 * or there is no memory: lost. The first failure and each loss are logged. */
#include "base/log.h"
#include "base/mem.h"
#include "audit/hooks_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RETRY_FIRST_MS 1000U
#define RETRY_MAX_MS (2U * 60U * 1000U)

/* --- life --- */

int hooks_new(struct env *env, struct hooks **ret_hooks)
{
    struct hooks *hooks = mem_calloc(1, sizeof(*hooks));

    if (hooks == NULL) {
        return ERR_NOMEM;
    }
    hooks->env = env;
    list_init(&hooks->hooks);
    list_init(&hooks->retired);
    *ret_hooks = hooks;
    return 0;
}

static void queue_pop(struct hook *hook)
{
    struct list *node = list_pop_front(&hook->queue);

    if (node != NULL) {
        hook->queued_count--;
        mem_free(LIST_ENTRY(node, struct hook_event, node));
    }
}

static void hook_free(struct hook *hook)
{
    size_t i;

    env_timer_disarm(hook->hooks->env, &hook->timer);
    while (hook->queued_count > 0) {
        queue_pop(hook);
    }
    list_remove(&hook->node);
    for (i = 0; i < hook->event_count; i++) {
        mem_free(hook->events[i]);
    }
    mem_free(hook->name);
    mem_free(hook->key_source);
    mem_free(hook->ca_file);
    mem_free(hook);
}

static void close_run(struct env_deferred *deferred)
{
    struct hooks *hooks = deferred->user;
    void (*closed)(void *user) = hooks->closed;
    void *user = hooks->closed_user;

    mem_free(hooks);
    closed(user);
}

static void close_finish(struct hooks *hooks)
{
    if (hooks->closed != NULL && list_is_empty(&hooks->retired)) {
        hooks->deferred = (struct env_deferred){.fn = close_run, .user = hooks};
        env_defer(hooks->env, &hooks->deferred);
    }
}

static void retire(struct hook *hook)
{
    struct hooks *hooks = hook->hooks;

    list_move_back(&hooks->retired, &hook->node);
    hook->is_retired = true;
    if (!hook->is_sending) {
        hook_free(hook);
    } else if (hook->is_program) {
        env_run_cancel(hooks->env, &hook->run);
    } else {
        env_http_cancel(hooks->env, &hook->http);
    }
}

void hooks_close(struct hooks *hooks, void (*closed)(void *user), void *user)
{
    hooks->closed = closed;
    hooks->closed_user = user;
    while (!list_is_empty(&hooks->hooks)) {
        retire(LIST_ENTRY(hooks->hooks.next, struct hook, node));
    }
    close_finish(hooks);
}

/* --- the configuration --- */

static struct hook *hook_take(struct list *old, const char *name)
{
    struct list *node;
    struct list *following;

    LIST_EACH (old, node, following) {
        struct hook *hook = LIST_ENTRY(node, struct hook, node);

        if (strcmp(hook->name, name) == 0) {
            return hook;
        }
    }
    return NULL;
}

/* Of a URL where it leads to: whoever knows the rest can often send there himself. */
static void name_show(struct hook *hook)
{
    const char *mark = hook->is_program ? NULL : strstr(hook->name, "://");
    const char *host;
    size_t len;

    if (mark == NULL) {
        (void)snprintf(hook->shown, sizeof(hook->shown), "%s", hook->name);
        return;
    }
    host = mark + strlen("://");
    len = strcspn(host, "/?#");
    while (memchr(host, '@', len) != NULL) { /* a name and a password */
        host++;
        len--;
    }
    (void)snprintf(hook->shown, sizeof(hook->shown), "%.*s%.*s%s",
                   (int)(mark + strlen("://") - hook->name), hook->name, (int)len, host,
                   host[len] != '\0' ? "/…" : "");
}

static struct hook *hook_new(struct hooks *hooks, const struct hook_config *config)
{
    struct hook *hook = mem_calloc(1, sizeof(*hook));

    if (hook == NULL) {
        return NULL;
    }
    hook->magic = HOOK_MAGIC;
    hook->hooks = hooks;
    hook->is_program = config->is_program;
    list_init(&hook->queue);
    list_init(&hook->node);
    hook->name = mem_strdup(config->name);
    if (hook->name == NULL) {
        hook_free(hook);
        return NULL;
    }
    name_show(hook);
    return hook;
}

static int text_take(char **place, const char *text)
{
    char *copy = text != NULL ? mem_strdup(text) : NULL;

    if (text != NULL && copy == NULL) {
        return ERR_NOMEM;
    }
    mem_free(*place);
    *place = copy;
    return 0;
}

static int hook_configure(struct hook *hook, const struct hook_config *config)
{
    size_t i;
    int r = text_take(&hook->key_source, config->key_source);

    if (r == 0 && !hook->is_sending) { /* what is under way borrows it */
        r = text_take(&hook->ca_file, config->ca_file);
    }
    while (hook->event_count > 0) {
        mem_free(hook->events[--hook->event_count]);
    }
    for (i = 0; r == 0 && i < config->event_count && i < HOOKS_EVENTS_MAX; i++) {
        hook->events[i] = mem_strdup(config->events[i]);
        r = hook->events[i] != NULL ? 0 : ERR_NOMEM;
        hook->event_count += r == 0 ? 1 : 0;
    }
    return r;
}

int hooks_set(struct hooks *hooks, const struct hook_config *configs, size_t count)
{
    struct list old;
    size_t i;
    int r = 0;

    list_init(&old);
    list_splice(&old, &hooks->hooks);
    for (i = 0; r == 0 && i < count; i++) {
        struct hook *hook = hook_take(&old, configs[i].name);

        if (hook == NULL) {
            hook = hook_new(hooks, &configs[i]);
        }
        if (hook == NULL) {
            r = ERR_NOMEM;
            break;
        }
        list_move_back(&hooks->hooks, &hook->node);
        r = hook_configure(hook, &configs[i]);
    }
    while (!list_is_empty(&old)) {
        retire(LIST_ENTRY(old.next, struct hook, node));
    }
    return r;
}

/* --- telling --- */

static bool is_wanted(const struct hook *hook, const char *event)
{
    size_t i;

    for (i = 0; i < hook->event_count; i++) {
        if (str_glob(str_of(hook->events[i]), str_of(event))) {
            return true;
        }
    }
    return false;
}

static void lose(struct hook *hook, const char *event, const char *why)
{
    hook->lost_count++;
    hook->hooks->lost_count++;
    log_event(LOG_LEVEL_ERROR, "notify.lost", "path", hook->shown, "detail", event, "err", why,
              NULL);
}

static void enqueue(struct hook *hook, const char *event, struct str line)
{
    struct hook_event *waiting;

    if (hook->queued_count == HOOK_QUEUE_MAX) {
        lose(hook, event, "too many wait to be told");
        return;
    }
    waiting = mem_alloc(sizeof(*waiting) + line.len);
    if (waiting == NULL) {
        lose(hook, event, err_str(ERR_NOMEM));
        return;
    }
    *waiting = (struct hook_event){.size = line.len};
    (void)snprintf(waiting->event, sizeof(waiting->event), "%s", event);
    memcpy(waiting->bytes, line.ptr, line.len);
    list_push_back(&hook->queue, &waiting->node);
    hook->queued_count++;
    if (hook->queued_count == 1) {
        hook_send(hook);
    }
}

void hooks_tell(struct hooks *hooks, const struct audit_record *record, struct str line)
{
    struct list *node;
    struct list *following;

    if (line.len > 0 && line.ptr[line.len - 1] == '\n') {
        line.len--;
    }
    LIST_EACH (&hooks->hooks, node, following) {
        struct hook *hook = LIST_ENTRY(node, struct hook, node);

        if (is_wanted(hook, record->event)) {
            enqueue(hook, record->event, line);
        }
    }
}

/* --- what comes of it --- */

static void again(struct env_timer *timer)
{
    hook_send(OBJ_CAST(timer->user, struct hook, HOOK_MAGIC));
}

static void try_later(struct hook *hook)
{
    struct env *env = hook->hooks->env;
    uint64_t pause_ms = (uint64_t)RETRY_FIRST_MS << (hook->try_count - 1);

    hook->timer = (struct env_timer){.fn = again, .user = hook};
    env_timer_arm(env, &hook->timer,
                  env_now_ms(env) + (pause_ms < RETRY_MAX_MS ? pause_ms : RETRY_MAX_MS));
}

static void next(struct hook *hook)
{
    hook->try_count = 0;
    queue_pop(hook);
    if (hook->queued_count > 0) {
        hook_send(hook);
    }
}

void hook_sent(struct hook *hook, const char *why)
{
    struct hooks *hooks = hook->hooks;
    struct hook_event *first = LIST_ENTRY(hook->queue.next, struct hook_event, node);
    bool was_well = hook->error[0] == '\0';

    hook->is_sending = false;
    if (hook->is_retired) {
        hook_free(hook);
        close_finish(hooks);
        return;
    }
    (void)snprintf(hook->error, sizeof(hook->error), "%s", why != NULL ? why : "");
    if (why == NULL) {
        hooks->sent_count++;
        next(hook);
        return;
    }
    hooks->failed_count++;
    hook->try_count++;
    if (was_well) {
        log_event(LOG_LEVEL_WARN, "notify.failed", "path", hook->shown, "err", why, NULL);
    }
    if (hook->try_count >= HOOK_TRIES_MAX) {
        lose(hook, first->event, why);
        next(hook);
    } else {
        try_later(hook);
    }
}

/* --- looking --- */

void hooks_stats(const struct hooks *hooks, struct hooks_stats *ret_stats)
{
    struct list *node;
    struct list *following;

    *ret_stats = (struct hooks_stats){.sent_count = hooks->sent_count,
                                      .failed_count = hooks->failed_count,
                                      .lost_count = hooks->lost_count};
    LIST_EACH (&hooks->hooks, node, following) {
        ret_stats->waiting_count += LIST_ENTRY(node, struct hook, node)->queued_count;
    }
}

bool hooks_warning(const struct hooks *hooks, size_t index, char out[HOOK_TEXT_MAX_BYTES])
{
    struct list *node = hooks->hooks.next;
    const struct hook *hook;

    while (index > 0 && node != &hooks->hooks) {
        node = node->next;
        index--;
    }
    if (node == &hooks->hooks) {
        return false;
    }
    hook = LIST_ENTRY(node, struct hook, node);
    out[0] = '\0';
    if (hook->error[0] != '\0' || hook->lost_count > 0) {
        (void)snprintf(out, HOOK_TEXT_MAX_BYTES,
                       "notify %s: %s%s%u events wait, %" PRIu64 " were given up", hook->shown,
                       hook->error, hook->error[0] != '\0' ? "; " : "", hook->queued_count,
                       hook->lost_count);
    }
    return true;
}
