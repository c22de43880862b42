/* A backend's own keys. The host reads them as well (LEASED_PLUGIN_RUNS) and has the programs run;
 * here they are checked, and it is kept what there is. */
#ifndef PLUGIN_EXEC_CONFIG_H
#define PLUGIN_EXEC_CONFIG_H

#include "common/config.h"

struct exec_config {
    bool can_revoke; /* there is a revoke_command */
};

/* 0, or -1 with the reason, which begins with the key. */
int exec_config_parse(struct leased_str json, struct exec_config *ret_config,
                      struct plugin_text *ret_detail);

#endif
