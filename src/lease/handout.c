/* The records without which no credential leaves: grant.created for a new grant, which stands in
 * the ledger too, who has read a shared lease (readers.h), and credential.read for the first read
 * of a lease.
 *
 * Happy path: handout_start queues both → the trail has them → handout_done puts the grant on the
 * lease (a successor, when it was on its predecessor before) → its acquires are looked at again,
 * and now may have it.
 *
 * Failure paths: the trail refuses, or doesn't confirm in time: the acquires end with ERR_IO. A new
 * grant ends with them; one that was held stays on the lease that it had. */
#include "base/mem.h"
#include "base/mutant.h"
#include "lease/approval.h"
#include "lease/core_internal.h"

#define HANDOUT_MAGIC 0x68616e64U

struct handout {
    uint32_t magic;
    uint32_t pending_count;
    int status;
    bool is_new; /* the grant's life begins with it */
    struct grant *grant;
    struct lease *lease;
    struct audit_write created;
    struct audit_write read;
    struct durable_wait *durable; /* NULL: not waited for */
};

static const struct acquire_failure unrecorded = {
    .status = ERR_IO,
    .text = "no audit record could be written, so no credential leaves",
};

void handout_forget(struct grant *grant)
{
    struct handout *handout = grant->handout;

    if (handout != NULL) {
        audit_write_forget(&handout->created);
        audit_write_forget(&handout->read);
        durable_forget(handout->durable);
        handout->lease->pin_count--;
        grant->handout = NULL;
        mem_free(handout);
    }
}

bool handout_is_of_own_lease(const struct grant *grant)
{
    return grant->handout != NULL && grant->handout->lease == grant->lease;
}

static void handout_done(struct handout *handout)
{
    struct grant *grant = handout->grant;
    struct lease *lease = handout->lease;
    int status = handout->status;
    bool is_new = handout->is_new;

    handout_forget(grant); /* the hand-out is gone */
    if (status != 0) {
        acquire_fail_grant(grant, &unrecorded);
        return;
    }
    if (fsm_lease_is_live(lease->state)) {
        if (grant->lease != lease) {
            grant_move(grant, lease, false);
        }
        grant->is_read = true;
        grant->is_read_counted = false;
        if (!is_new) {
            durable_note_grant(grant);
        }
    }
    acquire_wake_grant(grant);
}

static void handout_arrived(struct handout *handout, int status)
{
    if (status != 0 && handout->status == 0) {
        handout->status = status;
    }
    if (--handout->pending_count == 0 || MUTATED(7)) {
        handout_done(handout);
    }
}

static void handout_written(struct audit_write *write, int status)
{
    handout_arrived(OBJ_CAST(write->user, struct handout, HANDOUT_MAGIC), status);
}

static void handout_durable(void *owner, int status)
{
    struct handout *handout = OBJ_CAST(owner, struct handout, HANDOUT_MAGIC);

    handout->durable = NULL;
    handout_arrived(handout, status);
}

/* For what was put so far. */
static int handout_await(struct handout *handout)
{
    struct lease_core *core = handout->grant->lease->role->core;
    int r =
        durable_wait(core->ledger, &core->durables, handout_durable, handout, &handout->durable);

    handout->pending_count += r == 0;
    return r;
}

/* The grant's life begins with its record. */
static int handout_create(struct handout *handout, const struct lease_acquire *asked)
{
    struct grant *grant = handout->grant;
    struct lease_core *core = grant->lease->role->core;
    int r;

    window_begin(grant);
    r = asked->approval != NULL ? asked->approval->use(asked->approval, grant->id) : 0;
    if (r == 0) {
        r = record_grant_created(grant, handout->lease, asked, &handout->created);
    }
    if (r == 0) {
        handout->pending_count++;
        grant->is_created = true;
        r = core->ledger != NULL ? durable_put_grant(grant) : 0;
    }
    return r;
}

/* What the ledger must know first: that this grant lives, if it is new, and that its holder has
 * read this lease, if nobody else but he could. */
static int handout_keep(struct handout *handout, const struct lease_acquire *asked)
{
    struct grant *grant = handout->grant;
    bool is_first = false;
    int r = readers_add(handout->lease, grant->holder, &is_first);

    handout->is_new = !grant->is_created;
    if (r == 0 && handout->is_new) {
        r = handout_create(handout, asked);
    }
    if (r == 0 && (handout->is_new || is_first) && grant->lease->role->core->ledger != NULL) {
        r = handout_await(handout);
    }
    return r;
}

int handout_start(struct grant *grant, struct lease *lease, const struct lease_acquire *asked)
{
    struct handout *handout;
    int r;

    if (grant->handout != NULL) {
        return 0;
    }
    handout = mem_calloc(1, sizeof(*handout));
    if (handout == NULL) {
        return ERR_NOMEM;
    }
    handout->magic = HANDOUT_MAGIC;
    handout->grant = grant;
    handout->lease = lease;
    handout->created.fn = handout->read.fn = handout_written;
    handout->created.user = handout->read.user = handout;
    lease->pin_count++;
    grant->handout = handout;
    r = handout_keep(handout, asked);
    if (r == 0) {
        r = record_first_read(grant, lease, asked, &handout->read);
        handout->pending_count += r == 0;
    }
    if (r != 0) {
        handout_forget(grant);
        return r == ERR_GONE ? r : ERR_IO;
    }
    return 0;
}
