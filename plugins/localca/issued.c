#include "issued.h"

#include <inttypes.h>
#include <stdio.h>

void localca_issued_fini(struct localca_issued *issued)
{
    plugin_form_fini(&issued->certificate);
    plugin_form_fini(&issued->private_key);
    plugin_form_fini(&issued->public_key);
}

void localca_serial_text(enum localca_type type, const struct localca_serial *serial,
                         char out[LOCALCA_SERIAL_TEXT_MAX_BYTES])
{
    uint64_t number = 0;

    for (size_t i = 0; i < LOCALCA_SERIAL_BYTES; i++) {
        number = number << 8 | serial->bytes[i];
        if (type == LOCALCA_X509) {
            (void)snprintf(out + 2 * i, 3, "%02X", serial->bytes[i]);
        }
    }
    if (type == LOCALCA_SSH) {
        (void)snprintf(out, LOCALCA_SERIAL_TEXT_MAX_BYTES, "%" PRIu64, number);
    }
}
