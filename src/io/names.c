/* Names behind uids and gids, and the groups of users. The look-up may go to a directory service
 * and blocks, so each answer, also "nobody", is remembered for a minute: a caller who asks often
 * costs one look-up. A look-up that failed is no answer: who has a name that can't be found out
 * isn't nobody. */
#include "base/mem.h"
#include "io/io_internal.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

/* Room for one entry of the user or group database, which lists all members of a group. */
#define ENTRY_FIRST_BYTES 4096U
#define ENTRY_MAX_BYTES (1024U * 1024U)

static int copy_name(const char *name, char ret_name[ENV_NAME_MAX_BYTES])
{
    size_t size = strlen(name) + 1;

    if (size > ENV_NAME_MAX_BYTES) {
        return ERR_UNSUPPORTED;
    }
    memcpy(ret_name, name, size);
    return 0;
}

/* What it means that no entry was found; getpwuid_r(3) lists the errors that say "there is none".
 */
static int status_of(int error)
{
    switch (error) {
    case 0:
    case ENOENT:
    case ESRCH:
    case EBADF:
    case EPERM:
        return ERR_NOT_FOUND;
    case ERANGE:
        return ERR_TOO_LARGE;
    case ENOMEM:
        return ERR_NOMEM;
    default:
        return ERR_UNAVAILABLE;
    }
}

static int read_user(uint32_t uid, char *room, size_t size, char ret_name[ENV_NAME_MAX_BYTES])
{
    struct passwd entry;
    struct passwd *found = NULL;
    int rc = getpwuid_r(uid, &entry, room, size, &found);

    return found != NULL ? copy_name(found->pw_name, ret_name) : status_of(rc);
}

static int read_group(uint32_t gid, char *room, size_t size, char ret_name[ENV_NAME_MAX_BYTES])
{
    struct group entry;
    struct group *found = NULL;
    int rc = getgrgid_r(gid, &entry, room, size, &found);

    return found != NULL ? copy_name(found->gr_name, ret_name) : status_of(rc);
}

typedef int (*read_fn)(uint32_t id, char *room, size_t size, char ret_name[ENV_NAME_MAX_BYTES]);

static int look_up(read_fn read_entry, uint32_t id, char ret_name[ENV_NAME_MAX_BYTES])
{
    int rc = ERR_TOO_LARGE;

    for (size_t size = ENTRY_FIRST_BYTES; rc == ERR_TOO_LARGE && size <= ENTRY_MAX_BYTES;
         size *= 2) {
        char *room = mem_alloc(size);

        if (room == NULL) {
            return ERR_NOMEM;
        }
        rc = read_entry(id, room, size, ret_name);
        mem_free(room);
    }
    return rc;
}

static int name_of(struct env *env, struct io_name *slot, uint32_t id, read_fn read_entry,
                   char ret_name[ENV_NAME_MAX_BYTES])
{
    uint64_t now_ms = env_now_ms(env);

    if (slot->id != id || slot->fresh_until_ms <= now_ms) {
        int rc = look_up(read_entry, id, slot->name);

        slot->id = id;
        slot->is_known = rc == 0;
        slot->fresh_until_ms = rc == 0 || rc == ERR_NOT_FOUND ? now_ms + IO_NAMES_FRESH_MS : 0;
        if (slot->fresh_until_ms == 0) {
            return rc;
        }
    }
    return slot->is_known ? copy_name(slot->name, ret_name) : ERR_NOT_FOUND;
}

int io_user_name(struct env *env, uint32_t uid, char ret_name[ENV_NAME_MAX_BYTES])
{
    struct io *io = io_of(env);

    return name_of(env, &io->users[uid % IO_NAMES_CACHED], uid, read_user, ret_name);
}

int io_group_name(struct env *env, uint32_t gid, char ret_name[ENV_NAME_MAX_BYTES])
{
    struct io *io = io_of(env);

    return name_of(env, &io->groups[gid % IO_NAMES_CACHED], gid, read_group, ret_name);
}

/* The C library doesn't tell a user without further groups from a directory that doesn't answer;
 * but then the user himself was found just before. */
static int take_groups(const struct passwd *user, struct env_user_groups *ret_groups)
{
    gid_t groups[ENV_GROUPS_MAX + 1];
    int count = ENV_GROUPS_MAX + 1;
    int i;

    /* The primary group is among them. */
    if (getgrouplist(user->pw_name, user->pw_gid, groups, &count) < 0) {
        return ERR_TOO_LARGE;
    }
    ret_groups->gid = user->pw_gid;
    ret_groups->group_count = 0;
    for (i = 0; i < count; i++) {
        if (groups[i] != user->pw_gid) {
            ret_groups->groups[ret_groups->group_count++] = groups[i];
        }
    }
    return ret_groups->group_count <= ENV_GROUPS_MAX ? 0 : ERR_TOO_LARGE;
}

static int look_up_groups(uint32_t uid, struct env_user_groups *ret_groups)
{
    int rc = ERANGE;

    for (size_t size = ENTRY_FIRST_BYTES; rc == ERANGE && size <= ENTRY_MAX_BYTES; size *= 2) {
        struct passwd entry;
        struct passwd *found = NULL;
        char *room = mem_alloc(size);

        if (room == NULL) {
            return ERR_NOMEM;
        }
        rc = getpwuid_r(uid, &entry, room, size, &found);
        if (found != NULL) {
            rc = take_groups(found, ret_groups);
            mem_free(room);
            return rc;
        }
        mem_free(room);
    }
    return rc == ERANGE ? ERR_UNAVAILABLE : status_of(rc);
}

int io_user_groups(struct env *env, uint32_t uid, const struct env_user_groups **ret_groups)
{
    struct io_user_groups *slot = &io_of(env)->user_groups[uid % IO_NAMES_CACHED];
    uint64_t now_ms = env_now_ms(env);

    if (slot->uid != uid || slot->fresh_until_ms <= now_ms) {
        slot->uid = uid;
        slot->fresh_until_ms = 0;
        slot->status = look_up_groups(uid, &slot->groups);
        if (slot->status != 0 && slot->status != ERR_NOT_FOUND && slot->status != ERR_TOO_LARGE) {
            return slot->status;
        }
        slot->fresh_until_ms = now_ms + IO_NAMES_FRESH_MS;
    }
    if (slot->status == 0) {
        *ret_groups = &slot->groups;
    }
    return slot->status;
}
