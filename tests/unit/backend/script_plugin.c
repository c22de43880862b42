/* The scripted plugin: records what it is asked, answers when the test does. */
#include "script_plugin.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* A plugin's start functions get no user pointer but their instance, which is the script itself. */
static struct script *opening;

struct leased_str script_str(const char *text)
{
    return (struct leased_str){text, text != NULL ? strlen(text) : 0};
}

static void copy(char *out, size_t size, struct leased_str s)
{
    (void)snprintf(out, size, "%.*s", (int)s.len, s.ptr != NULL ? s.ptr : "");
}

static struct script *script_of(leased_instance *instance)
{
    return (struct script *)(void *)instance;
}

static struct script_op *record(struct script *script, char what, leased_op *op)
{
    struct script_op *seen;

    assert_true(script->seen_count < SCRIPT_OPS_MAX);
    seen = &script->seen[script->seen_count];
    *seen = (struct script_op){.script = script, .op = op, .what = what};
    return seen;
}

static int32_t started(struct script *script, leased_op *op)
{
    script->stopwatch_us += script->call_takes_us;
    if (script->answers_at_once && script->seen[script->seen_count].what != 'v') {
        const struct leased_result result = {.size = sizeof(result),
                                             .lifetime_ms = 1000,
                                             .flags = LEASED_RESULT_REVOCABLE,
                                             .issuer_ref = {"early", 5}};

        script->host->op_done(script->context, op, LEASED_OK, &result);
    }
    if (script->start_status >= 0) {
        script->seen_count++;
    }
    return script->start_status;
}

static int32_t on_open(const struct leased_host *host, leased_host_context *context,
                       struct leased_str config, leased_instance **ret_instance,
                       struct leased_str *ret_detail)
{
    char *bytes = NULL;
    int64_t len;

    if (memmem(config.ptr, config.len, "wrong", 5) != NULL) {
        *ret_detail = script_str("a\nwrong key");
        return -LEASED_INVALID;
    }
    opening->host = host;
    opening->context = context;
    host->login_expires(context, UINT64_MAX);
    len = host->state_get(context, &bytes);
    if (len > 0) {
        copy(opening->restored, sizeof(opening->restored), (struct leased_str){bytes, (size_t)len});
        host->secret_free(bytes);
    }
    *ret_instance = (leased_instance *)(void *)opening;
    return 0;
}

static int32_t on_close(leased_instance *instance, uint32_t flags, leased_op *op)
{
    struct script *script = script_of(instance);

    record(script, 'c', op)->ttl_ms = flags;
    script->seen_count++;
    return 0;
}

static int32_t on_issue(leased_instance *instance, const struct leased_issue *request,
                        leased_op *op)
{
    struct script *script = script_of(instance);
    struct script_op *seen = record(script, 'i', op);

    copy(seen->params, sizeof(seen->params), request->params);
    seen->ttl_ms = request->ttl_ms;
    for (size_t i = 0; i < request->caller_count; i++) {
        size_t used = strlen(seen->callers);

        (void)snprintf(seen->callers + used, sizeof(seen->callers) - used, "%.*s=%.*s,",
                       (int)request->caller[i].key.len, request->caller[i].key.ptr,
                       (int)request->caller[i].value.len, request->caller[i].value.ptr);
    }
    return started(script, op);
}

static int32_t on_lease(leased_instance *instance, const struct leased_lease_ref *lease,
                        leased_op *op, char what)
{
    struct script *script = script_of(instance);
    struct script_op *seen = record(script, what, op);

    copy(seen->params, sizeof(seen->params), lease->params);
    copy(seen->ref, sizeof(seen->ref), lease->issuer_ref);
    seen->ttl_ms = lease->ttl_ms;
    return started(script, op);
}

static int32_t on_renew(leased_instance *instance, const struct leased_lease_ref *lease,
                        leased_op *op)
{
    return on_lease(instance, lease, op, 'r');
}

static int32_t on_revoke(leased_instance *instance, const struct leased_lease_ref *lease,
                         leased_op *op)
{
    return on_lease(instance, lease, op, 'v');
}

static void health_answered(void *user, const struct leased_http_reply *reply)
{
    const struct script_op *seen = user;
    bool is_answer = reply->transport == LEASED_HTTP_OK;
    int32_t status = is_answer && reply->status == 200 ? LEASED_OK
                     : is_answer                       ? LEASED_SEALED
                                                       : LEASED_RETRY;

    seen->script->host->op_done(seen->script->context, seen->op, status, NULL);
}

static int32_t on_health(leased_instance *instance, leased_op *op)
{
    struct script *script = script_of(instance);
    struct script_op *seen = record(script, 'h', op);
    const struct leased_http_request request = {.size = sizeof(request),
                                                .method = {"GET", 3},
                                                .path = {"/health", 7}};

    if (script->health_asks) {
        assert_non_null(script->host->http_start(script->context, &request, health_answered, seen));
    }
    return started(script, op);
}

static int32_t on_call(leased_instance *instance, const struct leased_call *request, leased_op *op)
{
    struct script *script = script_of(instance);
    struct script_op *seen = record(script, 'p', op);
    size_t used;

    (void)snprintf(seen->params, sizeof(seen->params), "%.*s %.*s %.*s", (int)request->method.len,
                   request->method.ptr, (int)request->path.len, request->path.ptr,
                   (int)request->body.len, request->body.ptr);
    for (size_t i = 0; i < request->header_count; i++) {
        used = strlen(seen->callers);
        (void)snprintf(seen->callers + used, sizeof(seen->callers) - used, "%.*s=%.*s,",
                       (int)request->headers[i].name.len, request->headers[i].name.ptr,
                       (int)request->headers[i].value.len, request->headers[i].value.ptr);
    }
    seen->ttl_ms = request->flags;
    return started(script, op);
}

static void on_cancel(leased_instance *instance, leased_op *op)
{
    struct script *script = script_of(instance);

    script->cancel_count++;
    script->canceled = op;
    if (script->answers_on_cancel) {
        script->host->op_done(script->context, op, LEASED_CANCELED, NULL);
    }
}

static int32_t on_holds_anchor(leased_instance *instance, uint64_t anchor)
{
    return script_of(instance)->held_anchor == anchor;
}

static uint64_t stopwatch(struct env *env)
{
    /* fake_env is the script's first member, and env is fake_env's. */
    return ((struct script *)(void *)env)->stopwatch_us;
}

static void anchor_ends(void *user, struct backend *backend, uint64_t anchor, uint64_t when_ms,
                        const char *reason)
{
    struct script *script = user;

    (void)backend;
    script->anchor_count++;
    script->anchor = anchor;
    script->anchor_when_ms = when_ms;
    (void)snprintf(script->anchor_reason, sizeof(script->anchor_reason), "%s", reason);
}

static void open_backend(struct script *script, const struct backend_options *options,
                         bool has_health)
{
    static const char *const addresses[] = {"https://a.example:8200/", "https://b.example"};
    struct backend_options set = options != NULL ? *options : (struct backend_options){0};
    struct err e = {0};

    *script = (struct script){0};
    fake_env_init(&script->fake, 1000, 7);
    script->env_ops = *script->fake.env.ops;
    script->env_ops.stopwatch_us = stopwatch;
    script->fake.env.ops = &script->env_ops;
    script->ops = (struct leased_backend_ops){
        .size = sizeof(script->ops),
        .open = on_open,
        .close = on_close,
        .issue = on_issue,
        .renew = on_renew,
        .revoke = on_revoke,
        .health = has_health ? on_health : NULL,
        .cancel = on_cancel,
        .call = on_call,
        .holds_anchor = on_holds_anchor,
    };
    script->plugin = (struct leased_plugin){.size = sizeof(script->plugin),
                                            .abi_major = LEASED_ABI_MAJOR,
                                            .kind = LEASED_KIND_BACKEND,
                                            .name = script_str("script"),
                                            .version = script_str("1"),
                                            .ops = &script->ops};
    set.env = &script->fake.env;
    set.plugin = &script->plugin;
    set.name = "test";
    if (set.addresses == NULL) {
        set.addresses = addresses;
        set.address_count = 2;
    }
    if (set.limits.in_flight == 0) {
        set.limits.in_flight = 4;
    }
    set.anchor_ends = anchor_ends;
    set.user = script;
    opening = script;
    assert_int_equal(backend_open(&set, &script->backend, &e), 0);
}

void script_open(struct script *script, const struct backend_options *options)
{
    open_backend(script, options, true);
}

void script_open_without_health(struct script *script, const struct backend_options *options)
{
    open_backend(script, options, false);
}

static void closed(void *user)
{
    ((struct script *)user)->closed_count++;
}

void script_close(struct script *script)
{
    size_t before = script->seen_count;

    backend_close(script->backend, false, closed, script);
    fake_env_run(&script->fake);
    if (!script->close_hangs) {
        assert_int_equal(script->closed_count, 0);
        assert_int_equal(script->seen[before].what, 'c');
        script_answer(script, before, LEASED_OK, NULL);
        fake_env_run(&script->fake);
    }
}

void script_fini(struct script *script)
{
    assert_int_equal(script->closed_count, 1);
    assert_int_equal(fake_env_timer_count(&script->fake), 0);
    fake_env_fini(&script->fake);
}

static void ended(struct lease_call *lease_call, const struct lease_result *result)
{
    struct script_call *call = lease_call->user;

    call->end_count++;
    call->outcome = result->outcome;
    call->result = *result;
    (void)snprintf(call->detail, sizeof(call->detail), "%s",
                   result->detail != NULL ? result->detail : "");
    (void)snprintf(call->ref, sizeof(call->ref), "%.*s", STR_ARG(result->issuer_ref));
    (void)snprintf(call->orphan, sizeof(call->orphan), "%.*s", STR_ARG(result->orphan_ref));
    if (result->field_count > 0) {
        (void)snprintf(call->first_name, sizeof(call->first_name), "%.*s",
                       STR_ARG(result->fields[0].name));
        (void)snprintf(call->first_value, sizeof(call->first_value), "%.*s",
                       STR_ARG(result->fields[0].value));
        call->first_is_secret = result->fields[0].is_secret;
    }
}

void script_call(struct script *script, struct script_call *call, enum lease_call_kind kind,
                 const char *params)
{
    struct lease_issuer *issuer = backend_issuer(script->backend);

    *call = (struct script_call){0};
    call->call = (struct lease_call){
        .kind = kind,
        .role = "orders",
        .params_json = params,
        .issuer_ref = kind == LEASE_CALL_ISSUE ? (struct str){0} : STR("ref"),
        .caller = {.user = "joe", .unit = "orders.service", .reason = "OPS-1", .uid = 1000},
        .ttl_ms = 60000,
        .fn = ended,
        .user = call,
    };
    assert_int_equal(issuer->ops->call_start(issuer, &call->call), 0);
    assert_int_equal(call->end_count, 0);
}

struct script_op *script_op(struct script *script, size_t index)
{
    assert_true(index < script->seen_count);
    return &script->seen[index];
}

void script_answer(struct script *script, size_t index, int32_t status,
                   const struct leased_result *result)
{
    script->host->op_done(script->context, script_op(script, index)->op, status, result);
}

void script_answer_issue(struct script *script, size_t index)
{
    const struct leased_kv field = {.key = {"password", 8},
                                    .value = {"hunter2", 7},
                                    .flags = LEASED_KV_SECRET};
    const struct leased_result result = {
        .size = sizeof(result),
        .flags = LEASED_RESULT_RENEWABLE | LEASED_RESULT_REVOCABLE,
        .lifetime_ms = 3600000,
        .anchor = 3,
        .issuer_ref = {"ref", 3},
        .fields = &field,
        .field_count = 1,
    };

    script_answer(script, index, LEASED_OK, &result);
}
