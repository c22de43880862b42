/* Configurations in a folder of their own, read with the real plugins. */
#ifndef LEASED_TESTS_UNIT_DAEMON_CONFIG_FIXTURE_H
#define LEASED_TESTS_UNIT_DAEMON_CONFIG_FIXTURE_H

#include "daemon/config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct config_fixture {
    char folder[64];
    struct backend_registry *registry;
    struct config *config;
    struct yaml_errors errors;
    size_t bytes_before;
    /* While a daemon runs (daemon_fixture.h). */
    struct env *env;
    int fd;             /* of the request under way */
    char answer[16384]; /* what has come of it */
    size_t answer_len;
};

int config_fixture_setup(void **state);
int config_fixture_teardown(void **state);

/* Writes a file below the folder; "%D" in `text` becomes the folder. */
void config_fixture_write(struct config_fixture *f, const char *name, const char *text);

/* Reads `name` below the folder ("": the folder itself). What was read before is gone. */
int config_fixture_load(struct config_fixture *f, const char *name);

/* The complaints, with the folder cut out of them. */
const char *config_fixture_errors(struct config_fixture *f);

/* `text` as the whole configuration gives exactly these complaints. */
void config_fixture_expect(struct config_fixture *f, const char *text, const char *errors);

/* `text` as the whole configuration gives none. */
void config_fixture_expect_valid(struct config_fixture *f, const char *text);

struct config_mistake {
    const char *text;
    const char *errors;
};

void config_fixture_expect_each(struct config_fixture *f, const struct config_mistake *mistakes,
                                size_t count);

/* The least that is a configuration: a listener and a sink. */
#define CONFIG_FIXTURE_LEAST                                                                       \
    "listeners: [{unix: /run/leased/leased.sock}]\n"                                               \
    "audit: [{sink: file, path: /var/log/leased/audit.jsonl}]\n"

/* One backend, vault-prod. */
#define CONFIG_FIXTURE_BACKEND                                                                     \
    "backends:\n"                                                                                  \
    "  vault-prod:\n"                                                                              \
    "    plugin: vault\n"                                                                          \
    "    address: https://vault.example:8200\n"                                                    \
    "    auth: {method: approle, role_id_file: /r, secret_id_file: /s}\n"

/* The least with a role `r` that has these keys, too. */
#define CONFIG_FIXTURE_ROLE(keys)                                                                  \
    CONFIG_FIXTURE_LEAST CONFIG_FIXTURE_BACKEND                                                    \
        "roles: {r: {backend: vault-prod, path: a/b, " keys "}}\n"

#endif
