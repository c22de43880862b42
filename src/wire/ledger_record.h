/* What the codecs of the ledger's records share: a struct and its bytes, by a table of fields.
 * Nothing that is cut off, left over, out of range or of another version is read. Behind the fields
 * a record may carry bytes that aren't looked at: what is sealed. */
#ifndef LEASED_WIRE_LEDGER_RECORD_H
#define LEASED_WIRE_LEDGER_RECORD_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum ledger_field_type {
    LEDGER_TEXT,  /* const char *, never NULL */
    LEDGER_BYTES, /* struct str of UTF-8, also with NULs */
    LEDGER_BOOL,
    LEDGER_TIME, /* int64_t, not negative */
    LEDGER_U32,
    LEDGER_U64,
};

struct ledger_field {
    const char *name;
    enum ledger_field_type type;
    size_t offset;
};

struct ledger_table {
    uint8_t version; /* never '{': so began the records of the first ledgers, which were JSON */
    const struct ledger_field *fields;
    size_t field_count;
};

/* For whom something is; texts are never NULL. */
struct ledger_holder {
    const char *caller; /* "unix", "loopback", "tls", "self" or "foreign" */
    uint32_t uid;
    const char *user;
    const char *unit;
    const char *container;
    const char *listener;
    const char *sans;
    const char *claims; /* what an issuer vouches for, as JSON; "": nothing, and it isn't written */
    const char *image;  /* what its container was made from; likewise */
    bool is_foreign;
};

/* The clocks when a record was written: unix time, and the clock of the boot of that name. In the
 * same boot it says what the times of the record are in that clock, whatever became of unix time.
 */
struct ledger_clock {
    int64_t written_wall_ms;
    int64_t written_ms;
    const char *boot;
};

#define LEDGER_PART(type, part, name, kind)                                                        \
    {                                                                                              \
#name, kind, offsetof(type, part.name)                                                     \
    }
#define LEDGER_HOLDER_FIELDS(type)                                                                 \
    LEDGER_PART(type, holder, caller, LEDGER_TEXT), LEDGER_PART(type, holder, uid, LEDGER_U32),    \
        LEDGER_PART(type, holder, user, LEDGER_TEXT),                                              \
        LEDGER_PART(type, holder, unit, LEDGER_TEXT),                                              \
        LEDGER_PART(type, holder, container, LEDGER_TEXT),                                         \
        LEDGER_PART(type, holder, listener, LEDGER_TEXT),                                          \
        LEDGER_PART(type, holder, sans, LEDGER_TEXT),                                              \
        LEDGER_PART(type, holder, is_foreign, LEDGER_BOOL)
#define LEDGER_CLOCK_FIELDS(type)                                                                  \
    LEDGER_PART(type, clock, written_wall_ms, LEDGER_TIME),                                        \
        LEDGER_PART(type, clock, written_ms, LEDGER_TIME),                                         \
        LEDGER_PART(type, clock, boot, LEDGER_TEXT)

/* Appends `record` and then `sealed` (may be empty). ERR_NOMEM, ERR_TOO_LARGE; ERR_INVALID when a
 * text is no UTF-8. */
int ledger_record_write(const struct ledger_table *table, const void *record, struct str sealed,
                        struct buf *out) ATTR_MUST_USE;

/* The way back; texts and `ret_sealed` (all that stands behind the fields) are borrowed from
 * `body`. On failure only `record` is changed, which the caller then throws away. ERR_INVALID with
 * a text. */
int ledger_record_read(const struct ledger_table *table, struct str body, void *record,
                       struct str *ret_sealed, struct err *e) ATTR_MUST_USE;

#endif
