/* Slices and one-line texts in the ABI's form. */
#ifndef VAULT_TEXT_H
#define VAULT_TEXT_H

#include "leased/plugin.h"

#include <stdbool.h>

#define VAULT_TEXT_MAX_BYTES 400
#define VAULT_STR(literal) ((struct leased_str){(literal), sizeof(literal) - 1})

/* A line for people; never holds a secret. */
struct vault_text {
    char bytes[VAULT_TEXT_MAX_BYTES];
};

struct leased_str vault_str(const char *text);
bool vault_str_eq(struct leased_str a, const char *b);

/* The same for what may be in capitals; `lower` isn't. */
bool vault_str_is(struct leased_str a, const char *lower);

/* Does `s` hold `part`? */
bool vault_str_has(struct leased_str s, const char *part);

void vault_text_set(struct vault_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The known name that is closest to `name`, or NULL when none is close. */
const char *vault_suggest(const char *name, const char *const *known, size_t known_count);

/* Ordinary memory: zeroed, wiped when freed (host->secret_free); NULL when out of memory. */
void *vault_alloc(const struct leased_host *host, size_t size);
char *vault_strdup(const struct leased_host *host, struct leased_str s);

/* A copy in secret memory, for what is kept: tokens and what they are got with. */
char *vault_secret_dup(const struct leased_host *host, struct leased_str s);

#endif
