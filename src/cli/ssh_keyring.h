/* The certificate that an agent has: leased, kept fresh, given back. Its key is in this process's
 * memory alone. */
#ifndef LEASED_CLI_SSH_KEYRING_H
#define LEASED_CLI_SSH_KEYRING_H

#include "cli/cli.h"
#include "wire/ssh_agent.h"
#include "wire/ssh_identity.h"

#define SSH_KEYRING_ID_MAX_BYTES 64

struct ssh_keyring {
    struct cli *cli;
    const char *role;
    /* The newest first; the one before it still signs for who was offered it just now. */
    struct ssh_identity items[2];
    char grant[SSH_KEYRING_ID_MAX_BYTES];
    uint64_t asked_ms; /* when leased was asked last */
};

/* Leases the role's certificate, bound to this process. CLI_OK or an exit code after a message.
 * ssh_keyring_close it in any case. */
int ssh_keyring_open(struct ssh_keyring *keyring, struct cli *cli, const char *role) ATTR_MUST_USE;

/* Appends the answer to one request. */
void ssh_keyring_answer(struct ssh_keyring *keyring, const struct ssh_agent_request *request,
                        struct buf *out);

/* Forgets the keys and ends the grant, which revokes the certificate. */
void ssh_keyring_close(struct ssh_keyring *keyring);

#endif
