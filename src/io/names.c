/* Names behind uids and gids. The look-up may go to a directory service and blocks, so each answer,
 * also "nobody", is remembered for a minute: a caller who asks often costs one look-up. A look-up
 * that failed is no answer: who has a name that can't be found out isn't nobody. */
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
