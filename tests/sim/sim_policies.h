/* The policies of the worlds where nothing has to be approved: the one that rules, and the other
 * one that operators reload. Those of guarded worlds: sim_rules.h. */
#ifndef LEASED_TESTS_SIM_POLICIES_H
#define LEASED_TESTS_SIM_POLICIES_H

#define SIM_OTHER_POLICY                                                                                         \
    "rules:\n"                                                                                                   \
    "- name: crowd\n"                                                                                            \
    "  subjects: [{user: \"*\"}]\n"                                                                              \
    "  roles: [\"*\"]\n"                                                                                         \
    "  limits: {duration: 5m, binding: [process, parent, session, unit, connection, none, \"comm:consumer\"]}\n" \
    "- name: banned\n"                                                                                           \
    "  subjects: [{user: user1001}]\n"                                                                           \
    "  roles: [\"*\"]\n"                                                                                         \
    "  effect: deny\n"                                                                                           \
    "admins:\n"                                                                                                  \
    "- {subjects: [{user: user1000}]}\n"

#define SIM_POLICY                                                                                 \
    "rules:\n"                                                                                     \
    "- name: crowd\n"                                                                              \
    "  subjects: [{user: user1000}, {user: user1001}, {user: user1002}]\n"                         \
    "  roles: [\"*\"]\n"                                                                           \
    "  limits: {binding: [process, parent, session, unit, connection, none, \"comm:consumer\"]}\n" \
    "- name: careful\n"                                                                            \
    "  subjects: [{user: user1003}, {user: user1004, unit: app-1.service}]\n"                      \
    "  roles: [none, other]\n"                                                                     \
    "  limits: {live: 2, duration: 10m, ttl: 5m}\n"                                                \
    "  require: {reason: \"^OPS-[0-9]+\"}\n"                                                       \
    "- name: sharers\n"                                                                            \
    "  subjects: [{user: user1003}, {user: user1004}]\n"                                           \
    "  roles: [own, shared, common]\n"                                                             \
    "  limits: {live: 3}\n"                                                                        \
    "- name: never\n"                                                                              \
    "  subjects: [{user: user1005}]\n"                                                             \
    "  roles: [\"*\"]\n"                                                                           \
    "  effect: deny\n"                                                                             \
    "admins:\n"                                                                                    \
    "- {subjects: [{user: user1000}]}\n"

#endif
