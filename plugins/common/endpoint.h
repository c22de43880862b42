/* Where a service is, by its URL: the parts that a request needs. */
#ifndef PLUGIN_COMMON_ENDPOINT_H
#define PLUGIN_COMMON_ENDPOINT_H

#include "text.h"

#define PLUGIN_ENDPOINT_MAX_BYTES 512

struct plugin_endpoint {
    char address[PLUGIN_ENDPOINT_MAX_BYTES]; /* scheme://host[:port], for a request's `address` */
    char path[PLUGIN_ENDPOINT_MAX_BYTES]; /* "/…", without a query; "" where the URL has none */
};

enum plugin_endpoint_flags {
    /* Plain http to the machine's metadata service (LEASED_HTTP_METADATA) is fine, too. */
    PLUGIN_ENDPOINT_METADATA = 1,
};

/* "https://host[:port][/path]", or http:// to this machine. No user, query or fragment. NULL, or
 * what is wrong with it (static); then `ret_endpoint` is untouched. */
const char *plugin_endpoint_parse(struct leased_str url, unsigned flags,
                                  struct plugin_endpoint *ret_endpoint);

/* The host's part of an address, for texts. */
const char *plugin_endpoint_host(const char *address);

#endif
