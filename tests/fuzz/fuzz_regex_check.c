/* Regular expressions: looking whether one can explode ends, whatever it is, and says the same
 * again. */
#include "access/regex_check.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str pattern = {.ptr = (const char *)bytes, .len = size < 1024 ? size : 1024};
    struct access_regex_report report;
    struct access_regex_report again;

    if (access_regex_check(pattern, &report) != 0 || access_regex_check(pattern, &again) != 0) {
        return 0;
    }
    CHECK(report.verdict == again.verdict);
    CHECK((report.verdict == ACCESS_REGEX_EXPLODES) == (report.at > 0));
    CHECK(report.at <= pattern.len);
    CHECK(report.verdict != ACCESS_REGEX_UNKNOWN || report.unknown != NULL);
    return 0;
}
