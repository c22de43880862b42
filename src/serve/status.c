/* Health: /status for people and tools, /livez and /readyz for supervisors. */
#include "serve/exchange.h"

#include "env/ledger.h"

#include <stdio.h>
#include <string.h>

/* Revocations that have waited for longer are worth a warning. */
#define REVOKE_DEBT_MS 60000U

static bool is_reader(const struct exchange *x)
{
    return (x->admin & ACCESS_ADMIN_READ) != 0;
}

static bool is_degraded(const struct serve *serve)
{
    size_t i;
    struct backend_status status;

    if (lease_core_may_hand_out(serve->options.core, NULL) != 0 ||
        blocks_has_unreadable(&serve->blocks)) {
        return true;
    }
    for (i = 0; i < serve->options.backend_count; i++) {
        backend_status(serve->options.backends[i], &status);
        if (!status.is_up) {
            return true;
        }
    }
    return false;
}

static void backend_warn(const struct exchange *x, struct json_out *json,
                         const struct backend_status *status)
{
    char text[BACKEND_ERROR_MAX_BYTES + 256];
    bool has_reason = is_reader(x) && status->last_error[0] != '\0';

    if (!status->is_up) {
        (void)snprintf(text, sizeof(text), "backend %s is down%s%s", status->name,
                       has_reason ? ": " : "", has_reason ? status->last_error : "");
        json_out_string_c(json, NULL, text);
    }
    if (status->is_skew_large) {
        (void)snprintf(text, sizeof(text),
                       "the clock of backend %s differs from this machine's by %lld seconds",
                       status->name, (long long)(status->clock_skew_ms / 1000));
        json_out_string_c(json, NULL, text);
    }
    for (size_t i = 0; is_reader(x) && status->address_count > 1 && i < status->address_count;
         i++) {
        if (!status->addresses[i].is_up) {
            (void)snprintf(text, sizeof(text), "address %.200s of backend %s fails: %s",
                           status->addresses[i].address, status->name,
                           status->addresses[i].last_error);
            json_out_string_c(json, NULL, text);
        }
    }
    for (size_t i = 0; is_reader(x) && i < status->warning_count; i++) {
        (void)snprintf(text, sizeof(text), "backend %s: %s", status->name,
                       status->warnings[i].text);
        json_out_string_c(json, NULL, text);
    }
    if (is_reader(x) && status->sweep_oldest_ms > REVOKE_DEBT_MS) {
        (void)snprintf(text, sizeof(text),
                       "backend %s: %llu credentials that nobody got wait for their revocation, "
                       "the oldest for %llu seconds",
                       status->name, (unsigned long long)status->sweep_count,
                       (unsigned long long)(status->sweep_oldest_ms / 1000));
        json_out_string_c(json, NULL, text);
    }
}

static bool is_configured(const struct serve_options *options, const char *name)
{
    struct backend_status status;
    size_t i;

    for (i = 0; i < options->backend_count; i++) {
        backend_status(options->backends[i], &status);
        if (strcmp(status.name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void left_warn(const struct serve_options *options, struct json_out *json)
{
    char text[LEFT_TEXT_MAX_BYTES];
    size_t i;

    for (i = 0; options->left != NULL && i < options->left->entry_count; i++) {
        const struct left_entry *entry = &options->left->entries[i];

        left_text(entry, is_configured(options, entry->backend), text);
        json_out_string_c(json, NULL, text);
    }
}

static void blocks_warn(const struct blocks *blocks, struct json_out *json)
{
    char text[ENV_LEDGER_ID_MAX_BYTES + 256];
    struct list *node;

    for (node = blocks->list.next; node != &blocks->list; node = node->next) {
        const struct block *block = LIST_ENTRY(node, struct block, node);

        if (block->is_unreadable) {
            (void)snprintf(text, sizeof(text),
                           "block %s can't be read in the ledger, so it refuses everybody: look "
                           "for its id in the trail, block again who is meant (lease block), then "
                           "end this one (lease unblock)",
                           block->id);
            json_out_string_c(json, NULL, text);
        }
    }
}

/* Who isn't told of what he should be. */
static void hooks_warn(const struct serve_options *options, struct json_out *json)
{
    char text[HOOK_TEXT_MAX_BYTES];
    size_t i;

    for (i = 0; options->hooks != NULL && hooks_warning(options->hooks, i, text); i++) {
        if (text[0] != '\0') {
            json_out_string_c(json, NULL, text);
        }
    }
}

/* What an operator should look at, in words. */
static void warnings_write(const struct exchange *x, struct json_out *json)
{
    const struct serve_options *options = &x->serve->options;
    struct backend_status status;
    struct lease_core_stats stats;
    char text[128];
    struct err e = {.code = 0};
    size_t i;

    json_out_array_open(json, "warnings");
    if (lease_core_may_hand_out(options->core, &e) != 0) {
        json_out_string_c(json, NULL, e.text);
    }
    for (i = 0; i < options->backend_count; i++) {
        backend_status(options->backends[i], &status);
        backend_warn(x, json, &status);
    }
    lease_core_stats(options->core, &stats);
    if (is_reader(x) && stats.revoke_oldest_ms > REVOKE_DEBT_MS) {
        (void)snprintf(text, sizeof(text),
                       "%llu leases wait for their revocation, the oldest for %llu seconds",
                       (unsigned long long)stats.revoke_pending,
                       (unsigned long long)(stats.revoke_oldest_ms / 1000));
        json_out_string_c(json, NULL, text);
    }
    if (is_reader(x) && stats.unconfirmed_total > 0) {
        (void)snprintf(
            text, sizeof(text),
            "the issuers never confirmed the end of %llu leases: look at \"unconfirmed\" "
            "in the audit trail",
            (unsigned long long)stats.unconfirmed_total);
        json_out_string_c(json, NULL, text);
    }
    if (is_reader(x)) {
        left_warn(options, json);
        blocks_warn(&x->serve->blocks, json);
        hooks_warn(options, json);
        policy_warn(options, json);
        files_warnings_write(&x->serve->files, json);
    }
    json_out_array_close(json);
}

/* A moment of the env clock; 0: null. */
static void moment_write(const struct exchange *x, struct json_out *json, const char *key,
                         uint64_t when_ms)
{
    struct env *env = x->serve->options.env;
    int64_t from_now_ms = (int64_t)when_ms - (int64_t)env_now_ms(env);

    json_out_time(json, key, when_ms != 0 ? env_wall_ms(env) + from_now_ms : 0);
}

static void addresses_write(const struct exchange *x, struct json_out *json,
                            const struct backend_status *status)
{
    json_out_array_open(json, "addresses");
    for (size_t i = 0; i < status->address_count; i++) {
        const struct backend_address *address = &status->addresses[i];

        json_out_object_open(json, NULL);
        json_out_string_c(json, "address", address->address);
        json_out_bool(json, "up", address->is_up);
        json_out_bool(json, "preferred", address->is_preferred);
        json_out_string_c(json, "last_error", str_or_null(address->last_error));
        moment_write(x, json, "next_probe_at", address->probe_at_ms);
        json_out_object_close(json);
    }
    json_out_array_close(json);
}

static void breaker_write(const struct exchange *x, struct json_out *json,
                          const struct backend_status *status)
{
    json_out_object_open(json, "breaker");
    json_out_string_c(json, "state", status->breaker);
    moment_write(x, json, "next_probe_at", status->probe_at_ms);
    moment_write(x, json, "paused_until", status->pause_until_ms);
    if (is_reader(x)) {
        json_out_u64(json, "opened", status->breaker_opened_total);
        json_out_u64(json, "refused", status->refused_total);
    }
    json_out_object_close(json);
}

/* For those who may read: what would tell others about the estate. */
static void backend_write_inside(const struct exchange *x, struct json_out *json,
                                 const struct backend_status *status)
{
    json_out_string_c(json, "last_error", str_or_null(status->last_error));
    json_out_u64(json, "in_flight", status->in_flight);
    json_out_u64(json, "operations", status->op_total);
    json_out_u64(json, "timeouts", status->op_timeout_total);
    json_out_u64(json, "late", status->op_late_total);
    json_out_object_open(json, "sweep_debt");
    json_out_u64(json, "pending", status->sweep_count);
    json_out_u64(json, "oldest_seconds", status->sweep_oldest_ms / 1000);
    json_out_u64(json, "forgotten", status->sweep_forgotten_total);
    json_out_object_close(json);
    json_out_array_open(json, "warnings");
    for (size_t i = 0; i < status->warning_count; i++) {
        json_out_string_c(json, NULL, status->warnings[i].text);
    }
    json_out_array_close(json);
    addresses_write(x, json, status);
}

static void secret_memory_write(struct json_out *json)
{
    struct secret_stats stats;

    secret_memory_stats(&stats);
    json_out_object_open(json, "secret_memory");
    json_out_string_c(json, "kind", stats.kind);
    json_out_u64(json, "used_bytes", stats.used_bytes);
    json_out_u64(json, "peak_bytes", stats.peak_bytes);
    json_out_u64(json, "limit_bytes", stats.total_bytes);
    json_out_object_close(json);
}

static void backends_write(struct exchange *x, struct json_out *json)
{
    struct backend_status status;
    size_t i;

    json_out_array_open(json, "backends");
    for (i = 0; i < x->serve->options.backend_count; i++) {
        backend_status(x->serve->options.backends[i], &status);
        json_out_object_open(json, NULL);
        json_out_string_c(json, "name", status.name);
        json_out_string_c(json, "plugin", status.plugin);
        json_out_bool(json, "up", status.is_up);
        if (status.login_expires_ms != 0 && status.login_expires_ms != UINT64_MAX) {
            moment_write(x, json, "login_expires_at", status.login_expires_ms);
        }
        if (status.is_skew_known) {
            json_out_i64(json, "clock_skew_seconds", status.clock_skew_ms / 1000);
        }
        breaker_write(x, json, &status);
        if (is_reader(x)) {
            backend_write_inside(x, json, &status);
        }
        json_out_object_close(json);
    }
    json_out_array_close(json);
}

static void leases_write(struct exchange *x, struct json_out *json)
{
    struct lease_core_stats stats;
    int state;

    lease_core_stats(x->serve->options.core, &stats);
    json_out_object_open(json, "leases");
    for (state = LEASE_STATE_REQUESTED; state <= LEASE_STATE_REVOKING; state++) {
        json_out_u64(json, lease_state_str((enum lease_state)state), stats.leases_by_state[state]);
    }
    json_out_object_close(json);
    json_out_u64(json, "grants", stats.grants_held);
    json_out_object_open(json, "revoke_debt");
    json_out_u64(json, "pending", stats.revoke_pending);
    json_out_u64(json, "oldest_seconds", stats.revoke_oldest_ms / 1000);
    json_out_u64(json, "login_bound", stats.revoke_login_bound);
    json_out_u64(json, "unconfirmed", stats.unconfirmed_total);
    json_out_object_close(json);
}

static void ledger_write(const struct serve_options *options, struct json_out *json)
{
    json_out_object_open(json, "ledger");
    json_out_bool(json, "ready",
                  options->ledger != NULL && env_ledger_is_ready(options->ledger, NULL));
    json_out_string_c(json, "seal_key", options->seal_key);
    json_out_u64(json, "left", options->left != NULL ? options->left->total : 0);
    json_out_object_close(json);
}

static void audit_write(const struct exchange *x, struct json_out *json)
{
    const struct audit *audit = x->serve->options.audit;
    const char *sink = NULL;
    uint64_t lag = 0;
    size_t i;

    json_out_object_open(json, "audit");
    json_out_bool(json, "ready", audit_is_ready(audit));
    json_out_u64(json, "lag_records", audit_lag_records(audit));
    if (is_reader(x)) {
        json_out_array_open(json, "sinks");
        for (i = 0; (sink = audit_sink_at(audit, i, &lag)) != NULL; i++) {
            json_out_object_open(json, NULL);
            json_out_string_c(json, "sink", sink);
            json_out_u64(json, "lag_records", lag);
            json_out_object_close(json);
        }
        json_out_array_close(json);
    }
    json_out_object_close(json);
}

void serve_status(struct exchange *x)
{
    const struct serve_options *options = &x->serve->options;
    struct json_out json;

    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "status",
                      !x->serve->is_ready     ? "stopping"
                      : is_degraded(x->serve) ? "degraded"
                                              : "ok");
    json_out_string_c(&json, "version", options->version);
    json_out_string_c(&json, "node", options->node);
    json_out_time(&json, "started_at", x->serve->started_wall_ms);
    json_out_u64(&json, "uptime", (env_now_ms(options->env) - x->serve->started_ms) / 1000);
    json_out_object_open(&json, "you");
    json_out_string_c(&json, "identity", x->key);
    json_out_string_c(&json, "user", x->identity.user[0] != '\0' ? x->identity.user : NULL);
    json_out_string_c(&json, "container", str_or_null(x->identity.container));
    json_out_string_c(&json, "image", str_or_null(x->identity.image));
    json_out_bool(&json, "admin", x->admin != 0);
    json_out_object_close(&json);
    json_out_object_open(&json, "policy");
    json_out_string_c(&json, "digest", access_policy_digest(options->policy));
    json_out_u64(&json, "rules", access_policy_rule_count(options->policy));
    policy_write_source(options, &json);
    json_out_object_close(&json);
    audit_write(x, &json);
    warnings_write(x, &json);
    backends_write(x, &json);
    if (is_reader(x)) {
        ledger_write(options, &json);
        leases_write(x, &json);
        secret_memory_write(&json);
        files_status_write(&x->serve->files, &json);
    }
    json_out_object_close(&json);
    exchange_reply(x, 200);
}

static void plain_reply(struct exchange *x, uint32_t status, const char *text)
{
    struct env_reply reply = {.status = status, .content_type = "text/plain; charset=utf-8"};

    buf_reset(&x->serve->body);
    buf_add_c(&x->serve->body, text);
    exchange_send(x, &reply);
    exchange_release(x);
}

void serve_livez(struct exchange *x)
{
    plain_reply(x, 200, "ok\n");
}

void serve_readyz(struct exchange *x)
{
    char text[ERR_TEXT_MAX_BYTES + 16];
    struct err e = {.code = 0};

    if (!x->serve->is_ready) {
        plain_reply(x, 503, "not ready: starting or stopping\n");
    } else if (lease_core_may_hand_out(x->serve->options.core, &e) != 0) {
        (void)snprintf(text, sizeof(text), "not ready: %s\n", e.text);
        plain_reply(x, 503, text);
    } else if (files_missing(&x->serve->files, &e) != NULL) {
        (void)snprintf(text, sizeof(text), "not ready: %s\n", e.text);
        plain_reply(x, 503, text);
    } else {
        plain_reply(x, 200, "ok\n");
    }
}
