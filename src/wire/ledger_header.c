#include "wire/ledger_header.h"

#include <stdint.h>
#include <string.h>

#define MAGIC "SQLite format 3" /* with its NUL */
#define VERSION_AT 60
#define APPLICATION_AT 68

static uint32_t big_endian(const char *at)
{
    uint32_t value = 0;
    size_t i;

    for (i = 0; i < 4; i++) {
        value = value << 8 | (unsigned char)at[i];
    }
    return value;
}

int ledger_header_check(struct str header, const char *path, struct err *e)
{
    if (header.len < LEDGER_HEADER_BYTES || memcmp(header.ptr, MAGIC, sizeof(MAGIC)) != 0 ||
        big_endian(header.ptr + APPLICATION_AT) != LEDGER_APPLICATION_ID) {
        return err_set(e, ERR_INVALID,
                       "%s is no ledger of leased; name another file, or move this one away", path);
    }
    return ledger_version_check(big_endian(header.ptr + VERSION_AT), path, e);
}

int ledger_version_check(uint64_t version, const char *path, struct err *e)
{
    if (version > LEDGER_VERSION) {
        return err_set(e, ERR_INVALID,
                       "%s is a ledger of version %llu, and this leased knows versions up to %d; "
                       "run the newer leased that made it",
                       path, (unsigned long long)version, LEDGER_VERSION);
    }
    return 0;
}
