/* The protocol of docker's credential helpers. */
#ifndef LEASED_WIRE_DOCKER_CREDENTIAL_H
#define LEASED_WIRE_DOCKER_CREDENTIAL_H

#include "base/err.h"
#include "wire/client_match.h"
#include "wire/login.h"

#define DOCKER_INPUT_MAX_BYTES (64U * 1024U)

/* Exactly this has docker go on as nobody, or ask. */
#define DOCKER_NOT_FOUND "credentials not found in native keychain"

/* The server on stdin, as it stands there without blanks around it, and what it is for
 * client_match: HOST[:PORT] in lower case; Docker Hub by any of its names is docker.io. 0, or
 * ERR_INVALID with a text: no server, one with control characters, or plain http. */
struct docker_server {
    struct str url; /* borrowed from the text */
    char target[CLIENT_TARGET_MAX_BYTES + 1];
};
int docker_server_parse(struct str text, struct docker_server *ret_server,
                        struct err *e) ATTR_MUST_USE;

/* The server of what `store` reads: {"ServerURL": …, "Username": …, "Secret": …}, of which nothing
 * else is looked at. `ret_url` (initialised) gets it. 0, ERR_INVALID, ERR_NOMEM, ERR_TOO_LARGE. */
int docker_store_parse(struct str text, struct buf *ret_url, struct err *e) ATTR_MUST_USE;

/* The answer to `get`. */
void docker_answer_write(struct buf *out, struct str url, const struct login *login);

#endif
