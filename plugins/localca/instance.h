/* An instance: one CA, what it has revoked, and the lists that say so. */
#ifndef LOCALCA_INSTANCE_H
#define LOCALCA_INSTANCE_H

#include "common/work.h"
#include "config.h"
#include "revoked.h"

/* One list, and how far its file is. Each time that what stands in it changes `wanted` goes up. */
struct localca_list {
    uint64_t wanted;
    uint64_t writing; /* what is being written; 0: nothing */
    uint64_t written;
    uint64_t
        due_ms; /* host clock: when it is to be written anew; UINT64_MAX: only when it changes */
    bool is_failing;
};

struct leased_instance {
    struct plugin_works works;
    const struct leased_host *host;
    leased_host_context *context;
    struct localca_config config;
    struct localca_revoked revoked;
    struct localca_list lists[2]; /* by enum localca_type */
    leased_timer *timer;          /* when the next list is due */
    bool is_closing;
};

/* An operation. */
struct localca_work {
    struct plugin_work work;
    struct localca_params params; /* issue; root NULL: none */
    char *key_id;                 /* issue; owned */
    uint64_t ttl_ms;              /* issue */
    struct localca_entry entry;   /* revoke */
    uint64_t until; /* revoke: ends when the list is written so far; 0: it isn't yet */
};

/* issue.c */
int32_t localca_issue(leased_instance *ca, const struct leased_issue *request, leased_op *op);

/* revoke.c */
int32_t localca_revoke(leased_instance *ca, const struct leased_lease_ref *lease, leased_op *op);

/* What revoke is given: "x509 SERIAL" or "ssh SERIAL", and behind a line feed the end in unix
 * seconds. `out` has LOCALCA_REF_MAX_BYTES; returns the length. */
#define LOCALCA_REF_MAX_BYTES 80
size_t localca_ref_write(const struct localca_entry *entry, char *out);
/* 0, or -1: it is no such text. */
int localca_ref_parse(struct leased_str ref, struct localca_entry *ret_entry);

/* publish.c: the files. */

/* The path of the list's file; "": there is none. */
const char *localca_list_path(const leased_instance *ca, enum localca_type type);
/* The first of them, and from then on as they are due. < 0: out of memory. */
int localca_publish_begin(leased_instance *ca);
/* It has changed: writes it as soon as what is being written is done. Revocations that wait for it
 * are ended by it, so none may be ended by the caller afterwards. */
void localca_publish(leased_instance *ca, enum localca_type type);
void localca_publish_stop(leased_instance *ca);

static inline struct leased_instance *localca_of(struct plugin_work *work)
{
    /* The works are the instance's first member. */
    return (struct leased_instance *)(void *)work->works;
}

static inline void localca_warn(leased_instance *ca, const char *key, const char *text)
{
    ca->host->warning(ca->context, plugin_str(key), plugin_str(text));
}

void localca_log(leased_instance *ca, uint32_t level, const char *event, const char *detail);

#endif
