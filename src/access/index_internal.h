/* What policy_index.c (looks up) and index_build.c share. */
#ifndef LEASED_ACCESS_INDEX_INTERNAL_H
#define LEASED_ACCESS_INDEX_INTERNAL_H

#include "access/policy_index.h"

/* In a role's place: for rules that hang under no role of their own. */
#define ACCESS_KEY_ALL_ROLES SIZE_MAX

/* A key by its kind and value, and that key for one role (its number, or ACCESS_KEY_ALL_ROLES). */
uint64_t access_key_text(enum access_key kind, struct str text);
uint64_t access_key_number(enum access_key kind, uint64_t number);
uint64_t access_key_claim(const char *name, struct str value);
uint64_t access_key_of_role(uint64_t key, size_t role);

#endif
