/* Following the audit file, line by line. */
#include "sim_trail.h"

#include "sim_guard.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_trail_init(struct sim_trail *trail, struct sim *sim, const char *path,
                    struct env_ledger *ledger)
{
    *trail = (struct sim_trail){.sim = sim, .path = path, .ledger = ledger};
    audit_verifier_init(&trail->verifier);
    map_init(&trail->items, 1);
    map_init(&trail->readings, 1);
}

static void map_free(struct map *map)
{
    struct map_entry *entry;

    while ((entry = map_first(map)) != NULL) {
        map_remove(map, entry);
        mem_free(MAP_ENTRY(entry, struct sim_trail_item, entry));
    }
    map_fini(map);
}

void sim_trail_fini(struct sim_trail *trail)
{
    map_free(&trail->items);
    map_free(&trail->readings);
}

static struct sim_trail_item *item_get(struct map *map, const char *id)
{
    struct map_entry *entry = map_find(map, str_of(id));
    struct sim_trail_item *item;

    if (entry != NULL) {
        return MAP_ENTRY(entry, struct sim_trail_item, entry);
    }
    item = mem_calloc(1, sizeof(*item));
    CHECK(item != NULL);
    (void)snprintf(item->id, sizeof(item->id), "%s", id);
    CHECK(map_add(map, &item->entry, str_of(item->id)) == 0);
    return item;
}

/* The verifier has parsed the line already, and a name in quotes and a colon can't stand inside a
 * value, where quotes are escaped. */
static void field_read(struct str line, const char *key, char *out, size_t out_size)
{
    char name[16];
    int len = snprintf(name, sizeof(name), "\"%s\":", key);
    const char *at = memmem(line.ptr, line.len, name, (size_t)len);
    const char *end = line.ptr + line.len;
    size_t used = 0;

    if (at != NULL) {
        at += len;
        at += *at == '"';
    }
    while (at != NULL && at < end && strchr("\",}", *at) == NULL && used + 1 < out_size) {
        out[used++] = *at++;
    }
    out[used] = '\0';
}

static void record_read(struct str line, struct sim_trail_record *ret_record)
{
    char uid[16];

    field_read(line, "event", ret_record->event, sizeof(ret_record->event));
    field_read(line, "request", ret_record->request, sizeof(ret_record->request));
    field_read(line, "uid", uid, sizeof(uid));
    ret_record->uid = (uint32_t)strtoul(uid, NULL, 10);
    field_read(line, "role", ret_record->role, sizeof(ret_record->role));
    field_read(line, "approval", ret_record->approval, sizeof(ret_record->approval));
    field_read(line, "rule", ret_record->rule, sizeof(ret_record->rule));
    field_read(line, "lease", ret_record->lease, sizeof(ret_record->lease));
    field_read(line, "grant", ret_record->grant, sizeof(ret_record->grant));
    field_read(line, "outcome", ret_record->outcome, sizeof(ret_record->outcome));
    field_read(line, "reason", ret_record->reason, sizeof(ret_record->reason));
    field_read(line, "count", ret_record->count, sizeof(ret_record->count));
}

/* That it was to end, or had ended, was on record, but not yet in the ledger. */
static void item_goes_on(struct sim_trail_item *item)
{
    item->end_count = 0;
    item->is_revoking = false;
}

/* S14: only what the issuer can end ends as revoked, and when it has. */
static void check_revoked(const struct sim_trail *trail, const struct sim_trail_item *item)
{
    const struct sim_credential *credential = item->credential;

    if (credential == NULL) {
        return;
    }
    if (!credential->is_revocable) {
        sim_fail(trail->sim, "S14: %s ends as revoked, and nothing can revoke %s", item->id,
                 credential->id);
    }
    if (sim_credential_until_ms(credential, trail->sim->now_ms) != 0) {
        sim_fail(trail->sim, "S14: %s ends as revoked, and %s is valid", item->id, credential->id);
    }
}

/* A record about `item`: it begins, ends, or is somewhere between. */
static void item_note(struct sim_trail *trail, struct sim_trail_item *item, const char *begin,
                      const char *event)
{
    bool is_end = strcmp(event, "grant.ended") == 0 || strcmp(event, "lease.revoked") == 0 ||
                  strcmp(event, "lease.expired") == 0 || strcmp(event, "lease.failed") == 0;

    if (item->is_lost && strcmp(event, "lease.issued") == 0) {
        sim_fail(trail->sim, "S2: %s is issued, and an answer to its issue was lost before",
                 item->id);
    }
    if (strcmp(event, begin) == 0) {
        item->begun_ms = item->begin_count == 0 ? trail->sim->now_ms : item->begun_ms;
        item->begin_count = item->is_doubtful ? 1 : item->begin_count + 1;
    } else if (strcmp(event, "lease.adopted") == 0) {
        item_goes_on(item);
    }
    if (is_end) {
        item->end_count++;
    } else if (item->end_count > 0 && trail->lost_count == 0) {
        sim_fail(trail->sim, "S5: %s of %s stands behind its end", event, item->id);
    }
    if (item->begin_count > 1 || item->end_count > 1) {
        sim_fail(trail->sim, "S5: a second %s of %s", event, item->id);
    }
    if (strcmp(event, "lease.renewed") == 0) {
        item->renewed_count++;
        if (item->is_revoking) {
            sim_fail(trail->sim, "S7: %s is renewed after it was to be revoked", item->id);
        }
    }
    if (strcmp(event, "lease.revoking") == 0) {
        item->is_revoking = true;
    } else if (strcmp(event, "lease.revoked") == 0) {
        check_revoked(trail, item);
    }
}

static const char *or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

static void record_note(struct sim_trail *trail, const struct sim_trail_record *record)
{
    const char *event = record->event;
    const char *lease = record->lease;
    const char *grant = record->grant;
    char reading[96];

    CHECK(event[0] != '\0');
    sim_trace(trail->sim, "trail %s %s %s %s %s", event, or_dash(grant), or_dash(lease),
              or_dash(record->outcome), or_dash(record->reason));
    if (strncmp(event, "lease.", 6) == 0 && lease[0] != '\0') {
        struct sim_trail_item *item = item_get(&trail->items, lease);

        /* What may not exist, and may end with the daemon's login alone. */
        if (strcmp(record->outcome, "lost") == 0) {
            item->is_orphaned = true;
            item->is_lost = false;
        }
        item_note(trail, item, "lease.issued", event);
    } else if (strncmp(event, "grant.", 6) == 0 && grant[0] != '\0') {
        struct sim_trail_item *item = item_get(&trail->items, grant);

        item->is_grant = true;
        item_note(trail, item, "grant.created", event);
    } else if (strcmp(event, "credential.read") == 0) {
        (void)snprintf(reading, sizeof(reading), "%s %s", grant, lease);
        item_get(&trail->readings, reading)->begin_count++;
    }
    if (strcmp(event, "grant.denied") == 0) {
        trail->denied_count++;
    }
    if (strcmp(event, "sink.restored") == 0) {
        trail->lost_count += strtoull(record->count, NULL, 10);
    }
}

/* Each record is looked at once, wherever it is seen first. */
static void line_note(struct sim_trail *trail, struct str line, uint64_t seq)
{
    struct sim_trail_record record;

    if (seq <= trail->seen_seq) {
        return;
    }
    if (sim_is_leak(line)) {
        sim_fail(trail->sim, "S6: a secret in the trail: %.*s", STR_ARG(line));
    }
    record_read(line, &record);
    record_note(trail, &record);
    if (trail->guard != NULL) {
        sim_guard_record(trail->guard, &record);
    }
    trail->seen_seq = seq;
    trail->record_count++;
}

static void line_read(struct sim_trail *trail, struct str line)
{
    struct audit_line parsed;
    struct err e;

    /* What a failing ledger hadn't when it was cut off is lost, and nobody was told of it. */
    if (audit_verifier_line(&trail->verifier, line, &e) != 0 &&
        (trail->ledger == NULL || trail->verifier.problem != AUDIT_PROBLEM_TORN)) {
        sim_fail(trail->sim, "S5: the chain is broken: %s", e.text);
    }
    if (audit_line_parse(line, &parsed, NULL) == 0) { /* else a crash has cut it off */
        line_note(trail, line, parsed.seq);
    }
}

static int outbox_read(void *user, struct str id, struct str body)
{
    uint64_t seq;

    CHECK(str_parse_u64(id, &seq) == 0);
    line_note(user, (struct str){body.ptr, body.len - 1}, seq);
    return 0;
}

void sim_trail_read(struct sim_trail *trail)
{
    struct str bytes = sim_file_bytes(trail->sim, trail->path);

    while (trail->position < bytes.len) {
        const char *begin = bytes.ptr + trail->position;
        const char *end = memchr(begin, '\n', bytes.len - trail->position);

        if (end == NULL && trail->ledger != NULL) {
            break; /* that was a crash; it will get its end */
        }
        if (end == NULL) {
            sim_fail(trail->sim, "S5: the trail ends in a torn record");
        }
        line_read(trail, (struct str){begin, (size_t)(end - begin)});
        trail->position += (size_t)(end - begin) + 1;
    }
    if (trail->ledger != NULL) {
        CHECK(env_ledger_each(trail->ledger, ENV_LEDGER_AUDIT, outbox_read, trail, NULL) == 0);
    }
}

const struct sim_trail_item *sim_trail_find(const struct sim_trail *trail, const char *id)
{
    struct map_entry *entry = map_find(&trail->items, str_of(id));

    return entry != NULL ? MAP_ENTRY(entry, struct sim_trail_item, entry) : NULL;
}

bool sim_trail_was_read(const struct sim_trail *trail, const char *grant, const char *lease)
{
    char reading[96];

    (void)snprintf(reading, sizeof(reading), "%s %s", grant, lease);
    return map_find(&trail->readings, str_of(reading)) != NULL;
}

void sim_trail_holds(struct sim_trail *trail, const char *lease,
                     const struct sim_credential *credential)
{
    item_get(&trail->items, lease)->credential = credential;
}

void sim_trail_lost(struct sim_trail *trail, struct str lease)
{
    char id[96];

    (void)snprintf(id, sizeof(id), "%.*s", STR_ARG(lease));
    item_get(&trail->items, id)->is_lost = true;
}

void sim_trail_answered(struct sim_trail *trail, const char *grant, bool is_delivered)
{
    struct map_entry *entry = map_find(&trail->items, str_of(grant));
    struct sim_trail_item *item;

    if (entry != NULL) {
        item = MAP_ENTRY(entry, struct sim_trail_item, entry);
        item->is_delivered = item->is_delivered || is_delivered;
        item->is_undelivered = item->is_undelivered || !is_delivered;
    }
}

const char *sim_trail_undelivered(const struct sim_trail *trail)
{
    struct map_entry *entry;

    for (entry = map_first(&trail->items); entry != NULL; entry = map_next(&trail->items, entry)) {
        const struct sim_trail_item *item = MAP_ENTRY(entry, struct sim_trail_item, entry);

        if (item->is_undelivered && !item->is_delivered && item->end_count == 0 &&
            !item->is_orphaned) {
            return item->id;
        }
    }
    return NULL;
}

void sim_trail_crashed(struct sim_trail *trail, bool was_failing)
{
    struct map_entry *entry;

    sim_trail_read(trail);
    for (entry = map_first(&trail->items); entry != NULL; entry = map_next(&trail->items, entry)) {
        struct sim_trail_item *item = MAP_ENTRY(entry, struct sim_trail_item, entry);

        item->is_orphaned = item->is_orphaned || item->end_count == 0 || was_failing;
        if (was_failing) {
            item->is_doubtful = true;
            item_goes_on(item);
        }
    }
}

void sim_trail_check_ended(struct sim_trail *trail)
{
    struct map_entry *entry;

    sim_trail_read(trail);
    if (trail->lost_count > 0) {
        return; /* the trail says itself that it isn't whole */
    }
    for (entry = map_first(&trail->items); entry != NULL; entry = map_next(&trail->items, entry)) {
        const struct sim_trail_item *item = MAP_ENTRY(entry, struct sim_trail_item, entry);

        if (item->begin_count > 0 && item->end_count != 1 && !item->is_orphaned) {
            sim_fail(trail->sim, "S5: %s %s began and has %llu ends",
                     item->is_grant ? "grant" : "lease", item->id,
                     (unsigned long long)item->end_count);
        }
    }
}
