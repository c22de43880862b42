/* Hours are minutes here: the world's wall clock begins at midnight, and a run lasts for less than
 * an hour. */
#include "sim_rules.h"

#include <string.h>

#define MINUTE_MS 60000
#define DAY_MS (24 * 60 * MINUTE_MS)
#define WINDOWS 16 /* of a day */

#define BINDINGS "binding: [process, parent, session, unit, connection, none, \"comm:consumer\"]"
/* Two minutes of each three, and one of each two. */
#define HOURS_0                                                                                    \
    "\"00:00-00:02\", \"00:03-00:05\", \"00:06-00:08\", \"00:09-00:11\", "                         \
    "\"00:12-00:14\", \"00:15-00:17\", \"00:18-00:20\", \"00:21-00:23\", "                         \
    "\"00:24-00:26\", \"00:27-00:29\", \"00:30-00:32\", \"00:33-00:35\", "                         \
    "\"00:36-00:38\", \"00:39-00:41\", \"00:42-00:44\", \"00:45-00:47\""
#define HOURS_1                                                                                    \
    "\"00:00-00:01\", \"00:02-00:03\", \"00:04-00:05\", \"00:06-00:07\", "                         \
    "\"00:08-00:09\", \"00:10-00:11\", \"00:12-00:13\", \"00:14-00:15\", "                         \
    "\"00:16-00:17\", \"00:18-00:19\", \"00:20-00:21\", \"00:22-00:23\", "                         \
    "\"00:24-00:25\", \"00:26-00:27\", \"00:28-00:29\", \"00:30-00:31\""

#define RULES_0                                                                                    \
    "rules:\n"                                                                                     \
    "- name: open-0\n"                                                                             \
    "  subjects: [{user: \"user100*\"}]\n"                                                         \
    "  roles: [own, shared]\n"                                                                     \
    "  limits: {" BINDINGS "}\n"                                                                   \
    "- name: guarded-0\n"                                                                          \
    "  subjects: [{user: \"user100*\"}]\n"                                                         \
    "  roles: [none, other]\n"                                                                     \
    "  limits: {duration: 10m, " BINDINGS "}\n"                                                    \
    "  require:\n"                                                                                 \
    "    reason: \"^OPS-[0-9]+\"\n"                                                                \
    "    approval:\n"                                                                              \
    "      from: [{user: user1000}, {user: user1001}, {user: user1002}, {user: user1004}]\n"       \
    "      count: 1\n"                                                                             \
    "      decide_within: 60s\n"                                                                   \
    "      use_within: 30s\n"                                                                      \
    "- name: hours-0\n"                                                                            \
    "  subjects: [{user: \"user100*\"}]\n"                                                         \
    "  roles: [common]\n"                                                                          \
    "  limits: {" BINDINGS "}\n"                                                                   \
    "  require: {window: {hours: [" HOURS_0 "]}}\n"                                                \
    "persons: {anna: [{user: user1001}, {user: user1004}]}\n"                                      \
    "admins: [{subjects: [{user: user1000}]}]\n"

#define RULES_1                                                                                    \
    "rules:\n"                                                                                     \
    "- name: open-1\n"                                                                             \
    "  subjects: [{user: \"user100*\"}]\n"                                                         \
    "  roles: [own, shared]\n"                                                                     \
    "  limits: {" BINDINGS "}\n"                                                                   \
    "- name: guarded-1\n"                                                                          \
    "  subjects: [{user: \"user100*\"}]\n"                                                         \
    "  roles: [none, other]\n"                                                                     \
    "  limits: {duration: 10m, " BINDINGS "}\n"                                                    \
    "  require:\n"                                                                                 \
    "    reason: \"^OPS-[0-9]+\"\n"                                                                \
    "    approval:\n"                                                                              \
    "      from: [{user: user1000}, {user: user1001}, {user: user1002}, {user: user1004}]\n"       \
    "      count: 2\n"                                                                             \
    "      decide_within: 60s\n"                                                                   \
    "      use_within: 30s\n"                                                                      \
    "- name: hours-1\n"                                                                            \
    "  subjects: [{user: \"user100*\"}]\n"                                                         \
    "  roles: [common]\n"                                                                          \
    "  limits: {" BINDINGS "}\n"                                                                   \
    "  require: {window: {hours: [" HOURS_1 "]}}\n"                                                \
    "- {name: banned-1, subjects: [{user: user1001}], roles: [\"*\"], effect: deny}\n"             \
    "persons: {anna: [{user: user1001}, {user: user1004}]}\n"                                      \
    "admins: [{subjects: [{user: user1000}]}]\n"

const char *const sim_rules_texts[SIM_RULES_COUNT] = {RULES_0, RULES_1};

size_t sim_rules_index(struct str text)
{
    size_t index = 0;

    while (index < SIM_RULES_COUNT && !str_eq_c(text, sim_rules_texts[index])) {
        index++;
    }
    CHECK(index < SIM_RULES_COUNT);
    return index;
}

bool sim_rules_is_of(const char *rule, size_t index)
{
    return rule[0] != '\0' && (size_t)(rule[strlen(rule) - 1] - '0') == index;
}

bool sim_rules_is_guarded(const char *role)
{
    return strcmp(role, "none") == 0 || strcmp(role, "other") == 0;
}

bool sim_rules_has_window(const char *role)
{
    return strcmp(role, "common") == 0;
}

size_t sim_rules_needed(const char *rule)
{
    return sim_rules_is_of(rule, 0) ? 1 : 2;
}

bool sim_rules_is_same_person(uint32_t uid, uint32_t other)
{
    static const uint32_t anna[] = {1001, 1004};

    return uid == other ||
           ((uid == anna[0] || uid == anna[1]) && (other == anna[0] || other == anna[1]));
}

bool sim_rules_may_approve(uint32_t uid, uint32_t asker)
{
    return !sim_rules_is_same_person(uid, asker) &&
           (uid == 1000 || uid == 1001 || uid == 1002 || uid == 1004);
}

int64_t sim_rules_window_end(size_t index, int64_t wall_ms)
{
    static const struct {
        int64_t period_ms;
        int64_t length_ms;
    } windows[SIM_RULES_COUNT] = {{3 * MINUTE_MS, 2 * MINUTE_MS}, {2 * MINUTE_MS, MINUTE_MS}};
    int64_t day_ms = wall_ms % DAY_MS;
    int64_t in_ms = day_ms % windows[index].period_ms;
    bool is_open = in_ms < windows[index].length_ms && day_ms / windows[index].period_ms < WINDOWS;

    return is_open ? wall_ms - in_ms + windows[index].length_ms : 0;
}
