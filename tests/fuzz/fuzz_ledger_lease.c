/* Records of the ledger: whatever stands in the file is a lease of ours or is refused, and what is
 * read is written the same. */
#include "input.h"

#include "wire/ledger_grant.h"
#include "wire/ledger_header.h"
#include "wire/ledger_lease.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_grant(struct str text)
{
    struct ledger_grant grant;
    struct ledger_grant again;
    json_t *owner;
    json_t *again_owner;
    struct buf out;

    if (ledger_grant_read(text, &grant, &owner, NULL) != 0) {
        return;
    }
    buf_init(&out, 8 * text.len + 4096);
    CHECK(ledger_grant_write(&grant, &out) == 0);
    CHECK(ledger_grant_read(buf_str(&out), &again, &again_owner, NULL) == 0);
    CHECK(json_equal(owner, again_owner));
    json_decref(owner);
    json_decref(again_owner);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = {.ptr = (const char *)data, .len = size};
    struct ledger_lease lease;
    struct ledger_lease again;
    json_t *owner;
    json_t *again_owner;
    struct buf out;

    CHECK(ledger_header_check(text, "fuzz", NULL) <= 0);
    run_grant(text);
    if (ledger_lease_read(text, &lease, &owner, NULL) != 0) {
        return 0;
    }
    buf_init(&out, 8 * size + 4096);
    CHECK(ledger_lease_write(&lease, &out) == 0);
    CHECK(ledger_lease_read(buf_str(&out), &again, &again_owner, NULL) == 0);
    CHECK(json_equal(owner, again_owner) && str_eq(lease.sealed, again.sealed));
    json_decref(owner);
    json_decref(again_owner);
    buf_fini(&out);
    return 0;
}
