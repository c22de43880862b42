/* A sink plugin's instance, as a file that the audit trail appends to: so the trail's queue, its
 * back-off and what it says about a sink that fails are the same for both.
 *
 * What is different: nothing is there to be read back, so after a restart it gets everything that
 * the ledger still has for its sinks; a failed append may have come through in part. */
#ifndef LEASED_BACKEND_SINK_H
#define LEASED_BACKEND_SINK_H

#include "base/err.h"
#include "env/file.h"

struct leased_plugin;

/* What the plugin gets at once; its HTTP requests have room for it. */
#define SINK_WRITE_MAX_BYTES (128U * 1024U)

/* A write that takes longer is cancelled; the next one waits until the plugin has ended it. */
#define SINK_WRITE_TIMEOUT_MS 12000U

/* Copied, except env and plugin. */
struct sink_options {
    struct env *env;
    const struct leased_plugin *plugin; /* of kind LEASED_KIND_SINK */
    const char *name;                   /* for logs */
    const char *config_json;            /* the plugin's own keys, a JSON object; NULL: {} */
};

/* ERR_INVALID (the plugin refuses its configuration), ERR_NOMEM. Closed by env_file_close. */
int sink_open(const struct sink_options *options, struct env_file **ret_file,
              struct err *e) ATTR_MUST_USE;

#endif
