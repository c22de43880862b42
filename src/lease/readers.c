/* Who has read a shared lease.
 *
 * Happy path: handout.c is about to hand it out to a holder that hasn't read it → readers_add puts
 * a record, in the commit that the hand-out waits for → the lease is over: the records go.
 *
 * Failure paths: the record can't be queued: no hand-out. It is queued and the disk fails: no
 * hand-out, and the holder counts as one who has read, which is the safe side. There are too many:
 * one last record says that it may have been anybody. */
#include "lease/readers.h"

#include "access/identity_record.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "lease/core_internal.h"
#include "wire/ledger_read.h"

#include <stdio.h>
#include <string.h>

#define READERS_FIRST 4U
#define ID_MAX_BYTES (LEASE_ID_BYTES + 8U)
#define NUMBER_DIGITS 4U

static_assert(LEASE_READERS_MAX <= 0xffff, "its digits are enough");

struct readers {
    uint32_t count;
    uint32_t room;
    uint32_t next;   /* number of the next record */
    bool is_anybody; /* … and there won't be one */
    struct holder *holders[];
};

/* --- in memory -------------------------------------------------------------------------------- */

static bool has(const struct lease *lease, const struct holder *holder)
{
    const struct readers *readers = lease->readers;
    uint32_t i;

    if (holder == lease->holder || (readers != NULL && readers->is_anybody)) {
        return true;
    }
    for (i = 0; readers != NULL && i < readers->count; i++) {
        if (readers->holders[i] == holder) {
            return true;
        }
    }
    return false;
}

/* Room for one more. */
static int grow(struct lease *lease)
{
    struct readers *before = lease->readers;
    uint32_t room = before == NULL ? READERS_FIRST : before->room * 2;
    struct readers *after;

    if (before != NULL && before->count < before->room) {
        return 0;
    }
    after = mem_realloc(before, sizeof(*after) + room * sizeof(after->holders[0]));
    if (after == NULL) {
        return ERR_NOMEM;
    }
    if (before == NULL) {
        *after = (struct readers){.count = 0};
    }
    after->room = room;
    lease->readers = after;
    return 0;
}

static void take(struct lease *lease, struct holder *holder)
{
    struct readers *readers = lease->readers;

    readers->holders[readers->count++] = holder_again(holder);
}

/* --- in the ledger ---------------------------------------------------------------------------- */

static struct str id_of(const struct lease *lease, uint32_t number, char bytes[ID_MAX_BYTES])
{
    int len = snprintf(bytes, ID_MAX_BYTES, "%s/%0*x", lease->id, (int)NUMBER_DIGITS, number);

    CHECK(len > 0 && (size_t)len < ID_MAX_BYTES);
    return (struct str){.ptr = bytes, .len = (size_t)len};
}

static int put(const struct lease *lease, const struct ledger_read *record)
{
    char id[ID_MAX_BYTES];
    BUF_AUTO body;
    int r;

    buf_init(&body, ENV_LEDGER_BODY_MAX_BYTES);
    r = ledger_read_write(record, &body);
    return r != 0 ? r
                  : env_ledger_put(lease->role->core->ledger, ENV_LEDGER_READ,
                                   id_of(lease, lease->readers->next, id), buf_str(&body));
}

/* --- out -------------------------------------------------------------------------------------- */

int readers_add(struct lease *lease, struct holder *holder, bool *ret_is_new)
{
    struct ledger_read record = {.is_anybody = false};
    int r;

    if (has(lease, holder) || MUTATED(30)) {
        *ret_is_new = false;
        return 0;
    }
    r = grow(lease);
    if (r != 0) {
        return r;
    }
    record.is_anybody = lease->readers->next == LEASE_READERS_MAX;
    durable_fill_holder(holder, &record.holder);
    r = lease->role->core->ledger != NULL ? put(lease, &record) : 0;
    if (r != 0) {
        return r;
    }
    lease->readers->next++;
    lease->readers->is_anybody = record.is_anybody;
    take(lease, holder);
    *ret_is_new = true;
    return 0;
}

bool readers_any(const struct lease *lease, bool (*fn)(void *user, const struct holder *holder),
                 void *user)
{
    const struct readers *readers = lease->readers;
    uint32_t i;

    if (readers != NULL && readers->is_anybody) {
        return true;
    }
    if (fn(user, lease->holder)) {
        return true;
    }
    for (i = 0; readers != NULL && i < readers->count; i++) {
        if (fn(user, readers->holders[i])) {
            return true;
        }
    }
    return false;
}

void readers_end(struct lease *lease)
{
    struct env_ledger *ledger = lease->role->core->ledger;
    char id[ID_MAX_BYTES];
    uint32_t number;
    int r = 0;

    if (lease->readers == NULL || ledger == NULL) {
        return;
    }
    for (number = 0; r == 0 && number < lease->readers->next; number++) {
        r = env_ledger_remove(ledger, ENV_LEDGER_READ, id_of(lease, number, id));
    }
    lease->readers->next = 0;
    if (r != 0) { /* the next start finds no lease for them, and removes them */
        log_event(LOG_LEVEL_WARN, "ledger.unremoved", "lease", lease->id, "err", err_str(r), NULL);
    }
}

void readers_free(struct lease *lease)
{
    struct readers *readers = lease->readers;
    uint32_t i;

    for (i = 0; readers != NULL && i < readers->count; i++) {
        holder_put(lease->role->core, readers->holders[i]);
    }
    lease->readers = NULL;
    mem_free(readers);
}

/* --- back ------------------------------------------------------------------------------------- */

/* "l-…/000a" */
static int id_read(struct str id, struct str *ret_lease, uint32_t *ret_number)
{
    struct str digits = id;
    struct str lease = str_cut(&digits, '/');
    uint32_t number = 0;
    size_t i;

    if (!recover_is_id(lease, 'l') || digits.len != NUMBER_DIGITS) {
        return ERR_INVALID;
    }
    for (i = 0; i < digits.len; i++) {
        const char *all = "0123456789abcdef";
        const char *digit = digits.ptr[i] != '\0' ? strchr(all, digits.ptr[i]) : NULL;

        if (digit == NULL) {
            return ERR_INVALID;
        }
        number = number << 4 | (uint32_t)(digit - all);
    }
    *ret_lease = lease;
    *ret_number = number;
    return number <= LEASE_READERS_MAX ? 0 : ERR_INVALID;
}

static int revive(struct lease *lease, const struct ledger_read *record, uint32_t number)
{
    struct lease_core *core = lease->role->core;
    struct access_identity identity;
    struct access_claims *claims = NULL;
    struct holder *holder = NULL;
    int r = access_identity_recover(&record->holder, &identity, &claims);

    if (r == 0) {
        holder = holder_get(core, lease->role, &identity);
        r = holder != NULL ? grow(lease) : ERR_NOMEM;
    }
    if (r == 0) {
        if (!has(lease, holder)) {
            take(lease, holder);
        }
        lease->readers->is_anybody = lease->readers->is_anybody || record->is_anybody;
        if (lease->readers->next <= number) {
            lease->readers->next = number + 1;
        }
    }
    holder_put(core, holder);
    access_claims_free(claims);
    return r;
}

int lease_core_recover_read(struct lease_core *core, struct str id, struct str body)
{
    struct ledger_read record;
    struct lease *lease;
    struct str lease_id;
    uint32_t number;
    int r = id_read(id, &lease_id, &number);

    if (r == 0) {
        r = ledger_read_read(body, &record, NULL);
    }
    if (r != 0) {
        return ERR_INVALID;
    }
    lease = lease_core_find_lease(core, lease_id);
    if (lease == NULL && left_has(core, lease_id)) {
        return 0;
    }
    if (lease == NULL || fsm_lease_is_over(lease->state)) {
        (void)env_ledger_remove(core->ledger, ENV_LEDGER_READ, id);
        return 0;
    }
    return revive(lease, &record, number);
}
