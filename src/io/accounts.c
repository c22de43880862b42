/* Users and groups by the names that a configuration gives: looked up when a socket is opened or a
 * configuration is checked, so nothing is remembered. */
#include "io/accounts.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#define NAME_SERVICE_MAX_BYTES 65536U

/* getpwnam_r(3) lists the errors that say "there is none". */
static bool is_absence(int error)
{
    return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

static int not_found(const char *kind, const char *name, int error, struct err *e)
{
    if (is_absence(error)) {
        return err_set(e, ERR_NOT_FOUND, "there is no %s %s", kind, name);
    }
    return err_set(e, ERR_UNAVAILABLE, "could not find out whether there is a %s %s: %s", kind,
                   name, err_str(-error));
}

int io_find_user(const char *name, uid_t *ret_uid, struct err *e)
{
    char *space = mem_alloc(NAME_SERVICE_MAX_BYTES);
    struct passwd entry;
    struct passwd *found = NULL;
    int rc;

    if (space == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    rc = getpwnam_r(name, &entry, space, NAME_SERVICE_MAX_BYTES, &found);
    if (found != NULL) {
        *ret_uid = entry.pw_uid;
        rc = 0;
    } else {
        rc = not_found("user", name, rc, e);
    }
    mem_free(space);
    return rc;
}

int io_find_group(const char *name, gid_t *ret_gid, struct err *e)
{
    char *space = mem_alloc(NAME_SERVICE_MAX_BYTES);
    struct group entry;
    struct group *found = NULL;
    int rc;

    if (space == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    rc = getgrnam_r(name, &entry, space, NAME_SERVICE_MAX_BYTES, &found);
    if (found != NULL) {
        *ret_gid = entry.gr_gid;
        rc = 0;
    } else {
        rc = not_found("group", name, rc, e);
    }
    mem_free(space);
    return rc;
}

static bool is_number(const char *name, uint32_t *ret_id)
{
    uint64_t id;

    if (str_parse_u64(str_of(name), &id) != 0 || id >= UINT32_MAX) {
        return false;
    }
    *ret_id = (uint32_t)id;
    return true;
}

int io_resolve_user(const char *name, uid_t *ret_uid, struct err *e)
{
    int rc = io_find_user(name, ret_uid, e);

    return rc != 0 && rc != ERR_NOMEM && is_number(name, ret_uid) ? 0 : rc;
}

int io_resolve_group(const char *name, gid_t *ret_gid, struct err *e)
{
    int rc = io_find_group(name, ret_gid, e);

    return rc != 0 && rc != ERR_NOMEM && is_number(name, ret_gid) ? 0 : rc;
}
