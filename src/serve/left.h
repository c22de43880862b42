/* Leases that the start has left in the ledger: their credentials live, nobody holds them and
 * nobody revokes them. Only another start, or an operator, changes that. */
#ifndef LEASED_SERVE_LEFT_H
#define LEASED_SERVE_LEFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Backends that are told apart; what is of further ones is counted together. */
#define LEFT_ENTRIES_MAX 16U
#define LEFT_BACKEND_MAX_BYTES 128U
#define LEFT_TEXT_MAX_BYTES 512U

enum left_why {
    LEFT_UNCONFIGURED = 1, /* its backend isn't configured */
    LEFT_UNREADABLE,       /* its record can't be read */
    LEFT_REFUSED,          /* it could not be taken up */
};

struct left_entry {
    enum left_why why;
    uint64_t count;
    char backend[LEFT_BACKEND_MAX_BYTES + 1]; /* what is too long is cut; "": not known */
};

/* Zeroed: none. */
struct left {
    uint64_t total;
    size_t entry_count;
    struct left_entry entries[LEFT_ENTRIES_MAX];
};

/* One more. `backend` is copied; "" when it isn't known. */
void left_add(struct left *left, enum left_why why, const char *backend);

/* A warning about one entry, with what to do; `is_configured`: by now its backend is. */
void left_text(const struct left_entry *entry, bool is_configured,
               char ret_text[LEFT_TEXT_MAX_BYTES]);

#endif
