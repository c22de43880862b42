/* The plugins that are linked into leased: folders of plugins/ that the Makefile's BUILTIN_PLUGINS
 * names. */
#ifndef LEASED_DAEMON_BUILTINS_H
#define LEASED_DAEMON_BUILTINS_H

#include "backend/registry.h"

#define BUILTINS_TABLE(X) X(aws) X(entra) X(exec) X(gcp) X(github) X(kubernetes) X(localca) X(vault)

/* The entry of one; NULL: there is none of that name. */
leased_plugin_entry_fn builtins_entry(struct str name);

/* Adds them all. As backend_registry_add_builtin. */
int builtins_add(struct backend_registry *registry, struct err *e) ATTR_MUST_USE;

#endif
