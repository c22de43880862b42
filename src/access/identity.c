/* Identities. Everything here comes from the kernel (env/server.h says how it was established);
 * this file only refuses what is incomplete, finds the name behind the uid, and reads unit and
 * container out of the cgroup's path.
 *
 * Of a caller on loopback TCP the kernel knows the uid and nothing finer. Its groups are those that
 * the user database gives that user, which is what rules on groups mean; a user whom the database
 * doesn't know has unknown groups: no rule that allows a group fits him, each that denies one
 * does. Of a caller with a certificate its names are known, and nothing else. */
#include "access/identity.h"

#include "access/containers.h"
#include "wire/procfs.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* What the kernel shows for a uid that has no number in our user namespace. */
#define OVERFLOW_UID 65534U

/* Of the hash in a key. */
#define KEY_HASH_BYTES 16

/* Of what an issuer vouches for. */
#define KEY_CLAIMS_BYTES (5 + ACCESS_CLAIMS_ID_MAX_BYTES)
/* Listener, "/tls:", the first name, "+" and the hash; or listener, uid and unit. */
static_assert(ENV_NAME_MAX_BYTES + 5 + ENV_PEER_SAN_MAX_BYTES + 1 + 2 * KEY_HASH_BYTES +
                      KEY_CLAIMS_BYTES <=
                  ACCESS_KEY_MAX_BYTES,
              "each key fits");
static_assert(ENV_NAME_MAX_BYTES + 1 + STR_U64_MAX_BYTES + 6 + ACCESS_UNIT_MAX_BYTES +
                      KEY_CLAIMS_BYTES <=
                  ACCESS_KEY_MAX_BYTES,
              "each key fits");

static int peer_check(const struct env_peer *peer, struct err *e)
{
    if (peer->state != ENV_PEER_OK) {
        return err_set(e, ERR_DENIED, "the caller could not be identified: %s",
                       peer->problem != NULL ? peer->problem : "no reason is known");
    }
    if (peer->kind == ENV_PEER_TLS) {
        return 0;
    }
    if (peer->uid == OVERFLOW_UID || peer->uid == ENV_NO_ID) {
        return err_set(e, ERR_DENIED, "the caller's uid is not visible in this user namespace");
    }
    if (peer->kind == ENV_PEER_LOOPBACK) {
        return 0;
    }
    if (peer->pid <= 0 && peer->kind != ENV_PEER_FOREIGN) {
        return err_set(e, ERR_DENIED, "the caller's process is not visible in this pid namespace");
    }
    if (peer->group_count > ENV_PEER_GROUPS_MAX) {
        return err_set(e, ERR_DENIED, "the caller has more than %d groups", ENV_PEER_GROUPS_MAX);
    }
    return 0;
}

/* Cutting a name would make it another one. */
static int text_copy(struct str text, const char *what, char *out, size_t size, struct err *e)
{
    size_t i;

    if (text.len >= size) {
        return err_set(e, ERR_DENIED, "the caller's %s has more than %zu bytes", what, size - 1);
    }
    for (i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= 0x20 || (unsigned char)text.ptr[i] >= 0x7f) {
            return err_set(e, ERR_DENIED, "the caller's %s has unprintable bytes", what);
        }
    }
    if (text.len > 0) {
        memcpy(out, text.ptr, text.len);
    }
    out[text.len] = '\0';
    return 0;
}

/* A container that isn't the daemon's own makes the caller foreign, and what its cgroup says below
 * that container is the container's own word: so it has no unit. */
static int cgroup_read(struct access_identity *identity,
                       const struct access_identity_source *source, struct err *e)
{
    struct str path = str_of(source->peer->cgroup);
    struct str container = procfs_container(path);
    struct str own = procfs_container(str_of(source->own_cgroup));
    int r = 0;

    identity->is_foreign = source->peer->is_other_pid_namespace;
    if (container.len > 0 && !str_eq(container, own)) {
        identity->is_foreign = true;
        r = text_copy(container, "container", identity->container, sizeof(identity->container), e);
    }
    if (r == 0 && identity->container[0] != '\0') {
        access_containers_image(source->containers, identity->container, identity->image);
    }
    if (r == 0 && !identity->is_foreign) {
        r = text_copy(procfs_unit(path), "unit", identity->unit, sizeof(identity->unit), e);
    }
    return r;
}

/* What the kernel says about a process. */
static int process_read(struct access_identity *identity,
                        const struct access_identity_source *source, struct err *e)
{
    const struct env_peer *peer = source->peer;

    identity->gid = peer->gid;
    identity->pid = peer->pid;
    identity->start_ticks = peer->start_ticks;
    identity->process_id = peer->process_id;
    identity->group_count = peer->group_count;
    memcpy(identity->groups, peer->groups, peer->group_count * sizeof(peer->groups[0]));
    return cgroup_read(identity, source, e);
}

/* What the user database says about a user. */
static int groups_read(struct access_identity *identity,
                       const struct access_identity_source *source, struct err *e)
{
    const struct env_user_groups *groups;
    int r = env_user_groups(source->env, identity->uid, &groups);

    if (r == ERR_NOT_FOUND) {
        identity->gid = ENV_NO_ID;
        return 0;
    }
    if (r != 0) {
        return err_set(e, ERR_DENIED, "the groups of uid %u could not be looked up: %s",
                       identity->uid, err_str(r));
    }
    identity->gid = groups->gid;
    identity->group_count = groups->group_count;
    memcpy(identity->groups, groups->groups, groups->group_count * sizeof(groups->groups[0]));
    return 0;
}

static int user_read(struct access_identity *identity, const struct access_identity_source *source,
                     struct err *e)
{
    int r = env_user_name(source->env, identity->uid, identity->user);

    if (r == ERR_NOT_FOUND) {
        identity->user[0] = '\0';
    } else if (r != 0) {
        /* Without its name a rule that denies this user would not find it. */
        return err_set(e, ERR_DENIED, "the name of uid %u could not be looked up: %s",
                       identity->uid, err_str(r));
    }
    return identity->kind == ENV_PEER_LOOPBACK ? groups_read(identity, source, e)
                                               : process_read(identity, source, e);
}

/* A certificate stands for nobody on this machine. */
static int certificate_read(struct access_identity *identity, const struct env_peer *peer,
                            struct err *e)
{
    struct str rest = str_of(peer->sans != NULL ? peer->sans : "");
    size_t size = rest.len + 1;

    if (rest.len == 0) {
        return err_set(e, ERR_DENIED, "the caller's certificate names nobody");
    }
    if (size > sizeof(identity->sans) || str_cut(&rest, ' ').len >= ENV_PEER_SAN_MAX_BYTES) {
        return err_set(e, ERR_DENIED, "the names in the caller's certificate are too long");
    }
    memcpy(identity->sans, peer->sans, size);
    identity->uid = ENV_NO_ID;
    identity->gid = ENV_NO_ID;
    return 0;
}

int access_identity_init(struct access_identity *ret_identity,
                         const struct access_identity_source *source, struct err *e)
{
    const struct env_peer *peer = source->peer;
    struct access_identity identity = {
        .kind = peer->kind, .listener = source->listener, .uid = peer->uid, .env = source->env};
    int r = peer_check(peer, e);

    if (r != 0) {
        return r;
    }
    r = peer->kind == ENV_PEER_TLS ? certificate_read(&identity, peer, e)
                                   : user_read(&identity, source, e);
    if (r == 0) {
        *ret_identity = identity;
    }
    return r;
}

const char *access_identity_name(const struct access_identity *identity,
                                 char uid[ACCESS_UID_TEXT_MAX_BYTES])
{
    if (identity->kind == ENV_PEER_TLS) {
        return identity->sans;
    }
    if (identity->user[0] != '\0') {
        return identity->user;
    }
    (void)snprintf(uid, ACCESS_UID_TEXT_MAX_BYTES, "uid %u", identity->uid);
    return uid;
}

/* The first name, and a hash over all where there are several: two certificates are the same caller
 * when they have the same names. */
static char *sans_put(char *at, const char *sans)
{
    struct str rest = str_of(sans);
    unsigned char hash[EVP_MAX_MD_SIZE];
    int is_hashed;
    size_t i;

    at = str_put(at, STR("tls:"));
    at = str_put(at, str_cut(&rest, ' '));
    if (rest.ptr == NULL) {
        return at;
    }
    is_hashed = EVP_Q_digest(NULL, "SHA256", NULL, sans, strlen(sans), hash, NULL);
    CHECK(is_hashed == 1);
    *at++ = '+';
    for (i = 0; i < KEY_HASH_BYTES; i++) {
        *at++ = "0123456789abcdef"[hash[i] >> 4];
        *at++ = "0123456789abcdef"[hash[i] & 15];
    }
    return at;
}

static char *process_put(char *at, const struct access_identity *identity)
{
    at = str_put_u64(at, identity->uid);
    if (identity->is_foreign) {
        at = str_put(at, STR("/container:"));
        return str_put(at, str_of(identity->container));
    }
    if (identity->unit[0] != '\0') {
        at = str_put(at, STR("/unit:"));
        at = str_put(at, str_of(identity->unit));
    }
    return at;
}

/* Called for each request, which is why printf doesn't write it. */
const char *access_identity_key(const struct access_identity *identity,
                                char out[ACCESS_KEY_MAX_BYTES])
{
    struct str listener = str_of(identity->listener);
    char *at;

    listener.len = listener.len < ENV_NAME_MAX_BYTES ? listener.len : ENV_NAME_MAX_BYTES;
    at = str_put(out, listener);
    *at++ = '/';
    if (identity->kind == ENV_PEER_TLS) {
        at = sans_put(at, identity->sans);
    } else if (identity->kind == ENV_PEER_SELF) {
        at = str_put(at, str_of(identity->user));
    } else {
        at = process_put(at, identity);
    }
    if (identity->claims != NULL) {
        at = str_put(at, STR("/jwt:"));
        at = str_put(at, str_of(identity->claims->id));
    }
    *at = '\0';
    return out;
}
