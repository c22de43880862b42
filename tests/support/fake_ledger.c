#include "support/fake_ledger.h"

#include "support/fake_internal.h"
#include "support/fake_seal.h"

#include <stdlib.h>
#include <string.h>

#define SEAL_HEAD_BYTES (ENV_LEDGER_SEAL_BYTES - ENV_SEAL_BYTES)

struct fake_record {
    struct list node;
    enum env_ledger_kind kind;
    bool is_removal;
    bool is_range;
    char *id;
    char *body;
    size_t body_len;
};

static struct fake_ledger *ledger_of(struct env_ledger *ledger)
{
    return CONTAINER_OF(ledger, struct fake_ledger, ledger);
}

static char *copy_of(struct str text)
{
    char *copy = fake_alloc(text.len + 1);

    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    copy[text.len] = '\0';
    return copy;
}

static void record_free(struct fake_record *record)
{
    list_remove(&record->node);
    free(record->id);
    free(record->body);
    free(record);
}

/* --- commits --- */

/* Where the record is, or the first behind its place. */
static struct list *place_of(struct fake_ledger *fake, const struct fake_record *wanted,
                             bool *found)
{
    struct list *node;
    int order = 1;

    /* From the end: most come in their order. */
    for (node = fake->records.prev; node != &fake->records; node = node->prev) {
        const struct fake_record *record = LIST_ENTRY(node, struct fake_record, node);

        order = record->kind != wanted->kind ? (int)record->kind - (int)wanted->kind
                                             : strcmp(record->id, wanted->id);
        if (order <= 0) {
            break;
        }
    }
    *found = node != &fake->records && order == 0;
    return *found ? node : node->next;
}

static void remove_range(struct fake_ledger *fake, struct fake_record *last)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&fake->records, node, following) {
        struct fake_record *record = LIST_ENTRY(node, struct fake_record, node);

        if (record->kind == last->kind && strcmp(record->id, last->id) <= 0) {
            record_free(record);
            fake->record_count--;
        }
    }
    record_free(last);
}

static void apply(struct fake_ledger *fake, struct fake_record *change)
{
    if (change->is_range) {
        remove_range(fake, change);
        return;
    }

    bool found;
    struct list *place = place_of(fake, change, &found);
    struct list *following = found ? place->next : place;

    if (found) {
        record_free(LIST_ENTRY(place, struct fake_record, node));
        fake->record_count--;
    }
    if (change->is_removal) {
        record_free(change);
        return;
    }
    list_push_back(following, &change->node); /* before it */
    fake->record_count++;
}

void fake_ledger_run(struct fake_ledger *fake)
{
    struct list syncs;
    struct list *node;

    list_init(&syncs);
    fake->commit_count++;
    fake->failure = fake->is_crashed ? ERR_IO : fake->fail_status;
    while (fake->failure == 0 && (node = list_pop_front(&fake->changes)) != NULL) {
        apply(fake, LIST_ENTRY(node, struct fake_record, node));
    }
    list_splice(&syncs, &fake->syncs);
    while ((node = list_pop_front(&syncs)) != NULL) {
        struct env_ledger_sync *sync = LIST_ENTRY(node, struct env_ledger_sync, node);

        sync->fn(sync, fake->failure);
    }
}

static void forget_changes(struct fake_ledger *fake)
{
    struct list *node;

    while ((node = list_pop_front(&fake->changes)) != NULL) {
        record_free(LIST_ENTRY(node, struct fake_record, node));
    }
}

static void commit(struct env_deferred *deferred)
{
    struct fake_ledger *fake = deferred->user;
    void (*closed)(void *user) = fake->closed;

    if (!fake->is_held || closed != NULL) {
        fake_ledger_run(fake);
    } else if (fake->waits != NULL) {
        fake->waits(fake);
    }
    if (closed != NULL) {
        fake->closed = NULL;
        forget_changes(fake); /* those of a last commit that failed */
        closed(fake->closed_user);
    }
}

void fake_ledger_crash(struct fake_ledger *fake)
{
    forget_changes(fake);
    fake->put_status = ERR_CLOSED;
    fake->is_crashed = true;
}

void fake_ledger_restart(struct fake_ledger *fake)
{
    fake->put_status = fake->fail_status = fake->failure = 0;
    fake->is_crashed = false;
}

/* --- the interface --- */

static int change(struct fake_ledger *fake, const struct fake_record *head, struct str id,
                  struct str body)
{
    struct fake_record *record;

    if (fake->put_status != 0) {
        return fake->put_status;
    }
    record = fake_alloc(sizeof(*record));
    *record = *head;
    record->node = (struct list){.next = NULL};
    record->id = copy_of(id);
    record->body = copy_of(body);
    record->body_len = body.len;
    if (list_is_empty(&fake->changes)) {
        fake->pending_since_ms = env_now_ms(fake->ledger.env);
    }
    list_push_back(&fake->changes, &record->node);
    env_defer(fake->ledger.env, &fake->deferred);
    return 0;
}

static int fake_put(struct env_ledger *ledger, enum env_ledger_kind kind, struct str id,
                    struct str body)
{
    return change(ledger_of(ledger), &(struct fake_record){.kind = kind}, id, body);
}

static int fake_remove(struct env_ledger *ledger, enum env_ledger_kind kind, struct str id)
{
    return change(ledger_of(ledger), &(struct fake_record){.kind = kind, .is_removal = true}, id,
                  (struct str){.len = 0});
}

static int fake_remove_up_to(struct env_ledger *ledger, enum env_ledger_kind kind, struct str id)
{
    return change(ledger_of(ledger),
                  &(struct fake_record){.kind = kind, .is_removal = true, .is_range = true}, id,
                  (struct str){.len = 0});
}

static void fake_sync(struct env_ledger *ledger, struct env_ledger_sync *sync)
{
    struct fake_ledger *fake = ledger_of(ledger);

    list_push_back(&fake->syncs, &sync->node);
    env_defer(ledger->env, &fake->deferred);
}

static bool fake_is_ready(const struct env_ledger *ledger, struct err *e)
{
    const struct fake_ledger *fake = (const struct fake_ledger *)(const void *)ledger;

    if (fake->failure != 0) {
        (void)err_set(e, fake->failure, "could not write the ledger");
    }
    return fake->failure == 0;
}

static int fake_each(struct env_ledger *ledger, enum env_ledger_kind kind, env_ledger_fn fn,
                     void *user, struct err *e)
{
    struct fake_ledger *fake = ledger_of(ledger);
    struct list *node;
    struct list *following;
    int r = 0;

    (void)e;
    LIST_EACH (&fake->records, node, following) {
        const struct fake_record *record = LIST_ENTRY(node, struct fake_record, node);

        if (r == 0 && record->kind == kind) {
            r = fn(user, str_of(record->id), (struct str){record->body, record->body_len});
        }
    }
    return r;
}

/* As the fake env seals, with the ledger's longer head before it. */
static int fake_ledger_seal(struct env_ledger *ledger, struct str owner, struct str plain,
                            char *ret_sealed)
{
    memset(ret_sealed, (int)ledger_of(ledger)->key, SEAL_HEAD_BYTES);
    return fake_seal(ledger->env, owner, plain, ret_sealed + SEAL_HEAD_BYTES);
}

static int fake_ledger_unseal(struct env_ledger *ledger, struct str owner, struct str sealed,
                              char *ret_plain)
{
    if (sealed.len < ENV_LEDGER_SEAL_BYTES) {
        return ERR_INVALID;
    }
    if (sealed.ptr[0] != ledger_of(ledger)->key) {
        return ERR_NOT_FOUND;
    }
    sealed.ptr += SEAL_HEAD_BYTES;
    sealed.len -= SEAL_HEAD_BYTES;
    return fake_unseal(ledger->env, owner, sealed, ret_plain);
}

static void fake_close(struct env_ledger *ledger, void (*closed)(void *user), void *user)
{
    struct fake_ledger *fake = ledger_of(ledger);

    fake->closed = closed;
    fake->closed_user = user;
    env_defer(ledger->env, &fake->deferred);
}

static const struct env_ledger_ops fake_ledger_ops = {
    .put = fake_put,
    .remove = fake_remove,
    .remove_up_to = fake_remove_up_to,
    .sync = fake_sync,
    .is_ready = fake_is_ready,
    .each = fake_each,
    .seal = fake_ledger_seal,
    .unseal = fake_ledger_unseal,
    .close = fake_close,
};

void fake_ledger_init(struct fake_ledger *fake, struct env *env)
{
    memset(fake, 0, sizeof(*fake));
    fake->ledger = (struct env_ledger){.ops = &fake_ledger_ops, .env = env};
    fake->deferred = (struct env_deferred){.fn = commit, .user = fake};
    list_init(&fake->records);
    list_init(&fake->changes);
    list_init(&fake->syncs);
}

void fake_ledger_fini(struct fake_ledger *fake)
{
    struct list *node;

    fake_ledger_crash(fake);
    while ((node = list_pop_front(&fake->records)) != NULL) {
        record_free(LIST_ENTRY(node, struct fake_record, node));
    }
}

size_t fake_ledger_count(const struct fake_ledger *fake, enum env_ledger_kind kind)
{
    const struct list *node;
    size_t count = 0;

    for (node = fake->records.next; node != &fake->records; node = node->next) {
        count += ((const struct fake_record *)(const void *)((const char *)node -
                                                             offsetof(struct fake_record, node)))
                     ->kind == kind;
    }
    return count;
}

struct str fake_ledger_body(const struct fake_ledger *fake, enum env_ledger_kind kind,
                            const char *id)
{
    const struct list *node;

    for (node = fake->records.next; node != &fake->records; node = node->next) {
        const struct fake_record *record =
            (const struct fake_record *)(const void *)((const char *)node -
                                                       offsetof(struct fake_record, node));

        if (record->kind == kind && strcmp(record->id, id) == 0) {
            return (struct str){.ptr = record->body, .len = record->body_len};
        }
    }
    return (struct str){.ptr = NULL};
}

const char *fake_ledger_find(const struct fake_ledger *fake, enum env_ledger_kind kind,
                             const char *id)
{
    return fake_ledger_body(fake, kind, id).ptr;
}
