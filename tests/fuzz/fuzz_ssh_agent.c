/* Frames of ssh's, and certificates with keys behind the first NUL: reading them ends, what they
 * point to lies within, and nothing is left allocated. */
#include "base/mem.h"
#include "wire/ssh_agent.h"
#include "wire/ssh_identity.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_within(struct str all, struct str part)
{
    if (part.len > 0) {
        CHECK(part.ptr >= all.ptr);
        CHECK(part.ptr + part.len <= all.ptr + all.len);
    }
}

static void frames(struct str text)
{
    struct ssh_agent_request request = {.kind = SSH_AGENT_OTHER};
    size_t used = 0;

    while (ssh_agent_read(text, &request, &used) == 0 && used > 0) {
        CHECK(used <= text.len);
        check_within(text, request.blob);
        check_within(text, request.data);
        text.ptr += used;
        text.len -= used;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str key = {.ptr = (const char *)bytes, .len = size};
    struct ssh_identity identity;
    struct str certificate;
    struct err e;

    frames(key);
    certificate = str_cut(&key, '\0');
    if (ssh_identity_read(certificate, key, &identity, &e) == 0) {
        BUF_AUTO out;

        buf_init(&out, SSH_AGENT_FRAME_MAX_BYTES);
        /* The private half of RSA may be broken where its modulus is right; OpenSSL notices. */
        (void)!ssh_identity_sign(&identity, STR("data"), SSH_AGENT_RSA_SHA512, &out);
        ssh_identity_fini(&identity);
    }
    CHECK(mem_in_use_bytes() == 0 || size == 0);
    return 0;
}
