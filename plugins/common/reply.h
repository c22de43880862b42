/* What an issuer answers. */
#ifndef PLUGIN_COMMON_REPLY_H
#define PLUGIN_COMMON_REPLY_H

#include "text.h"

#include <jansson.h>

/* A header's value (`name` in lower case); empty: it isn't there. */
struct leased_str plugin_header(const struct leased_http_reply *http, const char *name);

/* The body as an object (json_decref), or NULL with the reason (static). `flags` are jansson's. */
json_t *plugin_reply_json(const struct leased_http_reply *http, size_t flags,
                          const char **ret_problem);

#endif
