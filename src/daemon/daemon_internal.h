/* What the files of the running daemon share: daemon.c (its life), daemon_parts.c (what it is made
 * of), daemon_backends.c and daemon_listeners.c (of which there are many, and which come and go),
 * reload.c and reload_listeners.c (a new configuration), reload_report.c (what it has changed).
 *
 * Who borrows what: the configuration belongs to the daemon and is exchanged by a reload. The lease
 * core, the backends, the sinks and the listeners copy what they need of it. serve/ borrows the
 * policy and the table of backends until serve_set. */
#ifndef LEASED_DAEMON_DAEMON_INTERNAL_H
#define LEASED_DAEMON_DAEMON_INTERNAL_H

#include "audit/hooks.h"
#include "backend/backend.h"
#include "backend/verifier.h"
#include "daemon/daemon.h"
#include "daemon/notify.h"
#include "io/listener.h"
#include "lease/recheck.h"
#include "serve/api.h"

#define DAEMON_MAGIC 0x6461656dU /* "daem" */
#define DAEMON_NODE_MAX_BYTES 256
#define DAEMON_CGROUP_MAX_BYTES 4096

struct daemon_listener {
    struct list node;
    struct daemon *daemon;
    char *name;
    struct serve_listener api;
    struct io_listener *io;
    struct daemon_listener
        *successor;       /* retired: what it serves and whom it knows counts; or NULL */
    bool is_fresh;        /* of a reload that isn't done yet */
    bool is_retired;      /* no longer of the configuration: its connections come to an end */
    uint64_t close_at_ms; /* retired: then it is closed, but for connections that grants hang on */
    bool is_closing;
};

struct daemon_backend {
    struct list node;
    struct daemon *daemon;
    char *name;
    struct backend *backend;
    bool is_fresh;
    bool is_retired; /* its leases come to an end */
    bool has_left;   /* some are left for the next daemon: its login must live on */
    bool is_closing;
};

struct daemon {
    uint32_t magic;
    struct daemon_options options;
    struct config *config; /* owned */
    struct env *env;
    struct notify notify;
    char node[DAEMON_NODE_MAX_BYTES];
    char own_cgroup[DAEMON_CGROUP_MAX_BYTES];

    /* In the order in which they are made; what isn't there is NULL. */
    struct audit *audit;
    struct hooks *hooks;       /* who is told of its records */
    struct env_ledger *ledger; /* also NULL when none is configured */
    struct left left;          /* what the start has left in it */
    struct backend_verifier verifier;
    struct lease_core *core;
    struct requests *requests;
    struct list backends;    /* struct daemon_backend */
    struct backend **served; /* those of the configuration, in its order: what serve/ shows */
    struct serve *serve;
    struct list listeners; /* struct daemon_listener */
    uint64_t clients_told; /* the limit of them that was told to be beyond reach; 0: none */
    struct env_timer retiring;
    struct env_timer settling;
    uint64_t settled_by_ms;

    struct serve_policies policies; /* what serve/ is told of them */
    struct daemon_apply *apply;     /* a policy that is being applied; NULL: none */
    bool is_copy_due;               /* what counts isn't in the copy's place yet */
    struct env_timer copy_timer;    /* … then it is tried again */
    bool is_reload_due;             /* once it is applied */
    bool is_backends_closed;        /* and the way down waits for it */

    bool has_started; /* the trail says so; then it also says when it stopped */

    /* The way down. */
    bool is_final; /* no other daemon follows on this machine: nothing is left for it */
    bool is_stopping;
    bool is_restarting; /* another one does: what it can go on with is left for it */
    bool is_drained;    /* or nobody waits for it any more */
    bool is_hurried;    /* a second signal: the issuers aren't told */
    bool is_forced;     /* the last time limit has passed */
    bool is_closing_listeners;
    bool is_closing_backends;
    struct lease_wait drain;
    struct env_timer last_resort;
    int exit_code;
};

/* --- daemon_parts.c --- */

/* Makes the parts in their order. On failure returns the exit code, after having logged why; what
 * was made stays, for the way down. */
int daemon_parts_start(struct daemon *daemon) ATTR_MUST_USE;

/* Writes a record about the daemon itself. */
void daemon_note(struct daemon *daemon, const char *event, const char *outcome);

/* Tells serve/ where its APIs are reached over loopback TCP, by the listeners as they are. */
void daemon_endpoints_tell(struct daemon *daemon, const struct config *config);

/* What serve/ goes by from now on: the policy of `config`, `served` (taken), and files as
 * daemon_files_make has made them of it. */
void daemon_serve(struct daemon *daemon, const struct config *config, struct backend **served,
                  const struct serve_file *files);
/* The same; `served` stays whose it is. */
void daemon_serve_set(struct daemon *daemon, const struct config *config, struct backend **served,
                      const struct serve_file *files);

/* --- daemon_files.c --- */

/* One for each of the configuration's (mem_free); borrows from it. Users are looked up. ERR_INVALID
 * with a text, ERR_NOMEM. */
int daemon_files_make(const struct config *config, struct serve_file **ret_files,
                      struct err *e) ATTR_MUST_USE;
/* They are kept fresh from now on; an exit code as daemon_parts_start. */
int daemon_files_start(struct daemon *daemon) ATTR_MUST_USE;

/* --- daemon_audit.c --- */

/* The trail and its sinks; an exit code as daemon_parts_start. */
int daemon_audit_start(struct daemon *daemon) ATTR_MUST_USE;

/* --- daemon_ledger.c --- */

/* Opens it, if one is configured; an exit code as daemon_parts_start. */
int daemon_ledger_open(struct daemon *daemon) ATTR_MUST_USE;
/* Where its key is, for people; NULL: there is no ledger. Static. */
const char *daemon_ledger_key(const struct daemon *daemon);
/* Gives the core what an earlier daemon left. Once roles and backends are there. */
int daemon_ledger_recover(struct daemon *daemon) ATTR_MUST_USE;
/* After a reload: it doesn't take up what the start has left, and says so. */
void daemon_ledger_reloaded(const struct daemon *daemon);
/* Closes it; `daemon_ledger_closed` follows, maybe at once. */
void daemon_ledger_close(struct daemon *daemon);
void daemon_ledger_closed(struct daemon *daemon);

/* --- daemon_hooks.c --- */

/* An exit code as daemon_parts_start. */
int daemon_hooks_start(struct daemon *daemon) ATTR_MUST_USE;
/* What `notify` says from now on. */
void daemon_hooks_set(struct daemon *daemon, const struct config *config);
/* `daemon_hooks_closed` follows, maybe at once. */
void daemon_hooks_close(struct daemon *daemon);
void daemon_hooks_closed(struct daemon *daemon);

/* --- daemon_requests.c --- */

/* An exit code as daemon_parts_start. */
int daemon_requests_start(struct daemon *daemon) ATTR_MUST_USE;
/* Gives them what an earlier daemon left, once its grants are there. */
int daemon_requests_recover(struct daemon *daemon, const struct access_policy *policy,
                            struct err *e) ATTR_MUST_USE;

/* --- daemon_policy.c, daemon_apply.c --- */

/* The ledger's setting that says which copy counts: its id. */
#define DAEMON_POLICY_WORD "policy"

/* After the ledger and the trail are open: a policy whose apply a crash has cut short counts now.
 * An exit code as daemon_parts_start. */
int daemon_policy_recover(struct daemon *daemon) ATTR_MUST_USE;
/* Its copy, if it still has to be put in its place; once all is up. Until it is there it is tried
 * again, and no other policy is applied. */
void daemon_policy_keep(struct daemon *daemon);
/* In the log, for the trail and for serve/: where the policy of `config` comes from. */
void daemon_policy_tell(struct daemon *daemon, const struct config *config);
/* serve_options' functions. */
int daemon_policy_compile(struct daemon *daemon, const struct policy_bundle *bundle,
                          struct access_policy **ret_policy,
                          struct yaml_errors *mistakes) ATTR_MUST_USE;
int daemon_policy_apply(struct daemon *daemon, struct serve_apply *asked) ATTR_MUST_USE;

/* --- daemon_backends.c --- */

/* Opens one and puts it into the list as fresh. ERR_INVALID, ERR_NOMEM. */
int daemon_backend_open(struct daemon *daemon, const struct config_backend *configured,
                        struct daemon_backend **ret_entry, struct err *e) ATTR_MUST_USE;

/* The one of this name that is in use. NULL: none. */
struct daemon_backend *daemon_backend_find(const struct daemon *daemon, const char *name);

/* New numbers for a backend that stays. ERR_LIMIT: it takes a new one. */
int daemon_backend_set_limits(struct daemon_backend *entry,
                              const struct config_backend *configured) ATTR_MUST_USE;

/* It is logged out and closed once no lease needs it. */
void daemon_backend_retire(struct daemon_backend *entry);

/* Closes what nobody needs any more. */
void daemon_backend_close(struct daemon_backend *entry, bool with_logout);

/* Closes all; `daemon_backends_closed` follows, maybe at once. */
void daemon_backends_close(struct daemon *daemon);

/* --- daemon_listeners.c --- */

struct daemon_listener_options {
    const struct config *config;
    const struct config_listener *configured; /* of it */
    struct daemon_listener *predecessor;      /* the new one serves beside it, on its socket */
};

/* Before listeners are opened by `config`: sees to it that there are descriptors for its clients,
 * and tells when there can't be. */
void daemon_clients_provide(struct daemon *daemon, const struct config *config);

/* Opens one and puts it into the list as fresh. */
int daemon_listener_open(struct daemon *daemon, const struct daemon_listener_options *options,
                         struct daemon_listener **ret_entry, struct err *e) ATTR_MUST_USE;

/* The one of this name that is in use. NULL: none. */
struct daemon_listener *daemon_listener_find(const struct daemon *daemon, const char *name);

/* ERR_INVALID with a text when none of the configuration's listeners takes a socket that the
 * service manager has passed. ERR_NOMEM. */
int daemon_listeners_check_passed(const struct daemon *daemon, const struct config *config,
                                  struct err *e) ATTR_MUST_USE;

/* Makes one that stays ready for the settings of `configured`, of `config`; the files of TLS are
 * read. ERR_LIMIT: it takes a new one. */
int daemon_listener_prepare(struct daemon_listener *entry, const struct config *config,
                            const struct config_listener *configured, struct err *e) ATTR_MUST_USE;

/* They count from now on, for its open connections too. */
void daemon_listener_apply(struct daemon_listener *entry, const struct config *config,
                           const struct config_listener *configured);

/* Takes no new connections, and is closed when the last has ended, or after a while; then only
 * those are left that a grant is bound to. What the successor serves counts here, too. */
void daemon_listener_retire(struct daemon_listener *entry, struct daemon_listener *successor);

/* No new connections or requests anywhere. */
void daemon_listeners_quiesce(struct daemon *daemon, bool is_restart);
/* Closes them once nobody is connected any more, or after a while. */
void daemon_listeners_settle(struct daemon *daemon);

/* Closes all; `daemon_listeners_closed` follows, maybe at once. */
void daemon_listeners_close(struct daemon *daemon);

/* Looks after what is retired, until it is gone. */
void daemon_retiring_start(struct daemon *daemon);

/* --- daemon.c: the next steps of the way down --- */

void daemon_listeners_closed(struct daemon *daemon);
void daemon_backends_closed(struct daemon *daemon);

/* --- reload.c --- */

/* lease_judge_fn; `user` is the policy. */
void daemon_judge(void *user, const struct access_identity *identity,
                  const struct access_request *request, struct access_decision *ret_decision);

/* Reads the configuration anew and applies it, all or nothing. `asked`: who asks over the API, and
 * where changes and mistakes go; NULL: a signal. 0, ERR_INVALID, ERR_NOMEM, ERR_CLOSED,
 * or ERR_BUSY: a policy is being applied; a signal's reload follows then. */
int daemon_reload(struct daemon *daemon, struct serve_reload *asked);

/* --- reload_report.c --- */

struct reload_counts {
    size_t added;
    size_t removed;
    size_t changed;
};

/* What differs, as one JSON object, and how much of it. */
struct reload_report {
    const struct config *before;
    const struct config *after;
    const char *digest;      /* of the new configuration */
    const bool *has_new_tls; /* for each of its listeners */
    uint64_t grants_ended;
    struct reload_counts roles; /* out */
    struct reload_counts backends;
    struct reload_counts listeners;
};
void reload_report_write(struct reload_report *report, struct buf *out);

#endif
