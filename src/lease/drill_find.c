/* What a drill is about: the leases that were read by who is meant, and the grants that are theirs.
 */
#include "base/mem.h"
#include "lease/drill_internal.h"

#include <string.h>

/* --- who is meant ----------------------------------------------------------------------------- */

/* Its groups aren't known, and the daemon itself leaks nothing: what it works with never leaves. */
static bool holder_is_meant(void *user, const struct holder *holder)
{
    const struct lease_drill *drill = user;
    struct access_identity identity;

    if (lend_is_own(holder)) {
        return false;
    }
    holder_identity(holder, &identity);
    identity.gid = ENV_NO_ID;
    return drill->options.is_meant(drill->options.user, &identity);
}

static bool names(const struct lease_drill *drill, struct str value, const char *identifier)
{
    char ref[AUDIT_REF_MAX_BYTES];

    return value.len > 0 && strcmp(audit_ref(drill->core->audit, value, ref), identifier) == 0;
}

/* By what its issuer calls it or its user; the first line of a reference is the issuer's. */
static bool identifier_fits(const struct lease_drill *drill, const struct lease *lease)
{
    const char *identifier = access_match_identifier(drill->options.match);
    struct lease_field fields[LEASE_FIELDS_MAX];
    struct secret packed;
    bool fits = false;

    if (identifier == NULL) {
        return true;
    }
    secret_init(&packed);
    if (lease_open(lease, &packed) == 0) {
        struct str ref = lease_ref_of(lease, &packed);

        fits = names(drill, str_cut(&ref, '\n'), identifier) ||
               names(drill, credential_identifier(fields, credential_fields(&packed, fields)),
                     identifier);
        mem_wipe(fields, sizeof(fields));
    }
    secret_fini(&packed);
    return fits;
}

static bool lease_fits(const struct lease_drill *drill, const struct lease *lease)
{
    return access_match_fits_role(drill->options.match, lease->role->name, lease_backend(lease)) &&
           identifier_fits(drill, lease);
}

static bool is_earlier(const struct lease_drill *drill, uint64_t when_ms)
{
    return drill->options.begun_ms == 0 || when_ms <= drill->options.begun_ms;
}

/* Can it still be used, by anybody who has read it? */
static bool is_dangerous(const struct lease *lease)
{
    if (lease->state == LEASE_STATE_EXPIRED) {
        return !lease->is_revocable && lease->ends_ms > core_now_ms(lease->role->core);
    }
    return lease->is_recorded && !fsm_lease_is_over(lease->state);
}

static bool lease_is_meant(struct lease_drill *drill, const struct lease *lease)
{
    return is_dangerous(lease) && is_earlier(drill, lease->issued_ms) && lease_fits(drill, lease) &&
           readers_any(lease, holder_is_meant, drill);
}

bool drill_grant_is_meant(const struct lease_drill *drill, const struct grant *grant)
{
    struct access_identity identity;

    if (grant->state == GRANT_STATE_ENDED || lend_is_own(grant->holder) ||
        (drill->options.begun_ms != 0 && grant->created_wall_ms > drill->begun_wall_ms)) {
        return false;
    }
    grant_identity(grant, &identity);
    return drill->options.is_meant(drill->options.user, &identity);
}

/* --- items ------------------------------------------------------------------------------------ */

static bool item_match(struct index_entry *entry, const void *id)
{
    return strcmp(CONTAINER_OF(entry, struct drill_item, entry)->id, id) == 0;
}

uint64_t drill_item_hash(const struct index *index, struct index_entry *entry)
{
    return index_hash_text(index->seed, CONTAINER_OF(entry, struct drill_item, entry)->id);
}

struct drill_item *drill_item_find(const struct lease_drill *drill, const char *id)
{
    struct index_entry *entry =
        index_find(&drill->items, index_hash_text(drill->items.seed, id), item_match, id);

    return entry != NULL ? CONTAINER_OF(entry, struct drill_item, entry) : NULL;
}

static struct drill_item *item_new(struct lease_drill *drill, struct lease *lease)
{
    size_t role_size = strlen(lease->role->name) + 1;
    size_t backend_size = strlen(lease_backend(lease)) + 1;
    struct drill_item *item = mem_calloc(1, sizeof(*item) + role_size + backend_size);

    if (item == NULL) {
        return NULL;
    }
    memcpy(item->id, lease->id, sizeof(item->id));
    memcpy(item->texts, lease->role->name, role_size);
    memcpy(item->texts + role_size, lease_backend(lease), backend_size);
    item->role = item->texts;
    item->backend = item->texts + role_size;
    item->lease = lease;
    item->kind = LEASE_DRILL_PENDING;
    if (index_add(&drill->items, &item->entry) != 0) {
        mem_free(item);
        return NULL;
    }
    list_push_back(&drill->queued, &item->node);
    return item;
}

void drill_item_tell(struct lease_drill *drill, struct drill_item *item)
{
    if (!list_is_linked(&item->fresh)) {
        list_push_back(&drill->fresh, &item->fresh);
    }
    drill->has_news = true;
    core_touch(drill->core);
}

static void expires_note(struct lease_drill *drill, struct drill_item *item)
{
    drill->counts.expires_count++;
    if (item->expires_wall_ms > drill->counts.expires_wall_ms) {
        drill->counts.expires_wall_ms = item->expires_wall_ms;
    }
}

/* The lease is over in this way, and so is the item. */
void drill_item_end(struct lease_drill *drill, struct drill_item *item)
{
    const struct lease *lease = item->lease;

    item->expires_wall_ms = core_wall_of(drill->core, lease->ends_ms);
    item->lease = NULL;
    item->is_over = true;
    list_move_back(&drill->begun, &item->node);
    if (!item->is_read) {
        return;
    }
    if (!lease->is_revocable) {
        item->kind = LEASE_DRILL_EXPIRES;
        expires_note(drill, item);
    } else if (lease->state == LEASE_STATE_UNCONFIRMED) {
        item->kind = LEASE_DRILL_UNCONFIRMED;
        drill->counts.unconfirmed_count++;
    } else {
        item->kind = LEASE_DRILL_REVOKED;
        drill->counts.revoked_count++;
    }
    drill_item_tell(drill, item);
}

/* --- finding ---------------------------------------------------------------------------------- */

static int find_leases(struct lease_drill *drill)
{
    struct lease *lease = NULL;

    while ((lease = lease_core_next_lease(drill->core, lease)) != NULL) {
        struct drill_item *item;

        if (!lease_is_meant(drill, lease)) {
            continue;
        }
        item = item_new(drill, lease);
        if (item == NULL) {
            return ERR_NOMEM;
        }
        item->is_read = true;
        lease->is_drilled = true; /* from here on it tells when it is over */
        drill->counts.lease_count++;
        if (fsm_lease_is_over(lease->state)) {
            drill_item_end(drill, item);
        }
    }
    return 0;
}

/* Also those that haven't read anything yet, so that they won't. */
static int find_grants(struct lease_drill *drill)
{
    struct grant *grant = NULL;

    while ((grant = lease_core_next_grant(drill->core, grant)) != NULL) {
        if (!drill_grant_is_meant(drill, grant) || !lease_fits(drill, grant->lease)) {
            continue;
        }
        if (drill_item_find(drill, grant->lease->id) == NULL &&
            item_new(drill, grant->lease) == NULL) {
            return ERR_NOMEM;
        }
    }
    return 0;
}

int drill_find(struct lease_drill *drill)
{
    int r = find_leases(drill);

    return r == 0 ? find_grants(drill) : r;
}
