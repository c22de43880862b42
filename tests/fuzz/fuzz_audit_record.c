/* Audit lines and trails: whatever bytes stand in a file, the verifier comes to an end, and a line
 * that it accepts is one that the writer could have written. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "wire/audit_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_line(struct audit_verifier *verifier, struct str text)
{
    struct audit_line line;
    struct err e = {0};
    int parsed = audit_line_parse(text, &line, &e);
    uint64_t problems = verifier->problem_count;
    int verified;

    CHECK(parsed == 0 || (e.code == parsed && e.text[0] != '\0'));
    CHECK(parsed != 0 || (line.seq > 0 && strlen(line.hash) == AUDIT_HASH_HEX_BYTES));
    e = (struct err){0};
    verified = audit_verifier_line(verifier, text, &e);
    CHECK(verified == 0 || (verified == ERR_CORRUPT && e.text[0] != '\0'));
    CHECK(verified != 0 || parsed == 0 || verifier->cut_off.len > 0);
    CHECK(verified != 0 || verifier->problem_count == problems);
    CHECK(verified == 0 || verifier->problem_count == problems + 1 ||
          verifier->problem_count == problems + 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str rest = {.ptr = (const char *)bytes, .len = size};
    struct audit_verifier verifier;

    audit_verifier_init(&verifier);
    while (rest.len > 0 && memchr(rest.ptr, '\n', rest.len) != NULL) {
        check_line(&verifier, str_cut(&rest, '\n'));
    }
    CHECK((audit_verifier_rest(&verifier, rest, NULL) != 0) ||
          (rest.len == 0 && verifier.cut_off.len == 0));
    CHECK(verifier.mended_count <= verifier.line_count);
    CHECK(verifier.record_count <= verifier.line_count);
    return 0;
}
