/* Tries a new credential out before anybody gets it, where its role asks for that: some issuers
 * give credentials that aren't known everywhere yet.
 *
 * Happy path: issue_arrived → verify_start: the first try is due at once → verify_due opens the
 * credential for the verifier → it works: issue_verified.
 *
 * Failure paths. It is refused, or nobody answers: it is tried again, in pauses that grow, until
 * the role's time is up, or the credential's life has become too short for a hand-out; then
 * issue_unverified. It can't be tried at all (a field isn't there): the same at once. A reload
 * takes the verification away: it counts as verified. The lease ends meanwhile: verify_forget. The
 * daemon dies: the ledger has the lease as one to be revoked (durable.c), and the next start does
 * that. */
#include "lease/verify.h"

#include "base/mem.h"
#include "lease/core_internal.h"

#define VERIFY_TRY_MAX_MS 10000U /* a server that hangs is asked again */
#define VERIFY_PAUSE_MS 200U
#define VERIFY_PAUSE_DOUBLINGS_MAX 5U
#define LAST_TRY_PART 4U
#define LAST_TRY_MAX_MS 1000U

static uint64_t pause_ms(const struct verify *verify)
{
    uint32_t doublings = verify->try_count < VERIFY_PAUSE_DOUBLINGS_MAX
                             ? verify->try_count
                             : VERIFY_PAUSE_DOUBLINGS_MAX;

    return (uint64_t)VERIFY_PAUSE_MS << doublings;
}

/* The last try has a part of the time, too: one with the rest alone would only tell that it was
 * short. */
static uint64_t last_ms(const struct verify *verify)
{
    uint64_t part_ms = verify->lease->role->config.verify_timeout_ms / LAST_TRY_PART;

    part_ms = part_ms < LAST_TRY_MAX_MS ? part_ms : LAST_TRY_MAX_MS;
    return schedule_left_ms(verify->until_ms, part_ms);
}

static bool is_taken_away(const struct verify *verify)
{
    return verify->lease->role->config.verify_json == NULL;
}

static void not_yet(struct verify *verify, const char *detail)
{
    struct lease *lease = verify->lease;
    uint64_t now_ms = core_now_ms(lease->role->core);
    uint64_t when_ms = schedule_add_ms(now_ms, pause_ms(verify));

    verify->try_count++;
    lease_set_error(lease, "could not be verified: %s", detail);
    if (now_ms >= last_ms(verify)) {
        issue_unverified(lease); /* verify is gone */
        return;
    }
    wheel_arm(&lease->role->core->wheel, &verify->due,
              when_ms < last_ms(verify) ? when_ms : last_ms(verify));
    core_touch(lease->role->core);
}

static void tried(void *user, int status, const char *detail)
{
    struct verify *verify = OBJ_CAST(user, struct verify, VERIFY_MAGIC);

    verify->running = NULL;
    if (status == 0 || is_taken_away(verify)) {
        issue_verified(verify->lease);
    } else {
        not_yet(verify, detail);
    }
}

static int try_out(struct verify *verify, struct err *e)
{
    struct lease *lease = verify->lease;
    struct lease_core *core = lease->role->core;
    struct lease_verifier *verifier = core->verifier;
    uint64_t left_ms = schedule_left_ms(verify->until_ms, core_now_ms(core));
    struct lease_trial trial = {
        .role = lease->role->config.name,
        .verify_json = lease->role->config.verify_json,
        .timeout_ms = left_ms < VERIFY_TRY_MAX_MS ? left_ms : VERIFY_TRY_MAX_MS,
        .fn = tried,
        .user = verify,
    };
    struct lease_credential credential = {0};
    int r = left_ms > 0 ? lease_credential_open(core, lease, &credential)
                        : err_set(e, ERR_TIMEOUT, "the time was up");

    if (r == 0) {
        trial.fields = credential.fields;
        trial.field_count = credential.field_count;
        r = verifier->ops->start(verifier, &trial, &verify->running, e);
        lease_credential_close(&credential);
    }
    return r;
}

void verify_due(struct verify *verify)
{
    struct err e = {0};
    int r;

    if (is_taken_away(verify)) {
        issue_verified(verify->lease);
        return;
    }
    r = try_out(verify, &e);
    if (r == ERR_INVALID) {
        lease_set_error(verify->lease, "can't be verified: %s", e.text);
        issue_unverified(verify->lease); /* another try would be the same */
    } else if (r != 0) {
        not_yet(verify, e.text[0] != '\0' ? e.text : err_str(r));
    }
}

static void stop_trying(struct verify *verify)
{
    struct lease_core *core = verify->lease->role->core;

    wheel_cancel(&core->wheel, &verify->due);
    if (verify->running != NULL) {
        core->verifier->ops->cancel(core->verifier, verify->running);
        verify->running = NULL;
    }
}

void verify_again(struct lease *lease)
{
    struct lease_core *core = lease->role->core;

    if (lease->issuing != NULL && lease->issuing->verify != NULL &&
        is_taken_away(lease->issuing->verify)) {
        stop_trying(lease->issuing->verify);
        wheel_arm(&core->wheel, &lease->issuing->verify->due, core_now_ms(core));
    }
}

int verify_start(struct lease *lease)
{
    struct lease_core *core = lease->role->core;
    uint64_t now_ms = core_now_ms(core);
    uint64_t useful_ms = schedule_left_ms(lease->expires_ms, lease_needed_ms(lease, 0));
    struct verify *verify = mem_calloc(1, sizeof(*verify));

    if (verify == NULL) {
        return ERR_NOMEM;
    }
    verify->magic = VERIFY_MAGIC;
    verify->lease = lease;
    verify->due.kind = CORE_ENTRY_VERIFY;
    verify->until_ms = schedule_add_ms(now_ms, lease->role->config.verify_timeout_ms);
    if (useful_ms < verify->until_ms) {
        verify->until_ms = useful_ms;
    }
    lease->issuing->verify = verify;
    wheel_arm(&core->wheel, &verify->due, now_ms);
    core_touch(core);
    return 0;
}

void verify_forget(struct verify *verify)
{
    if (verify != NULL) {
        stop_trying(verify);
        mem_free(verify);
    }
}
