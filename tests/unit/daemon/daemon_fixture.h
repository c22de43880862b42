/* The whole daemon on the real loop, with a configuration from the fixture's folder and one thing
 * done to it after the other. */
#ifndef LEASED_TESTS_UNIT_DAEMON_DAEMON_FIXTURE_H
#define LEASED_TESTS_UNIT_DAEMON_DAEMON_FIXTURE_H

#include "unit/daemon/config_fixture.h"

struct daemon_step {
    bool (*until)(struct config_fixture *f); /* first it is called until it says yes; may be NULL */
    const char *config;                      /* then written to c.yaml; NULL: left as it is */
    void (*check)(struct config_fixture *f); /* then called; may be NULL */
    int signum; /* then raised; 0 with nothing else: the end of the steps */
};

/* Reads c.yaml, and runs it while the steps are taken. Returns the exit code. */
int daemon_fixture_run(struct config_fixture *f, const struct daemon_step *steps,
                       bool *ret_was_ready);

/* Begins a request to run/leased.sock, one at a time; `body` may be NULL … */
void daemon_fixture_ask(struct config_fixture *f, const char *method, const char *path,
                        const char *body);
/* … and has all of its answer come? Then that is in f->answer. */
bool daemon_fixture_answered(struct config_fixture *f);

/* Can one connect to this socket below the folder? */
bool daemon_fixture_answers(struct config_fixture *f, const char *name);

/* A file below the folder, as text; static. */
const char *daemon_fixture_file(struct config_fixture *f, const char *name);

/* How often `text` is in the trail. */
size_t daemon_fixture_trail_has(struct config_fixture *f, const char *text);

#define DAEMON_FIXTURE_AUDIT "audit: [{sink: file, path: '%D/audit.jsonl'}]\n"
#define DAEMON_FIXTURE_SETTINGS "listeners: [{unix: '%D/run/leased.sock'}]\n" DAEMON_FIXTURE_AUDIT

#endif
