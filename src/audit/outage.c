/* What the trail says about its own sinks: `sink.degraded` when one fails, `sink.restored` when it
 * is back, with the number of events that could not be recorded meanwhile. */
#include "audit/audit_internal.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

void audit_outage_begin(struct audit *audit, const struct audit_sink *sink, int status)
{
    const char *why =
        sink->is_short ? "the disk has no room to renew limits.audit_reserve" : err_str(status);
    struct audit_record record = {
        .event = "sink.degraded",
        .outcome = "failed",
        .reason = sink->path,
        .error = why,
    };

    log_event(sink->is_required ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "audit.sink.degraded", "path",
              sink->path, "err", why, NULL);
    audit_record_note(audit, &record);
}

/* False when there is no room yet; then it is tried again when the sink has written more. */
static bool restored_note(struct audit *audit, const char *path, uint64_t sink_lost,
                          const char *detail)
{
    struct audit_record record = {
        .event = "sink.restored",
        .outcome = "ok",
        .reason = path,
        .count = audit->lost_count + sink_lost,
        .error = detail,
    };

    if (audit_queue(audit, &record, false) != 0) {
        return false;
    }
    audit->lost_count = 0;
    return true;
}

static void restored_tell(struct audit *audit, struct audit_sink *sink)
{
    uint64_t told = sink->lost_count;
    char detail[160] = "";

    if (told > 0 && audit->lost_count > 0) {
        (void)snprintf(detail, sizeof(detail),
                       "%" PRIu64 " events were not recorded; this sink lacks records from %" PRIu64
                       " to %" PRIu64,
                       audit->lost_count, sink->lost_first_seq, sink->lost_last_seq);
    } else if (told > 0) {
        (void)snprintf(detail, sizeof(detail),
                       "this sink lacks records from %" PRIu64 " to %" PRIu64, sink->lost_first_seq,
                       sink->lost_last_seq);
    } else if (audit->lost_count > 0) {
        (void)snprintf(detail, sizeof(detail), "%" PRIu64 " events were not recorded",
                       audit->lost_count);
    }
    if (restored_note(audit, sink->path, told, detail)) {
        log_event(LOG_LEVEL_INFO, "audit.sink.restored", "path", sink->path, "detail", detail,
                  NULL);
        sink->restored_is_due = false;
        sink->lost_count = 0;
    }
}

static bool is_due(const struct audit_sink *sink)
{
    return !audit_sink_is_down(sink) && (sink->restored_is_due || sink->lost_count > 0);
}

void audit_outage_tell(struct audit *audit)
{
    size_t i;

    if (audit->is_closing) {
        return;
    }
    for (i = 0; i < audit->sink_count; i++) {
        struct audit_sink *sink = &audit->sinks[i];

        if (is_due(sink)) {
            /* Not before the sink itself has room for what is said about it. */
            if (audit_sink_reserve(sink, AUDIT_RECORD_MAX_BYTES, AUDIT_OPTIONAL_QUEUE_MAX_BYTES) !=
                0) {
                return;
            }
            restored_tell(audit, sink);
        }
    }
    if (audit->lost_count > 0 && audit_is_ready(audit)) {
        (void)restored_note(audit, "queue", 0, "events were not recorded");
    }
}
