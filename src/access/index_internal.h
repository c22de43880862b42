/* What policy_index.c (looks up) and index_build.c share. */
#ifndef LEASED_ACCESS_INDEX_INTERNAL_H
#define LEASED_ACCESS_INDEX_INTERNAL_H

#include "access/policy_index.h"

/* What a rule is about, beside its callers: a role, by its number, or paths, by a hash over how
 * they begin. ACCESS_SCOPE_ALL: it hangs under no scope of its own. */
#define ACCESS_SCOPE_ALL UINT64_MAX

uint64_t access_scope_of_path(struct str beginning);

/* A key by its kind and value, and that key within one scope. */
uint64_t access_key_text(enum access_key kind, struct str text);
uint64_t access_key_number(enum access_key kind, uint64_t number);
uint64_t access_key_claim(const char *name, struct str value);
uint64_t access_key_of_scope(uint64_t key, uint64_t scope);

#endif
