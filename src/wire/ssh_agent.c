/* Reads what ssh asks an agent, writes what it expects. */
#include "wire/ssh_agent.h"

#include "wire/ssh_bytes.h"

enum {
    AGENT_FAILURE = 5,
    AGENT_REQUEST_IDENTITIES = 11,
    AGENT_IDENTITIES_ANSWER = 12,
    AGENT_SIGN_REQUEST = 13,
    AGENT_SIGN_RESPONSE = 14,
};

int ssh_agent_read(struct str bytes, struct ssh_agent_request *ret_request, size_t *ret_size)
{
    struct ssh_reader frame = {.rest = bytes};
    uint32_t size = ssh_get_u32(&frame);
    struct ssh_agent_request request = {.kind = SSH_AGENT_OTHER};
    struct ssh_reader reader;
    uint8_t kind;

    if (frame.is_failed) {
        *ret_size = 0;
        return 0;
    }
    if (size == 0 || size > SSH_AGENT_FRAME_MAX_BYTES) {
        return ERR_PROTOCOL;
    }
    reader = (struct ssh_reader){.rest = ssh_get_bytes(&frame, size)};
    if (frame.is_failed) {
        *ret_size = 0;
        return 0;
    }
    kind = ssh_get_u8(&reader);
    if (kind == AGENT_REQUEST_IDENTITIES) {
        request.kind = SSH_AGENT_LIST;
    } else if (kind == AGENT_SIGN_REQUEST) {
        request.blob = ssh_get_string(&reader);
        request.data = ssh_get_string(&reader);
        request.flags = ssh_get_u32(&reader);
        request.kind = reader.is_failed ? SSH_AGENT_OTHER : SSH_AGENT_SIGN;
    }
    *ret_request = request;
    *ret_size = sizeof(uint32_t) + size;
    return 0;
}

void ssh_agent_write_failure(struct buf *out)
{
    ssh_put_u32(out, 1);
    ssh_put_u8(out, AGENT_FAILURE);
}

void ssh_agent_write_identity(struct buf *out, struct str blob, struct str comment)
{
    bool is_none = blob.len == 0;
    size_t size = is_none ? 0 : 2 * sizeof(uint32_t) + blob.len + comment.len;

    ssh_put_u32(out, (uint32_t)(1 + sizeof(uint32_t) + size));
    ssh_put_u8(out, AGENT_IDENTITIES_ANSWER);
    ssh_put_u32(out, is_none ? 0 : 1);
    if (!is_none) {
        ssh_put_string(out, blob);
        ssh_put_string(out, comment);
    }
}

void ssh_agent_write_signature(struct buf *out, struct str signature)
{
    ssh_put_u32(out, (uint32_t)(1 + sizeof(uint32_t) + signature.len));
    ssh_put_u8(out, AGENT_SIGN_RESPONSE);
    ssh_put_string(out, signature);
}
