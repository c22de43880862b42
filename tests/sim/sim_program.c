/* The model of what exec runs: a program that makes accounts, by the name that it is given or with
 * one of its own, and another one that deletes them, where there is one. */
#include "sim_issuer.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TTL_DEFAULT_S 900
#define TTL_MAX_S 3600
#define REF_MAX_BYTES 64
#define VARIANT_CANNOT_REVOKE 16U
#define VARIANT_OWN_REFS 32U
#define EXIT_NO_INPUT 66
#define EXIT_TRY_AGAIN 75
#define EXIT_NO_PERMISSION 77

int32_t leased_plugin_entry_exec(const struct leased_host *host,
                                 const struct leased_plugin **ret_plugin);

struct account {
    struct sim_credential credential; /* first */
    struct map_entry by_ref;
    char ref[REF_MAX_BYTES];
};

struct programs {
    struct sim_issuer issuer; /* first */
    struct map by_ref;
};

static struct sim_issuer *create(struct sim *sim, uint32_t variant)
{
    struct programs *programs = mem_calloc(1, sizeof(*programs));

    CHECK(programs != NULL);
    programs->issuer.sim = sim;
    programs->issuer.variant = variant;
    programs->issuer.is_on_record = (variant & VARIANT_CANNOT_REVOKE) == 0;
    sim_issuer_init(&programs->issuer, &sim_program_kind, &sim->random);
    map_init(&programs->by_ref, 1);
    return &programs->issuer;
}

static void destroy(struct sim_issuer *issuer)
{
    struct programs *programs = (struct programs *)issuer;
    struct map_entry *entry;

    while ((entry = map_first(&programs->by_ref)) != NULL) {
        map_remove(&programs->by_ref, entry);
    }
    map_fini(&programs->by_ref);
    sim_issuer_destroy(issuer);
}

static void config(const struct sim_issuer *issuer, char *out, size_t out_size)
{
    (void)snprintf(out, out_size, "{\"command\":[\"/bin/make\"]%s}",
                   issuer->is_on_record ? ",\"revoke_command\":[\"/bin/delete\"]" : "");
}

static void params(const struct sim_issuer *issuer, const char *role, char *out, size_t out_size)
{
    (void)issuer;
    (void)role;
    (void)snprintf(out, out_size, "{}");
}

static bool asks(struct sim_issuer *issuer, const struct sim_call *call,
                 char ret_role[SIM_ISSUER_ROLE_MAX_BYTES])
{
    (void)issuer;
    (void)snprintf(ret_role, SIM_ISSUER_ROLE_MAX_BYTES, "%.*s",
                   STR_ARG(sim_call_value(call, "LEASED_ROLE")));
    return str_eq_c(call->path, "command");
}

/* --- what they do ----------------------------------------------------------------------------- */

static uint64_t ttl_of(const struct sim_call *call)
{
    uint64_t ttl_s;

    if (str_parse_u64(sim_call_value(call, "LEASED_TTL_S"), &ttl_s) != 0 || ttl_s == 0) {
        return TTL_DEFAULT_S;
    }
    return ttl_s < TTL_MAX_S ? ttl_s : TTL_MAX_S;
}

static void make(struct sim_issuer *issuer, const struct sim_call *call, struct sim_answer *answer)
{
    struct programs *programs = (struct programs *)issuer;
    struct account *account = mem_calloc(1, sizeof(*account));
    struct sim_credential *credential = &account->credential;
    bool has_own = (issuer->variant & VARIANT_OWN_REFS) != 0;
    uint64_t ttl_s = ttl_of(call);

    CHECK(account != NULL);
    (void)asks(issuer, call, credential->role);
    sim_draw_id(issuer->random, "pw-" SIM_MARK "-", 20, credential->secret,
                sizeof(credential->secret));
    (void)snprintf(credential->id, sizeof(credential->id), "exec/%llu",
                   (unsigned long long)issuer->issue_total);
    credential->granted_ms = ttl_s * 1000;
    credential->expires_ms = call->now_ms + ttl_s * 1000;
    credential->is_revocable = issuer->is_on_record;
    /* By a name of its own nobody finds it who hasn't read it. */
    credential->is_findable = credential->is_revocable && !has_own;
    if (has_own) {
        sim_draw_id(issuer->random, "account/", 12, account->ref, sizeof(account->ref));
    } else {
        (void)snprintf(account->ref, sizeof(account->ref), "%.*s",
                       STR_ARG(sim_call_value(call, "LEASED_REF")));
    }
    if (account->ref[0] != '\0') {
        CHECK(map_add(&programs->by_ref, &account->by_ref, str_of(account->ref)) == 0);
    }
    sim_issuer_add(issuer, credential, call);
    sim_answer_json(answer, 0,
                    json_pack("{s:{s:s, s:s}, s:I, s:s*}", "fields", "username", "u", "password",
                              credential->secret, "ttl", (json_int_t)ttl_s, "ref",
                              has_own ? account->ref : NULL));
}

static struct sim_credential *ends(struct sim_issuer *issuer, const struct sim_call *call)
{
    struct map_entry *entry;

    if (!str_eq_c(call->path, "revoke_command")) {
        return NULL;
    }
    entry = map_find(&((struct programs *)issuer)->by_ref, sim_call_value(call, "LEASED_REF"));
    return entry != NULL ? &MAP_ENTRY(entry, struct account, by_ref)->credential : NULL;
}

/* What an issue may have left is ended by its record, and by its answer if that comes late. */
static bool may_end_twice(const struct sim_credential *credential)
{
    return credential->fate != SIM_DELIVERED;
}

static void delete (struct sim_issuer *issuer, const struct sim_call *call,
                    struct sim_answer *answer)
{
    struct sim_credential *credential = ends(issuer, call);

    if (credential == NULL || sim_credential_until_ms(credential, call->now_ms) == 0) {
        answer->status = EXIT_NO_INPUT;
    } else if (sim_random_chance(issuer->random, issuer->faults.revoke_failed)) {
        answer->status = EXIT_FAILURE;
    } else {
        credential->is_revoked = true;
        issuer->revoke_total++;
    }
}

static void answer(struct sim_issuer *issuer, const struct sim_call *call,
                   struct sim_answer *answer)
{
    if (sim_issuer_ill_status(issuer, answer) != 0) {
        answer->status = EXIT_TRY_AGAIN;
    } else if (str_eq_c(call->path, "revoke_command")) {
        delete (issuer, call, answer);
    } else if (issuer->denies_issue || issuer->denies_login) {
        answer->status = EXIT_NO_PERMISSION;
    } else {
        make(issuer, call, answer);
    }
}

static struct sim_credential *find(struct sim_issuer *issuer, const json_t *fields)
{
    return sim_issuer_find_field(issuer, fields, "password");
}

const struct sim_issuer_kind sim_program_kind = {
    .name = "exec",
    .places = (const char *const[]){SIM_RUN "exec/", NULL},
    .entry = leased_plugin_entry_exec,
    .knows_no_twins = true,
    .create = create,
    .destroy = destroy,
    .config = config,
    .params = params,
    .answer = answer,
    .valid_until_ms = sim_issuer_until_ms,
    .asks = asks,
    .ends = ends,
    .may_end_twice = may_end_twice,
    .find = find,
};
