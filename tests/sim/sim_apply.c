/* Applying. The commit fails: the word before is put behind it, and who asked is told so; whether a
 * kill leaves the one or the other isn't known then. */
#include "sim_apply.h"

#include "sim_rules.h"

#include "base/mem.h"

#include <stdio.h>

#define WORD "policy"

struct sim_apply {
    struct sim_world *world;
    struct serve_apply *asked;
    size_t index;
    struct audit_write write;
};

size_t sim_apply_word(const struct sim_world *world)
{
    const char *word = fake_ledger_find(&world->ledger, ENV_LEDGER_SETTING, WORD);

    return word != NULL && word[0] == '1' ? 1 : 0;
}

static int word_put(struct sim_world *world, size_t index)
{
    return env_ledger_put(&world->ledger.ledger, ENV_LEDGER_SETTING, STR(WORD),
                          index == 1 ? STR("1") : STR("0"));
}

static void judge(void *user, const struct access_identity *identity,
                  const struct access_request *request, struct access_decision *ret_decision)
{
    access_policy_decide(user, identity, request, ret_decision);
}

void sim_apply_recheck(struct sim_world *world, struct lease_recheck *recheck)
{
    struct access_policy *policy = world->policies[world->policy_index];

    recheck->policy_digest = access_policy_digest(policy);
    recheck->judge = judge;
    recheck->user = policy;
    (void)lease_core_recheck(world->core, recheck);
}

static void apply_end(struct sim_apply *apply, int status)
{
    struct serve_apply *asked = apply->asked;

    apply->world->apply = NULL;
    if (asked->done != NULL) {
        asked->done(asked, status);
    }
    serve_apply_free(asked);
    mem_free(apply);
}

static void recorded(struct audit_write *write, int status)
{
    struct sim_apply *apply = write->user;
    struct sim_world *world = apply->world;
    struct lease_recheck recheck = {.drain_ms = apply->asked->drain_ms};

    if (status != 0) {
        (void)word_put(world, world->policy_index);
        apply_end(apply, status);
        return;
    }
    sim_trace(&world->sim, "policy %zu is applied", apply->index);
    world->policy_index = apply->index;
    serve_set_policy(world->serve, world->policies[apply->index], NULL, NULL);
    sim_apply_recheck(world, &recheck);
    apply->asked->ended_count = recheck.ended_count;
    apply_end(apply, 0);
}

int sim_apply_compile(void *user, const struct policy_bundle *bundle,
                      struct access_policy **ret_policy, struct yaml_errors *mistakes)
{
    (void)mistakes;
    CHECK(bundle->file_count == 1);
    *ret_policy =
        sim_world_parse_policy(user, sim_rules_texts[sim_rules_index(bundle->files[0].text)]);
    return 0;
}

int sim_apply_start(void *user, struct serve_apply *asked)
{
    struct sim_world *world = user;
    struct sim_apply *apply;
    struct audit_record record;
    int r;

    if (world->apply != NULL) {
        return err_set(&asked->error, ERR_BUSY, "another policy is being applied");
    }
    apply = mem_calloc(1, sizeof(*apply));
    CHECK(apply != NULL);
    *apply = (struct sim_apply){.world = world,
                                .asked = asked,
                                .index = sim_rules_index(asked->bundle->files[0].text),
                                .write = {.fn = recorded, .user = apply}};
    serve_apply_record(asked, "policy.applied", "ok", &record);
    record.policy_digest = access_policy_digest(world->policies[apply->index]);
    r = word_put(world, apply->index);
    if (r == 0) {
        r = audit_record_write(world->audit, &record, &apply->write);
    }
    if (r != 0) {
        (void)word_put(world, world->policy_index);
        mem_free(apply);
        return err_set(&asked->error, r, "it can't be put on record");
    }
    world->apply = apply;
    return 0;
}

void sim_apply_stop(struct sim_world *world)
{
    struct sim_apply *apply = world->apply;

    if (apply != NULL) {
        audit_write_forget(&apply->write);
        world->apply = NULL;
        serve_apply_free(apply->asked);
        mem_free(apply);
    }
}
