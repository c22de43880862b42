/* The whole daemon on the real loop, with a configuration from the fixture's folder and one thing
 * done to it after the other. */
#ifndef LEASED_TESTS_UNIT_DAEMON_DAEMON_FIXTURE_H
#define LEASED_TESTS_UNIT_DAEMON_DAEMON_FIXTURE_H

#include "unit/daemon/config_fixture.h"

struct daemon_step {
    const char *config; /* written to c.yaml first; NULL: left as it is */
    /* Then called, if it isn't NULL. */
    void (*check)(struct config_fixture *f);
    int signum; /* then raised; 0 with nothing else: the end of the steps */
};

/* Reads c.yaml, and runs it while the steps are taken. Returns the exit code. */
int daemon_fixture_run(struct config_fixture *f, const struct daemon_step *steps,
                       bool *ret_was_ready);

/* Can one connect to this socket below the folder? */
bool daemon_fixture_answers(struct config_fixture *f, const char *name);

/* A file below the folder, as text; static. */
const char *daemon_fixture_file(struct config_fixture *f, const char *name);

/* How often `text` is in the trail. */
size_t daemon_fixture_trail_has(struct config_fixture *f, const char *text);

#define DAEMON_FIXTURE_AUDIT "audit: [{sink: file, path: '%D/audit.jsonl'}]\n"
#define DAEMON_FIXTURE_SETTINGS "listeners: [{unix: '%D/run/leased.sock'}]\n" DAEMON_FIXTURE_AUDIT

#endif
