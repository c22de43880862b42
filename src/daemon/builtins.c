/* The plugins that are linked in. */
#include "daemon/builtins.h"

#include "leased/plugin.h"

#define DECLARE(name)                                                                              \
    int32_t leased_plugin_entry_##name(const struct leased_host *host,                             \
                                       const struct leased_plugin **ret_plugin);
BUILTINS_TABLE(DECLARE)
#undef DECLARE

leased_plugin_entry_fn builtins_entry(struct str name)
{
#define ENTRY(name) {#name, leased_plugin_entry_##name},
    static const struct {
        const char *name;
        leased_plugin_entry_fn entry;
    } entries[] = {BUILTINS_TABLE(ENTRY)};
#undef ENTRY
    size_t i;

    for (i = 0; i < ARRAY_LEN(entries); i++) {
        if (str_eq_c(name, entries[i].name)) {
            return entries[i].entry;
        }
    }
    return NULL;
}

int builtins_add(struct backend_registry *registry, struct err *e)
{
#define ENTRY(name) leased_plugin_entry_##name,
    static const leased_plugin_entry_fn entries[] = {BUILTINS_TABLE(ENTRY)};
#undef ENTRY
    int r = 0;
    size_t i;

    for (i = 0; r == 0 && i < ARRAY_LEN(entries); i++) {
        r = backend_registry_add_builtin(registry, entries[i], e);
    }
    return r;
}
