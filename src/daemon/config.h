/* The configuration of leased: read, checked as a whole, and held for as long as the daemon runs.
 *
 * Files: config_tables.c (every key, its type, range and default), config_files.c (from the disk to
 * one tree), config_check.c, config_listeners.c, config_sinks.c and config_plugins.c (what no table
 * can say),
 * config_deliveries.c (the same for `files`),
 * config_machine.c (what only this machine can say), config.c (this: the way through them),
 * config_compare.c (what a reload changes). */
#ifndef LEASED_DAEMON_CONFIG_H
#define LEASED_DAEMON_CONFIG_H

#include "access/containers.h"
#include "access/issuer.h"
#include "access/policy.h"
#include "backend/backend.h"
#include "backend/registry.h"
#include "base/log.h"
#include "lease/core.h"
#include "wire/policy_copy.h"
#include "wire/schema.h"

#include <sys/types.h>

#define CONFIG_UNIX_PATH_MAX_BYTES 107

struct io_environment;

struct config_tls {
    const struct yaml_node *node; /* NULL: plain */
    char *cert_file;
    char *key_file;
    char *client_ca_file;
};

enum config_peers {
    CONFIG_PEERS_LOCAL,
    CONFIG_PEERS_FOREIGN,
};

/* A cloud's API of a listener. */
struct config_cloud {
    const struct yaml_node *node;
    char *role; /* NULL: whatever policy allows */
};

struct config_listener_vault {
    const struct yaml_node *node;
    char *backend;     /* NULL: not given; see config_listener_backend */
    bool needs_header; /* see config_listener_needs_header */
};

struct config_listener {
    const struct yaml_node *node;
    char *name;
    char *unix_path;
    char *tcp;
    struct config_tls tls;
    uint64_t mode; /* 0: not given */
    char *user;
    char *group;
    struct schema_strings serve;
    int peers;
    struct config_cloud gcp;
    struct config_cloud azure;
    struct config_listener_vault vault;
};

struct config_backend_limits {
    const struct yaml_node *node;
    uint64_t in_flight;
    uint64_t timeout_ms;
    struct units_rate issue_rate;
    struct units_rate renew_rate;
    struct units_rate revoke_rate;
    uint64_t lifetime_max_ms;
    uint64_t connect_timeout_ms;
    uint64_t answer_bytes;
    uint64_t answer_depth;
    uint64_t answer_memory_bytes;
};

struct config_backend {
    const struct yaml_node *node;
    char *name;
    char *plugin;
    struct schema_strings addresses;
    char *ca_file;
    char *cert_file;
    char *key_file;
    char *server_name;
    char *proxy;
    uint64_t health_interval_ms;
    struct config_backend_limits limits;
    char *config_json;   /* the plugin's own keys; made by config_check_plugins */
    bool runs_programs;  /* … of which some name programs; likewise */
    bool needs_restart;  /* no reload may add or change it; likewise */
    const char *borrows; /* the role whose credential it works with, borrowed from the document;
                            NULL: none; likewise */
};

struct config_budget {
    const struct yaml_node *node;
    uint64_t live;
    struct units_rate issue;
    struct units_rate renew;
    struct units_rate revoke;
};

struct config_verify {
    const struct yaml_node *node; /* NULL: nothing is tried out */
    char *tcp;
    char *http;
    struct schema_pairs headers;
    char *basic_auth;
    char *ca_file;
    struct schema_strings exec;
    char *user;
    uint64_t timeout_ms;
};

struct config_role {
    const struct yaml_node *node;
    char *name;
    char *backend;
    struct schema_pairs attributes;
    struct schema_pairs env;
    uint64_t ttl_ms;
    uint64_t max_ttl_ms;
    uint64_t renew_at_percent;
    uint64_t min_remaining_ms;
    uint64_t overlap_ms;
    uint64_t linger_ms;
    int share;   /* enum lease_share */
    int binding; /* enum access_binding */
    int on_stop; /* enum config_on_stop */
    struct config_budget budget;
    struct config_verify verify;
    char *verify_json;                    /* NULL: none; made by config_load */
    char *params_json;                    /* the plugin's own keys; made by config_check_plugins */
    struct lease_field *attribute_fields; /* over attributes; made by config_load */
    struct lease_field *env_fields;       /* over env; made by config_load */
};

/* Whose credential it is: what policy judges. */
struct config_holder {
    const struct yaml_node *node;
    char *user;
    char *unit;  /* NULL: as long as the file is configured */
    char *group; /* NULL: the user's own */
};

struct config_signal {
    const struct yaml_node *node; /* NULL: none */
    char *unit;
    char *signal;
};

/* At most one of reload, restart, signal and exec. */
struct config_on_change {
    const struct yaml_node *node; /* NULL: nobody is told */
    char *reload;
    char *restart;
    struct config_signal signal;
    struct schema_strings exec;
    uint64_t settle_ms;
};

struct config_file {
    const struct yaml_node *node;
    char *path;
    char *role;
    struct config_holder holder;
    char *format;
    char *template_text; /* of format: template=FILE; made by config_check_deliveries; else NULL */
    uint64_t mode;       /* 0: not given */
    char *user;
    char *group;
    struct config_on_change on_change;
    bool is_required;
};

enum config_on_stop {
    CONFIG_ON_STOP_REVOKE,
    CONFIG_ON_STOP_KEEP,
};

struct config_sink {
    const struct yaml_node *node;
    char *name; /* what `sink` says */
    char *path;
    bool is_required;
    int kind;          /* enum config_sink_kind; made by config_check_sinks … */
    char *config_json; /* … as is a plugin's own keys */
};

enum config_sink_kind {
    CONFIG_SINK_FILE,
    CONFIG_SINK_STDOUT,
    CONFIG_SINK_PLUGIN,
};

struct config_policies {
    const struct yaml_node *node; /* NULL: none, so nobody may do anything */
    char *path;
    char *rules_json;
    char *admins_json;
    char *persons_json;
    int mode;
};

struct config_ledger {
    const struct yaml_node *node;
    char *sqlite; /* NULL: none */
};

struct config_state {
    const struct yaml_node *node;
    struct config_ledger ledger;
    char *seal_key_file;       /* NULL: none */
    char *seal_key_credential; /* NULL: none */
};

/* Where a runtime describes its containers. */
struct config_container {
    const struct yaml_node *node;
    char *file;
    char *image;
};

/* Who may vouch for a caller. */
struct config_issuer {
    const struct yaml_node *node;
    char *name;
    char *url;
    struct schema_strings audience;
    struct schema_strings algorithms;
    char *jwks_file; /* NULL: none; this and the next two */
    char *jwks_url;
    char *ca_file;
    uint64_t leeway_ms;
    char *session; /* NULL: none, both */
    char *person;
};

/* Which role answers which client's helper: patterns to roles, the first that fits counts. */
struct config_clients {
    const struct yaml_node *node;
    struct schema_pairs git;
    struct schema_pairs docker;
};

/* Who is told of events of the trail: a URL, or a program. */
struct config_notify {
    const struct yaml_node *node;
    char *url; /* NULL: a program */
    struct schema_strings exec;
    char *user;
    struct schema_strings events;
    char *hmac_key_file; /* one of these; all NULL: not signed */
    char *hmac_key_env;
    char *hmac_key_credential;
    char *ca_file;
    char *name; /* that it is told apart by; made by config_check_notify */
};

struct config_plugins {
    const struct yaml_node *node;
    char *path;
    struct schema_strings load;
};

struct config_limits {
    const struct yaml_node *node;
    uint64_t stop_timeout_ms;
    uint64_t clients;
    uint64_t clients_per_uid;
    uint64_t clients_per_address;
    uint64_t streams;
    uint64_t streams_per_caller;
    uint64_t requests;
    uint64_t request_head_bytes;
    uint64_t request_headers;
    uint64_t request_target_bytes;
    uint64_t request_body_bytes;
    uint64_t reply_bytes;
    uint64_t head_timeout_ms;
    uint64_t body_timeout_ms;
    uint64_t idle_timeout_ms;
    uint64_t write_timeout_ms;
    uint64_t leases;
    uint64_t grants;
    uint64_t waiting;
    uint64_t acquire_timeout_ms;
    uint64_t leases_per_uid;
    uint64_t grants_live_per_uid;
    struct units_rate grants_per_uid;
    uint64_t clock_skew_ms;
    uint64_t audit_confirm_ms;
    uint64_t audit_reserve_bytes;
    uint64_t secret_memory_bytes;
    int lock_memory; /* enum io_lock_memory */
};

enum config_log_format {
    CONFIG_LOG_AUTO,
    CONFIG_LOG_TEXT,
    CONFIG_LOG_JSON,
};

struct config_log {
    const struct yaml_node *node;
    int level;  /* enum log_level */
    int format; /* enum config_log_format */
};

/* What the files say. */
struct config_settings {
    const struct yaml_node *node;
    struct schema_list listeners;  /* struct config_listener, at least one */
    struct schema_list backends;   /* struct config_backend */
    struct schema_list roles;      /* struct config_role */
    struct schema_list audit;      /* struct config_sink, at least one */
    struct schema_list files;      /* struct config_file */
    struct schema_list issuers;    /* struct config_issuer */
    struct schema_list containers; /* struct config_container */
    struct schema_list notify;     /* struct config_notify */
    struct config_policies policies;
    struct config_clients clients;
    struct config_plugins plugins;
    struct config_state state;
    struct config_limits limits;
    struct config_log log;
};

/* Who may what, and what that was made of. */
struct config_policy {
    struct access_policy *policy;   /* what counts */
    struct access_policy *observed; /* decided beside it, without effect; NULL: nothing */
    struct policy_copy *copy;
    char *notes; /* what an operator should know about it, one text a line; NULL: nothing */
};

struct config {
    struct yaml_document *document;
    struct config_settings settings;
    struct config_policy access;
    struct access_issuer_config *issuers; /* as many as settings.issuers, borrowing from there */
    struct access_container_config *containers; /* likewise */
    const char **env_names; /* variables that hold secrets; borrowed from the document */
    size_t env_name_count;
};

struct config_options {
    const char *path;                  /* a file, or a folder of *.yaml merged in name order */
    struct backend_registry *registry; /* plugins that the configuration lists are added to it */
    /* Not NULL: gets what isn't wrong but may be a slip, or wouldn't work on this machine as it is
     * now: files, folders, users and groups that are named but aren't there (yet), certificates
     * that don't serve, secrets that others can read. Reads listeners' keys. */
    struct yaml_errors *warnings;
    bool is_reload; /* plugins are loaded at start only: those that are listed are there already */
};

/* Reads and checks everything. All mistakes are in `errors`. ERR_NOT_FOUND when there is no file or
 * it can't be read, ERR_INVALID, ERR_NOMEM. */
int config_load(const struct config_options *options, struct config **ret_config,
                struct yaml_errors *errors) ATTR_MUST_USE;

/* After everything that was made from it is closed. NULL is fine. */
void config_free(struct config *config);

/* By name, borrowed; NULL: there is none. */
const struct config_backend *config_backend_find(const struct config *config, const char *name);
const struct config_role *config_role_find(const struct config *config, const char *name);

/* Which backend Vault's API speaks for at this listener; "": none. */
const char *config_listener_backend(const struct config *config,
                                    const struct config_listener *listener);
/* Does it want X-Vault-Request? */
bool config_listener_needs_header(const struct config_listener *listener);

/* What a reload has to do about one part of the configuration. */
enum config_change {
    CONFIG_SAME,
    CONFIG_LIMITS, /* of a backend: its numbers only, which count at once */
    CONFIG_OTHER,
};
enum config_change config_compare_backends(const struct config_backend *before,
                                           const struct config_backend *after);
/* A role's own settings; its backend may be another one under the same name. */
bool config_role_is_same(const struct config_role *before, const struct config_role *after);
/* Also what a listener takes from `limits`; not what stands in the files of its TLS. */
bool config_listener_is_same(const struct config *before, const struct config_listener *one,
                             const struct config *after, const struct config_listener *other);
/* Do both listen at one place? Then the second may take over from the first. */
bool config_listener_is_at_same_place(const struct config_listener *one,
                                      const struct config_listener *other);
bool config_limits_are_same(const struct config *before, const struct config *after);
bool config_clients_are_same(const struct config *before, const struct config *after);
bool config_log_is_same(const struct config *before, const struct config *after);

/* Is what the helper process knows of it the same? */
bool config_file_is_same(const struct config_file *before, const struct config_file *after);
const struct config_file *config_file_find(const struct config *config, const char *path);
mode_t config_file_mode(const struct config_file *file);

/* Compiles a copy (taken on success) for the roles and issuers of this configuration. What it names
 * and nobody knows goes to `unknown`; NULL: that is a mistake. ERR_INVALID, ERR_NOMEM. */
int config_policy_make(const struct config *config, struct policy_copy *copy,
                       struct yaml_errors *unknown, struct config_policy *ret_access,
                       struct yaml_errors *errors) ATTR_MUST_USE;
void config_policy_fini(struct config_policy *access);

/* Where policies that were applied are kept: the copy that counts, the next one until it does, and
 * the folder of their texts; mem_free. NULL: nowhere, for want of a ledger, or no memory. */
char *config_policy_path(const struct config *config);
char *config_policy_next_path(const struct config *config);
char *config_policy_archive_path(const struct config *config, const char *digest);

/* Reads such a copy. ERR_NOT_FOUND: there is none; ERR_INVALID or another failure with a text that
 * says what to do. */
int config_policy_copy_read(const char *path, struct policy_copy **ret_copy,
                            struct err *e) ATTR_MUST_USE;

/* Where the record of the files is: beside the ledger (mem_free). NULL: nowhere, or no memory. */
char *config_files_record(const struct config *config);

/* Is there one of this name? */
bool config_notify_has(const struct config *config, const char *name);

/* Reports what differs and can't be changed while leased runs. `environment` tells which variables
 * were kept at the start. */
void config_check_restart(const struct config *before, const struct config *after,
                          const struct io_environment *environment, struct yaml_errors *errors);

/* Hex SHA-256 over what the files say, without comments and layout; for logs and the trail. */
#define CONFIG_DIGEST_BYTES 64
int config_digest(const struct config *config,
                  char ret_digest[CONFIG_DIGEST_BYTES + 1]) ATTR_MUST_USE;

/* What the lease layer wants to know of a role. Points into the configuration. */
void config_fill_role(const struct config_role *role, struct lease_issuer *issuer,
                      struct lease_role *ret_role);

#endif
