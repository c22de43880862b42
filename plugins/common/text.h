/* Slices and one-line texts in the ABI's form. */
#ifndef PLUGIN_COMMON_TEXT_H
#define PLUGIN_COMMON_TEXT_H

#include "leased/plugin.h"

#include <stdbool.h>

#define PLUGIN_TEXT_MAX_BYTES 400
#define PLUGIN_STR(literal) ((struct leased_str){(literal), sizeof(literal) - 1})

/* A line for people; never holds a secret. */
struct plugin_text {
    char bytes[PLUGIN_TEXT_MAX_BYTES];
};

struct leased_str plugin_str(const char *text);
bool plugin_str_eq(struct leased_str a, const char *b);

/* The same for what may be in capitals; `lower` isn't. */
bool plugin_str_is(struct leased_str a, const char *lower);

/* Does `s` hold `part`? */
bool plugin_str_has(struct leased_str s, const char *part);

void plugin_text_set(struct plugin_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What a check of a configuration returns: -LEASED_INVALID, with the line that says why. */
int32_t plugin_refuse(const struct plugin_text *detail, struct leased_str *ret_detail);

/* The known name that is closest to `name`, or NULL when none is close. */
const char *plugin_suggest(const char *name, const char *const *known, size_t known_count);

/* Ordinary memory: zeroed, wiped when freed (host->secret_free); NULL when out of memory. */
void *plugin_alloc(const struct leased_host *host, size_t size);
char *plugin_strdup(const struct leased_host *host, struct leased_str s);

/* A copy in secret memory, for what is kept: tokens and what they are got with. */
char *plugin_secret_dup(const struct leased_host *host, struct leased_str s);

#endif
