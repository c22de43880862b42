/* Backends whose own credential is what a role of this configuration gives: `source: {type: role,
 * role: NAME}`, of plugins that say that they can. The role has to be there, and its backend must
 * not need, at any distance, the one that borrows: neither could ever begin. */
#include "daemon/config_internal.h"

#include "base/mem.h"

#include <string.h>

#define CHAIN_MAX_BYTES 1024

static const struct yaml_node *role_node(const struct config_backend *backend)
{
    const struct yaml_node *source = yaml_get(backend->node, "source");
    const struct yaml_node *type = source != NULL ? yaml_get(source, "type") : NULL;
    const struct yaml_node *role = source != NULL ? yaml_get(source, "role") : NULL;

    return type != NULL && str_eq_c(type->text, "role") && role != NULL &&
                   role->type == YAML_SCALAR && role->text.len > 0
               ? role
               : NULL;
}

void config_find_borrows(struct config_backend *backend)
{
    const struct yaml_node *node = role_node(backend);

    backend->borrows = node != NULL ? node->text.ptr : NULL;
}

/* The backend that `backend` can't begin without; NULL: it needs none. */
static const struct config_backend *needed_by(const struct config *config,
                                              const struct config_backend *backend,
                                              struct buf *chain)
{
    const struct config_role *role =
        backend->borrows != NULL ? config_role_find(config, backend->borrows) : NULL;
    const struct config_backend *next =
        role != NULL && role->backend != NULL ? config_backend_find(config, role->backend) : NULL;

    if (next != NULL) {
        buf_printf(chain, " → role %s → backend %s", role->name, next->name);
    }
    return next;
}

static void cycle_check(const struct config *config, const struct config_backend *backend,
                        struct yaml_errors *errors)
{
    const struct config_backend *at = backend;
    size_t steps = 0;
    BUF_AUTO chain;

    buf_init(&chain, CHAIN_MAX_BYTES);
    buf_printf(&chain, "backend %s", backend->name);
    do {
        at = needed_by(config, at, &chain);
    } while (at != NULL && at != backend && ++steps < config->settings.backends.count);
    if (at == backend) {
        yaml_error_at(errors, role_node(backend), "the role `%s` needs this backend itself: %s",
                      backend->borrows, buf_status(&chain) == 0 ? chain.bytes : "a long way round");
    }
}

int config_check_borrows(const struct config *config, struct yaml_errors *errors)
{
    const struct config_backend *backends = config->settings.backends.items;
    const char **names = config_names(&config->settings.roles, sizeof(struct config_role));
    size_t i;

    for (i = 0; names != NULL && i < config->settings.backends.count; i++) {
        if (backends[i].borrows != NULL) {
            config_check_reference(role_node(&backends[i]), "role", names, errors);
            cycle_check(config, &backends[i], errors);
        }
    }
    mem_free((void *)names);
    return names != NULL ? 0 : ERR_NOMEM;
}
