/* What grants hang on.
 *
 * Happy path: the decision's bindings are resolved to targets (a process, a cgroup, or the
 * connection) → they are part of the grant's key → binding_start watches each (watched.c) → one
 * ends → every grant that hangs on it ends.
 *
 * A session is the caller's scope, which systemd makes for a login and for a job; outside of one it
 * is the process that leads the session.
 *
 * Failure paths: the process has ended, or the cgroup is empty, before the watch starts (ERR_GONE,
 * the grant is never handed out); it ends while the records are written (the notice ends the grant;
 * binding_is_alive asks once more right before the hand-out). */
#include "lease/binding.h"

#include "lease/ancestor.h"
#include "lease/core_internal.h"
#include "lease/watched.h"

#include <stdio.h>
#include <string.h>

#define BINDING_MAGIC 0x62696e64U

/* --- resolving --- */

/* ERR_LIMIT: it is full. */
static int set_add(struct binding_set *set, struct binding_target target)
{
    size_t at = 0;

    while (at < set->count &&
           (set->targets[at].pid < target.pid ||
            (set->targets[at].pid == target.pid && set->targets[at].value < target.value))) {
        at++;
    }
    if (at < set->count && memcmp(&set->targets[at], &target, sizeof(target)) == 0) {
        return 0;
    }
    if (set->count == ACCESS_BINDINGS_MAX) {
        return ERR_LIMIT;
    }
    memmove(&set->targets[at + 1], &set->targets[at], (set->count - at) * sizeof(set->targets[0]));
    set->targets[at] = target;
    set->count++;
    return 0;
}

static void text_add(char text[BINDING_SET_TEXT_MAX_BYTES], const struct access_binding_spec *spec)
{
    char one[ACCESS_BINDING_TEXT_MAX_BYTES];
    size_t used = strlen(text);

    (void)snprintf(text + used, BINDING_SET_TEXT_MAX_BYTES - used, "%s%s", used > 0 ? "," : "",
                   access_binding_format(spec, one));
}

static void text_add_grant(char text[BINDING_SET_TEXT_MAX_BYTES], const char *id)
{
    size_t used = strlen(text);

    (void)snprintf(text + used, BINDING_SET_TEXT_MAX_BYTES - used, ",grant:%s", id);
}

static struct binding_target target_process(int32_t pid, uint64_t start_ticks)
{
    return (struct binding_target){.pid = pid, .value = start_ticks};
}

static struct binding_target target_peer(const struct access_identity *identity)
{
    return (struct binding_target){.pid = BINDING_PEER, .value = identity->process_id};
}

static struct binding_target target_connection(const struct env_connection *connection)
{
    return (struct binding_target){.value = (uintptr_t)connection};
}

/* Is the caller's process one that has no pid here, but can be watched? */
static bool has_peer(const struct lease_ask *ask)
{
    return ask->identity->pid <= 0 && ask->identity->process_id != 0 && ask->request != NULL;
}

/* Do the processes of the grant that the caller's token names stand for its own? */
static bool is_by_grant(const struct lease_ask *ask, enum access_binding kind)
{
    return (kind == ACCESS_BINDING_PROCESS || kind == ACCESS_BINDING_PARENT) &&
           ask->identity->pid <= 0 && ask->named != NULL;
}

/* ERR_UNSUPPORTED: it hangs on no process. */
static int add_by_grant(const struct grant *grant, struct binding_set *set)
{
    int r = grant->watched_count > 0 ? 0 : ERR_UNSUPPORTED;
    size_t i;

    for (i = 0; r == 0 && i < grant->watched_count; i++) {
        r = set_add(set, *watched_target(grant->bindings[i].watched));
    }
    return r;
}

/* Of each target in the set that is a cgroup, found knows the cgroup. */
static int add_cgroup(struct binding_found *found, const struct env_cgroup *cgroup)
{
    const struct binding_target target = {.pid = BINDING_CGROUP, .value = cgroup->id};
    size_t before = found->set.count;
    int r = set_add(&found->set, target);

    if (r == 0 && found->set.count > before) {
        found->cgroups[found->cgroup_count++] = *cgroup;
    }
    return r;
}

static int resolve_by_grant(const struct grant *grant, struct binding_found *found, struct err *e)
{
    int r = 0;
    size_t i;

    for (i = 0; r == 0 && i < grant->watched_count; i++) {
        const struct env_cgroup *cgroup = watched_cgroup(grant->bindings[i].watched);

        r = cgroup != NULL ? add_cgroup(found, cgroup) : 0;
    }
    if (r == 0) {
        r = add_by_grant(grant, &found->set);
    }
    if (r == ERR_UNSUPPORTED) {
        return err_set(e, r, "the grant that the token names hangs on no process");
    }
    return r;
}

static int resolve_connection(const struct lease_ask *ask, struct binding_target *ret_target,
                              struct err *e)
{
    if (ask->request == NULL) {
        return err_set(e, ERR_INVALID, "there is no connection to bind to");
    }
    *ret_target = target_connection(ask->request->connection);
    return 0;
}

static int resolve_process(struct env *env, const struct lease_ask *ask,
                           const struct access_binding_spec *spec,
                           struct binding_target *ret_target, struct err *e)
{
    const struct access_identity *identity = ask->identity;
    struct env_process process;
    int r;

    if (spec->kind == ACCESS_BINDING_PROCESS && has_peer(ask)) {
        *ret_target = target_peer(identity);
        return 0;
    }
    if (identity->pid <= 0) {
        return err_set(e, ERR_UNSUPPORTED,
                       "the caller's process isn't known, so nothing can be bound to it");
    }
    if (spec->kind == ACCESS_BINDING_PROCESS) {
        *ret_target = target_process(identity->pid, identity->start_ticks);
        return 0;
    }
    r = ancestor_find(env, identity, spec, &process, e);
    if (r == 0) {
        *ret_target = target_process(process.pid, process.start_ticks);
    }
    return r;
}

static int resolve_cgroup(struct env *env, const struct lease_ask *ask, enum env_cgroup_level level,
                          struct binding_found *found, struct err *e)
{
    const struct env_cgroup_query query = {.pid = ask->identity->pid,
                                           .start_ticks = ask->identity->start_ticks,
                                           .level = level};
    struct env_cgroup cgroup;
    int r;

    if (query.pid <= 0) {
        return err_set(e, ERR_UNSUPPORTED,
                       "the caller's process isn't known, so nothing can be bound to its cgroup");
    }
    r = env_cgroup_find(env, &query, &cgroup, e);
    return r == 0 ? add_cgroup(found, &cgroup) : r;
}

static int resolve_leader(struct env *env, const struct lease_ask *ask, struct binding_found *found,
                          struct err *e)
{
    struct env_process leader;
    int r = ancestor_find_leader(env, ask->identity, &leader, e);

    return r == 0 ? set_add(&found->set, target_process(leader.pid, leader.start_ticks)) : r;
}

static int resolve_session(struct env *env, const struct lease_ask *ask,
                           struct binding_found *found, struct err *e)
{
    int r = resolve_cgroup(env, ask, ENV_CGROUP_SCOPE, found, e);

    return r == ERR_NOT_FOUND ? resolve_leader(env, ask, found, e) : r;
}

static int resolve_one(struct env *env, const struct lease_ask *ask,
                       const struct access_binding_spec *spec, struct binding_found *found,
                       struct err *e)
{
    struct binding_target target = {.pid = 0};
    int r;

    if (is_by_grant(ask, spec->kind)) {
        return resolve_by_grant(ask->named, found, e);
    }
    switch (spec->kind) {
    case ACCESS_BINDING_NONE:
    case ACCESS_BINDING_FILE: /* who writes the file ends the grant */
        return 0;
    case ACCESS_BINDING_CONNECTION:
        r = resolve_connection(ask, &target, e);
        break;
    case ACCESS_BINDING_PROCESS:
    case ACCESS_BINDING_PARENT:
    case ACCESS_BINDING_PID:
    case ACCESS_BINDING_COMM:
        r = resolve_process(env, ask, spec, &target, e);
        break;
    case ACCESS_BINDING_SESSION:
        return resolve_session(env, ask, found, e);
    case ACCESS_BINDING_UNIT:
        return resolve_cgroup(env, ask, ENV_CGROUP_UNIT, found, e);
    default:
        r = err_set(e, ERR_INVALID, "this is no binding");
        break;
    }
    return r == 0 ? set_add(&found->set, target) : r;
}

/* What a binding that isn't spelled out means. */
static enum access_binding kind_of(const struct lease_ask *ask, enum access_binding kind)
{
    if (kind == ACCESS_BINDING_DEFAULT) {
        kind = ask->role->binding;
    }
    return kind != ACCESS_BINDING_DEFAULT ? kind : ACCESS_BINDING_PROCESS;
}

int binding_resolve(struct env *env, const struct lease_ask *ask, struct binding_found *ret_found,
                    struct err *e)
{
    const struct access_decision *decision = ask->decision;
    size_t count = decision->binding_count > 0 ? decision->binding_count : 1;
    struct binding_found found = {.text = ""};
    bool has_grant = false;
    size_t i;
    int r = 0;

    CHECK(count <= ACCESS_BINDINGS_MAX);
    for (i = 0; r == 0 && i < count; i++) {
        struct access_binding_spec spec = {.kind = ACCESS_BINDING_DEFAULT};

        if (decision->binding_count > 0) {
            spec = decision->bindings[i];
        }
        spec.kind = kind_of(ask, spec.kind);
        r = resolve_one(env, ask, &spec, &found, e);
        text_add(found.text, &spec);
        has_grant = has_grant || is_by_grant(ask, spec.kind);
    }
    if (r == ERR_LIMIT) {
        r = err_set(e, ERR_INVALID, "together these are more than %d bindings",
                    ACCESS_BINDINGS_MAX);
    }
    if (r == 0 && has_grant) {
        text_add_grant(found.text, ask->named->id);
    }
    if (r == 0) {
        *ret_found = found;
    }
    return r;
}

static bool add_known(const struct lease_ask *ask, enum access_binding kind,
                      struct binding_set *set)
{
    struct binding_target target = {.pid = 0};

    if (is_by_grant(ask, kind)) {
        return add_by_grant(ask->named, set) == 0;
    }
    if (kind == ACCESS_BINDING_PROCESS && has_peer(ask)) {
        return set_add(set, target_peer(ask->identity)) == 0;
    }
    if (kind == ACCESS_BINDING_PROCESS && ask->identity->pid > 0) {
        target = target_process(ask->identity->pid, ask->identity->start_ticks);
        return set_add(set, target) == 0;
    }
    if (kind == ACCESS_BINDING_CONNECTION && resolve_connection(ask, &target, NULL) == 0) {
        return set_add(set, target) == 0;
    }
    return kind == ACCESS_BINDING_NONE;
}

bool binding_resolve_known(const struct lease_ask *ask, struct binding_set *ret_set)
{
    const struct access_decision *decision = ask->decision;
    bool is_known = true;
    size_t i;

    ret_set->count = 0;
    if (decision->binding_count == 0) {
        is_known = add_known(ask, kind_of(ask, ACCESS_BINDING_DEFAULT), ret_set);
    }
    for (i = 0; is_known && i < decision->binding_count; i++) {
        is_known = add_known(ask, kind_of(ask, decision->bindings[i].kind), ret_set);
    }
    return is_known;
}

size_t binding_set_watched(const struct binding_set *set)
{
    /* Sorted by pid, and a connection's is 0. */
    return set->count > 0 && set->targets[0].pid == 0 ? set->count - 1 : set->count;
}

static uint64_t target_hash(uint64_t hash, const struct binding_target *target)
{
    return index_hash(index_hash(hash, (uint64_t)target->pid), target->value);
}

uint64_t binding_set_hash(uint64_t hash, const struct binding_set *set)
{
    size_t i;

    for (i = 0; i < set->count; i++) {
        hash = target_hash(hash, &set->targets[i]);
    }
    return hash;
}

/* In the order of the set, where a connection is the first. */
uint64_t binding_hash(uint64_t hash, struct grant *grant)
{
    const struct binding_connection *connection = grant_connection(grant);
    size_t i;

    if (connection != NULL) {
        const struct binding_target target = target_connection(connection->connection);

        hash = target_hash(hash, &target);
    }
    for (i = 0; i < grant->watched_count; i++) {
        hash = target_hash(hash, watched_target(grant->bindings[i].watched));
    }
    return hash;
}

/* --- bindings of a grant --- */

static void connection_ended(struct env_connection_watch *watch)
{
    struct binding_connection *connection =
        OBJ_CAST(watch->user, struct binding_connection, BINDING_MAGIC);

    grant_end(connection->grant, GRANT_END_BINDING);
}

static void binding_start_connection(struct grant *grant, struct env_request *request)
{
    struct binding_connection *connection = grant_connection(grant);

    if (connection != NULL) {
        *connection = (struct binding_connection){
            .magic = BINDING_MAGIC,
            .grant = grant,
            .connection = request->connection,
            .watch = {.fn = connection_ended, .user = connection},
        };
        env_connection_watch(request, &connection->watch);
    }
}

/* NULL: of a process. */
static const struct env_cgroup *cgroup_of(const struct binding_found *found,
                                          const struct binding_target *target)
{
    size_t i;

    for (i = 0; target->pid == BINDING_CGROUP && i < found->cgroup_count; i++) {
        if (found->cgroups[i].id == target->value) {
            return &found->cgroups[i];
        }
    }
    return NULL;
}

int binding_start(struct grant *grant, const struct binding_found *found,
                  struct env_request *request)
{
    const struct binding_set *set = &found->set;
    size_t first = set->count - grant->binding_count;
    size_t i;
    int r = 0;

    binding_start_connection(grant, request);
    for (i = 0; r == 0 && i < grant->binding_count; i++) {
        const struct binding_target *target = &set->targets[first + i];

        grant->bindings[i].grant = grant;
        r = watched_join(&grant->bindings[i], target, cgroup_of(found, target), request);
        if (r == 0) {
            grant->watched_count++;
        }
    }
    if (r != 0) {
        binding_stop(grant);
    }
    return r;
}

void binding_stop(struct grant *grant)
{
    struct binding_connection *connection = grant_connection(grant);

    if (connection != NULL) {
        env_connection_unwatch(&connection->watch);
    }
    while (grant->watched_count > 0) {
        watched_leave(&grant->bindings[--grant->watched_count]);
    }
}

bool binding_is_set(struct grant *grant, const struct binding_set *set)
{
    const struct binding_connection *connection = grant_connection(grant);
    size_t first = set->count - binding_set_watched(set);
    size_t i;

    if (binding_set_watched(set) != grant->watched_count || (first == 1) != (connection != NULL) ||
        (first == 1 && set->targets[0].value != (uintptr_t)connection->connection)) {
        return false;
    }
    for (i = 0; i < grant->watched_count; i++) {
        if (!watched_is(grant->bindings[i].watched, &set->targets[first + i])) {
            return false;
        }
    }
    return true;
}

/* A connection needs no such look: its end is told before anything else of it. */
bool binding_is_alive(const struct grant *grant)
{
    size_t i;

    for (i = 0; i < grant->watched_count; i++) {
        if (watched_has_ended(grant->bindings[i].watched)) {
            return false;
        }
    }
    return true;
}
