/* Messages of the helper process: whatever is read can be written, and is then the same bytes. */
#include "base/check.h"
#include "wire/run_message.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str input = {.ptr = (const char *)bytes, .len = size};
    struct run_message message;
    BUF_AUTO out;

    buf_init(&out, RUN_MESSAGE_MAX_BYTES);
    if (run_message_read(input, &message) == 0) {
        CHECK(run_message_write(&message, &out) == 0);
        CHECK(str_eq(buf_str(&out), input));
    }
    return 0;
}
