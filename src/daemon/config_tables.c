/* Every key of the configuration: type, range, default, and a line of explanation. Keys that
 * interface documents name but this version doesn't implement stand here too, so that using one is
 * an error that says so. */
#include "daemon/config_fields.h"
#include "env/http.h"
#include "io/secret_memory.h"
#include "serve/api.h"

#define HOUR_MS (3600ULL * 1000ULL)
#define YEAR_MS (8760ULL * HOUR_MS)
#define KIB 1024ULL

/* ---- listeners -------------------------------------------------------------- */

static const struct schema_enum_value serve_values[] = {
    {"native", 0}, {"metrics", 0}, {"vault", 0},   {"aws", 0},
    {"gcp", 0},    {"azure", 0},   {"systemd", 0}, {0},
};

static const struct schema_enum_value peers_values[] = {
    {"local", CONFIG_PEERS_LOCAL},
    {"foreign", CONFIG_PEERS_FOREIGN},
    {0},
};

static const struct schema_field tls_fields[] = {
    {FIELD(config_tls, "cert_file", SCHEMA_STRING, cert_file), .flags = SCHEMA_REQUIRED, ABSOLUTE,
     .doc = "the certificate of leased, with its chain, as PEM"},
    {FIELD(config_tls, "key_file", SCHEMA_STRING, key_file), .flags = SCHEMA_REQUIRED, ABSOLUTE,
     .doc = "its key, as PEM; nobody else may read it"},
    {FIELD(config_tls, "client_ca_file", SCHEMA_STRING, client_ca_file), .flags = SCHEMA_REQUIRED,
     ABSOLUTE, .doc = "who issues the clients' certificates, as PEM"},
    {0},
};
static const struct schema_object tls_table = TABLE("tls", config_tls, tls_fields, false);

static const struct schema_field cloud_fields[] = {
    {FIELD(config_cloud, "role", SCHEMA_STRING, role),
     .doc = "the role that answers; by default the first that policy allows the caller"},
    {0},
};
static const struct schema_object cloud_table =
    TABLE("a cloud's API", config_cloud, cloud_fields, false);

static const struct schema_field listener_vault_fields[] = {
    {FIELD(config_listener_vault, "backend", SCHEMA_NAME, backend),
     .doc = "which backend /v1/ speaks for; needed where there are several of the plugin vault"},
    {FIELD(config_listener_vault, "require_request_header", SCHEMA_BOOL, needs_header),
     .doc = "only requests with X-Vault-Request: true, as Vault's clients send it; true on tcp, "
            "false on a unix socket"},
    {0},
};
static const struct schema_object listener_vault_table =
    TABLE("vault", config_listener_vault, listener_vault_fields, false);

static const struct schema_field listener_fields[] = {
    {FIELD(config_listener, "name", SCHEMA_NAME, name),
     .doc = "for policies and the audit trail; listener-1, … by default"},
    {FIELD(config_listener, "unix", SCHEMA_STRING, unix_path), .pattern = "^/.{0,106}$",
     .doc = "path of a unix socket"},
    {FIELD(config_listener, "tcp", SCHEMA_STRING, tcp),
     .pattern = "^(\\[[^\\]]+\\]|[^:\\[\\]]+):[0-9]{1,5}$",
     .doc = "address and port; beyond loopback with tls only"},
    {FIELD(config_listener, "mode", SCHEMA_MODE, mode), .min = 0600, .max = 0777,
     .doc = "of the socket: 0600, or 0660 where a group is given"},
    {FIELD(config_listener, "user", SCHEMA_STRING, user), .doc = "owner of the socket"},
    {FIELD(config_listener, "group", SCHEMA_STRING, group), .doc = "group of the socket"},
    {FIELD(config_listener, "serve", SCHEMA_STRINGS, serve), .min = 1, .values = serve_values,
     .default_text = "native,metrics", .doc = "the interfaces that it offers"},
    {FIELD(config_listener, "tls", SCHEMA_OBJECT, tls), .object = &tls_table,
     .doc = "callers show a certificate"},
    {FIELD(config_listener, "peers", SCHEMA_ENUM, peers), .values = peers_values,
     .default_text = "local",
     .doc = "foreign: callers in other pid namespaces, too, known by uid and groups"},
    {FIELD(config_listener, "gcp", SCHEMA_OBJECT, gcp), .object = &cloud_table,
     .doc = "for the paths of the metadata service, which name no role"},
    {FIELD(config_listener, "azure", SCHEMA_OBJECT, azure), .object = &cloud_table,
     .doc = "for the addresses that name no role"},
    LATER("reconnect", "a grant bound to a connection ends with it"),
    {FIELD(config_listener, "vault", SCHEMA_OBJECT, vault), .object = &listener_vault_table,
     .doc = "of `serve: [vault]`"},
    {0},
};
static const struct schema_object listener_table =
    TABLE_WITH("a listener", config_listener, listener_fields, false,
               "\"oneOf\":[{\"required\":[\"unix\"]},{\"required\":[\"tcp\"]}],"
               "\"dependentRequired\":{\"mode\":[\"unix\"],\"user\":[\"unix\"],\"group\":"
               "[\"unix\"],\"peers\":[\"unix\"],\"tls\":[\"tcp\"]}");

/* ---- backends --------------------------------------------------------------- */

static const struct schema_field backend_limit_fields[] = {
    {FIELD(config_backend_limits, "in_flight", SCHEMA_UINT, in_flight), .min = 1, .max = 256,
     .default_text = "32", .doc = "calls at once"},
    {FIELD(config_backend_limits, "timeout", SCHEMA_DURATION, timeout_ms), .min = 1000,
     .max = 60000, .default_text = "10s", .doc = "for one exchange"},
    {FIELD(config_backend_limits, "connect_timeout", SCHEMA_DURATION, connect_timeout_ms),
     .min = 100, .max = 60000, .default_text = "5s", .doc = "of it, to reach one address"},
    {FIELD(config_backend_limits, "answer", SCHEMA_SIZE, answer_bytes), .min = 16 * KIB,
     .max = ENV_HTTP_REPLY_HARD_MAX_BYTES, .default_text = "256KiB", .doc = "of one"},
    {FIELD(config_backend_limits, "answer_depth", SCHEMA_UINT, answer_depth), .min = 8, .max = 64,
     .default_text = "32", .doc = "levels of lists and objects in it"},
    {FIELD(config_backend_limits, "answer_memory", SCHEMA_SIZE, answer_memory_bytes),
     .min = 256 * KIB, .max = 32 * KIB * KIB, .default_text = "8MiB",
     .doc = "that its values may take: 400 bytes are counted for each"},
    {FIELD(config_backend_limits, "issue_rate", SCHEMA_RATE, issue_rate), .default_text = "50/s",
     .doc = "new credentials"},
    {FIELD(config_backend_limits, "renew_rate", SCHEMA_RATE, renew_rate), .default_text = "200/s",
     .doc = "renewals"},
    {FIELD(config_backend_limits, "revoke_rate", SCHEMA_RATE, revoke_rate), .default_text = "200/s",
     .doc = "revocations"},
    {FIELD(config_backend_limits, "max_lifetime", SCHEMA_DURATION, lifetime_max_ms), .min = 1000,
     .max = YEAR_MS, .default_text = "768h", .doc = "a longer life that it grants isn't believed"},
    {0},
};
static const struct schema_object backend_limits_table =
    TABLE("limits", config_backend_limits, backend_limit_fields, false);

static const struct schema_field backend_fields[] = {
    {FIELD(config_backend, "plugin", SCHEMA_NAME, plugin), .flags = SCHEMA_REQUIRED_BY_OWNER,
     .doc = "which plugin speaks to it"},
    {FIELD(config_backend, "address", SCHEMA_STRINGS, addresses), .min = 1,
     .pattern = "^(https://|unix:///|http://(127\\.|localhost|\\[::1\\]))",
     .doc = "https://host:port or unix:///path; a list is tried in turn"},
    {FIELD(config_backend, "ca_file", SCHEMA_STRING, ca_file), ABSOLUTE,
     .doc = "instead of the system's"},
    {FIELD(config_backend, "cert_file", SCHEMA_STRING, cert_file), ABSOLUTE,
     .doc = "client certificate"},
    {FIELD(config_backend, "key_file", SCHEMA_STRING, key_file), ABSOLUTE, .doc = "its key"},
    {FIELD(config_backend, "server_name", SCHEMA_STRING, server_name),
     .doc = "expected in its certificate, if not the address's host"},
    {FIELD(config_backend, "proxy", SCHEMA_STRING, proxy), .doc = "the environment's is ignored"},
    {FIELD(config_backend, "health_interval", SCHEMA_DURATION, health_interval_ms), .min = 1000,
     .max = HOUR_MS, .default_text = "15s", .doc = "how often to ask whether it can serve"},
    {FIELD(config_backend, "limits", SCHEMA_OBJECT, limits), .object = &backend_limits_table,
     .doc = "of the calls to it"},
    {0},
};
static const struct schema_object backend_table =
    TABLE_WITH("a backend", config_backend, backend_fields, true,
               "\"dependentRequired\":{\"cert_file\":[\"key_file\"],\"key_file\":"
               "[\"cert_file\"]},\"if\":{\"properties\":{\"plugin\":{\"const\":\"vault\"}}},"
               "\"then\":{\"required\":[\"address\"]}");

/* ---- roles ------------------------------------------------------------------ */

static const struct schema_enum_value share_values[] = {
    {"none", LEASE_SHARE_NONE},
    {"identity", LEASE_SHARE_IDENTITY},
    {"role", LEASE_SHARE_ROLE},
    {0},
};

static const struct schema_enum_value binding_values[] = {
    {"process", ACCESS_BINDING_PROCESS},
    {"parent", ACCESS_BINDING_PARENT},
    {"connection", ACCESS_BINDING_CONNECTION},
    {"none", ACCESS_BINDING_NONE},
    {"session", ACCESS_BINDING_SESSION},
    {"unit", ACCESS_BINDING_UNIT},
    {0},
};

static const struct schema_enum_value on_stop_values[] = {
    {"keep", CONFIG_ON_STOP_KEEP},
    {"revoke", CONFIG_ON_STOP_REVOKE},
    {0},
};

static const struct schema_field budget_fields[] = {
    {FIELD(config_budget, "live", SCHEMA_UINT, live), .min = 1, .max = 2000000,
     .doc = "leases at once"},
    {FIELD(config_budget, "issue", SCHEMA_RATE, issue), .doc = "new credentials"},
    {FIELD(config_budget, "renew", SCHEMA_RATE, renew), .doc = "renewals"},
    {FIELD(config_budget, "revoke", SCHEMA_RATE, revoke), .doc = "revocations"},
    {0},
};
static const struct schema_object budget_table =
    TABLE("budget", config_budget, budget_fields, false);

static const struct schema_field verify_fields[] = {
    {FIELD(config_verify, "tcp", SCHEMA_STRING, tcp), .pattern = "^[^/?#@ ]+:[0-9]{1,5}$",
     .doc = "host:port where somebody must take a connection"},
    {FIELD(config_verify, "http", SCHEMA_STRING, http),
     .pattern = "^(https://|http://(127\\.|localhost|\\[::1\\]))",
     .doc = "address whose answer to a GET must be 2xx"},
    {FIELD(config_verify, "headers", SCHEMA_PAIRS, headers),
     .doc = "of the GET; ${field} is a field of the credential"},
    {FIELD(config_verify, "basic_auth", SCHEMA_STRING, basic_auth), .pattern = ":",
     .doc = "of the GET: ${username}:${password}"},
    {FIELD(config_verify, "ca_file", SCHEMA_STRING, ca_file), ABSOLUTE,
     .doc = "instead of the system's"},
    {FIELD(config_verify, "timeout", SCHEMA_DURATION, timeout_ms), .min = 100, .max = HOUR_MS,
     .default_text = "20s", .doc = "for all tries together; then the credential is revoked"},
    {FIELD(config_verify, "exec", SCHEMA_STRINGS, exec), .min = 1,
     .doc = "program and arguments; gets the credential as JSON on stdin, and must exit with 0"},
    {FIELD(config_verify, "user", SCHEMA_STRING, user),
     .doc = "as whom it runs; that of leased by default"},
    {0},
};
static const struct schema_object verify_table =
    TABLE_WITH("verify", config_verify, verify_fields, false,
               "\"oneOf\":[{\"required\":[\"tcp\"]},{\"required\":[\"http\"]},{\"required\":["
               "\"exec\"]}],\"dependentRequired\":{\"headers\":[\"http\"],\"basic_auth\":["
               "\"http\"],\"ca_file\":[\"http\"],\"user\":[\"exec\"]}");

static const struct schema_field role_fields[] = {
    {FIELD(config_role, "backend", SCHEMA_NAME, backend), .flags = SCHEMA_REQUIRED_BY_OWNER,
     .doc = "who issues it"},
    {FIELD(config_role, "attributes", SCHEMA_PAIRS, attributes),
     .doc = "not secret; part of the credential that clients see"},
    {FIELD(config_role, "ttl", SCHEMA_DURATION, ttl_ms), .min = 1000, .max = YEAR_MS,
     .doc = "the credential's life; the issuer's own by default"},
    {FIELD(config_role, "max_ttl", SCHEMA_DURATION, max_ttl_ms), .min = 1000, .max = YEAR_MS,
     .default_text = "24h", .doc = "its life across renewals"},
    {FIELD(config_role, "renew_at", SCHEMA_PERCENT, renew_at_percent), .min = 10, .max = 90,
     .default_text = "50%", .doc = "of its life; splay is added"},
    {FIELD(config_role, "min_remaining", SCHEMA_DURATION, min_remaining_ms), .max = YEAR_MS,
     .default_text = "5m",
     .doc = "never handed out with less (at most half of the granted life); 16m with the aws "
            "plugin, since SDKs fetch anew below 15"},
    {FIELD(config_role, "overlap", SCHEMA_DURATION, overlap_ms), .max = YEAR_MS,
     .default_text = "10m", .doc = "how long the old one lives on after a forced rotation"},
    {FIELD(config_role, "linger", SCHEMA_DURATION, linger_ms), .max = YEAR_MS, .default_text = "0s",
     .doc = "how long an unheld lease waits for the next caller"},
    {FIELD(config_role, "share", SCHEMA_ENUM, share), .values = share_values,
     .default_text = "none", .doc = "who gets the same credential"},
    {FIELD(config_role, "binding", SCHEMA_ENUM, binding), .values = binding_values,
     .default_text = "process", .doc = "what a grant's life hangs on"},
    {FIELD(config_role, "on_stop", SCHEMA_ENUM, on_stop), .values = on_stop_values,
     .default_text = "keep",
     .doc = "when leased stops to be started again; without a ledger, and for good, it is revoked"},
    {FIELD(config_role, "budget", SCHEMA_OBJECT, budget), .object = &budget_table,
     .doc = "how much of it there may be; no limits but the backend's by default"},
    {FIELD(config_role, "verify", SCHEMA_OBJECT, verify), .object = &verify_table, .min = 1,
     .flags = SCHEMA_OR_NONE,
     .doc = "tries a new credential out before anybody gets it; none by default"},
    {FIELD(config_role, "env", SCHEMA_PAIRS, env), .doc = "names of variables for `lease exec`"},
    {0},
};
static const struct schema_object role_table = TABLE("a role", config_role, role_fields, true);

/* ---- the rest --------------------------------------------------------------- */

static const struct schema_field sink_fields[] = {
    {FIELD(config_sink, "sink", SCHEMA_STRING, name), .flags = SCHEMA_REQUIRED_BY_OWNER,
     .doc = "file, stdout, or the name of a plugin that is loaded"},
    {FIELD(config_sink, "path", SCHEMA_STRING, path), ABSOLUTE, .doc = "of a file"},
    {FIELD(config_sink, "required", SCHEMA_BOOL, is_required), .default_text = "true",
     .doc = "no record, no credential"},
    {0},
};
/* Only a plugin's sink has other keys. */
static const struct schema_object sink_table = TABLE_WITH(
    "an audit sink", config_sink, sink_fields, true,
    "\"if\":{\"properties\":{\"sink\":{\"const\":\"file\"}}},\"then\":{\"required\":[\"path\"]},"
    "\"else\":{\"not\":{\"required\":[\"path\"]}},"
    "\"anyOf\":[{\"properties\":{\"sink\":{\"not\":{\"enum\":[\"file\",\"stdout\"]}}}},"
    "{\"propertyNames\":{\"enum\":[\"sink\",\"path\",\"required\"]}}]");

static const struct schema_field policies_fields[] = {
    {FIELD(config_policies, "path", SCHEMA_STRING, path), .doc = "a file or a folder of *.yaml"},
    {FIELD(config_policies, "rules", SCHEMA_JSON, rules_json), .object = &access_rule_table,
     .doc = "the first allow rule that fits decides; a deny wins"},
    {FIELD(config_policies, "persons", SCHEMA_JSON, persons_json), .flags = SCHEMA_BY_NAME,
     .object = &access_subject_table, .doc = "people by name, right here"},
    {FIELD(config_policies, "mode", SCHEMA_ENUM, mode), .default_text = "active",
     .values = access_mode_words, .doc = "observe: as if every rule had it"},
    {FIELD(config_policies, "admins", SCHEMA_JSON, admins_json), .object = &access_admins_table,
     .other_object = &access_subject_table,
     .doc = "who may see and end what others hold; a bare subject may all"},
    {0},
};
static const struct schema_object policies_table = TABLE_WITH(
    "policies", config_policies, policies_fields, false,
    "\"not\":{\"type\":\"object\",\"required\":[\"path\"],\"anyOf\":[{\"required\":[\"rules\"]},"
    "{\"required\":[\"admins\"]},{\"required\":[\"persons\"]},{\"required\":[\"mode\"]}]}");

static const struct schema_field plugins_fields[] = {
    {FIELD(config_plugins, "path", SCHEMA_STRING, path), .default_text = LEASED_PLUGINDIR,
     .doc = "the one folder that plugins are loaded from"},
    {FIELD(config_plugins, "load", SCHEMA_STRINGS, load), .doc = "names, without .so"},
    {0},
};
static const struct schema_object plugins_table =
    TABLE("plugins", config_plugins, plugins_fields, false);

static const struct schema_enum_value lock_memory_values[] = {
    {"try", IO_LOCK_MEMORY_TRY},
    {"required", IO_LOCK_MEMORY_REQUIRED},
    {"off", IO_LOCK_MEMORY_OFF},
    {0},
};

static const struct schema_field limits_fields[] = {
    {FIELD(config_limits, "stop_timeout", SCHEMA_DURATION, stop_timeout_ms), .min = 1000,
     .max = HOUR_MS, .default_text = "20s", .doc = "for revoking everything at the end"},
    {FIELD(config_limits, "clients", SCHEMA_UINT, clients), .min = 1, .max = 16000,
     .default_text = "1024", .doc = "connections of all listeners together"},
    {FIELD(config_limits, "clients_per_uid", SCHEMA_UINT, clients_per_uid), .min = 1, .max = 16000,
     .default_text = "256", .doc = "connections of one user, on all of them"},
    {FIELD(config_limits, "clients_per_address", SCHEMA_UINT, clients_per_address), .min = 1,
     .max = 16000, .default_text = "256", .doc = "of callers who have no uid"},
    {FIELD(config_limits, "streams", SCHEMA_UINT, streams), .min = 1, .max = 4096,
     .default_text = "256", .doc = "connections that watch, beside the clients"},
    {FIELD(config_limits, "streams_per_caller", SCHEMA_UINT, streams_per_caller), .min = 1,
     .max = 4096, .default_text = "64", .doc = "of one user, or one address"},
    {FIELD(config_limits, "requests", SCHEMA_UINT, requests), .min = 1, .max = 65536,
     .default_text = "4096", .doc = "under way at once"},
    {FIELD(config_limits, "request_head", SCHEMA_SIZE, request_head_bytes), .min = KIB,
     .max = 16 * KIB, .default_text = "8KiB", .doc = "request line and headers"},
    {FIELD(config_limits, "request_headers", SCHEMA_UINT, request_headers), .min = 8,
     .max = ENV_REQUEST_HEADERS_MAX, .default_text = "32", .doc = "how many"},
    {FIELD(config_limits, "request_target", SCHEMA_SIZE, request_target_bytes), .min = 256,
     .max = 4 * KIB, .default_text = "1KiB", .doc = "path and query"},
    {FIELD(config_limits, "request_body", SCHEMA_SIZE, request_body_bytes), .min = KIB,
     .max = KIB * KIB, .default_text = "64KiB", .doc = "of one request"},
    {FIELD(config_limits, "reply", SCHEMA_SIZE, reply_bytes), .min = SERVE_REPLY_MIN_BYTES,
     .max = SERVE_REPLY_MAX_BYTES, .default_text = "1MiB",
     .doc = "of one answer, and so what waits on one connection"},
    {FIELD(config_limits, "head_timeout", SCHEMA_DURATION, head_timeout_ms), .min = 100,
     .max = HOUR_MS, .default_text = "5s", .doc = "to send the headers"},
    {FIELD(config_limits, "body_timeout", SCHEMA_DURATION, body_timeout_ms), .min = 100,
     .max = HOUR_MS, .default_text = "10s", .doc = "to send the body"},
    {FIELD(config_limits, "idle_timeout", SCHEMA_DURATION, idle_timeout_ms), .min = 100,
     .max = HOUR_MS, .default_text = "60s", .doc = "between requests"},
    {FIELD(config_limits, "write_timeout", SCHEMA_DURATION, write_timeout_ms), .min = 100,
     .max = HOUR_MS, .default_text = "10s", .doc = "to take an answer"},
    {FIELD(config_limits, "leases", SCHEMA_UINT, leases), .flags = SCHEMA_RESTART, .min = 1,
     .max = 2000000, .default_text = "100000", .doc = "live at once"},
    {FIELD(config_limits, "grants", SCHEMA_UINT, grants), .flags = SCHEMA_RESTART, .min = 1,
     .max = 4000000, .default_text = "200000", .doc = "live at once"},
    {FIELD(config_limits, "waiting", SCHEMA_UINT, waiting), .flags = SCHEMA_RESTART, .min = 1,
     .max = 65536, .default_text = "256", .doc = "requests that wait for one lease, or of one uid"},
    {FIELD(config_limits, "acquire_timeout", SCHEMA_DURATION, acquire_timeout_ms),
     .flags = SCHEMA_RESTART, .min = 1000, .max = 600000, .default_text = "30s",
     .doc = "after which who waits is told to come again"},
    {FIELD(config_limits, "leases_per_uid", SCHEMA_UINT, leases_per_uid), .flags = SCHEMA_RESTART,
     .min = 1, .max = 2000000, .default_text = "10000", .doc = "live at once"},
    {FIELD(config_limits, "grants_live_per_uid", SCHEMA_UINT, grants_live_per_uid),
     .flags = SCHEMA_RESTART, .min = 1, .max = 4000000, .default_text = "20000",
     .doc = "live at once"},
    {FIELD(config_limits, "grants_per_uid", SCHEMA_RATE, grants_per_uid), .flags = SCHEMA_RESTART,
     .default_text = "10/s",
     .doc = "new ones, twice as many at once; ten times as many of what is shared"},
    {FIELD(config_limits, "clock_skew", SCHEMA_DURATION, clock_skew_ms), .flags = SCHEMA_RESTART,
     .min = 1000, .max = 60000, .default_text = "2s", .doc = "taken off each lifetime"},
    {FIELD(config_limits, "audit_confirm", SCHEMA_DURATION, audit_confirm_ms),
     .flags = SCHEMA_RESTART, .min = 100, .max = 30000, .default_text = "2s",
     .doc = "a sink that takes longer to have a record counts as failing"},
    {FIELD(config_limits, "audit_reserve", SCHEMA_SIZE, audit_reserve_bytes),
     .flags = SCHEMA_RESTART, .max = 256 * KIB * KIB, .default_text = "16MiB",
     .doc = "of the disk, kept for each audit file alone; 0: nothing"},
    {FIELD(config_limits, "secret_memory", SCHEMA_SIZE, secret_memory_bytes),
     .flags = SCHEMA_RESTART, .min = 256 * KIB, .max = 16 * KIB * KIB, .default_text = "1MiB",
     .doc = "for keys, tokens and what is being opened; rounded up to a power of two"},
    {FIELD(config_limits, "lock_memory", SCHEMA_ENUM, lock_memory), .flags = SCHEMA_RESTART,
     .values = lock_memory_values, .default_text = "try",
     .doc = "keep that memory from being swapped: try goes on where it isn't allowed"},
    {0},
};
static const struct schema_object limits_table =
    TABLE("limits", config_limits, limits_fields, false);

static const struct schema_enum_value level_values[] = {
    {"debug", LOG_LEVEL_DEBUG},
    {"info", LOG_LEVEL_INFO},
    {"warn", LOG_LEVEL_WARN},
    {"error", LOG_LEVEL_ERROR},
    {0},
};

static const struct schema_enum_value format_values[] = {
    {"auto", CONFIG_LOG_AUTO},
    {"text", CONFIG_LOG_TEXT},
    {"json", CONFIG_LOG_JSON},
    {0},
};

static const struct schema_field log_fields[] = {
    {FIELD(config_log, "level", SCHEMA_ENUM, level), .values = level_values, .default_text = "info",
     .doc = "the least that is written"},
    {FIELD(config_log, "format", SCHEMA_ENUM, format), .values = format_values,
     .default_text = "auto", .doc = "text on a terminal, fields in the journal, else JSON lines"},
    {0},
};
static const struct schema_object log_table = TABLE("log", config_log, log_fields, false);

static const struct schema_field ledger_fields[] = {
    {FIELD(config_ledger, "sqlite", SCHEMA_STRING, sqlite), ABSOLUTE, .flags = SCHEMA_REQUIRED,
     .doc = "its file, made where there is none"},
    LATER("etcd", NULL),
    {0},
};
static const struct schema_object ledger_table =
    TABLE("a ledger", config_ledger, ledger_fields, false);

static const struct schema_field state_fields[] = {
    {FIELD(config_state, "ledger", SCHEMA_OBJECT, ledger), .flags = SCHEMA_RESTART,
     .object = &ledger_table,
     .doc = "what survives a crash, so that the next start goes on with it"},
    {FIELD(config_state, "seal_key_file", SCHEMA_STRING, seal_key_file), ABSOLUTE,
     .flags = SCHEMA_RESTART,
     .doc = "seals what is secret in the ledger; beside it by default, where it is made"},
    {FIELD(config_state, "seal_key_credential", SCHEMA_STRING, seal_key_credential),
     .flags = SCHEMA_RESTART, .pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$",
     .doc = "the same from the service manager (LoadCredential=)"},
    {0},
};
static const struct schema_object state_table =
    TABLE("the state", config_state, state_fields, false);

static const struct schema_field clients_fields[] = {
    {FIELD(config_clients, "git", SCHEMA_PAIRS, git),
     .doc = "HOST[:PORT][/PATH] with * to the role of `lease git-credential`; the first that fits"},
    {FIELD(config_clients, "docker", SCHEMA_PAIRS, docker),
     .doc = "HOST[:PORT] of a registry, with *, to the role of `lease docker-credential`"},
    {0},
};
static const struct schema_object clients_table =
    TABLE("clients", config_clients, clients_fields, false);

static const struct schema_field settings_fields[] = {
    {FIELD(config_settings, "listeners", SCHEMA_LIST, listeners), .flags = SCHEMA_REQUIRED,
     .min = 1, .object = &listener_table, .doc = "where clients connect"},
    {FIELD(config_settings, "backends", SCHEMA_MAP, backends), .object = &backend_table,
     .doc = "who issues credentials"},
    {FIELD(config_settings, "roles", SCHEMA_MAP, roles), .object = &role_table,
     .doc = "what clients may ask for"},
    {FIELD(config_settings, "policies", SCHEMA_OBJECT, policies), .object = &policies_table,
     .doc = "who may have it; nobody by default"},
    {FIELD(config_settings, "clients", SCHEMA_OBJECT, clients), .object = &clients_table,
     .doc = "which role answers which client's helper"},
    {FIELD(config_settings, "audit", SCHEMA_LIST, audit), .flags = SCHEMA_REQUIRED | SCHEMA_RESTART,
     .min = 1, .object = &sink_table, .doc = "who had what, when and why"},
    {FIELD(config_settings, "plugins", SCHEMA_OBJECT, plugins), .flags = SCHEMA_RESTART,
     .object = &plugins_table, .doc = "those that aren't built in"},
    {FIELD(config_settings, "state", SCHEMA_OBJECT, state), .object = &state_table,
     .doc = "what outlives leased"},
    {FIELD(config_settings, "limits", SCHEMA_OBJECT, limits), .object = &limits_table,
     .doc = "of leased itself"},
    {FIELD(config_settings, "log", SCHEMA_OBJECT, log), .object = &log_table,
     .doc = "what leased tells about itself"},
    {FIELD(config_settings, "issuers", SCHEMA_MAP, issuers), .object = &config_issuer_table,
     .doc = "who may vouch for a caller with a job token (JWT)"},
    {FIELD(config_settings, "containers", SCHEMA_LIST, containers),
     .object = &config_container_table, .doc = "where runtimes say what containers were made from"},
    {FIELD(config_settings, "files", SCHEMA_LIST, files), .object = &config_file_table,
     .doc = "credentials as files, kept fresh"},
    {FIELD(config_settings, "notify", SCHEMA_LIST, notify), .object = &config_notify_table,
     .doc = "who is told of events, such as requests for an approval"},
    {0},
};
const struct schema_object config_settings_table =
    TABLE("the configuration", config_settings, settings_fields, false);
