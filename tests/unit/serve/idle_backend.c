/* A real backend over a plugin that does nothing by itself. */
#include "unit/serve/idle_backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "leased/plugin.h"

static struct idle_backend *opening;
static leased_op *closing_op;

static struct idle_backend *idle_of(leased_instance *instance)
{
    return (struct idle_backend *)(void *)instance;
}

static int32_t on_open(const struct leased_host *host, leased_host_context *context,
                       struct leased_str config, leased_instance **ret_instance,
                       struct leased_str *ret_detail)
{
    (void)config;
    (void)ret_detail;
    opening->host = host;
    opening->context = context;
    *ret_instance = (leased_instance *)(void *)opening;
    return 0;
}

static void closed(void *user)
{
    struct idle_backend *idle = user;

    idle->host->op_done(idle->context, closing_op, LEASED_OK, NULL);
}

static int32_t on_close(leased_instance *instance, uint32_t flags, leased_op *op)
{
    struct idle_backend *idle = idle_of(instance);

    (void)flags;
    closing_op = op;
    return idle->host->post(idle->context, closed, idle);
}

static int32_t on_issue(leased_instance *instance, const struct leased_issue *request,
                        leased_op *op)
{
    (void)instance;
    (void)request;
    (void)op;
    return -LEASED_RETRY;
}

static int32_t on_lease(leased_instance *instance, const struct leased_lease_ref *lease,
                        leased_op *op)
{
    (void)instance;
    (void)lease;
    (void)op;
    return -LEASED_RETRY;
}

static void on_cancel(leased_instance *instance, leased_op *op)
{
    struct idle_backend *idle = idle_of(instance);

    if (idle->call.op == op) {
        idle_backend_fail(idle, LEASED_RETRY);
    }
}

static void keep(char out[IDLE_TEXT_MAX_BYTES], struct leased_str text)
{
    assert_true(text.len < IDLE_TEXT_MAX_BYTES);
    (void)snprintf(out, IDLE_TEXT_MAX_BYTES, "%.*s", (int)text.len, text.ptr);
}

static int32_t on_call(leased_instance *instance, const struct leased_call *request, leased_op *op)
{
    struct idle_call *call = &idle_of(instance)->call;

    assert_null(call->op);
    call->op = op;
    call->count++;
    (void)snprintf(call->method, sizeof(call->method), "%.*s", (int)request->method.len,
                   request->method.ptr);
    keep(call->path, request->path);
    keep(call->body, request->body);
    call->headers[0] = '\0';
    for (size_t i = 0; i < request->header_count; i++) {
        const struct leased_http_header *header = &request->headers[i];
        size_t used = strlen(call->headers);

        (void)snprintf(call->headers + used, sizeof(call->headers) - used, "%.*s=%.*s,",
                       (int)header->name.len, header->name.ptr, (int)header->value.len,
                       header->value.ptr);
    }
    return 0;
}

static const struct leased_backend_ops idle_ops = {
    .size = sizeof(idle_ops),
    .open = on_open,
    .close = on_close,
    .issue = on_issue,
    .renew = on_lease,
    .revoke = on_lease,
    .cancel = on_cancel,
    .call = on_call,
};

static struct leased_plugin idle_plugin = {
    .size = sizeof(idle_plugin),
    .abi_major = LEASED_ABI_MAJOR,
    .kind = LEASED_KIND_BACKEND,
    .name = {.ptr = "idle", .len = 4},
    .version = {.ptr = "1", .len = 1},
    .ops = &idle_ops,
};

void idle_backend_name_plugin(const char *name)
{
    idle_plugin.name = (struct leased_str){.ptr = name, .len = strlen(name)};
}

void idle_backend_open(struct idle_backend *idle, struct env *env, const char *name)
{
    static const char *const addresses[] = {"https://a.example", "https://b.example"};
    const struct backend_options options = {.env = env,
                                            .plugin = &idle_plugin,
                                            .name = name,
                                            .addresses = addresses,
                                            .address_count = 2};

    opening = idle;
    assert_int_equal(backend_open(&options, &idle->backend, NULL), 0);
}

void idle_backend_login(struct idle_backend *idle, uint64_t until_ms)
{
    idle->host->login_expires(idle->context, until_ms);
}

void idle_backend_count(struct idle_backend *idle, const char *event, uint64_t delta)
{
    idle->host->metric_add(idle->context, (struct leased_str){.ptr = event, .len = strlen(event)},
                           delta);
}

static void ignore_reply(void *user, const struct leased_http_reply *reply)
{
    (void)user;
    (void)reply;
}

void idle_backend_ask(struct idle_backend *idle)
{
    const struct leased_http_request request = {.size = sizeof(request),
                                                .method = {"GET", 3},
                                                .path = {"/", 1}};

    assert_non_null(idle->host->http_start(idle->context, &request, ignore_reply, NULL));
}

static struct leased_str leased_text(const char *text)
{
    return (struct leased_str){.ptr = text, .len = strlen(text)};
}

void idle_backend_answer(struct idle_backend *idle, uint32_t status, const char *type,
                         const char *body)
{
    const struct leased_http_header headers[] = {
        {leased_text("x-vault-index"), leased_text("7")},
        {leased_text("content-type"), leased_text(type != NULL ? type : "")},
    };
    const struct leased_call_reply reply = {
        .size = sizeof(reply),
        .status = status,
        .headers = headers,
        .header_count = type != NULL ? 2 : 1,
        .body = leased_text(body),
    };
    leased_op *op = idle->call.op;

    assert_non_null(op);
    idle->call.op = NULL;
    idle->host->call_done(idle->context, op, &reply);
}

void idle_backend_fail(struct idle_backend *idle, int32_t status)
{
    leased_op *op = idle->call.op;

    assert_non_null(op);
    idle->call.op = NULL;
    idle->host->op_done(idle->context, op, status, NULL);
}
