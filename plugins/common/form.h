/* Texts that grow: forms (application/x-www-form-urlencoded), paths with queries, JSON by hand. */
#ifndef PLUGIN_COMMON_FORM_H
#define PLUGIN_COMMON_FORM_H

#include "text.h"

/* What is being written, in ordinary memory that is wiped. Zero-initialise, set `host`. After a
 * failure nothing more is added, and `is_failed` says so. */
struct plugin_form {
    const struct leased_host *host;
    char *bytes; /* owned, NUL-terminated; NULL: nothing yet */
    size_t len;
    size_t size;
    bool is_failed; /* out of memory */
};

/* As it is. */
void plugin_form_add(struct plugin_form *form, struct leased_str text);

/* RFC 3986: all but A-Z a-z 0-9 - . _ ~ as %XX. AWS's SigV4 and OAuth both take this. */
void plugin_form_add_encoded(struct plugin_form *form, struct leased_str text);

/* "&" where something stands before, key, "=", value, both encoded. An empty value is left out with
 * plugin_form_pair_if. */
void plugin_form_pair(struct plugin_form *form, const char *key, struct leased_str value);
void plugin_form_pair_if(struct plugin_form *form, const char *key, struct leased_str value);

struct leased_str plugin_form_str(const struct plugin_form *form);
void plugin_form_fini(struct plugin_form *form);

#endif
