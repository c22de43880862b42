/* Reading a plugin's own keys, with errors as the host shows them: they begin with the key. */
#ifndef PLUGIN_COMMON_CONFIG_H
#define PLUGIN_COMMON_CONFIG_H

#include "text.h"

#include <jansson.h>

#define PLUGIN_SOURCE_MAX_BYTES 1100

/* Where a secret is, in secret_read's words ("file:/path"); empty: not given. */
struct plugin_source {
    char text[PLUGIN_SOURCE_MAX_BYTES];
};

/* Each key of `object` must be known. `where` stands before the key ("auth."). 0, or -1 with the
 * reason; so do the others. */
int plugin_config_check_keys(json_t *object, const char *const *known, size_t known_count,
                             const char *where, struct plugin_text *detail);

/* A short text into `out`; absent leaves it as it is. */
int plugin_config_text(json_t *object, const char *key, char *out, size_t out_size,
                       struct plugin_text *detail);

/* One of NAME_file, NAME_env, NAME_credential. `file_kind`: "file", or "shared-file" for what its
 * writer leaves readable. */
int plugin_config_source(json_t *object, const char *name, const char *file_kind,
                         struct plugin_source *source, struct plugin_text *detail);

/* Puts `where` ("auth.") before a reason of these that is about a key of an inner object. Returns
 * -1. */
int plugin_config_inside(const char *where, struct plugin_text *detail);

#endif
