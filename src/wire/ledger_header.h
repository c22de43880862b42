/* Is a file a ledger, by its first bytes? So that nothing else is ever opened for writing.
 *
 * A ledger is a SQLite database (https://www.sqlite.org/fileformat2.html, 1.3: The Database Header)
 * with an application id of leased's own; its user version is that of the tables. */
#ifndef LEASED_WIRE_LEDGER_HEADER_H
#define LEASED_WIRE_LEDGER_HEADER_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define LEDGER_HEADER_BYTES 100U
#define LEDGER_APPLICATION_ID 0x6c656173 /* "leas" */
/* The version of what this leased writes. 1 and 2 had leases and grants as JSON: they are brought
 * up to it once no such record is left in them. */
#define LEDGER_VERSION 3

/* The kinds of records, as they stand in the file and in SQL; what they are is said in
 * env/ledger.h, whose numbers io holds against these. */
#define LEDGER_KIND_LEASE 1
#define LEDGER_KIND_GRANT 2
#define LEDGER_KIND_BACKEND 3
#define LEDGER_KIND_AUDIT 4
#define LEDGER_KIND_SETTING 5
#define LEDGER_KIND_REQUEST 6
#define LEDGER_KIND_BLOCK 7
#define LEDGER_KIND_READ 8
#define LEDGER_KIND_RATE 9
#define LEDGER_SQL_(kind) #kind
#define LEDGER_SQL(kind) LEDGER_SQL_(kind)

/* `header`: the file's first bytes, LEDGER_HEADER_BYTES or all that it has. ERR_INVALID with a text
 * that begins with `path`: it is no ledger, or one of a newer version. */
int ledger_header_check(struct str header, const char *path, struct err *e) ATTR_MUST_USE;

/* The same of the version that SQLite tells: behind a crash only the log has it. */
int ledger_version_check(uint64_t version, const char *path, struct err *e) ATTR_MUST_USE;

#endif
