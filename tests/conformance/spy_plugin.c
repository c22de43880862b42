/* The plugin's tables, wrapped. */
#include "spy_internal.h"

#include <string.h>

#define LARGER_BYTES 64U
#define LARGER_FILL 0xa5

static struct {
    struct leased_plugin plugin;
    struct leased_backend_ops backend; /* as far as its size reaches, the rest is zero */
    struct leased_sink_ops sink;
} theirs;

/* A request as a later host gives it. */
#define LARGER(type, name, from)                                                                   \
    union {                                                                                        \
        struct type request;                                                                       \
        unsigned char bytes[sizeof(struct type) + LARGER_BYTES];                                   \
    } name;                                                                                        \
    memset(&(name), LARGER_FILL, sizeof(name));                                                    \
    (name).request = *(from);                                                                      \
    (name).request.size = spy_host_is_larger() ? sizeof(name) : (from)->size

static int32_t opened(int32_t status, leased_host_context *context, leased_instance **ret_instance)
{
    if (status >= 0) {
        spy_opened(context, *ret_instance);
    }
    if (status > 0) {
        spy_note("open returned %d, which is neither 0 nor a negated status", (int)status);
    }
    return status;
}

static int32_t on_open(const struct leased_host *host, leased_host_context *context,
                       struct leased_str config, leased_instance **ret_instance,
                       struct leased_str *ret_detail)
{
    (void)host;
    return opened(theirs.backend.open(spy_host(), context, config, ret_instance, ret_detail),
                  context, ret_instance);
}

static int32_t on_close(leased_instance *instance, uint32_t flags, leased_op *op)
{
    size_t index = spy_start(SPY_OP_CLOSE, instance, op);

    return spy_started(index, theirs.backend.close(instance, flags, op));
}

static int32_t on_issue(leased_instance *instance, const struct leased_issue *request,
                        leased_op *op)
{
    size_t index = spy_start(SPY_OP_ISSUE, instance, op);
    LARGER(leased_issue, larger, request);

    return spy_started(index, theirs.backend.issue(instance, &larger.request, op));
}

static int32_t on_renew(leased_instance *instance, const struct leased_lease_ref *lease,
                        leased_op *op)
{
    size_t index = spy_start(SPY_OP_RENEW, instance, op);
    LARGER(leased_lease_ref, larger, lease);

    return spy_started(index, theirs.backend.renew(instance, &larger.request, op));
}

static int32_t on_revoke(leased_instance *instance, const struct leased_lease_ref *lease,
                         leased_op *op)
{
    size_t index = spy_start(SPY_OP_REVOKE, instance, op);
    LARGER(leased_lease_ref, larger, lease);

    return spy_started(index, theirs.backend.revoke(instance, &larger.request, op));
}

static int32_t on_health(leased_instance *instance, leased_op *op)
{
    size_t index = spy_start(SPY_OP_HEALTH, instance, op);

    return spy_started(index, theirs.backend.health(instance, op));
}

static int32_t on_call(leased_instance *instance, const struct leased_call *request, leased_op *op)
{
    size_t index = spy_start(SPY_OP_CALL, instance, op);
    LARGER(leased_call, larger, request);

    return spy_started(index, theirs.backend.call(instance, &larger.request, op));
}

static int32_t on_sink_open(const struct leased_host *host, leased_host_context *context,
                            struct leased_str config, leased_instance **ret_instance,
                            struct leased_str *ret_detail)
{
    (void)host;
    return opened(theirs.sink.open(spy_host(), context, config, ret_instance, ret_detail), context,
                  ret_instance);
}

static int32_t on_sink_close(leased_instance *instance, uint32_t flags, leased_op *op)
{
    size_t index = spy_start(SPY_OP_CLOSE, instance, op);

    return spy_started(index, theirs.sink.close(instance, flags, op));
}

static int32_t on_write(leased_instance *instance, const struct leased_sink_write *request,
                        leased_op *op)
{
    size_t index = spy_start(SPY_OP_WRITE, instance, op);
    LARGER(leased_sink_write, larger, request);

    return spy_started(index, theirs.sink.write(instance, &larger.request, op));
}

/* --- tables ----------------------------------------------------------------------------------- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

#define WRAP(ours, member, fn) .member = (ours).member != NULL ? (fn) : NULL

static const void *wrap_backend(const struct leased_backend_ops *ops)
{
    static struct leased_backend_ops wrapped;

    memcpy(&theirs.backend, ops, least(ops->size, sizeof(theirs.backend)));
    wrapped = (struct leased_backend_ops){
        .size = sizeof(wrapped),
        .check_params = theirs.backend.check_params,
        .check_config = theirs.backend.check_config,
        .holds_anchor = theirs.backend.holds_anchor,
        WRAP(theirs.backend, open, on_open),
        WRAP(theirs.backend, close, on_close),
        WRAP(theirs.backend, issue, on_issue),
        WRAP(theirs.backend, renew, on_renew),
        WRAP(theirs.backend, revoke, on_revoke),
        WRAP(theirs.backend, health, on_health),
        .cancel = theirs.backend.cancel,
        WRAP(theirs.backend, call, on_call),
    };
    return &wrapped;
}

static const void *wrap_sink(const struct leased_sink_ops *ops)
{
    static struct leased_sink_ops wrapped;

    memcpy(&theirs.sink, ops, least(ops->size, sizeof(theirs.sink)));
    wrapped = (struct leased_sink_ops){
        .size = sizeof(wrapped),
        .check_config = theirs.sink.check_config,
        WRAP(theirs.sink, open, on_sink_open),
        WRAP(theirs.sink, close, on_sink_close),
        WRAP(theirs.sink, write, on_write),
        .cancel = theirs.sink.cancel,
    };
    return &wrapped;
}

const struct leased_plugin *spy_wrap(const struct leased_plugin *plugin)
{
    memset(&theirs, 0, sizeof(theirs));
    if (plugin == NULL || !LEASED_HAS(plugin, ops) || plugin->ops == NULL) {
        return plugin; /* the host says what is wrong with it */
    }
    memcpy(&theirs.plugin, plugin, least(plugin->size, sizeof(theirs.plugin)));
    theirs.plugin.size = sizeof(theirs.plugin);
    if (plugin->kind == LEASED_KIND_BACKEND) {
        theirs.plugin.ops = wrap_backend(plugin->ops);
    } else if (plugin->kind == LEASED_KIND_SINK) {
        theirs.plugin.ops = wrap_sink(plugin->ops);
    }
    return &theirs.plugin;
}

bool spy_has_renew(void)
{
    return theirs.backend.renew != NULL;
}

bool spy_has_revoke(void)
{
    return theirs.backend.revoke != NULL;
}

bool spy_has_call(void)
{
    return theirs.backend.call != NULL;
}
