/* A verifier by script. */
#include "unit/lease/verify_fixture.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

struct script_verifier script;

int verify_setup(void **state)
{
    int r = fixture_setup(state);

    verifier_init(&script, &f.fake);
    f.options.verifier = &script.verifier;
    f.role.verify_json = f.shared.verify_json = "{\"tcp\":\"db:5432\"}";
    f.role.verify_timeout_ms = f.shared.verify_timeout_ms = 20 * SECOND_MS;
    return r;
}

static void answer(struct env_deferred *deferred)
{
    struct script_verifier *self = deferred->user;
    int status = self->status;

    self->is_running = false;
    if (status != 0 && self->bad_count > 0 && --self->bad_count == 0) {
        self->status = 0;
    }
    self->fn(self->user, status, status != 0 ? "401" : "");
}

static int start(struct lease_verifier *verifier, const struct lease_trial *trial,
                 void **ret_running, struct err *e)
{
    struct script_verifier *self = CONTAINER_OF(verifier, struct script_verifier, verifier);
    size_t i;

    self->try_count++;
    if (self->start_status != 0) {
        return err_set(e, self->start_status, "no such field");
    }
    CHECK(!self->is_running);
    CHECK(trial->timeout_ms > 0);
    self->last_timeout_ms = trial->timeout_ms;
    (void)snprintf(self->last_json, sizeof(self->last_json), "%s", trial->verify_json);
    for (i = 0; i < trial->field_count; i++) {
        if (str_eq_c(trial->fields[i].name, "password")) {
            (void)snprintf(self->last_password, sizeof(self->last_password), "%.*s",
                           STR_ARG(trial->fields[i].value));
        }
    }
    self->is_running = true;
    self->fn = trial->fn;
    self->user = trial->user;
    if (!self->is_held) {
        env_defer(&self->fake->env, &self->answering);
    }
    *ret_running = self;
    return 0;
}

static void cancel(struct lease_verifier *verifier, void *running)
{
    struct script_verifier *self = CONTAINER_OF(verifier, struct script_verifier, verifier);

    CHECK(running == self && self->is_running);
    self->cancel_count++;
    self->is_running = false;
    env_undefer(&self->answering);
}

void verifier_init(struct script_verifier *self, struct fake_env *fake)
{
    static const struct lease_verifier_ops ops = {.start = start, .cancel = cancel};

    memset(self, 0, sizeof(*self));
    self->verifier.ops = &ops;
    self->fake = fake;
    self->answering = (struct env_deferred){.fn = answer, .user = self};
}

void verifier_answer(struct script_verifier *self)
{
    CHECK(self->is_running);
    env_defer(&self->fake->env, &self->answering);
}
