/* What an issuer answers, by script: exchanges of a fake env end as the input says.
 *
 * An answer begins with a line that says how it ends and goes up to a line "--":
 *   ok          as the model Vault answers, with the JSON object that may follow put over it
 *   503         this status, with headers ("name: value") up to an empty line, and then a body
 *   lost, connect, tls, timeout, large, protocol     no answer (see env/http.h)
 *   held        none until its time is up, or it is cancelled
 * Behind the last one everything is ok. */
#ifndef LEASED_TESTS_FUZZ_VAULT_ANSWERS_H
#define LEASED_TESTS_FUZZ_VAULT_ANSWERS_H

#include "fuzz/input.h"
#include "sim/sim_vault.h"
#include "support/fake_env.h"

struct vault_answers {
    struct fake_env *fake;
    struct input input;
    struct sim_random random;
    struct sim_vault vault;
    uint64_t exchange_count;
    struct env_timer time_up; /* of what is held */
};

/* `input` keeps pointing into the fuzzer's bytes. Exchanges of `fake` are answered from now on. */
void vault_answers_init(struct vault_answers *answers, struct fake_env *fake, struct input input);
void vault_answers_fini(struct vault_answers *answers);

#endif
