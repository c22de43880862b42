/* A verifier by script. */
#include "unit/lease/script_verifier.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

static void answer(struct env_deferred *deferred)
{
    struct script_verifier *script = deferred->user;
    int status = script->status;

    script->is_running = false;
    if (status != 0 && script->bad_count > 0 && --script->bad_count == 0) {
        script->status = 0;
    }
    script->fn(script->user, status, status != 0 ? "401" : "");
}

static int start(struct lease_verifier *verifier, const struct lease_trial *trial,
                 void **ret_running, struct err *e)
{
    struct script_verifier *script = CONTAINER_OF(verifier, struct script_verifier, verifier);
    size_t i;

    script->try_count++;
    if (script->start_status != 0) {
        return err_set(e, script->start_status, "no such field");
    }
    CHECK(!script->is_running);
    CHECK(trial->timeout_ms > 0);
    script->last_timeout_ms = trial->timeout_ms;
    (void)snprintf(script->last_json, sizeof(script->last_json), "%s", trial->verify_json);
    for (i = 0; i < trial->field_count; i++) {
        if (str_eq_c(trial->fields[i].name, "password")) {
            (void)snprintf(script->last_password, sizeof(script->last_password), "%.*s",
                           STR_ARG(trial->fields[i].value));
        }
    }
    script->is_running = true;
    script->fn = trial->fn;
    script->user = trial->user;
    if (!script->is_held) {
        env_defer(&script->fake->env, &script->answering);
    }
    *ret_running = script;
    return 0;
}

static void cancel(struct lease_verifier *verifier, void *running)
{
    struct script_verifier *script = CONTAINER_OF(verifier, struct script_verifier, verifier);

    CHECK(running == script && script->is_running);
    script->cancel_count++;
    script->is_running = false;
    env_undefer(&script->answering);
}

void verifier_init(struct script_verifier *script, struct fake_env *fake)
{
    static const struct lease_verifier_ops ops = {.start = start, .cancel = cancel};

    memset(script, 0, sizeof(*script));
    script->verifier.ops = &ops;
    script->fake = fake;
    script->answering = (struct env_deferred){.fn = answer, .user = script};
}

void verifier_answer(struct script_verifier *script)
{
    CHECK(script->is_running);
    env_defer(&script->fake->env, &script->answering);
}
