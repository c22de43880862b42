/* Walks from a caller up to the first process that fits.
 *
 * Parents are found by pid, and a pid can be reused between two look-ups. So a parent that is
 * younger than its child isn't taken for one: the real parent has ended, and the caller with what
 * it was to be bound to. Processes of other uids on the way (sudo, a session manager) are passed
 * over: a grant hangs on the caller's own. */
#include "lease/ancestor.h"

#include <inttypes.h>
#include <string.h>

static int lookup(struct env *env, int32_t pid, struct env_process *ret_process, struct err *e)
{
    int r = env_process_lookup(env, pid, ret_process);

    if (r == ERR_NOT_FOUND) {
        return err_set(e, ERR_GONE, "process %" PRId32 " has ended", pid);
    }
    if (r != 0) {
        return err_set(e, ERR_UNAVAILABLE, "could not look up process %" PRId32 ": %s", pid,
                       err_str(r));
    }
    return 0;
}

/* comm is cut at 15 bytes by the kernel, so the wish is too. */
static bool name_fits(const char *wished, const char *name)
{
    return strncmp(wished, name, ENV_PROCESS_NAME_MAX_BYTES - 1) == 0;
}

static bool fits(const struct env_process *process, const struct access_binding_spec *spec)
{
    switch (spec->kind) {
    case ACCESS_BINDING_PARENT:
        return !process->is_fork_no_exec;
    case ACCESS_BINDING_PID:
        return process->pid == spec->pid;
    case ACCESS_BINDING_COMM:
        return name_fits(spec->name, process->name);
    default:
        return false;
    }
}

static int lookup_caller(struct env *env, const struct access_identity *identity,
                         struct env_process *ret_process, struct err *e)
{
    int r = lookup(env, identity->pid, ret_process, e);

    if (r == 0 && ret_process->start_ticks != identity->start_ticks) {
        r = err_set(e, ERR_GONE, "process %" PRId32 " has ended", identity->pid);
    }
    return r;
}

int ancestor_find(struct env *env, const struct access_identity *identity,
                  const struct access_binding_spec *spec, struct env_process *ret_process,
                  struct err *e)
{
    char text[ACCESS_BINDING_TEXT_MAX_BYTES];
    struct env_process process;
    unsigned depth;
    int r = lookup_caller(env, identity, &process, e);

    for (depth = 0; r == 0 && depth < ANCESTORS_MAX && process.parent_pid > 0; depth++) {
        uint64_t child_start_ticks = process.start_ticks;

        r = lookup(env, process.parent_pid, &process, e);
        if (r == 0 && process.start_ticks > child_start_ticks) {
            r = err_set(e, ERR_GONE, "the parent of a process has ended meanwhile");
        }
        if (r == 0 && process.uid == identity->uid && fits(&process, spec)) {
            *ret_process = process;
            return 0;
        }
    }
    if (r != 0) {
        return r;
    }
    return err_set(e, ERR_NOT_FOUND,
                   "%s: no such ancestor of process %" PRId32 " runs as uid %" PRIu32,
                   access_binding_format(spec, text), identity->pid, identity->uid);
}

/* The kernel gives a session's number to no new process while anybody is in the session, so who has
 * it now leads it. */
int ancestor_find_leader(struct env *env, const struct access_identity *identity,
                         struct env_process *ret_process, struct err *e)
{
    struct env_process caller;
    struct env_process leader;
    int r = lookup_caller(env, identity, &caller, e);

    if (r != 0) {
        return r;
    }
    if (caller.session_pid <= 0) {
        return err_set(e, ERR_UNSUPPORTED,
                       "the leader of the session of process %" PRId32
                       " is outside of leased's pid namespace",
                       identity->pid);
    }
    r = lookup(env, caller.session_pid, &leader, NULL);
    if (r == ERR_GONE || (r == 0 && leader.start_ticks > caller.start_ticks)) {
        return err_set(e, ERR_GONE,
                       "process %" PRId32 ", which led the session of process %" PRId32
                       ", has ended",
                       caller.session_pid, identity->pid);
    }
    if (r != 0) {
        return err_set(e, r, "could not look up process %" PRId32 ": %s", caller.session_pid,
                       err_str(r));
    }
    *ret_process = leader;
    return 0;
}
