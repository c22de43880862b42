/* The fake env's processes and HTTP exchanges. */
#include "support/fake_env.h"

#include "support/fake_internal.h"

#include <stdlib.h>
#include <string.h>

enum watch_state {
    WATCH_WAITING,
    WATCH_DUE, /* the process has ended, fn hasn't run */
    WATCH_DONE,
    WATCH_CLOSING,
};

struct fake_watch {
    struct list node;
    struct env_process_watch *watch;
    enum watch_state state;
};

struct fake_http {
    struct list node;
    struct env_http *http;
    bool is_finished;
    int status;
    struct env_http_reply reply;
    char *detail;
    char *bytes; /* what the reply's slices point into */
};

static struct fake_process *process_find(struct fake_env *fake, int32_t pid)
{
    size_t i;

    for (i = 0; i < fake->process_count; i++) {
        if (fake->processes[i].process.pid == pid) {
            return &fake->processes[i];
        }
    }
    return NULL;
}

struct env_process *fake_env_add_process(struct fake_env *fake, int32_t pid, uint64_t start_ticks,
                                         int32_t parent_pid, uint32_t uid)
{
    struct fake_process *process = process_find(fake, pid);

    if (process == NULL) {
        CHECK(fake->process_count < FAKE_ENV_PROCESSES_MAX);
        process = &fake->processes[fake->process_count++];
    } else {
        fake_env_end_process(fake, pid);
    }
    *process = (struct fake_process){
        .process = {.pid = pid,
                    .start_ticks = start_ticks,
                    .parent_pid = parent_pid,
                    .uid = uid,
                    .name = "test"},
        .is_alive = true,
    };
    return &process->process;
}

/* Of a caller without a pid here the id is the pid of the fake process. NULL: it has ended. */
static struct fake_process *process_of(struct fake_env *fake, const struct env_process_watch *watch)
{
    struct fake_process *process =
        process_find(fake, watch->pid > 0 ? watch->pid : (int32_t)watch->start_ticks);

    return process != NULL && process->is_alive &&
                   (watch->pid <= 0 || process->process.start_ticks == watch->start_ticks)
               ? process
               : NULL;
}

void fake_env_end_process(struct fake_env *fake, int32_t pid)
{
    struct fake_process *process = process_find(fake, pid);
    struct list *node;

    CHECK(process != NULL);
    process->is_alive = false;
    for (node = fake->watches.next; node != &fake->watches; node = node->next) {
        struct fake_watch *watch = LIST_ENTRY(node, struct fake_watch, node);

        if (watch->state == WATCH_WAITING && process_of(fake, watch->watch) == NULL) {
            watch->state = WATCH_DUE;
        }
    }
}

int fake_process_lookup(struct env *env, int32_t pid, struct env_process *ret_process)
{
    struct fake_env *fake = fake_of(env);
    struct fake_process *process = process_find(fake, pid);

    if (fake->process_lookup_status != 0) {
        return fake->process_lookup_status;
    }
    if (process == NULL || !process->is_alive) {
        return ERR_NOT_FOUND;
    }
    *ret_process = process->process;
    return 0;
}

bool fake_process_watch_has_ended(struct env *env, struct env_process_watch *watch)
{
    return process_of(fake_of(env), watch) == NULL;
}

int fake_process_watch_start(struct env *env, struct env_process_watch *watch)
{
    struct fake_env *fake = fake_of(env);
    struct fake_watch *entry;

    if (fake->process_watch_status != 0) {
        return fake->process_watch_status;
    }
    if (process_of(fake, watch) == NULL) {
        return ERR_GONE;
    }
    entry = fake_alloc(sizeof(*entry));
    entry->watch = watch;
    watch->impl = entry;
    list_push_back(&fake->watches, &entry->node);
    fake->watch_count++;
    return 0;
}

void fake_process_watch_close(struct env *env, struct env_process_watch *watch)
{
    struct fake_watch *entry = watch->impl;

    CHECK(entry != NULL && entry->state != WATCH_CLOSING);
    entry->state = WATCH_CLOSING;
    fake_of(env)->watch_count--;
}

bool fake_watches_run(struct fake_env *fake)
{
    struct list *node;

    for (node = fake->watches.next; node != &fake->watches; node = node->next) {
        struct fake_watch *entry = LIST_ENTRY(node, struct fake_watch, node);
        struct env_process_watch *watch = entry->watch;

        if (entry->state == WATCH_DUE) {
            entry->state = WATCH_DONE;
            watch->fn(watch);
            return true;
        }
        if (entry->state == WATCH_CLOSING) {
            list_remove(&entry->node);
            free(entry);
            watch->impl = NULL;
            watch->closed(watch);
            return true;
        }
    }
    return false;
}

int fake_http_start(struct env *env, struct env_http *http, struct err *e)
{
    struct fake_env *fake = fake_of(env);
    struct fake_http *entry = fake_alloc(sizeof(*entry));
    int r;

    entry->http = http;
    http->impl = entry;
    fake->http_start_count++;
    list_push_back(&fake->https, &entry->node);
    r = fake->http_fn != NULL ? fake->http_fn(fake, http) : 0;
    if (r != 0) {
        list_remove(&entry->node);
        free(entry);
        http->impl = NULL;
        return err_set(e, r, "could not start the exchange: %s", err_str(r));
    }
    return 0;
}

void fake_http_cancel(struct env *env, struct env_http *http)
{
    const struct fake_http *entry = http->impl;

    if (entry != NULL && !entry->is_finished) {
        fake_env_http_finish(fake_of(env), http, ERR_CANCELED, NULL, "canceled");
    }
}

static struct str copy_slice(char **at, struct str from)
{
    struct str copy = {.ptr = *at, .len = from.len};

    if (from.len > 0) {
        memcpy(*at, from.ptr, from.len);
    }
    *at += from.len + 1; /* a NUL behind each slice: it is easier to look at in a debugger */
    return copy;
}

void fake_env_http_finish(struct fake_env *fake, struct env_http *http, int status,
                          const struct env_http_reply *reply, const char *detail)
{
    struct fake_http *entry = http->impl;
    size_t size = 1;
    size_t i;
    char *at;

    (void)fake;
    CHECK(entry != NULL && !entry->is_finished);
    entry->is_finished = true;
    entry->status = status;
    entry->detail = fake_strdup(detail != NULL ? detail : "");
    if (reply == NULL) {
        return;
    }
    for (i = 0; i < reply->header_count; i++) {
        size += reply->headers[i].name.len + reply->headers[i].value.len + 2;
    }
    entry->bytes = at = fake_alloc(size + reply->body.len + 1);
    entry->reply.status = reply->status;
    entry->reply.header_count = reply->header_count;
    for (i = 0; i < reply->header_count; i++) {
        entry->reply.headers[i].name = copy_slice(&at, reply->headers[i].name);
        entry->reply.headers[i].value = copy_slice(&at, reply->headers[i].value);
    }
    entry->reply.body = copy_slice(&at, reply->body);
}

struct env_http *fake_env_http_first(struct fake_env *fake)
{
    struct list *node;

    for (node = fake->https.next; node != &fake->https; node = node->next) {
        struct fake_http *entry = LIST_ENTRY(node, struct fake_http, node);

        if (!entry->is_finished) {
            return entry->http;
        }
    }
    return NULL;
}

bool fake_https_run(struct fake_env *fake)
{
    struct list *node;

    for (node = fake->https.next; node != &fake->https; node = node->next) {
        struct fake_http *entry = LIST_ENTRY(node, struct fake_http, node);

        if (entry->is_finished) {
            list_remove(&entry->node);
            entry->http->impl = NULL;
            entry->http->fn(entry->http, entry->status, &entry->reply, entry->detail);
            free(entry->detail);
            free(entry->bytes);
            free(entry);
            return true;
        }
    }
    return false;
}
