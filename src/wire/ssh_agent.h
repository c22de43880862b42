/* The protocol of ssh's agents, as far as one goes that keys can't be added to: a frame is a
 * length, a kind and what belongs to it. */
#ifndef LEASED_WIRE_SSH_AGENT_H
#define LEASED_WIRE_SSH_AGENT_H

#include "base/buf.h"
#include "base/err.h"

#define SSH_AGENT_FRAME_MAX_BYTES (256U * 1024U)

/* Flags of a request to sign. */
#define SSH_AGENT_RSA_SHA256 2U
#define SSH_AGENT_RSA_SHA512 4U

struct ssh_agent_request {
    enum ssh_agent_kind {
        SSH_AGENT_OTHER, /* to be answered with a failure: to add, to remove, to lock, extensions */
        SSH_AGENT_LIST,
        SSH_AGENT_SIGN,
    } kind;
    struct str blob; /* SIGN: of the key; both point into what was read */
    struct str data;
    uint32_t flags;
};

/* Reads the frame at the beginning of `bytes`. `ret_size` is how much of them it takes; 0: it isn't
 * whole yet. 0, or ERR_PROTOCOL: an empty or oversized frame, after which nothing can be read. A
 * request to sign that is malformed becomes an OTHER. */
int ssh_agent_read(struct str bytes, struct ssh_agent_request *ret_request,
                   size_t *ret_size) ATTR_MUST_USE;

void ssh_agent_write_failure(struct buf *out);
/* One identity, or none where the blob is empty. */
void ssh_agent_write_identity(struct buf *out, struct str blob, struct str comment);
void ssh_agent_write_signature(struct buf *out, struct str signature);

#endif
