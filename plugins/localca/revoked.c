/* State: "LCA1", the number (8 bytes), then 25 bytes for each entry: type, expiry, when it was
 * revoked, serial. Numbers are big-endian; times have four bytes, which end in 2106. */
#include "revoked.h"

#include <string.h>

#define MAGIC "LCA1"
#define HEAD_BYTES 12U
#define ENTRY_BYTES 25U
#define FIRST_ROOM 16U
#define KEPT_AFTER_S 3600U

size_t localca_revoked_max(void)
{
    return (LOCALCA_STATE_MAX_BYTES - HEAD_BYTES) / ENTRY_BYTES;
}

bool localca_revoked_has(const struct localca_revoked *revoked, enum localca_type type,
                         const struct localca_serial *serial)
{
    for (size_t i = 0; i < revoked->count; i++) {
        const struct localca_entry *entry = &revoked->entries[i];

        if (entry->type == type &&
            memcmp(entry->serial.bytes, serial->bytes, LOCALCA_SERIAL_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

/* Room for one more. */
static bool grow(const struct leased_host *host, struct localca_revoked *revoked)
{
    size_t room = revoked->room > 0 ? revoked->room * 2 : FIRST_ROOM;
    struct localca_entry *entries;

    if (revoked->count < revoked->room) {
        return true;
    }
    entries = plugin_alloc(host, room * sizeof(*entries));
    if (entries == NULL) {
        return false;
    }
    if (revoked->count > 0) {
        memcpy(entries, revoked->entries, revoked->count * sizeof(*entries));
    }
    host->secret_free(revoked->entries);
    revoked->entries = entries;
    revoked->room = room;
    return true;
}

static int append(const struct leased_host *host, struct localca_revoked *revoked,
                  const struct localca_entry *entry)
{
    if (revoked->count >= localca_revoked_max()) {
        return -1;
    }
    if (!grow(host, revoked)) {
        return -2;
    }
    revoked->entries[revoked->count++] = *entry;
    return 0;
}

int localca_revoked_add(const struct leased_host *host, struct localca_revoked *revoked,
                        const struct localca_entry *entry)
{
    return localca_revoked_has(revoked, entry->type, &entry->serial) ? 0
                                                                     : append(host, revoked, entry);
}

uint64_t localca_revoked_gone_s(const struct localca_entry *entry)
{
    return (uint64_t)entry->expires_s + KEPT_AFTER_S;
}

size_t localca_revoked_drop_expired(struct localca_revoked *revoked, uint64_t now_s)
{
    size_t before = revoked->count;
    size_t kept = 0;

    for (size_t i = 0; i < before; i++) {
        if (localca_revoked_gone_s(&revoked->entries[i]) > now_s) {
            revoked->entries[kept++] = revoked->entries[i];
        }
    }
    revoked->count = kept;
    return before - kept;
}

size_t localca_revoked_count(const struct localca_revoked *revoked, enum localca_type type)
{
    size_t count = 0;

    for (size_t i = 0; i < revoked->count; i++) {
        count += revoked->entries[i].type == type ? 1U : 0U;
    }
    return count;
}

/* --- state ------------------------------------------------------------------------------------ */

static void put(char *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        out[i] = (char)(unsigned char)(value >> (8 * (size - 1 - i)));
    }
}

static uint64_t get(const char *bytes, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++) {
        value = value << 8 | (unsigned char)bytes[i];
    }
    return value;
}

size_t localca_revoked_encode(const struct localca_revoked *revoked, char *out)
{
    char *at = out + HEAD_BYTES;

    memcpy(out, MAGIC, sizeof(MAGIC) - 1);
    put(out + 4, revoked->number, 8);
    for (size_t i = 0; i < revoked->count; i++) {
        const struct localca_entry *entry = &revoked->entries[i];

        at[0] = (char)entry->type;
        put(at + 1, entry->expires_s, 4);
        put(at + 5, entry->revoked_s, 4);
        memcpy(at + 9, entry->serial.bytes, LOCALCA_SERIAL_BYTES);
        at += ENTRY_BYTES;
    }
    return (size_t)(at - out);
}

int localca_revoked_decode(const struct leased_host *host, struct leased_str state,
                           struct localca_revoked *revoked)
{
    int rc = 0;

    *revoked = (struct localca_revoked){.count = 0};
    if (state.len < HEAD_BYTES || memcmp(state.ptr, MAGIC, sizeof(MAGIC) - 1) != 0 ||
        (state.len - HEAD_BYTES) % ENTRY_BYTES != 0) {
        return -1;
    }
    for (size_t at = HEAD_BYTES; rc == 0 && at < state.len; at += ENTRY_BYTES) {
        struct localca_entry entry = {.type = (unsigned char)state.ptr[at] == LOCALCA_SSH
                                                  ? LOCALCA_SSH
                                                  : LOCALCA_X509,
                                      .expires_s = (uint32_t)get(state.ptr + at + 1, 4),
                                      .revoked_s = (uint32_t)get(state.ptr + at + 5, 4)};

        memcpy(entry.serial.bytes, state.ptr + at + 9, LOCALCA_SERIAL_BYTES);
        rc = append(host, revoked, &entry);
    }
    if (rc != 0) {
        localca_revoked_fini(host, revoked);
        return rc;
    }
    revoked->number = get(state.ptr + 4, 8);
    return 0;
}

void localca_revoked_fini(const struct leased_host *host, struct localca_revoked *revoked)
{
    host->secret_free(revoked->entries);
    *revoked = (struct localca_revoked){.count = 0};
}
