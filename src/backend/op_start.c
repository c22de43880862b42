/* How an operation is handed to the plugin: the lease layer's words, or a client's request, as the
 * structs of the ABI. Each returns what the plugin's start function returns, with a text of the
 * host's own in `e` where the plugin wasn't asked. */
#include "backend/call.h"
#include "backend/op.h"
#include "backend/template.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>

static int32_t start_issue(struct op *op, struct err *e)
{
    struct ops *ops = op->ops;
    const struct lease_call *call = op->call;
    char uid[16];
    struct template_values values = {
        .user = str_of(call->caller.user),
        .unit = str_of(call->caller.unit),
        .role = str_of(call->role),
        .reason = str_of(call->caller.reason),
    };
    struct leased_kv caller[6];
    struct leased_issue request = {.size = sizeof(request), .ttl_ms = call->ttl_ms};
    size_t count = 0;
    char *params;
    int32_t rc;

    if (call->caller.uid != ENV_NO_ID) {
        (void)snprintf(uid, sizeof(uid), "%" PRIu32, call->caller.uid);
        values.uid = str_of(uid);
    }
    if (template_fill(str_of(call->params_json), &values, &params, e) != 0) {
        return e->code == ERR_NOMEM ? -LEASED_RETRY : -LEASED_INVALID;
    }
    const struct {
        const char *key;
        struct str value;
    } known[] = {{"user", values.user},     {"uid", values.uid},
                 {"unit", values.unit},     {"role", values.role},
                 {"reason", values.reason}, {"san", str_of(call->caller.sans)}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (known[i].value.len > 0) {
            caller[count++] = (struct leased_kv){.key = host_leased_str(str_of(known[i].key)),
                                                 .value = host_leased_str(known[i].value)};
        }
    }
    request.role = host_leased_str(values.role);
    request.params = host_leased_str(str_of(params));
    request.caller = caller;
    request.caller_count = count;
    rc = ops->plugin->issue(ops->instance, &request, (leased_op *)op->handle);
    mem_free(params);
    return rc;
}

typedef int32_t (*lease_fn)(leased_instance *instance, const struct leased_lease_ref *lease,
                            leased_op *op);

static int32_t start_on_lease(struct op *op, lease_fn fn, struct err *e)
{
    const struct lease_call *call = op->call;
    struct leased_lease_ref lease = {.size = sizeof(lease)};

    if (fn == NULL) {
        (void)err_set(e, ERR_UNSUPPORTED, "the plugin can't do this");
        return -LEASED_DENIED;
    }
    if (call != NULL) {
        lease.issuer_ref = host_leased_str(call->issuer_ref);
        lease.params = host_leased_str(str_of(call->params_json));
        lease.ttl_ms = call->ttl_ms;
    } else {
        lease.issuer_ref = host_leased_str(sweep_ref(op->user));
        lease.params = host_leased_str(STR("{}"));
    }
    return fn(op->ops->instance, &lease, (leased_op *)op->handle);
}

static int32_t start_call(struct op *op, struct err *e)
{
    const struct leased_backend_ops *plugin = op->ops->plugin;
    const struct backend_call *call = op->user;
    struct leased_http_header headers[BACKEND_CALL_HEADERS_MAX];
    struct leased_call request = {.size = sizeof(request)};

    if (!LEASED_HAS(plugin, call) || plugin->call == NULL) {
        (void)err_set(e, ERR_UNSUPPORTED, "the plugin can't pass requests on");
        return -LEASED_INVALID;
    }
    for (size_t i = 0; i < call->header_count; i++) {
        headers[i].name = host_leased_str(call->headers[i].name);
        headers[i].value = host_leased_str(call->headers[i].value);
    }
    request.flags = call->is_repeatable ? LEASED_CALL_REPEATABLE : 0;
    request.method = host_leased_str(str_of(call->method));
    request.path = host_leased_str(str_of(call->path));
    request.headers = headers;
    request.header_count = call->header_count;
    request.body = host_leased_str(call->body);
    return plugin->call(op->ops->instance, &request, (leased_op *)op->handle);
}

/* What the plugin sends from inside it is the probe. */
static int32_t start_health(struct op *op)
{
    struct ops *ops = op->ops;
    int32_t rc;

    ops->context->is_health = true;
    ops->context->probed = op->probed;
    rc = ops->plugin->health(ops->instance, (leased_op *)op->handle);
    ops->context->is_health = false;
    ops->context->probed = ADDRESS_NONE;
    return rc;
}

int32_t op_start_in_plugin(struct op *op, struct err *e)
{
    const struct leased_backend_ops *plugin = op->ops->plugin;
    leased_instance *instance = op->ops->instance;

    switch (op->kind) {
    case OP_ISSUE:
        return start_issue(op, e);
    case OP_RENEW:
        return start_on_lease(op, LEASED_HAS(plugin, renew) ? plugin->renew : NULL, e);
    case OP_REVOKE:
    case OP_SWEEP:
        return start_on_lease(op, LEASED_HAS(plugin, revoke) ? plugin->revoke : NULL, e);
    case OP_CALL:
        return start_call(op, e);
    case OP_CLOSE:
        return plugin->close(instance, op->close_flags, (leased_op *)op->handle);
    case OP_HEALTH:
    default:
        return start_health(op);
    }
}

const char *op_kind_name(enum op_kind kind)
{
    static const char *const texts[] = {
        [OP_ISSUE] = "issue", [OP_RENEW] = "renew",  [OP_REVOKE] = "revoke", [OP_HEALTH] = "health",
        [OP_CLOSE] = "close", [OP_SWEEP] = "revoke", [OP_CALL] = "call",
    };

    return texts[kind];
}
