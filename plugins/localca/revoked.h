/* Which certificates were revoked and haven't expired: kept across restarts, in at most the 64 KiB
 * that the host keeps. */
#ifndef LOCALCA_REVOKED_H
#define LOCALCA_REVOKED_H

#include "common/text.h"
#include "params.h"

#define LOCALCA_SERIAL_BYTES 16 /* SSH's is in the last eight */
#define LOCALCA_STATE_MAX_BYTES (64U * 1024U)

struct localca_serial {
    unsigned char bytes[LOCALCA_SERIAL_BYTES];
};

struct localca_entry {
    struct localca_serial serial;
    enum localca_type type;
    uint32_t expires_s; /* unix time, as the rest */
    uint32_t revoked_s;
};

struct localca_revoked {
    struct localca_entry *entries; /* owned; ordinary memory */
    size_t count;
    size_t room;
    /* Of the lists that were published: each is greater than the one before, also after a restart
     * with a clock that was set back. */
    uint64_t number;
};

/* How many fit into the state. */
size_t localca_revoked_max(void);

bool localca_revoked_has(const struct localca_revoked *revoked, enum localca_type type,
                         const struct localca_serial *serial);

/* 0 (also when it is there already), -1: full, -2: out of memory. */
int localca_revoked_add(const struct leased_host *host, struct localca_revoked *revoked,
                        const struct localca_entry *entry);

/* Forgets those whose certificate has expired an hour ago: clocks differ, and a list says of a
 * certificate for once that it was revoked even if it expires at once. Returns how many. */
size_t localca_revoked_drop_expired(struct localca_revoked *revoked, uint64_t now_s);

/* When one is forgotten, in unix seconds. */
uint64_t localca_revoked_gone_s(const struct localca_entry *entry);

size_t localca_revoked_count(const struct localca_revoked *revoked, enum localca_type type);

/* As state, and back. `out` has LOCALCA_STATE_MAX_BYTES; returns the length. */
size_t localca_revoked_encode(const struct localca_revoked *revoked, char *out);
/* 0, -1: it is no such state (`revoked` is empty then), -2: out of memory. */
int localca_revoked_decode(const struct leased_host *host, struct leased_str state,
                           struct localca_revoked *revoked);

void localca_revoked_fini(const struct leased_host *host, struct localca_revoked *revoked);

#endif
