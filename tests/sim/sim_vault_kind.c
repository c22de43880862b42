/* The model Vault as one of a world's issuers. */
#include "sim_vault.h"

#include <stdio.h>
#include <string.h>

#define CREDS "/v1/database/creds/"

int32_t leased_plugin_entry_vault(const struct leased_host *host,
                                  const struct leased_plugin **ret_plugin);

static void answer(struct sim_issuer *issuer, const struct sim_call *call,
                   struct sim_answer *answer)
{
    sim_vault_answer(issuer, call, answer);
}

static void params(const struct sim_issuer *issuer, const char *role, char *out, size_t out_size)
{
    (void)issuer;
    (void)snprintf(out, out_size, "{\"path\":\"database/creds/%s\"}", role);
}

static bool asks(struct sim_issuer *issuer, const struct sim_call *call,
                 char ret_role[SIM_ISSUER_ROLE_MAX_BYTES])
{
    (void)issuer;
    if (!str_starts_with(call->path, CREDS)) {
        return false;
    }
    (void)snprintf(ret_role, SIM_ISSUER_ROLE_MAX_BYTES, "%.*s",
                   (int)(call->path.len - strlen(CREDS)), call->path.ptr + strlen(CREDS));
    return true;
}

static struct sim_credential *lease_of(struct sim_issuer *issuer, const struct sim_call *call,
                                       const char *path)
{
    json_t *body;
    const char *id;
    struct sim_vault_lease *lease;

    if (!str_eq_c(call->path, path)) {
        return NULL;
    }
    body = json_loadb(call->body.ptr, call->body.len, 0, NULL);
    id = json_string_value(json_object_get(body, "lease_id"));
    lease = id != NULL ? sim_vault_find_lease((struct sim_vault *)issuer, str_of(id)) : NULL;
    json_decref(body);
    return lease != NULL ? &lease->credential : NULL;
}

static struct sim_credential *ends(struct sim_issuer *issuer, const struct sim_call *call)
{
    return lease_of(issuer, call, "/v1/sys/leases/revoke");
}

static struct sim_credential *renews(struct sim_issuer *issuer, const struct sim_call *call)
{
    return lease_of(issuer, call, "/v1/sys/leases/renew");
}

static struct sim_credential *find(struct sim_issuer *issuer, const json_t *fields)
{
    const char *password = json_string_value(json_object_get(fields, "password"));
    const char *username = json_string_value(json_object_get(fields, "username"));
    struct sim_vault_lease *lease =
        password != NULL && username != NULL
            ? sim_vault_find_password((struct sim_vault *)issuer, str_of(password))
            : NULL;

    return lease != NULL && strcmp(lease->username, username) == 0 ? &lease->credential : NULL;
}

static uint64_t due_until_ms(const struct sim_credential *credential, uint64_t now_ms)
{
    const struct sim_vault_lease *lease = (const struct sim_vault_lease *)credential;
    uint64_t until_ms = sim_vault_valid_until_ms(credential, now_ms);

    if (sim_vault_was_killed(lease->token)) {
        return SIM_NEVER;
    }
    /* As long as its issuer says that it can be renewed, a login is expected to live on. */
    return until_ms > 0 && sim_vault_lives_on(lease->token) ? credential->expires_ms : until_ms;
}

/* After that the token that it was issued under is revoked, and if that fails, both again. */
static bool may_end_twice(const struct sim_credential *credential)
{
    return ((const struct sim_vault_lease *)credential)->token->is_child;
}

const struct sim_issuer_kind sim_vault_kind = {
    .name = "vault",
    .places = (const char *const[]){"https://vault-", NULL},
    .entry = leased_plugin_entry_vault,
    .params = params,
    .answer = answer,
    .valid_until_ms = sim_vault_valid_until_ms,
    .due_until_ms = due_until_ms,
    .asks = asks,
    .ends = ends,
    .renews = renews,
    .may_end_twice = may_end_twice,
    .find = find,
};
