/* Identities: the verified attributes of a caller, made from what the kernel says about a peer. */
#ifndef LEASED_ACCESS_IDENTITY_H
#define LEASED_ACCESS_IDENTITY_H

#include "access/claims.h"
#include "env/server.h"

#define ACCESS_UNIT_MAX_BYTES 256 /* as systemd has it */
#define ACCESS_CONTAINER_MAX_BYTES 72
#define ACCESS_IMAGE_MAX_BYTES 256
#define ACCESS_KEY_MAX_BYTES 464

struct access_containers;

struct access_identity {
    enum env_peer_kind kind; /* what can be known of it at all */
    const char *listener;    /* borrowed: lives as long as the configuration */
    uint32_t uid;            /* ENV_NO_ID: a certificate has none */
    uint32_t gid;            /* ENV_NO_ID: unknown, and so are the groups */
    uint32_t groups[ENV_PEER_GROUPS_MAX];
    size_t group_count;
    char user[ENV_NAME_MAX_BYTES]; /* "" when the uid has no name */
    int32_t pid;                   /* 0: unknown; then it has no unit and no container either */
    uint64_t start_ticks;
    uint64_t process_id;                        /* env/server.h */
    char unit[ACCESS_UNIT_MAX_BYTES];           /* systemd unit, "" if none */
    char container[ACCESS_CONTAINER_MAX_BYTES]; /* container id, "" if none (or the daemon's own) */
    char image[ACCESS_IMAGE_MAX_BYTES]; /* what its container was made from; "": not known */
    char sans[ENV_PEER_SANS_MAX_BYTES]; /* names in its certificate, separated by blanks; "" if none
                                         */
    bool is_foreign; /* runs in a container or pid namespace that isn't the daemon's */
    const struct access_claims *claims; /* what an issuer vouches for; borrowed; NULL: nothing */
    struct env *env; /* knows the groups' names, which are looked up only when a rule asks */
};

/* What an identity is made from; all borrowed until the call returns, but for env and listener. */
struct access_identity_source {
    struct env *env;
    const char *listener;
    const struct env_peer *peer;
    const char *own_cgroup; /* the daemon's cgroup path, whose container counts as none */
    struct access_containers *containers; /* what they were made from; NULL: not known */
};

/* Who it is, for people: the user's name, "uid N", or the first name in the certificate. `uid` is
 * room for the second. */
#define ACCESS_UID_TEXT_MAX_BYTES 16
const char *access_identity_name(const struct access_identity *identity,
                                 char uid[ACCESS_UID_TEXT_MAX_BYTES]);

/* Fills in an identity. ERR_DENIED with the reason when the peer isn't fully established: what
 * can't be established doesn't match, a detected race denies. */
int access_identity_init(struct access_identity *ret_identity,
                         const struct access_identity_source *source, struct err *e) ATTR_MUST_USE;

/* The identity for sharing and limits: listener, uid, unit or container, or the names in the
 * certificate, and the job that an issuer vouches for, as a printable text. Returns `out`. */
const char *access_identity_key(const struct access_identity *identity,
                                char out[ACCESS_KEY_MAX_BYTES]);

#endif
