/* Audit records as bytes. The format is the product here: one record gives one line, always the
 * same one, so that its hash can be computed again by anybody. Reading back is in
 * wire/audit_line.c. */
#include "wire/audit_record.h"

#include "base/str.h"
#include "base/units.h"
#include "wire/audit_hash.h"
#include "wire/json_out.h"

#include <inttypes.h>
#include <string.h>

static void text_member(struct json_out *json, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        json_out_string(json, key, str_of(text));
    }
}

static void time_member(struct json_out *json, const char *key, int64_t wall_ms)
{
    if (wall_ms != 0) {
        json_out_time(json, key, wall_ms);
    }
}

/* Durations are seconds, as everywhere outside; milliseconds only where there are some. */
static void seconds_member(struct json_out *json, const char *key, uint64_t ms)
{
    json_out_u64(json, key, ms / 1000);
    if (ms % 1000 != 0) {
        buf_printf(json->out, ".%03" PRIu64, ms % 1000);
    }
}

static void identity_member(struct json_out *json, const struct audit_record *record)
{
    if (!record->has_identity) {
        return;
    }
    json_out_object_open(json, "identity");
    if (record->uid != UINT32_MAX) {
        json_out_u64(json, "uid", record->uid);
    }
    text_member(json, "user", record->user);
    if (record->pid > 0) {
        json_out_u64(json, "pid", (uint64_t)record->pid);
    }
    text_member(json, "unit", record->unit);
    text_member(json, "container", record->container);
    text_member(json, "san", record->san);
    if (record->jwt.iss != NULL) {
        json_out_object_open(json, "jwt");
        text_member(json, "iss", record->jwt.iss);
        text_member(json, "sub", record->jwt.sub);
        text_member(json, "session", record->jwt.session);
        text_member(json, "person", record->jwt.person);
        json_out_object_close(json);
    }
    text_member(json, "image", record->image);
    json_out_object_close(json);
}

static void approval_members(struct json_out *json, const struct audit_record *record)
{
    size_t i;

    if (record->approver_count > 0) {
        json_out_array_open(json, "approvers");
        for (i = 0; i < record->approver_count; i++) {
            json_out_string(json, NULL, str_of(record->approvers[i]));
        }
        json_out_array_close(json);
    }
    text_member(json, "approval", record->approval);
    text_member(json, "comment", record->comment);
}

static void drill_members(struct json_out *json, const struct audit_record *record)
{
    text_member(json, "block", record->block);
    text_member(json, "drill", record->drill);
    if (record->match != NULL) {
        json_out_text_at(json, STR("match"), str_of(record->match));
    }
}

static void policy_member(struct json_out *json, const struct audit_record *record)
{
    if (record->policy_digest == NULL && record->policy_rule == NULL) {
        return;
    }
    json_out_object_open(json, "policy");
    text_member(json, "digest", record->policy_digest);
    text_member(json, "revision", record->policy_revision);
    text_member(json, "rule", record->policy_rule);
    json_out_object_close(json);
}

static void observed_member(struct json_out *json, const struct audit_observed *observed)
{
    if (observed->outcome == NULL) {
        return;
    }
    json_out_object_open(json, "observed");
    text_member(json, "outcome", observed->outcome);
    text_member(json, "digest", observed->digest);
    text_member(json, "rule", observed->rule);
    text_member(json, "limits", observed->limits);
    json_out_object_close(json);
}

/* Everything that the hash covers. The order of the members is part of the format. */
static void body_write(struct buf *out, const struct audit_record *record, const char *prev)
{
    struct json_out json;

    json_out_init(&json, out);
    json_out_object_open(&json, NULL);
    json_out_u64(&json, "v", AUDIT_RECORD_VERSION);
    json_out_u64(&json, "seq", record->seq);
    time_member(&json, "time", record->time_wall_ms);
    text_member(&json, "event", record->event);
    text_member(&json, "outcome", record->outcome);
    text_member(&json, "node", record->node);
    text_member(&json, "listener", record->listener);
    text_member(&json, "api", record->api);
    text_member(&json, "request", record->request);
    identity_member(&json, record);
    text_member(&json, "role", record->role);
    text_member(&json, "backend", record->backend);
    text_member(&json, "lease", record->lease);
    text_member(&json, "grant", record->grant);
    text_member(&json, "binding", record->binding);
    time_member(&json, "until", record->until_wall_ms);
    text_member(&json, "reason", record->reason);
    text_member(&json, "ticket", record->ticket);
    approval_members(&json, record);
    drill_members(&json, record);
    policy_member(&json, record);
    observed_member(&json, &record->observed);
    if (record->has_ttl) {
        seconds_member(&json, "ttl", record->ttl_ms);
    }
    time_member(&json, "expires", record->expires_wall_ms);
    text_member(&json, "issuer_ref", record->issuer_ref);
    text_member(&json, "identifier_ref", record->identifier_ref);
    if (record->count != 0) {
        json_out_u64(&json, "count", record->count);
    }
    text_member(&json, "error", record->error);
    if (record->ledger_seq != 0) {
        json_out_u64(&json, "ledger", record->ledger_seq);
    }
    json_out_string_c(&json, "prev", prev);
}

int audit_record_format(const struct audit_record *record, const char *prev, struct buf *out,
                        char ret_hash[AUDIT_HASH_HEX_BYTES + 1])
{
    BUF_AUTO line;
    char hash[AUDIT_HASH_HEX_BYTES + 1];
    int r;

    CHECK(strlen(prev) == AUDIT_HASH_HEX_BYTES);
    buf_init(&line, AUDIT_RECORD_MAX_BYTES - AUDIT_TRAILER_BYTES - 1);
    body_write(&line, record, prev);
    r = buf_status(&line);
    if (r == 0) {
        r = audit_hash(prev, buf_str(&line), hash);
    }
    if (r != 0) {
        return r;
    }
    line.max_bytes = AUDIT_RECORD_MAX_BYTES;
    buf_printf(&line, AUDIT_TRAILER_BEGIN "%s" AUDIT_TRAILER_END "\n", hash);
    r = buf_status(&line);
    if (r == 0) {
        buf_add_str(out, buf_str(&line));
        r = buf_status(out);
    }
    if (r == 0) {
        memcpy(ret_hash, hash, sizeof(hash));
    }
    return r;
}
