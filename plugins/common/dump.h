/* JSON as text, in memory that is wiped. */
#ifndef PLUGIN_COMMON_DUMP_H
#define PLUGIN_COMMON_DUMP_H

#include "text.h"

#include <jansson.h>

/* The value in its shortest form, numbers as they were read (1.1, not 1.1000000000000001). NULL
 * when out of memory; else secret_free. */
char *plugin_dump(const struct leased_host *host, const json_t *value, size_t *ret_len);

#endif
