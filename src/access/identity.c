/* Identities. Everything here comes from the kernel (env/server.h says how it was established);
 * this file only refuses what is incomplete, finds the name behind the uid, and reads unit and
 * container out of the cgroup's path.
 *
 * Of a caller on loopback TCP the kernel knows the uid and nothing finer. Its groups are those that
 * the user database gives that user, which is what rules on groups mean; a user whom the database
 * doesn't know has unknown groups: no rule that allows a group fits him, each that denies one
 * does. */
#include "access/identity.h"

#include "wire/procfs.h"

#include <string.h>

/* What the kernel shows for a uid that has no number in our user namespace. */
#define OVERFLOW_UID 65534U

static int peer_check(const struct env_peer *peer, struct err *e)
{
    if (peer->state != ENV_PEER_OK) {
        return err_set(e, ERR_DENIED, "the caller could not be identified: %s",
                       peer->problem != NULL ? peer->problem : "no reason is known");
    }
    if (peer->uid == OVERFLOW_UID || peer->uid == ENV_NO_ID) {
        return err_set(e, ERR_DENIED, "the caller's uid is not visible in this user namespace");
    }
    if (peer->kind == ENV_PEER_LOOPBACK) {
        return 0;
    }
    if (peer->pid <= 0) {
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
static int cgroup_read(struct access_identity *identity, const struct env_peer *peer,
                       const char *own_cgroup, struct err *e)
{
    struct str path = str_of(peer->cgroup);
    struct str container = procfs_container(path);
    struct str own = procfs_container(str_of(own_cgroup));
    int r = 0;

    identity->is_foreign = peer->is_other_pid_namespace;
    if (container.len > 0 && !str_eq(container, own)) {
        identity->is_foreign = true;
        r = text_copy(container, "container", identity->container, sizeof(identity->container), e);
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
    identity->group_count = peer->group_count;
    memcpy(identity->groups, peer->groups, peer->group_count * sizeof(peer->groups[0]));
    return cgroup_read(identity, peer, source->own_cgroup, e);
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
    r = env_user_name(source->env, peer->uid, identity.user);
    if (r == ERR_NOT_FOUND) {
        identity.user[0] = '\0';
    } else if (r != 0) {
        /* Without its name a rule that denies this user would not find it. */
        return err_set(e, ERR_DENIED, "the name of uid %u could not be looked up: %s", peer->uid,
                       err_str(r));
    }
    r = peer->kind == ENV_PEER_LOOPBACK ? groups_read(&identity, source, e)
                                        : process_read(&identity, source, e);
    if (r == 0) {
        *ret_identity = identity;
    }
    return r;
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
    at = str_put_u64(at, identity->uid);
    if (identity->is_foreign) {
        at = str_put(at, STR("/container:"));
        at = str_put(at, str_of(identity->container));
    } else if (identity->unit[0] != '\0') {
        at = str_put(at, STR("/unit:"));
        at = str_put(at, str_of(identity->unit));
    }
    *at = '\0';
    return out;
}
