/* All leases are read before the first is revoked: what is wrong with the ledger is told first. */
#include "cli/sweep_list.h"

#include "base/mem.h"
#include "wire/ledger_header.h"
#include "wire/ledger_lease.h"

#include <stdlib.h>
#include <string.h>

#define SWEEP_FIRST_ITEMS 64U

static void item_free(struct sweep_item *item)
{
    mem_free(item->id);
    mem_free(item->role);
    mem_free(item->backend);
    mem_free(item->user);
    mem_free(item->reference);
    mem_free(item->why);
}

void sweep_list_free(struct sweep_list *list)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        item_free(&list->items[i]);
    }
    mem_free(list->items);
    list->items = NULL;
    list->count = list->cap = 0;
}

static struct sweep_item *item_new(struct sweep_list *list)
{
    struct sweep_item *items = list->items;

    if (list->count == list->cap) {
        list->cap = list->cap > 0 ? 2 * list->cap : SWEEP_FIRST_ITEMS;
        items = mem_realloc(items, list->cap * sizeof(*items));
        if (items == NULL) {
            list->status = ERR_NOMEM;
            return NULL;
        }
        list->items = items;
    }
    items[list->count] = (struct sweep_item){.id = NULL};
    return &items[list->count++];
}

static void add(struct sweep_list *list, const char *id, const struct ledger_lease *lease)
{
    const char *user = lease->holder.user[0] != '\0' ? lease->holder.user : lease->holder.sans;
    struct sweep_item *item = item_new(list);

    if (item == NULL) {
        return;
    }
    item->id = mem_strdup(id);
    item->role = mem_strdup(lease->role);
    item->backend = mem_strdup(lease->backend);
    item->user = mem_strdup(user);
    item->reference = mem_strndup(lease->issuer_ref.ptr != NULL ? lease->issuer_ref.ptr : "",
                                  lease->issuer_ref.len);
    item->ends_wall_ms = lease->ends_wall_ms;
    if (item->id == NULL || item->role == NULL || item->backend == NULL || item->user == NULL ||
        item->reference == NULL) {
        list->status = ERR_NOMEM;
        return;
    }
    item->target = revocation_target_of(str_of(item->reference));
}

static void take(void *user, const char *id, struct str body)
{
    struct sweep_list *list = user;
    struct ledger_lease lease;
    struct err e = {0};

    if (list->status != 0) {
        return;
    }
    if (ledger_lease_read(body, &lease, &e) != 0) {
        list->unread_count++;
        list->tell(list->user, id, &e);
        return;
    }
    add(list, id, &lease);
}

/* Logins last; else as they came. */
static int compare(const void *a, const void *b)
{
    const struct sweep_item *left = a;
    const struct sweep_item *right = b;
    bool is_left_last = left->target.kind == REVOCATION_LOGIN;
    bool is_right_last = right->target.kind == REVOCATION_LOGIN;

    return is_left_last != is_right_last ? (is_left_last ? 1 : -1) : strcmp(left->id, right->id);
}

/* Keeps what is of the backend. */
static void choose(struct sweep_list *list, const char *backend)
{
    size_t kept = 0;
    size_t i;

    for (i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].backend, backend) == 0) {
            list->items[kept++] = list->items[i];
        } else {
            item_free(&list->items[i]);
        }
    }
    list->count = kept;
}

/* Of the first two backends, for a message; the second is NULL when there is one only. */
static void backends_of(const struct sweep_list *list, const char *ret_names[2])
{
    size_t i;

    ret_names[0] = ret_names[1] = NULL;
    if (list->count == 0) {
        return;
    }
    ret_names[0] = list->items[0].backend;
    for (i = 1; i < list->count && ret_names[1] == NULL; i++) {
        if (strcmp(list->items[i].backend, ret_names[0]) != 0) {
            ret_names[1] = list->items[i].backend;
        }
    }
}

int sweep_list_read(struct sweep_list *list, struct ledger_file *file, struct err *e)
{
    const char *names[2];
    int r = ledger_file_each(file, LEDGER_KIND_LEASE, take, list, e);

    if (r == 0 && list->status != 0) {
        r = err_set(e, list->status, "%s", err_str(list->status));
    }
    if (r != 0) {
        return r;
    }
    backends_of(list, names);
    if (list->backend == NULL && names[1] != NULL) {
        return err_set(e, ERR_RANGE,
                       "%s has leases of %s, %s and perhaps more: --backend says whose issuer "
                       "this is",
                       file->path, names[0], names[1]);
    }
    if (list->backend != NULL && list->count > 0) {
        choose(list, list->backend);
        if (list->count == 0) {
            return err_set(e, ERR_NOT_FOUND, "%s has no lease of a backend '%s'", file->path,
                           list->backend);
        }
    }
    if (list->count > 0) {
        qsort(list->items, list->count, sizeof(*list->items), compare);
    }
    return 0;
}
