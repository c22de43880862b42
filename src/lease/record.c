/* The audit records of leases and grants. What stands in them is decided here alone: names, times
 * and keyed hashes, never a field of a credential. */
#include "lease/record.h"

#include "access/identity_record.h"
#include "base/mem.h"
#include "lease/approval.h"
#include "lease/core_internal.h"
#include "lease/credential.h"

#include <stdio.h>
#include <string.h>

/* What is made for one record and must outlive its writing. */
struct record_texts {
    char issuer_ref[AUDIT_REF_MAX_BYTES];
    char identifier_ref[AUDIT_REF_MAX_BYTES];
};

static void fill_holder(struct audit_record *record, const struct holder *holder)
{
    record->has_identity = true;
    record->listener = str_or_null(holder->listener);
    record->uid = holder->uid;
    record->user = str_or_null(holder->user);
    record->unit = str_or_null(holder->unit);
    record->container = str_or_null(holder->container);
    record->san = str_or_null(holder->sans);
    record->jwt = access_identity_jwt(holder->claims);
    record->image = str_or_null(holder->image);
}

/* Whatever is told of a lease stands behind its adoption. */
static void fill_lease(struct audit_record *record, struct lease *lease)
{
    adopted_tell(lease);
    record->role = lease->role->name;
    record->backend = lease_backend(lease);
    record->lease = lease->id;
}

static void fill_life(struct audit_record *record, const struct lease *lease)
{
    record->has_ttl = true;
    record->ttl_ms = schedule_left_ms(lease->expires_ms, lease->answered_ms);
    record->expires_wall_ms = core_wall_of(lease->role->core, lease->expires_ms);
}

/* What names it at its issuer ends at the first line feed: the rest is its plugin's. */
static void fill_ref(struct audit_record *record, const struct lease *lease, struct str ref,
                     struct record_texts *texts)
{
    const char *end = ref.len > 0 ? memchr(ref.ptr, '\n', ref.len) : NULL;

    if (end != NULL) {
        ref.len = (size_t)(end - ref.ptr);
    }
    if (ref.len > 0) {
        record->issuer_ref = audit_ref(lease->role->core->audit, ref, texts->issuer_ref);
    }
}

/* Names the credential by keyed hashes; a lease that is over has forgotten its credential, and of
 * one that couldn't be packed there is the issuer's reference alone. ERR_NOMEM: it couldn't be
 * opened; a record that isn't waited for goes without them then. */
static int fill_refs(struct audit_record *record, const struct lease *lease,
                     struct record_texts *texts)
{
    struct lease_field fields[LEASE_FIELDS_MAX];
    struct secret packed;
    struct str identifier;
    int r;

    if (lease->issuing != NULL && lease->issuing->ref_len > 0) {
        fill_ref(record, lease,
                 (struct str){.ptr = lease->issuing->ref, .len = lease->issuing->ref_len}, texts);
        return 0;
    }
    secret_init(&packed);
    r = lease_open(lease, &packed);
    if (r != 0) {
        return r;
    }
    fill_ref(record, lease, credential_ref(&packed), texts);
    identifier = credential_identifier(fields, credential_fields(&packed, fields));
    if (identifier.len > 0) {
        record->identifier_ref =
            audit_ref(lease->role->core->audit, identifier, texts->identifier_ref);
    }
    mem_wipe(fields, sizeof(fields));
    secret_fini(&packed);
    return 0;
}

static void fill_grant(struct audit_record *record, const struct grant *grant)
{
    fill_holder(record, grant->holder);
    record->pid = grant->pid;
    record->grant = grant->id;
    record->binding = grant_bindings_text(grant);
    record->until_wall_ms = grant_until_wall_ms(grant);
    record->reason = str_or_null(grant_reason(grant));
    record->ticket = str_or_null(grant_ticket(grant));
    record->policy_digest = str_or_null(grant_policy(grant));
    record->policy_rule = str_or_null(grant_rule(grant));
}

/* --- records that are waited for --- */

static int fill_issued(struct audit_record *record, struct lease *lease, struct record_texts *texts)
{
    fill_lease(record, lease);
    fill_life(record, lease);
    fill_holder(record, lease->holder);
    return fill_refs(record, lease, texts);
}

int record_lease_issued(struct lease *lease, struct audit_write *write)
{
    struct audit_record record = {.event = "lease.issued", .outcome = "ok"};
    struct record_texts texts;
    int r = fill_issued(&record, lease, &texts);

    return r != 0 ? r : audit_record_write(lease->role->core->audit, &record, write);
}

int record_grant_created(struct grant *grant, struct lease *lease,
                         const struct lease_acquire *asked, struct audit_write *write)
{
    struct audit_record record = {
        .event = "grant.created", .outcome = "ok", .request = asked->request_id, .api = asked->api};

    fill_lease(&record, lease);
    fill_grant(&record, grant);
    if (asked->approval != NULL) {
        record.approvers = asked->approval->approvers;
        record.approver_count = asked->approval->approver_count;
        record.approval = asked->approval->id;
        record.comment = asked->approval->is_break_glass ? "break-glass" : NULL;
    }
    record.expires_wall_ms = core_wall_of(lease->role->core, lease->expires_ms);
    return audit_record_write(grant->lease->role->core->audit, &record, write);
}

int record_first_read(struct grant *grant, struct lease *lease, const struct lease_acquire *asked,
                      struct audit_write *write)
{
    struct audit_record record = {.event = "credential.read",
                                  .outcome = "ok",
                                  .request = asked->request_id,
                                  .api = asked->api,
                                  .count = 1};
    struct record_texts texts;
    int r;

    fill_lease(&record, lease);
    fill_grant(&record, grant);
    r = fill_refs(&record, lease, &texts);
    return r != 0 ? r : audit_record_write(grant->lease->role->core->audit, &record, write);
}

/* --- records that aren't --- */

void record_reads(const struct grant *grant, uint64_t count)
{
    struct audit_record record = {.event = "credential.read", .outcome = "ok", .count = count};

    fill_lease(&record, grant->lease);
    fill_grant(&record, grant);
    audit_record_note(grant->lease->role->core->audit, &record);
}

void record_grant_reduced(const struct grant *grant)
{
    struct audit_record record = {.event = "grant.reduced", .outcome = "ok"};

    fill_lease(&record, grant->lease);
    fill_grant(&record, grant);
    audit_record_note(grant->lease->role->core->audit, &record);
}

void record_grant_ended(const struct grant *grant)
{
    struct audit_record record = {.event = "grant.ended", .outcome = grant_end_str(grant->end)};

    fill_lease(&record, grant->lease);
    fill_grant(&record, grant);
    audit_record_note(grant->lease->role->core->audit, &record);
}

void record_lease_adopted(struct lease *lease)
{
    struct audit_record record = {.event = "lease.adopted", .outcome = "ok"};
    struct record_texts texts;

    (void)fill_issued(&record, lease, &texts);
    audit_record_note(lease->role->core->audit, &record);
}

void record_lease_suspected(struct lease *orphan, const struct lease *lease)
{
    struct audit_record record = {.event = "lease.issued", .outcome = "lost"};
    struct record_texts texts;
    char reason[LEASE_REASON_MAX_BYTES];

    (void)fill_issued(&record, orphan, &texts);
    (void)snprintf(reason, sizeof(reason), "may have been made for %s", lease->id);
    record.reason = reason;
    record.has_ttl = false;
    record.expires_wall_ms = core_wall_of(lease->role->core, orphan->ends_ms);
    audit_record_note(lease->role->core->audit, &record);
}

void record_lease_issued_late(struct lease *lease)
{
    struct audit_record record = {.event = "lease.issued", .outcome = "ok"};
    struct record_texts texts;

    (void)fill_issued(&record, lease, &texts);
    audit_record_note(lease->role->core->audit, &record);
}

void record_lease_renewed(struct lease *lease)
{
    struct audit_record record = {.event = "lease.renewed", .outcome = "ok"};
    struct record_texts texts;

    fill_lease(&record, lease);
    fill_life(&record, lease);
    (void)fill_refs(&record, lease, &texts);
    audit_record_note(lease->role->core->audit, &record);
}

/* Written for the successor; `reason` names the lease that it replaces and why. */
void record_lease_rotated(struct lease *successor, const struct lease *lease, const char *why)
{
    struct audit_record record = {.event = "lease.rotated", .outcome = "ok"};
    char reason[LEASE_REASON_MAX_BYTES];

    (void)snprintf(reason, sizeof(reason), "replaces %s: %s", lease->id, why);
    fill_lease(&record, successor);
    record.reason = reason;
    audit_record_note(lease->role->core->audit, &record);
}

void record_lease_superseded(struct lease *lease)
{
    struct audit_record record = {.event = "lease.superseded", .outcome = "ok"};
    struct record_texts texts;

    fill_lease(&record, lease);
    (void)fill_refs(&record, lease, &texts);
    record.expires_wall_ms = core_wall_of(lease->role->core, lease->expires_ms);
    audit_record_note(lease->role->core->audit, &record);
}

void record_lease_revoking(struct lease *lease, const char *why)
{
    struct audit_record record = {.event = "lease.revoking", .outcome = "ok", .reason = why};
    struct record_texts texts;

    fill_lease(&record, lease);
    (void)fill_refs(&record, lease, &texts);
    audit_record_note(lease->role->core->audit, &record);
}

void record_lease_unrevoked(struct lease *lease, const char *why)
{
    struct audit_record record = {.event = "lease.revoking", .outcome = "failed", .error = why};
    struct record_texts texts;

    fill_lease(&record, lease);
    (void)fill_refs(&record, lease, &texts);
    record.expires_wall_ms = core_wall_of(lease->role->core, lease->ends_ms);
    audit_record_note(lease->role->core->audit, &record);
}

void record_lease_revoked(struct lease *lease)
{
    struct audit_record record = {.event = "lease.revoked", .outcome = "ok"};
    struct record_texts texts;

    fill_lease(&record, lease);
    (void)fill_refs(&record, lease, &texts);
    audit_record_note(lease->role->core->audit, &record);
}

static void note_over(struct lease *lease, const char *outcome, const char *why)
{
    struct audit_record record = {.event = "lease.expired", .outcome = outcome, .reason = why};
    struct record_texts texts;

    fill_lease(&record, lease);
    (void)fill_refs(&record, lease, &texts);
    record.expires_wall_ms = core_wall_of(lease->role->core, lease->ends_ms);
    audit_record_note(lease->role->core->audit, &record);
}

void record_lease_expired(struct lease *lease, const char *why)
{
    note_over(lease, "ok", why);
}

void record_lease_unconfirmed(struct lease *lease, const char *why)
{
    note_over(lease, "unconfirmed", why);
}

void record_lease_failed(struct lease *lease, const char *why)
{
    struct audit_record record = {.event = "lease.failed", .outcome = "failed", .error = why};

    fill_lease(&record, lease);
    fill_holder(&record, lease->holder);
    audit_record_note(lease->role->core->audit, &record);
}
