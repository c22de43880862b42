/* Records of the ledger: whatever stands in the file is a record of ours or is refused, and what is
 * read is written the same, byte by byte. */
#include "input.h"

#include "wire/ledger_block.h"
#include "wire/ledger_grant.h"
#include "wire/ledger_header.h"
#include "wire/ledger_lease.h"
#include "wire/ledger_rate.h"
#include "wire/ledger_read.h"
#include "wire/ledger_request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_grant(struct str body)
{
    struct ledger_grant grant;
    struct buf out;

    if (ledger_grant_read(body, &grant, NULL) == 0) {
        buf_init(&out, body.len);
        CHECK(ledger_grant_write(&grant, &out) == 0);
        CHECK(str_eq(buf_str(&out), body));
        buf_fini(&out);
    }
}

static void run_lease(struct str body)
{
    struct ledger_lease lease;
    struct buf out;

    if (ledger_lease_read(body, &lease, NULL) == 0) {
        buf_init(&out, body.len);
        CHECK(ledger_lease_write(&lease, &out) == 0);
        CHECK(str_eq(buf_str(&out), body));
        buf_fini(&out);
    }
}

static void run_block(struct str body)
{
    struct ledger_block block;
    struct buf out;

    if (ledger_block_read(body, &block, NULL) == 0) {
        buf_init(&out, body.len);
        CHECK(ledger_block_write(&block, &out) == 0);
        CHECK(str_eq(buf_str(&out), body));
        buf_fini(&out);
    }
}

static void run_read(struct str body)
{
    struct ledger_read read;
    struct buf out;

    if (ledger_read_read(body, &read, NULL) == 0) {
        buf_init(&out, body.len);
        CHECK(ledger_read_write(&read, &out) == 0);
        CHECK(str_eq(buf_str(&out), body));
        buf_fini(&out);
    }
}

static void run_rate(struct str body)
{
    struct ledger_rate rate;
    struct buf out;

    if (ledger_rate_read(body, &rate, NULL) == 0) {
        buf_init(&out, body.len);
        CHECK(ledger_rate_write(&rate, &out) == 0);
        CHECK(str_eq(buf_str(&out), body));
        buf_fini(&out);
    }
}

static void run_request(struct str body)
{
    struct ledger_request request;
    struct buf out;

    if (ledger_request_read(body, &request, NULL) == 0) {
        buf_init(&out, body.len);
        CHECK(ledger_request_write(&request, &out) == 0);
        CHECK(str_eq(buf_str(&out), body));
        buf_fini(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Of its own size, so that a byte behind its end is seen. */
    char *bytes = size > 0 ? malloc(size) : NULL;
    const struct str body = {.ptr = bytes, .len = bytes != NULL ? size : 0};

    if (bytes != NULL) {
        memcpy(bytes, data, size);
    }
    CHECK(ledger_header_check(body, "fuzz", NULL) <= 0);
    run_grant(body);
    run_lease(body);
    run_block(body);
    run_read(body);
    run_rate(body);
    run_request(body);
    free(bytes);
    return 0;
}
