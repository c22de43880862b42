/* Who is told of what goes on record: webhooks, and programs that the helper process runs.
 *
 * Each gets the records of the events that it wants, one after the other, as they stand in the
 * trail: so there is never a secret in them, and a receiver can find them there again. Nothing
 * waits for a hook. What can't be told is tried again, later and later; then, or when too much
 * waits, it is given up, counted, and said in the status. What waits isn't kept across restarts:
 * the trail is. */
#ifndef LEASED_AUDIT_HOOKS_H
#define LEASED_AUDIT_HOOKS_H

#include "env/env.h"
#include "wire/audit_record.h"

#define HOOKS_MAX 32U
#define HOOKS_EVENTS_MAX 32U
#define HOOK_QUEUE_MAX 256U /* records that wait for one */
#define HOOK_TRIES_MAX 10U  /* of one record: a quarter of an hour */
#define HOOK_TEXT_MAX_BYTES 512U

/* What the helper process knows hooks' programs by: this and the hook's name. */
#define HOOK_PROGRAM_OWNER "notify:"
#define HOOK_PROGRAM "exec"

struct hook_config {
    const char *name; /* its URL, or what the helper knows its program by */
    bool is_program;
    const char *key_source;    /* for env_secret_read: what signs the body; NULL: nothing does */
    const char *ca_file;       /* NULL: the system's */
    const char *const *events; /* "request.*", … */
    size_t event_count;
};

struct hooks;

struct hooks_stats {
    uint64_t sent_count;
    uint64_t failed_count; /* tries */
    uint64_t lost_count;
    uint32_t waiting_count;
};

/* ERR_NOMEM. */
int hooks_new(struct env *env, struct hooks **ret_hooks) ATTR_MUST_USE;

/* These from now on; copied. One that was there goes on with what waits for it, if its name is the
 * same. ERR_NOMEM: those that there was memory for. */
int hooks_set(struct hooks *hooks, const struct hook_config *configs, size_t count) ATTR_MUST_USE;

/* A record, and its line, that were just put into the trail. */
void hooks_tell(struct hooks *hooks, const struct audit_record *record, struct str line);

/* What is under way is cancelled, then `closed` runs from the loop and the memory is gone. */
void hooks_close(struct hooks *hooks, void (*closed)(void *user), void *user);

void hooks_stats(const struct hooks *hooks, struct hooks_stats *ret_stats);

/* What is wrong with hook number `index`, for people; "": nothing. Of a URL no more than its host
 * is told, here and in the log: the rest is often a secret. False: there is no such one. */
bool hooks_warning(const struct hooks *hooks, size_t index, char out[HOOK_TEXT_MAX_BYTES]);

#endif
