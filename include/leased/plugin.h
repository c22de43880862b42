/* leased/plugin.h: the one header that a leased plugin is built against.
 *
 * Changes
 *   1.0   backends with issue, renew, revoke, health; 1.1: call: clients' requests, passed through
 *   1.2   "shared-file:/path"; LEASED_NEEDS_* flags; 1.3: refresh_ms: what is read again
 *   1.4   alloc; 1.5: limits of what an answer holds; LEASED_HTTP_MOVABLE
 *   1.6   intents; state that outlives the daemon; standing warnings; issuer_ref's line feed
 *   1.7   addresses of the plugin's own; sinks; files that are published; programs that are run
 *   1.8   borrow_start: what another role of this daemon gives, for the plugin's own use
 *
 * Contract
 *   1. A plugin exports leased_plugin_entry, which is called once; its table is used to the end.
 *   2. Structs start with `size` and grow only at their end. Equal abi_major is required; what a
 *      peer's `size` doesn't reach is absent: test with LEASED_HAS.
 *   3. Every function here runs on the host's loop thread and returns within 5 ms; host->post is
 *      the only one that may be called from another thread.
 *   4. Asynchronous calls: a start function that returns < 0 has failed with that LEASED_* status,
 *      negated, and nothing more happens. After 0 the completion runs exactly once, never from
 *      inside the start function. Cancelling only asks: the completion still runs. The host never
 *      calls a plugin from inside a function of its own, so plugins needn't be reentrant.
 *   5. Operations (issue, renew, revoke, health, call, write, close) get a `leased_op *`. The
 *      plugin ends each accepted one by exactly one host->op_done (or call_done). The host owns
 *      deadlines (after one it calls cancel; a late op_done is harmless, and what a late issue
 *      created is revoked) and retries, by the class that the plugin gives.
 *   6. Strings are valid only during the call that they were passed to, unless said otherwise; the
 *      receiver copies what it keeps, op_done its result. Each side frees what it allocated.
 *   7. Configuration and parameters arrive as JSON text. Credentials leave as key/value pairs,
 *      those that must not be seen with LEASED_KV_SECRET.
 *   8. No secret in a log, an error's text or memory other than secret_alloc's.
 *   9. No network, clock, file, environment or chance but the host's: plugins run in a simulator.
 *
 * More, and examples: plugins/README.md in the repository. */
#ifndef LEASED_PLUGIN_H
#define LEASED_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LEASED_ABI_MAJOR 1
#define LEASED_ABI_MINOR 8

/* Does the struct that `p` points to reach `field`? */
#define LEASED_HAS(p, field) ((p)->size > offsetof(__typeof__(*(p)), field))

typedef struct leased_host_context leased_host_context; /* the host's: one backend or sink */
typedef struct leased_instance leased_instance;         /* the plugin's: the same */
typedef struct leased_op leased_op;                     /* the host's: one operation under way */
typedef struct leased_timer leased_timer;               /* the host's: one armed timer */
typedef struct leased_http leased_http;                 /* the host's: one HTTP exchange */
typedef struct leased_run leased_run;                   /* the host's: one program that runs */
typedef struct leased_borrow leased_borrow;             /* the host's: one look at a loan */

struct leased_str {
    const char *ptr;
    size_t len;
};

#define LEASED_KV_SECRET 1u

struct leased_kv {
    struct leased_str key;
    struct leased_str value;
    uint32_t flags; /* LEASED_KV_* */
    uint32_t reserved;
};

/* How an operation ended. */
#define LEASED_OK 0
#define LEASED_RETRY 1       /* passing fault; nothing was created: try again with back-off */
#define LEASED_RETRY_AFTER 2 /* the same, and not before result.retry_after_ms */
#define LEASED_DENIED 3      /* the issuer refuses, until somebody changes its policy */
#define LEASED_GONE 4        /* renew, revoke: the issuer doesn't know the lease (any more) */
#define LEASED_INVALID 5 /* the request or the configuration is wrong; result.detail says what */
#define LEASED_SEALED 6  /* the issuer is up but can't serve: sealed, standby, not initialised */
#define LEASED_LOST 7 /* it may have been executed, its answer was lost: never repeated blindly */
#define LEASED_CANCELED 8

#define LEASED_RESULT_RENEWABLE 1u /* issue, renew: a renewal can extend it */
#define LEASED_RESULT_REVOCABLE 2u /* issue: the issuer can end it before its time */
#define LEASED_RESULT_CAPPED 4u    /* issue, renew: shorter than asked, for a maximum is near */
/* Since 1.6, revoke, with LEASED_RETRY_AFTER: it ends with the instance's login, and nothing else
 * ends it. So a log-out isn't kept waiting for it. */
#define LEASED_RESULT_LOGIN_BOUND 8u

struct leased_result {
    uint32_t size;
    uint32_t flags;          /* LEASED_RESULT_* */
    uint64_t lifetime_ms;    /* issue, renew: from the moment the answer was made; > 0 */
    uint64_t retry_after_ms; /* LEASED_RETRY_AFTER; LEASED_SEALED: 0 if the issuer doesn't say */
    uint64_t anchor;         /* issue: what the lease hangs on (a token's generation); 0: nothing */
    /* issue: what renew and revoke will be given, at most 1024 bytes; treated as secret, but
     * ledgers keep it as it is, so what opens something goes into it sealed by the plugin. With
     * another status than LEASED_OK: what was created all the same; the host revokes it. Since 1.6
     * what follows its first line feed is no part of its name: people and the audit trail know the
     * credential by what stands before. */
    struct leased_str issuer_ref;
    struct leased_str detail;       /* errors: one line for people, at most 400 bytes, no secret */
    const struct leased_kv *fields; /* issue: the credential */
    size_t field_count;
    const struct leased_str *warnings; /* what the issuer wants people to know */
    size_t warning_count;
    /* issue, renew: host clock when the request was sent; 0: when the operation began */
    uint64_t asked_ms;
    /* issue, since 1.3, for what isn't renewable: how long after asked_ms a held credential is to
     * be issued anew, and not before; 0: the host decides by the lifetime; UINT64_MAX: never, but
     * for who asks after its end */
    uint64_t refresh_ms;
};

#define LEASED_LOG_DEBUG 0u
#define LEASED_LOG_INFO 1u
#define LEASED_LOG_WARN 2u
#define LEASED_LOG_ERROR 3u

#define LEASED_HTTP_CREATES 1u /* never sent twice, on a connection of its own */
/* Since 1.5, with CREATES: a redirect (307, 308) proves that it wasn't executed, so it may go on at
 * another address. What creates nothing always may. */
#define LEASED_HTTP_MOVABLE 2u
/* Since 1.6, with CREATES: what a second sending leaves behind ends by itself, soon, or the issuer
 * refuses it and ends the first one's. It may be sent twice, and on a kept connection. */
#define LEASED_HTTP_REPEATABLE 4u
/* Since 1.7, with `address`: it is the machine's own metadata service, which speaks plain http at a
 * link-local address (169.254.0.0/16, fd00:ec2::254) or as metadata.google.internal. */
#define LEASED_HTTP_METADATA 8u
/* Since 1.7, with `address`: it counts only where the backend has no address of its own. */
#define LEASED_HTTP_DEFAULT 16u

struct leased_http_header {
    struct leased_str name;
    struct leased_str value;
};

struct leased_http_request {
    uint32_t size;
    uint32_t flags; /* LEASED_HTTP_* */
    struct leased_str method;
    struct leased_str path; /* begins with "/"; the host puts the configured address before it */
    const struct leased_http_header *headers;
    size_t header_count;
    struct leased_str body;
    uint64_t timeout_ms; /* 0: the backend's limits.timeout */
    /* Since 1.7. Where it goes instead of to the backend's addresses (empty: there), with its TLS
     * files and proxy: "https://host[:port]", or http:// to this machine. What becomes of it says
     * nothing of the backend's addresses: the operation's end does. */
    struct leased_str address;
};

/* transport values of a leased_http_reply */
#define LEASED_HTTP_OK 0
#define LEASED_HTTP_NOT_SENT 1 /* no connection, TLS refused, out of time: not executed */
#define LEASED_HTTP_LOST 2     /* sent, no whole answer came: it may have been executed */
#define LEASED_HTTP_CANCELED 3

struct leased_http_reply {
    uint32_t size;
    uint32_t transport; /* LEASED_HTTP_* above; only with LEASED_HTTP_OK the rest is set */
    uint32_t status;    /* HTTP status */
    uint32_t reserved;
    const struct leased_http_header *headers; /* names in lower case */
    size_t header_count;
    struct leased_str body;
    struct leased_str detail; /* what went wrong, for people */
    /* Since 1.5, for who makes a tree of the body: how deep it may be nested and how many values it
     * may have, to be counted before it is parsed. 0: not said. */
    uint32_t depth_max;
    uint32_t values_max;
};

#define LEASED_CALL_REPEATABLE 1u /* creates nothing: may be sent twice, on a kept connection */

/* A client's request, to be passed to the issuer under the instance's own login. */
struct leased_call {
    uint32_t size;
    uint32_t flags; /* LEASED_CALL_* */
    struct leased_str method;
    struct leased_str path; /* as the issuer's API has it, with its query; begins with "/" */
    /* What the client sent, names in lower case. The plugin passes on only what is harmless, and
     * refuses what would speak for another login than the instance's. */
    const struct leased_http_header *headers;
    size_t header_count;
    struct leased_str body; /* at most 256 KiB */
};

/* The issuer's answer, errors of its own included. */
struct leased_call_reply {
    uint32_t size;
    uint32_t status;                          /* HTTP status, 200 to 599 */
    const struct leased_http_header *headers; /* in lower case, at most 16: fit for clients */
    size_t header_count;
    struct leased_str body; /* treated as secret */
};

/* Since 1.7. A program of the backend's configuration (LEASED_PLUGIN_RUNS). */
struct leased_run_request {
    uint32_t size;
    uint32_t reserved;
    struct leased_str program; /* the key that names it: "command" or "revoke_command" */
    /* LEASED_ROLE, _USER, _UID, _UNIT, _REASON, _TTL_S and _REF of its environment, no others; each
     * one line of UTF-8. An empty one isn't set. */
    const struct leased_kv *variables;
    size_t variable_count; /* at most 8 */
};

/* outcome values of a leased_run_end */
#define LEASED_RUN_EXITED 0
#define LEASED_RUN_NOT_STARTED 1 /* and it won't be before someone changes something */
#define LEASED_RUN_BUSY 2        /* not started, for want of something that passes */
#define LEASED_RUN_KILLED 3      /* it ran, and was ended before its time: detail says why */
#define LEASED_RUN_LOST 4        /* it may have run; what became of it isn't known */
#define LEASED_RUN_CANCELED 5

struct leased_run_end {
    uint32_t size;
    uint32_t outcome;   /* LEASED_RUN_* */
    uint32_t exit_code; /* LEASED_RUN_EXITED */
    uint32_t reserved;
    struct leased_str output; /* exit code 0: what it printed, at most 64 KiB; a secret */
    struct leased_str detail; /* why, or the first line on its stderr; may be empty */
};

#define LEASED_BORROW_REFUSED 1u /* the issuer has refused the last one */

/* Since 1.8. What the role gives that the backend borrows from (LEASED_PLUGIN_BORROWS). */
struct leased_borrowed {
    uint32_t size;
    int32_t status;                 /* as an operation's; only with LEASED_OK the fields are set */
    const struct leased_kv *fields; /* the credential */
    size_t field_count;
    uint64_t expires_ms; /* host clock */
    uint64_t retry_after_ms;
    struct leased_str detail;
};

typedef void (*leased_http_fn)(void *user, const struct leased_http_reply *reply);
typedef void (*leased_timer_fn)(void *user);
typedef void (*leased_post_fn)(void *user);
typedef void (*leased_intent_fn)(void *user, int32_t status);
typedef void (*leased_file_fn)(void *user, int32_t status, struct leased_str detail);
typedef void (*leased_run_fn)(void *user, const struct leased_run_end *end);
typedef void (*leased_borrow_fn)(void *user, const struct leased_borrowed *borrowed);

struct leased_host {
    uint32_t size;
    uint16_t abi_major;
    uint16_t abi_minor;

    /* `event` is a dotted name such as "vault.login.failed"; the host adds the backend's name. */
    void (*log)(leased_host_context *host, uint32_t level, struct leased_str event,
                const struct leased_kv *fields, size_t field_count);

    /* A clock for deadlines (goes on through suspend) and unix time. */
    uint64_t (*now_ms)(leased_host_context *host);
    int64_t (*wall_ms)(leased_host_context *host);
    void (*random)(leased_host_context *host, void *bytes, size_t size);

    /* Memory for secrets that are kept (tokens, keys): never swapped or dumped, wiped when freed,
     * and scarce, about a megabyte in all. NULL when there is none left. */
    void *(*secret_alloc)(size_t size);
    void (*secret_free)(void *block);

    /* Reads a secret that the configuration names: "file:/path", "env:NAME" or "credential:NAME"
     * (systemd). A trailing newline is cut off. Returns the length and, through ret_bytes, memory
     * to be freed by secret_free; or < 0 with a line for people in `ret_detail` (static or valid
     * until the next call). At most 64 KiB. A file that others can read is refused. Since 1.2
     * "shared-file:/path" is read though others can read it: only for what is written by somebody
     * who doesn't let its mode be chosen, as the kubelet does with a service account's token. */
    int64_t (*secret_read)(leased_host_context *host, struct leased_str source, char **ret_bytes,
                           struct leased_str *ret_detail);

    /* One-shot. `fn` runs once unless stopped; then the handle is dead. NULL: out of memory. */
    leased_timer *(*timer_start)(leased_host_context *host, uint64_t delay_ms, leased_timer_fn fn,
                                 void *user);
    void (*timer_stop)(leased_host_context *host, leased_timer *timer);

    /* The request is copied. NULL: it couldn't be started, out of memory or a wrong request. */
    leased_http *(*http_start)(leased_host_context *host, const struct leased_http_request *request,
                               leased_http_fn fn, void *user);
    void (*http_cancel)(leased_host_context *host, leased_http *http);

    /* Ends an operation. `result` is copied; NULL is an empty one. A handle that is used up is
     * harmless. */
    void (*op_done)(leased_host_context *host, leased_op *op, int32_t status,
                    const struct leased_result *result);

    /* Leases with this anchor can't live past `when_ms` (host clock; 0: they are dead now,
     * UINT64_MAX: no bound any more). The host replaces those that are still held. `reason`: one
     * line for people. */
    void (*anchor_ends)(leased_host_context *host, uint64_t anchor, uint64_t when_ms,
                        struct leased_str reason);

    /* When the plugin's own login ends: host clock; UINT64_MAX: never, 0: not logged in. */
    void (*login_expires)(leased_host_context *host, uint64_t when_ms);

    /* Adds to a counter of this backend; `name` is [a-z_]+. */
    void (*metric_add)(leased_host_context *host, struct leased_str name, uint64_t delta);

    /* Runs fn(user) on the loop thread, soon. From any thread. < 0: out of memory, or the end. */
    int32_t (*post)(leased_host_context *host, leased_post_fn fn, void *user);

    /* Since 1.1. Ends a `call` with the issuer's answer, which is copied. */
    void (*call_done)(leased_host_context *host, leased_op *op,
                      const struct leased_call_reply *reply);

    /* Since 1.4. Ordinary memory, wiped when it is freed, by secret_free too. NULL: none left. */
    void *(*alloc)(size_t size);

    /* Since 1.6, for an issue that hasn't ended: before the plugin asks its issuer to create
     * something it puts on durable record what `revoke` is to be given (as issuer_ref, by its
     * rules) if the answer is lost or the daemon dies. Called again it replaces the record.
     *
     * fn runs once, from the loop, with 0, or < 0 (a LEASED_* status, negated): then nothing may be
     * created, or nothing further; -LEASED_CANCELED after the operation's deadline; never once the
     * operation has ended. One at a time. < 0: it couldn't be started, and fn never runs. */
    int32_t (*intent)(leased_host_context *host, leased_op *op, struct leased_str ref,
                      leased_intent_fn fn, void *user);

    /* Since 1.6. Replaces what the instance keeps across restarts, its login; at most 64 KiB,
     * copied; empty: nothing. Stored sealed, soon. < 0: it can't be kept here, go on without. */
    int32_t (*state_put)(leased_host_context *host, struct leased_str bytes);

    /* Since 1.6, inside open only. What an earlier run of this backend kept, perhaps by another
     * version or configuration. Its length and, through ret_bytes, memory to be freed by
     * secret_free; 0: there is none; < 0: out of memory. */
    int64_t (*state_get)(leased_host_context *host, char **ret_bytes);

    /* Since 1.6. A standing warning for status, until it is taken back with an empty `text`. One
     * for each key ([a-z0-9_/-]{1,64}), at most 8. Not logged by the host. */
    void (*warning)(leased_host_context *host, struct leased_str key, struct leased_str text);

    /* Since 1.7. Replaces a public file that others read (a list of revoked certificates), whole
     * and durably, with mode 0644. `path` is absolute, its directory is there and can't be changed
     * by strangers, and what stands at it is a regular file or nothing. At most 1 MiB, and four at
     * once, which land in any order. Both are copied.
     *
     * fn runs once, from the loop, with 0, or < 0 (a LEASED_* status, negated) and a line for
     * people; after close has ended it never runs. < 0: it couldn't be started; fn never runs. */
    int32_t (*file_put)(leased_host_context *host, struct leased_str path, struct leased_str bytes,
                        leased_file_fn fn, void *user);

    /* Since 1.7. Runs a program of this backend's configuration: without a shell, with a clean
     * environment, as the configured user, for as long as `timeout` says. The request is copied.
     * NULL: it couldn't be started, out of memory or a wrong request. Cancelling kills it. */
    leased_run *(*run_start)(leased_host_context *host, const struct leased_run_request *request,
                             leased_run_fn fn, void *user);
    void (*run_cancel)(leased_host_context *host, leased_run *run);

    /* Since 1.8. What the role now gives that this backend borrows from: to be asked for at each
     * use, for it may be replaced at any time. `flags`: LEASED_BORROW_*. NULL: it couldn't be
     * started: out of memory, nothing is borrowed, or the backend closes. */
    leased_borrow *(*borrow_start)(leased_host_context *host, uint32_t flags, leased_borrow_fn fn,
                                   void *user);
    void (*borrow_cancel)(leased_host_context *host, leased_borrow *borrow);
};

/* What a caller asks for. */
struct leased_issue {
    uint32_t size;
    uint32_t reserved;
    struct leased_str role;         /* name of the role, for logs */
    struct leased_str params;       /* the role's plugin keys, a JSON object, templates filled in */
    uint64_t ttl_ms;                /* the life that is wanted; 0: the issuer's default */
    const struct leased_kv *caller; /* for the issuer's own audit: user, uid, unit, reason, … */
    size_t caller_count;
};

struct leased_lease_ref {
    uint32_t size;
    uint32_t reserved;
    struct leased_str issuer_ref;
    /* As of issue, but no template is filled in: what is needed of those goes into issuer_ref. */
    struct leased_str params;
    uint64_t ttl_ms; /* renew: the life wanted from now; 0: the issuer's default */
};

struct leased_backend_ops {
    uint32_t size;
    uint32_t reserved;

    /* Makes an instance from the backend's configuration (JSON object, without the keys that are
     * the host's). May start its login. On failure returns < 0 and sets ret_detail (static or valid
     * until the next call of the plugin). */
    int32_t (*open)(const struct leased_host *host, leased_host_context *context,
                    struct leased_str config, leased_instance **ret_instance,
                    struct leased_str *ret_detail);

    /* Is this a valid params object for issue? Called when the configuration is read. 0, or < 0
     * with ret_detail. Needs no instance and no network. */
    int32_t (*check_params)(struct leased_str params, struct leased_str *ret_detail);

    /* Is this a valid configuration for open? As check_params. A ret_detail of either that begins
     * with the key that it is about ("auth.method: one of …") is shown at that key's place in the
     * file. Since 1.2 a success is LEASED_NEEDS_*: host's keys that it can't work without. */
    int32_t (*check_config)(struct leased_str config, struct leased_str *ret_detail);

    /* Ends everything of the instance; open operations end with LEASED_CANCELED. When op_done(op)
     * is called, or when close itself fails, the instance's memory is gone; LEASED_CLOSE_LOGOUT:
     * the login is ended at the issuer, too. A cancelled close is done within cancel. */
    int32_t (*close)(leased_instance *instance, uint32_t flags, leased_op *op);

    int32_t (*issue)(leased_instance *instance, const struct leased_issue *request, leased_op *op);
    int32_t (*renew)(leased_instance *instance, const struct leased_lease_ref *lease,
                     leased_op *op);
    /* Of what was issued, and since 1.6 of what an intent names: then LEASED_OK or LEASED_GONE say
     * that nothing is left of it. */
    int32_t (*revoke)(leased_instance *instance, const struct leased_lease_ref *lease,
                      leased_op *op);

    /* Can the issuer serve now? */
    int32_t (*health)(leased_instance *instance, leased_op *op);

    /* Please end `op` soon: its op_done still comes. */
    void (*cancel)(leased_instance *instance, leased_op *op);

    /* Since 1.1. Passes a client's request to the issuer. Whatever the issuer answers ends it by
     * call_done; op_done ends it when there is no answer (LEASED_LOST: it may have been executed),
     * when the login is dead (LEASED_RETRY), or when the request is refused (LEASED_INVALID). What
     * the request creates at the issuer is not the host's to renew or revoke. */
    int32_t (*call)(leased_instance *instance, const struct leased_call *request, leased_op *op);

    /* Since 1.6. Can leases of an earlier run hang on this anchor, of a login that was taken over?
     * 1 or 0. Asked before they are taken over; a plugin without it loses them all. */
    int32_t (*holds_anchor)(leased_instance *instance, uint64_t anchor);
};

#define LEASED_CLOSE_LOGOUT 1u

#define LEASED_NEEDS_CLIENT_CERTIFICATE 1 /* cert_file and key_file */

/* Since 1.7. Audit records for a sink. */
struct leased_sink_write {
    uint32_t size;
    uint32_t reserved;
    struct leased_str lines; /* whole records, oldest first: one JSON object a line, each line with
                                its line feed; at most 128 KiB */
    uint64_t count;          /* how many; > 0 */
};

/* Since 1.7. Where audit records go, beside the trail's file. Nothing in a record is a secret. Of
 * the host's functions, intent, call_done, anchor_ends, login_expires, metric_add, warning and what
 * keeps state are a backend's; a sink's HTTP requests name their `address`. */
struct leased_sink_ops {
    uint32_t size;
    uint32_t reserved;

    /* As a backend's. `config` are the keys of the entry in `audit` that aren't the host's. */
    int32_t (*open)(const struct leased_host *host, leased_host_context *context,
                    struct leased_str config, leased_instance **ret_instance,
                    struct leased_str *ret_detail);
    int32_t (*check_config)(struct leased_str config, struct leased_str *ret_detail);
    int32_t (*close)(leased_instance *instance, uint32_t flags, leased_op *op);

    /* Takes records over. LEASED_OK: they are durable there. With every other status the host gives
     * them again, and nothing after them until they are taken: one may come twice, also after a
     * restart; it is known by its `seq` and `hash`. One write at a time, none when close comes.
     * Where the sink is `required`, no credential leaves while it fails or is slow. */
    int32_t (*write)(leased_instance *instance, const struct leased_sink_write *request,
                     leased_op *op);

    /* Please end `op` soon: its op_done still comes, and before it no other write. */
    void (*cancel)(leased_instance *instance, leased_op *op);
};

#define LEASED_KIND_BACKEND 1u
#define LEASED_KIND_SINK 2u /* since 1.7 */

/* Since 1.7: its backends needn't have an `address`: the plugin knows where its issuer is. */
#define LEASED_PLUGIN_NO_ADDRESS 1u
/* Since 1.7: the configuration of its backends names programs. The host reads these keys as well,
 * once, when it starts: `command` and `revoke_command` (lists: an absolute path, then arguments),
 * `user` (whom they run as), `env` (an object of texts) and `timeout` (a duration; 20s). */
#define LEASED_PLUGIN_RUNS 2u
/* Since 1.7: no reload may add or change its backends: what an instance knows dies with it. */
#define LEASED_PLUGIN_NO_RELOAD 4u
/* Since 1.8: its backends may say {source: {type: role, role: NAME}}: whose credential they use. */
#define LEASED_PLUGIN_BORROWS 8u

struct leased_plugin {
    uint32_t size;
    uint16_t abi_major;
    uint16_t kind;          /* LEASED_KIND_* */
    struct leased_str name; /* as in `plugin: NAME`, [a-z0-9-]{1,32} */
    struct leased_str version;
    const void *ops; /* by kind: struct leased_backend_ops, struct leased_sink_ops */
    uint32_t flags;  /* since 1.7: LEASED_PLUGIN_* */
    uint32_t reserved;
};

/* 0, or < 0: the plugin can't work with this host. Built-in ones: leased_plugin_entry_NAME. */
typedef int32_t (*leased_plugin_entry_fn)(const struct leased_host *host,
                                          const struct leased_plugin **ret_plugin);

#ifdef __cplusplus
}
#endif

#endif
