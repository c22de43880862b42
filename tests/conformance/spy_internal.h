/* Between spy.c (the host's side: what the plugin calls) and spy_plugin.c (the plugin's side: what
 * the host calls). */
#ifndef LEASED_TESTS_CONFORMANCE_SPY_INTERNAL_H
#define LEASED_TESTS_CONFORMANCE_SPY_INTERNAL_H

#include "spy.h"

#include <stddef.h>

enum spy_op {
    SPY_OP_ISSUE,
    SPY_OP_RENEW,
    SPY_OP_REVOKE,
    SPY_OP_HEALTH,
    SPY_OP_CALL,
    SPY_OP_WRITE,
    SPY_OP_CLOSE,
};

extern const char *const spy_op_names[];

/* The wrapped table of the plugin. */
const struct leased_plugin *spy_wrap(const struct leased_plugin *plugin);

/* What open gives to the plugin instead of the host's. */
const struct leased_host *spy_host(void);
bool spy_host_is_larger(void);

/* A start function begins, and has returned `status`, which is passed on. */
size_t spy_start(enum spy_op kind, const leased_instance *instance, const leased_op *op);
int32_t spy_started(size_t index, int32_t status);

void spy_opened(leased_host_context *context, const leased_instance *instance);

#endif
