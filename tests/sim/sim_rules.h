/* The policies of a guarded world, and what they mean in the checkers' own words: who may have what
 * after whose approval, and when. There are two, the one that rules at first and the one that
 * operators apply; the names of their rules end with their index. */
#ifndef LEASED_TESTS_SIM_RULES_H
#define LEASED_TESTS_SIM_RULES_H

#include "sim_issuer.h"

#define SIM_RULES_COUNT 2
#define SIM_RULES_DECIDE_WITHIN_MS 60000U
#define SIM_RULES_USE_WITHIN_MS 30000U

extern const char *const sim_rules_texts[SIM_RULES_COUNT];

/* Which of them this is. */
size_t sim_rules_index(struct str text);

/* Whose rule it is, by its name. */
bool sim_rules_is_of(const char *rule, size_t index);

/* Does nobody get this role without an approval? Is it given within a window alone? */
bool sim_rules_is_guarded(const char *role);
bool sim_rules_has_window(const char *role);

/* How many have to approve it. */
size_t sim_rules_needed(const char *rule);

/* One person, who may have several users. */
bool sim_rules_is_same_person(uint32_t uid, uint32_t other);

/* May this user approve what that one asks for? */
bool sim_rules_may_approve(uint32_t uid, uint32_t asker);

/* When the window that this moment is in ends, by the wall clock; 0: it is in none. */
int64_t sim_rules_window_end(size_t index, int64_t wall_ms);

#endif
