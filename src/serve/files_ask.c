/* A hold asks for its credential, as any caller does: who is its holder, may it, then the core.
 * What its grant hangs on isn't asked for, since the configuration says it: this file. */
#include "serve/files_internal.h"

#include "access/identity_record.h"
#include "serve/decide.h"

#include <stdio.h>
#include <string.h>

/* Another policy, or another role, comes with a reload, which asks at once. */
#define DENIED_PAUSE_MS 30000U
#define NO_ROLE_PAUSE_MS 300000U
#define FILE_API "file" /* as the trail has it */

static struct env *env_of(const struct hold *hold)
{
    return hold->files->serve->options.env;
}

static struct lease_core *core_of(const struct hold *hold)
{
    return hold->files->serve->options.core;
}

static int identity_fill(struct hold *hold, struct err *e)
{
    const struct env_user_groups *groups;
    struct access_identity *identity = &hold->identity;
    int r;

    memset(identity, 0, sizeof(*identity));
    identity->kind = ENV_PEER_UNIX;
    identity->listener = FILES_LISTENER;
    identity->env = env_of(hold);
    identity->uid = hold->uid;
    r = env_user_name(env_of(hold), hold->uid, identity->user);
    if (r == 0) {
        r = env_user_groups(env_of(hold), hold->uid, &groups);
    }
    if (r != 0) {
        return err_set(e, r, "the holder's user could not be looked up: %s", err_str(r));
    }
    identity->gid = hold->gid != ENV_NO_ID ? hold->gid : groups->gid;
    identity->group_count = groups->group_count;
    memcpy(identity->groups, groups->groups, groups->group_count * sizeof(groups->groups[0]));
    if (hold->unit != NULL) {
        (void)snprintf(identity->unit, sizeof(identity->unit), "%s", hold->unit);
    }
    return 0;
}

static void denied(struct hold *hold, const struct lease_role *role)
{
    struct serve *serve = hold->files->serve;
    char key[ACCESS_KEY_MAX_BYTES];
    struct audit_record record = {
        .event = "grant.denied",
        .outcome = "denied",
        .listener = FILES_LISTENER,
        .api = FILE_API,
        .request = hold->request,
        .role = role->name,
        .backend = role->issuer->name,
        .policy_digest = access_policy_digest(serve->options.policy),
        .policy_rule = hold->decision.rule,
        .error = hold->decision.block[0] != '\0' ? hold->decision.block : hold->decision.detail,
    };

    access_identity_tell(&hold->identity, &record);
    denied_note(&serve->denied, access_identity_key(&hold->identity, key), &record);
    metrics_count_denial(serve, hold->decision.rule);
    hold_fail(hold, hold->decision.detail, DENIED_PAUSE_MS);
}

/* As for a caller; but what its grant hangs on is this file, which the configuration says. */
static void role_decide(struct hold *hold, const struct lease_role *role, uint32_t live_count)
{
    const struct access_request request = {
        .role = role->name,
        .role_binding = role->binding,
        .role_max_ttl_ms = role->max_ttl_ms,
        .live_count = live_count,
    };
    struct access_decision *decision = &hold->decision;

    decide(hold->files->serve, &hold->identity, &request, decision);
    decision->bindings[0] = (struct access_binding_spec){.kind = ACCESS_BINDING_FILE};
    decision->binding_count = 1;
}

static void acquired(struct lease_acquire *acquire, int status, struct grant *grant)
{
    struct hold *hold = OBJ_CAST(acquire->user, struct hold, HOLD_MAGIC);
    struct grant_view view;

    CHECK(hold->step == HOLD_ACQUIRE);
    if (status != 0) {
        hold_fail(hold, acquire->error.code != 0 ? acquire->error.text : err_str(status),
                  acquire->retry_after_ms);
        return;
    }
    grant_view(grant, &view);
    if (hold->wants_new_grant && strcmp(hold->grant, view.id) != 0) {
        memcpy(hold->old_grant, hold->grant, sizeof(hold->old_grant));
    }
    hold->wants_new_grant = false;
    (void)snprintf(hold->grant, sizeof(hold->grant), "%s", view.id);
    (void)snprintf(hold->wanted, sizeof(hold->wanted), "%s", view.lease);
    if (hold_has_end(hold) || hold->files->is_stopping) {
        lease_core_delivered(core_of(hold), grant, false);
        hold_rest(hold);
    } else {
        write_begin(hold);
    }
}

static void acquire_fill(struct hold *hold, const struct lease_role *role)
{
    (void)snprintf(hold->rule, sizeof(hold->rule), "%s", hold->decision.rule);
    (void)snprintf(hold->digest, sizeof(hold->digest), "%s",
                   access_policy_digest(hold->files->serve->options.policy));
    hold->decision.rule = hold->rule;
    hold->acquire = (struct lease_acquire){
        .ask = {.role = role,
                .identity = &hold->identity,
                .decision = &hold->decision,
                .is_new_grant = hold->wants_new_grant && hold->grant[0] != '\0'},
        .policy_digest = hold->digest,
        .request_id = hold->request,
        .api = FILE_API,
        .fn = acquired,
        .user = hold,
    };
}

void ask_begin(struct hold *hold)
{
    struct serve *serve = hold->files->serve;
    const struct lease_role *role = lease_core_role(core_of(hold), str_of(hold->role));
    uint32_t live_count;
    struct err e = {.code = 0};
    int r;

    hold->step = HOLD_ACQUIRE;
    (void)snprintf(hold->request, sizeof(hold->request), "%s%llu", serve->request_prefix,
                   (unsigned long long)++serve->request_count);
    if (role == NULL) {
        hold_fail(hold, "there is no such role", NO_ROLE_PAUSE_MS);
        return;
    }
    r = identity_fill(hold, &e);
    if (r != 0) {
        hold_fail(hold, e.text, 0);
        return;
    }
    role_decide(hold, role, 0);
    if (hold->decision.outcome == ACCESS_ALLOW) {
        acquire_fill(hold, role);
        live_count = lease_core_live_count(core_of(hold), &hold->acquire.ask);
        /* The one that is replaced lives on until its successor is in use. */
        live_count -= live_count > 0 && hold->acquire.ask.is_new_grant ? 1 : 0;
        role_decide(hold, role, live_count);
    }
    if (hold->decision.outcome != ACCESS_ALLOW) {
        denied(hold, role);
        return;
    }
    acquire_fill(hold, role);
    r = lease_acquire_start(core_of(hold), &hold->acquire);
    if (r != 0) {
        hold_fail(hold, err_str(r), 0);
    }
}
