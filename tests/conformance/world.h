/* A backend or a sink of the plugin under test behind the real host, on a virtual clock: its
 * requests are answered as the scenario says. */
#ifndef LEASED_TESTS_CONFORMANCE_WORLD_H
#define LEASED_TESTS_CONFORMANCE_WORLD_H

#include "backend/backend.h"
#include "backend/call.h"
#include "env/file.h"
#include "leased/plugin.h"
#include "plugins/fake_lender.h"
#include "support/fake_env.h"

#define WORLD_SECRETS_MAX FAKE_ENV_SECRETS_MAX
#define WORLD_REF_MAX_BYTES 1100
#define WORLD_ANSWERS_MAX 32

/* What the server does that the plugin speaks to. */
enum answers {
    ANSWERS_NONE,    /* takes requests and says nothing */
    ANSWERS_REFUSED, /* there is none */
    ANSWERS_LOST,    /* takes requests and hangs up */
    ANSWERS_ERROR,   /* 500 */
    ANSWERS_DENIED,  /* 403 */
    ANSWERS_GARBAGE, /* 200 with what is no JSON */
    ANSWERS_EMPTY,   /* 200 with an empty object */
    ANSWERS_DEEP,    /* 200 with JSON that is nested too deep */
    ANSWERS_GIVEN,   /* what was given for its path, else 200 with an empty object */
    ANSWERS_COUNT,
};

extern const char *const answers_names[ANSWERS_COUNT];

/* What a good server says. */
struct world_answer {
    const char *path; /* of the request, from its beginning */
    uint32_t status;
    struct str body;
};

/* What is the same in all scenarios. */
struct world_setup {
    const struct leased_plugin *plugin;
    const char *config_json;
    const char *params_json;
    struct fake_secret secrets[WORLD_SECRETS_MAX];
    size_t secret_count;
    struct lease_field lent[FAKE_LENDER_FIELDS_MAX]; /* what the role gives that it borrows from */
    size_t lent_count;
    struct world_answer given[WORLD_ANSWERS_MAX];
    size_t given_count;
    uint64_t slowdown; /* of this machine: what code takes is divided by it */
};

struct world {
    struct fake_env fake;
    struct env_ops ops;
    const struct world_setup *setup;
    enum answers answers;
    struct fake_lender lender;
    struct backend *backend;
    struct env_file *sink;
    size_t closed_count;
    size_t bytes_before;
    uint64_t slow_before;
};

/* One call of the lease layer, and how it ended. */
struct ask {
    struct lease_call call;
    size_t end_count;
    enum lease_outcome outcome;
    bool is_renewable;
    bool is_revocable;
    char ref[WORLD_REF_MAX_BYTES];
    char detail[BACKEND_ERROR_MAX_BYTES];
    struct lease_intent *pending; /* waits for the ledger */
};

/* One request of a client, passed through. */
struct passed {
    struct backend_call call;
    size_t end_count;
};

/* One append to a sink. */
struct given {
    struct env_append append;
    size_t end_count;
    int status;
};

/* Opens a backend or sink, by the plugin's kind. False when that fails, which is noted (spy_note)
 * unless the spy has had an allocation fail. */
bool world_open(struct world *world, const struct world_setup *setup, enum answers answers);

/* Closes it, and takes the world down. Notes what didn't end, and what was left behind.
 */
void world_close(struct world *world);

/* Starts what it was told to; world_settle brings it to its end. */
void world_ask(struct world *world, struct ask *ask, enum lease_call_kind kind);
void world_cancel(struct world *world, struct ask *ask);
void world_pass(struct world *world, struct passed *passed);
void world_give(struct world *world, struct given *given, struct str lines);

/* Runs what is due now, answers included. `ask` may be NULL. */
void world_run(struct world *world, struct ask *ask);

/* The same, for so long that every deadline has passed. */
void world_settle(struct world *world, struct ask *ask);

/* How often the host has measured that a call took too long, in all scenarios, and which was the
 * last. */
uint64_t world_slow_count(void);
const char *world_slow_call(void);
void world_watch_log(void);

#endif
