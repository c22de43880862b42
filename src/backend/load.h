/* Loading a plugin's file. Part of the registry. */
#ifndef LEASED_BACKEND_LOAD_H
#define LEASED_BACKEND_LOAD_H

#include "base/err.h"
#include "base/str.h"
#include "leased/plugin.h"

/* Opens directory/name.so after checking both (see backend_registry_load) and finds its entry. The
 * library stays loaded for ever. */
int load_plugin(const char *directory, struct str name, leased_plugin_entry_fn *ret_entry,
                struct err *e) ATTR_MUST_USE;

#endif
