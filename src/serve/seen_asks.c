/* What those who have asked asked for. Few things each, so that they are looked through. */
#include "serve/seen_internal.h"

#include "base/mem.h"

#include <string.h>

static struct seen_ask *oldest_of_identity(const struct seen_identity *identity,
                                           enum seen_kind kind)
{
    return LIST_ENTRY(identity->asks[kind].prev, struct seen_ask, of_identity);
}

static void forget(struct seen *seen, struct seen_ask *ask)
{
    seen->ask_counts[ask->kind]--;
    ask->identity->ask_counts[ask->kind]--;
    list_remove(&ask->of_kind);
    list_remove(&ask->of_identity);
    mem_free(ask);
}

void seen_asks_forget(struct seen *seen, struct seen_identity *identity)
{
    int kind;

    for (kind = 0; kind < SEEN_KINDS; kind++) {
        while (!list_is_empty(&identity->asks[kind])) {
            forget(seen, oldest_of_identity(identity, (enum seen_kind)kind));
        }
    }
}

static void move_to_front(struct seen *seen, struct seen_ask *ask)
{
    list_remove(&ask->of_kind);
    list_remove(&ask->of_identity);
    list_push_front(&seen->asks[ask->kind], &ask->of_kind);
    list_push_front(&ask->identity->asks[ask->kind], &ask->of_identity);
}

/* `size`: of the texts. NULL: out of memory. */
static struct seen_ask *ask_new(struct seen *seen, struct seen_identity *identity,
                                enum seen_kind kind, size_t size)
{
    struct seen_ask *ask;

    if (identity->ask_counts[kind] == SEEN_ASKS_OF_ONE_MAX) {
        forget(seen, oldest_of_identity(identity, kind));
    }
    if (seen->ask_counts[kind] == SEEN_ASKS_MAX) {
        forget(seen, LIST_ENTRY(seen->asks[kind].prev, struct seen_ask, of_kind));
    }
    ask = mem_calloc(1, sizeof(*ask) + size);
    if (ask == NULL) {
        return NULL;
    }
    ask->identity = identity;
    ask->kind = kind;
    list_push_front(&seen->asks[kind], &ask->of_kind);
    list_push_front(&identity->asks[kind], &ask->of_identity);
    seen->ask_counts[kind]++;
    identity->ask_counts[kind]++;
    return ask;
}

/* --- roles --- */

static bool is_asked_alike(const struct access_request *a, const struct access_request *b)
{
    return a->duration_ms == b->duration_ms && a->is_break_glass == b->is_break_glass &&
           str_same(a->reason, b->reason) && str_same(a->ticket, b->ticket) &&
           access_bindings_are_equal(a->bindings, a->binding_count, b->bindings, b->binding_count);
}

static struct seen_ask *role_find(const struct seen_identity *identity, const char *role)
{
    const struct list *head = &identity->asks[SEEN_ROLE];
    struct list *node;

    for (node = head->next; node != head; node = node->next) {
        struct seen_ask *ask = LIST_ENTRY(node, struct seen_ask, of_identity);

        if (strcmp(ask->role.role, role) == 0) {
            return ask;
        }
    }
    return NULL;
}

const struct seen_ask *seen_role(const struct seen_identity *identity, const char *role)
{
    return role_find(identity, role);
}

void seen_note_role(struct seen *seen, struct seen_identity *identity,
                    const struct access_request *request)
{
    struct seen_ask *ask = identity != NULL ? role_find(identity, request->role) : NULL;
    char *at;

    if (ask != NULL && is_asked_alike(&ask->role, request)) {
        move_to_front(seen, ask);
        return;
    }
    if (ask != NULL) {
        forget(seen, ask);
    }
    if (identity == NULL ||
        (ask = ask_new(seen, identity, SEEN_ROLE,
                       str_packed_bytes(request->role) + str_packed_bytes(request->reason) +
                           str_packed_bytes(request->ticket))) == NULL) {
        return;
    }
    at = ask->texts;
    ask->role = *request;
    ask->role.role = str_pack(&at, request->role);
    ask->role.reason = str_pack(&at, request->reason);
    ask->role.ticket = str_pack(&at, request->ticket);
    ask->role.approved_rule = NULL;
    ask->role.live_count = 0;
    ask->role.wall_ms = 0;
}

/* --- paths --- */

static struct seen_ask *path_find(const struct seen_identity *identity,
                                  const struct access_path_request *request)
{
    const struct list *head = &identity->asks[SEEN_PATH];
    struct list *node;

    for (node = head->next; node != head; node = node->next) {
        struct seen_ask *ask = LIST_ENTRY(node, struct seen_ask, of_identity);

        if (ask->path.needs == request->needs && str_eq(ask->path.path, request->path) &&
            strcmp(ask->path.backend, request->backend) == 0) {
            return ask;
        }
    }
    return NULL;
}

void seen_note_path(struct seen *seen, struct seen_identity *identity,
                    const struct access_path_request *request)
{
    struct seen_ask *ask;
    char *at;

    if (identity == NULL || request->path.len > SEEN_PATH_MAX_BYTES) {
        return;
    }
    ask = path_find(identity, request);
    if (ask != NULL) {
        move_to_front(seen, ask);
        return;
    }
    ask =
        ask_new(seen, identity, SEEN_PATH, str_packed_bytes(request->backend) + request->path.len);
    if (ask == NULL) {
        return;
    }
    at = ask->texts;
    ask->path = *request;
    ask->path.backend = str_pack(&at, request->backend);
    memcpy(at, request->path.ptr, request->path.len);
    ask->path.path.ptr = at;
    ask->path.wall_ms = 0;
}

const struct seen_ask *seen_next_path(const struct seen_identity *identity,
                                      const struct seen_ask *after)
{
    const struct list *head = &identity->asks[SEEN_PATH];
    struct list *node = after != NULL ? after->of_identity.next : head->next;

    return node != head ? LIST_ENTRY(node, struct seen_ask, of_identity) : NULL;
}
