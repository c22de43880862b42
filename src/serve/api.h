/* What consumers see over HTTP: the native API, health and metrics. Parses a request, asks access/
 * whether its caller may, lets lease/ do it, and answers. */
#ifndef LEASED_SERVE_API_H
#define LEASED_SERVE_API_H

#include "access/containers.h"
#include "access/issuer.h"
#include "access/policy.h"
#include "audit/hooks.h"
#include "backend/backend.h"
#include "lease/core.h"
#include "request/request.h"
#include "serve/files.h"
#include "serve/left.h"
#include "wire/policy_copy.h"
#include "wire/schema.h"
#include "serve/params.h"

struct serve;

#define SERVE_POLICY_DIGEST_BYTES 64
#define SERVE_REQUEST_ID_MAX_BYTES 32 /* the prefix and a number */
#define SERVE_BY_MAX_BYTES 256        /* what people call who asks */

/* What an answer has room for: each credential fits, however much of it JSON has to escape, so that
 * none is issued that can't be handed out. A connection has one answer under way. */
#define SERVE_REPLY_MIN_BYTES (512U * 1024U)
#define SERVE_REPLY_MAX_BYTES (4U * 1024U * 1024U)

/* Below this path requests bring policies. */
#define SERVE_LARGE_PATH "/leased/v1/policy/"

/* One reload that somebody asks for over the API. */
struct serve_reload {
    const struct access_identity *identity; /* who asks; borrowed until the call returns */
    const char *request_id;
    struct buf *changes;          /* out: what has changed, as one JSON object */
    struct yaml_errors *mistakes; /* out: why it was refused */
};

/* One policy that somebody applies. Made by serve/, and the daemon's once it has begun. */
struct serve_apply {
    struct policy_bundle *bundle;             /* owned; NULL: nothing is to be observed any more */
    bool is_observed;                         /* it is to be observed, beside what counts */
    uint64_t drain_ms;                        /* how long grants that it ends may live on */
    char base[SERVE_POLICY_DIGEST_BYTES + 1]; /* of the policy that it was planned against */
    /* Who applies it; its own copies. */
    struct access_identity identity;
    struct access_claims *claims;
    char *listener;
    char by[SERVE_BY_MAX_BYTES + 1]; /* who asks, for people */
    char request_id[SERVE_REQUEST_ID_MAX_BYTES];
    /* Runs once, from the loop, before the daemon frees it. NULL: nobody waits (any more). */
    void (*done)(struct serve_apply *apply, int status);
    void *user;
    /* What came of it. */
    struct err error;
    uint32_t ended_count;
    uint32_t draining_count;
    uint32_t reduced_count;
};
void serve_apply_free(struct serve_apply *apply);
/* Begins a record of the trail about it; borrows from it. */
void serve_apply_record(const struct serve_apply *apply, const char *event, const char *outcome,
                        struct audit_record *ret_record);

/* Policies as the daemon has them, beside the one that counts; borrowed until they are exchanged.
 */
struct serve_policies {
    const struct policy_copy *copy; /* what counts was made of it */
    const char *notes; /* what an operator should know, one text a line; NULL: nothing */
};

/* Which role answers which client's helper: the configuration's patterns and roles, in order. */
struct serve_clients {
    const struct schema_pairs *git;
    const struct schema_pairs *docker;
};

struct serve_options {
    struct env *env; /* all of these are borrowed and outlive the serve */
    struct lease_core *core;
    struct audit *audit;
    const struct hooks *hooks; /* NULL: none */
    struct requests *requests; /* NULL: there is nobody to approve anything */
    const struct access_policy *policy;
    const struct access_policy *observed;  /* decided by, without effect; NULL: nothing is */
    const struct serve_policies *policies; /* NULL: what is known of them isn't told */
    struct backend *const *backends;
    size_t backend_count;
    struct serve_clients clients;
    const char *own_cgroup; /* path of the daemon's own cgroup */
    const char *node;
    const char *version;
    const struct access_issuer_config *issuers; /* who may vouch for callers */
    size_t issuer_count;
    const struct access_container_config *containers; /* where their runtimes describe them */
    size_t container_count;
    struct env_ledger *ledger; /* NULL: none */
    const char *seal_key;      /* where its key is, for people */
    const struct left *left;   /* what the start has left in it; NULL: nothing */
    const char *files_record;  /* path of what is known of the files that are kept; NULL: nowhere */
    uint32_t exchanges_max;    /* [4096] requests under way at once */
    size_t reply_max_bytes;    /* [1 MiB] of one answer; see SERVE_REPLY_MIN_BYTES */
    /* Reads the configuration anew and applies it, all or nothing. 0; ERR_INVALID (mistakes:
     * nothing has changed), ERR_CLOSED (stopping). NULL: there is nothing to reload. */
    int (*reload)(void *user, struct serve_reload *reload);
    /* Compiles a policy for the roles that there are; access_policy_free it. ERR_INVALID
     * (mistakes), ERR_NOMEM. */
    int (*policy_compile)(void *user, const struct policy_bundle *bundle,
                          struct access_policy **ret_policy, struct yaml_errors *mistakes);
    /* Begins to apply one: on record, then kept, then it counts. ERR_UNSUPPORTED (there is no place
     * to keep it), ERR_BUSY (another one is under way), ERR_CLOSED, ERR_NOMEM, with a text in
     * apply->error; then it is still the caller's. */
    int (*policy_apply)(void *user, struct serve_apply *apply);
    void *user;
};

/* What a reload exchanges; borrowed until the next one, or the end. */
struct serve_settings {
    const struct access_policy *policy;
    const struct access_policy *observed;
    const struct serve_policies *policies;
    struct backend *const *backends;
    size_t backend_count;
    struct serve_clients clients;
    const struct access_issuer_config *issuers;
    size_t issuer_count;
    const struct access_container_config *containers;
    size_t container_count;
    uint32_t exchanges_max;
    size_t reply_max_bytes;
    const struct serve_file *files; /* to be kept fresh; borrowed until serve_set returns */
    size_t file_count;
};

int serve_new(const struct serve_options *options, struct serve **ret_serve,
              struct err *e) ATTR_MUST_USE;

/* Requests under way must have finished (the listeners are closed). */
void serve_free(struct serve *serve);

/* From now on requests are judged and answered by these. What is under way keeps what was decided
 * for it; the lease layer judges it anew. */
void serve_set(struct serve *serve, const struct serve_settings *settings);

/* The same of policies alone: nobody who watches has to come again. */
void serve_set_policy(struct serve *serve, const struct access_policy *policy,
                      const struct access_policy *observed, const struct serve_policies *policies);

#define SERVE_BASE_MAX_BYTES 96

/* Where programs on this machine reach the APIs over loopback TCP: "http://127.0.0.1:9911"; "":
 * nowhere. */
struct serve_endpoints {
    char aws[SERVE_BASE_MAX_BYTES];
    char gcp[SERVE_BASE_MAX_BYTES];
    char azure[SERVE_BASE_MAX_BYTES];
    char vault[SERVE_BASE_MAX_BYTES];
};

/* Told to who asks for a grant token; copied. Until the first call there are none. */
void serve_set_endpoints(struct serve *serve, const struct serve_endpoints *endpoints);

/* Begins to keep the files fresh; `known` is what files_record had at the start. Once, after
 * serve_set. */
void serve_files_start(struct serve *serve, struct str known);

/* No more of it: files whose grants have ended are removed, what is under way ends, then `stopped`
 * runs from the loop. Before serve_free, where there are files. */
void serve_files_stop(struct serve *serve, void (*stopped)(void *user), void *user);

/* Streams end, after what this turn of the loop has to tell. serve_set does that too. */
void serve_end_streams(struct serve *serve);

/* Shown by /readyz: false until everything is up, and again while stopping. */
void serve_set_ready(struct serve *serve, bool is_ready);

enum serve_api {
    SERVE_API_NATIVE = 1,
    SERVE_API_METRICS = 2,
    SERVE_API_AWS = 4,
    SERVE_API_GCP = 8,
    SERVE_API_AZURE = 16,
    SERVE_API_VAULT = 32,
    SERVE_API_SYSTEMD = 64,
};

/* What a listener that serves Vault's API speaks for. */
#define SERVE_BACKEND_MAX_BYTES 65
#define SERVE_NAMESPACE_MAX_BYTES 257
struct serve_vault {
    char backend[SERVE_BACKEND_MAX_BYTES];          /* its name */
    char namespace_path[SERVE_NAMESPACE_MAX_BYTES]; /* the backend's own; "": none */
    bool needs_header;                              /* X-Vault-Request: true */
};

/* What one listener serves; embedded in the listener's owner, outlives the listener. */
struct serve_listener {
    struct serve *serve;
    const char *name;
    uint32_t apis; /* SERVE_API_* */
    /* Which role answers where a request of that API names none; "": whatever policy allows. */
    char gcp_role[PARAMS_ROLE_MAX_BYTES + 1];
    char azure_role[PARAMS_ROLE_MAX_BYTES + 1];
    struct serve_vault vault; /* with SERVE_API_VAULT */
};

/* The env_request_fn of a listener; `user` is its struct serve_listener. */
void serve_request(void *user, struct env_request *request);

#endif
