/* What a test does with the fake host: moves its clock, answers exchanges, starts operations. */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int32_t leased_plugin_entry(const struct leased_host *host,
                            const struct leased_plugin **ret_plugin);

static struct leased_str str(const char *text)
{
    return (struct leased_str){text, strlen(text)};
}

/* --- the clock -------------------------------------------------------------------------------- */

static void grant(struct leased_host_context *host)
{
    for (size_t i = 0; !host->holds_intents && i < host->intent_count; i++) {
        struct fake_intent *intent = &host->intents[i];

        if (intent->is_open) {
            intent->is_open = false;
            intent->fn(intent->user, 0);
        }
    }
}

void host_intended(struct leased_host_context *host, int32_t status)
{
    struct fake_intent *intent = &host->intents[host->intent_count - 1];

    assert_true(host->intent_count > 0 && intent->is_open);
    intent->is_open = false;
    intent->fn(intent->user, status);
    grant(host);
}

const char *host_warning(const struct leased_host_context *host, const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < sizeof(host->warnings) / sizeof(host->warnings[0]); i++) {
        if (strncmp(host->warnings[i], key, len) == 0 && host->warnings[i][len] == '=') {
            return host->warnings[i] + len + 1;
        }
    }
    return NULL;
}

static struct fake_timer *next_timer(struct leased_host_context *host)
{
    struct fake_timer *next = NULL;

    for (size_t i = 0; i < host->timer_count && i < HOST_TIMERS_MAX; i++) {
        struct fake_timer *timer = &host->timers[i];

        if (timer->is_armed && (next == NULL || timer->when_ms < next->when_ms)) {
            next = timer;
        }
    }
    return next;
}

void host_advance(struct leased_host_context *host, uint64_t ms)
{
    uint64_t end_ms = host->now_ms + ms;
    struct fake_timer *timer;
    size_t ran = 0;

    while ((timer = next_timer(host)) != NULL && timer->when_ms <= end_ms) {
        if (timer->when_ms > host->now_ms) {
            host->wall_ms += (int64_t)(timer->when_ms - host->now_ms);
            host->now_ms = timer->when_ms;
        }
        assert_true(ran++ < 10000);
        timer->is_armed = false;
        timer->fn(timer->user);
        grant(host);
    }
    host->wall_ms += (int64_t)(end_ms - host->now_ms);
    host->now_ms = end_ms;
    if (host->rights.is_open && host->rights.is_canceled) {
        host_fail(host, &host->rights, LEASED_HTTP_CANCELED);
    }
}

void host_advance_to_timer(struct leased_host_context *host)
{
    const struct fake_timer *timer = next_timer(host);

    assert_non_null(timer);
    host_advance(host, timer->when_ms > host->now_ms ? timer->when_ms - host->now_ms : 0);
}

void host_run(struct leased_host_context *host)
{
    host_advance(host, 0);
}

/* --- exchanges -------------------------------------------------------------------------------- */

struct fake_http *host_last(struct leased_host_context *host)
{
    assert_true(host->http_count > 0);
    assert_true(host->https[host->http_count - 1].is_open);
    return &host->https[host->http_count - 1];
}

size_t host_open_https(const struct leased_host_context *host)
{
    size_t count = 0;

    for (size_t i = 0; i < host->http_count; i++) {
        count += host->https[i].is_open ? 1 : 0;
    }
    return count;
}

static void reply(struct leased_host_context *host, struct fake_http *http,
                  const struct leased_http_reply *answer)
{
    assert_true(http->is_open);
    http->is_open = false;
    http->fn(http->user, answer);
    grant(host);
}

void host_answer_rights(struct leased_host_context *host, uint32_t status, const char *body)
{
    host_answer(host, &host->rights, status, body);
}

void host_answer(struct leased_host_context *host, struct fake_http *http, uint32_t status,
                 const char *body)
{
    const struct leased_http_reply answer = {.size = sizeof(answer),
                                             .status = status,
                                             .body = str(body)};

    reply(host, http, &answer);
}

void host_answer_retry_after(struct leased_host_context *host, struct fake_http *http,
                             const char *seconds)
{
    const struct leased_http_header header = {str("retry-after"), str(seconds)};
    const struct leased_http_reply answer = {.size = sizeof(answer),
                                             .status = 429,
                                             .headers = &header,
                                             .header_count = 1,
                                             .body = str("{\"errors\":[\"quota\"]}")};

    reply(host, http, &answer);
}

void host_answer_header(struct leased_host_context *host, struct fake_http *http, uint32_t status,
                        const struct leased_http_header *header, const char *body)
{
    const struct leased_http_reply answer = {.size = sizeof(answer),
                                             .status = status,
                                             .headers = header,
                                             .header_count = 1,
                                             .body = str(body)};

    reply(host, http, &answer);
}

void host_fail(struct leased_host_context *host, struct fake_http *http, uint32_t transport)
{
    const struct leased_http_reply answer = {.size = sizeof(answer),
                                             .transport = transport,
                                             .detail = str("it broke")};

    reply(host, http, &answer);
}

/* --- operations ------------------------------------------------------------------------------- */

static struct fake_op *op_new(struct leased_host_context *host)
{
    assert_true(host->op_count < HOST_OPS_MAX);
    host->ops[host->op_count] = (struct fake_op){.is_open = true};
    host->starting = &host->ops[host->op_count++];
    return host->starting;
}

/* A refused one counts as ended with that status. */
static struct fake_op *started(struct leased_host_context *host, struct fake_op *op, int32_t rc)
{
    host->starting = NULL;
    if (rc < 0) {
        op->is_open = false;
        op->status = -rc;
    }
    grant(host);
    return op;
}

struct fake_op *host_issue(struct leased_host_context *host, const char *params, uint64_t ttl_ms)
{
    const struct leased_kv caller[] = {{.key = str("user"), .value = str("joe")},
                                       {.key = str("reason"), .value = str("OPS-1")}};
    struct leased_issue request = {.size = sizeof(request),
                                   .role = str("r"),
                                   .params = str(params),
                                   .ttl_ms = ttl_ms,
                                   .caller = caller,
                                   .caller_count = 2};
    struct fake_op *op = op_new(host);
    char plain[1200];

    /* Most tests are about what comes after. */
    if (!host->is_isolating && params[0] == '{' && strstr(params, "isolate") == NULL) {
        (void)snprintf(plain, sizeof(plain), "{\"isolate\":false%s%s", params[1] == '}' ? "" : ",",
                       params + 1);
        request.params = str(plain);
    }
    return started(host, op, host->plugin->issue(host->vault, &request, (leased_op *)(void *)op));
}

struct fake_op *host_renew(struct leased_host_context *host, const char *ref, uint64_t ttl_ms)
{
    const struct leased_lease_ref lease = {
        .size = sizeof(lease), .issuer_ref = str(ref), .params = str("{}"), .ttl_ms = ttl_ms};
    struct fake_op *op = op_new(host);

    return started(host, op, host->plugin->renew(host->vault, &lease, (leased_op *)(void *)op));
}

struct fake_op *host_revoke(struct leased_host_context *host, const char *ref)
{
    const struct leased_lease_ref lease = {.size = sizeof(lease),
                                           .issuer_ref = str(ref),
                                           .params = str("{}")};
    struct fake_op *op = op_new(host);

    return started(host, op, host->plugin->revoke(host->vault, &lease, (leased_op *)(void *)op));
}

struct fake_op *host_pass(struct leased_host_context *host, const struct leased_call *request)
{
    struct fake_op *op = op_new(host);

    return started(host, op, host->plugin->call(host->vault, request, (leased_op *)(void *)op));
}

struct fake_op *host_health(struct leased_host_context *host)
{
    struct fake_op *op = op_new(host);

    return started(host, op, host->plugin->health(host->vault, (leased_op *)(void *)op));
}

void host_cancel(struct leased_host_context *host, struct fake_op *op)
{
    host->plugin->cancel(host->vault, (leased_op *)(void *)op);
}

/* --- life ------------------------------------------------------------------------------------- */

struct leased_host_context *host_open(const char *config)
{
    return host_open_with(config, NULL, NULL);
}

static struct leased_host_context *open_one(const char *config, const char *source,
                                            const char *value, const char *state)
{
    struct leased_host_context *host = calloc(1, sizeof(*host));
    const struct leased_plugin *plugin = NULL;
    struct leased_str detail = {0};

    assert_non_null(host);
    host_forget_blocks();
    host->now_ms = 1000000;
    host->wall_ms = 1700000000000;
    host->secrets[0] = (struct fake_secret){"file:/token", "s.SECRET-root", 0};
    host->secrets[1] = (struct fake_secret){"file:/sid", "SECRET-id", 0};
    host->secrets[2] = (struct fake_secret){source, value, 0};
    (void)snprintf(host->state, sizeof(host->state), "%s", state);
    assert_int_equal(leased_plugin_entry(&fake_host, &plugin), 0);
    host->plugin = plugin->ops;
    if (host->plugin->open(&fake_host, host, str(config), &host->vault, &detail) < 0) {
        assert_true(detail.len > 0);
        host->vault = NULL;
    }
    return host;
}

struct leased_host_context *host_open_with(const char *config, const char *source,
                                           const char *value)
{
    return open_one(config, source, value, "");
}

struct leased_host_context *host_open_kept(const char *config, const char *state)
{
    return open_one(config, NULL, NULL, state);
}

struct leased_host_context *host_open_root(void)
{
    struct leased_host_context *host = host_open(TOKEN_CONFIG);

    host_answer(host, host_last(host), 200,
                "{\"data\":{\"ttl\":0,\"expire_time\":null,\"renewable\":false}}");
    return host;
}

struct leased_host_context *host_open_approle(unsigned ttl_s)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    char body[256];

    (void)snprintf(body, sizeof(body),
                   "{\"auth\":{\"client_token\":\"s.SECRET-1\",\"lease_duration\":%u,"
                   "\"renewable\":true}}",
                   ttl_s);
    host_answer(host, host_last(host), 200, body);
    return host;
}

static void answer_open(struct leased_host_context *host)
{
    if (host->rights.is_open && host->rights.is_canceled) {
        host_fail(host, &host->rights, LEASED_HTTP_CANCELED);
    }
    for (size_t i = 0; i < host->http_count; i++) {
        struct fake_http *http = &host->https[i];

        if (http->is_open && http->is_canceled) {
            host_fail(host, http, LEASED_HTTP_CANCELED);
        } else if (http->is_open) {
            host_answer(host, http, 204, "");
        }
    }
}

void host_close(struct leased_host_context *host, uint32_t flags)
{
    struct fake_op *op = op_new(host);
    int32_t rc = host->plugin->close(host->vault, flags, (leased_op *)(void *)op);

    (void)started(host, op, rc);
    if (rc >= 0) {
        for (int i = 0; i < 20; i++) {
            host_run(host);
            answer_open(host);
        }
        for (size_t i = 0; i < host->op_count; i++) {
            assert_false(host->ops[i].is_open);
        }
        assert_int_equal(op->status, LEASED_OK);
        assert_int_equal(host_open_https(host), 0);
    }
    assert_null(next_timer(host));
    free(host);
    assert_int_equal(host_block_count(), 0);
}

const struct fake_anchor *host_last_anchor(const struct leased_host_context *host)
{
    assert_true(host->anchor_count > 0);
    return &host->anchors[host->anchor_count - 1];
}
