/* The model Vault's tokens: logins, children, and what their accessors are good for. Texts are
 * OpenBao 2.7.2's, seen by running it. */
#include "sim_vault_api.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* --- tokens ----------------------------------------------------------------------------------- */

static json_t *token_policies(const struct sim_vault_token *token)
{
    return token->options.is_root ? json_pack("[s]", "root") : json_pack("[ss]", "app", "default");
}

static json_t *token_meta(const struct sim_vault_token *token)
{
    if (token->meta != NULL) {
        return json_incref(token->meta);
    }
    return token->is_login ? json_pack("{s:s}", "role_name", "app") : json_null();
}

static bool is_orphan(const struct sim_vault_token *token)
{
    return token->options.parent == NULL && (token->is_login || token->is_child);
}

/* `is_shown`: its bytes as well. */
static json_t *token_auth(const struct sim_vault_token *token, uint64_t now_ms, bool is_shown)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:b, s:s, s:s, s:b, s:n, s:I}", "client_token",
                     is_shown ? token->id : "", "accessor", token->accessor, "policies",
                     token_policies(token), "token_policies", token_policies(token), "metadata",
                     token_meta(token), "lease_duration",
                     sim_vault_seconds_until(token->expires_ms, now_ms), "renewable",
                     token->options.is_renewable, "entity_id", "", "token_type", "service",
                     "orphan", is_orphan(token), "mfa_requirement", "num_uses",
                     (json_int_t)token->uses_left);
}

void sim_vault_approle_login(struct exchange *x)
{
    const char *role_id = json_string_value(json_object_get(x->body, "role_id"));
    const char *secret_id = json_string_value(json_object_get(x->body, "secret_id"));
    struct sim_vault_token *token;

    if (role_id == NULL) {
        sim_vault_answer_error(x, 500, "missing role_id");
    } else if (secret_id == NULL) {
        sim_vault_answer_error(x, 400, "missing secret_id");
    } else if (strcmp(role_id, SIM_VAULT_ROLE_ID) != 0 ||
               strcmp(secret_id, SIM_VAULT_SECRET_ID) != 0 || x->vault->issuer.denies_login) {
        sim_vault_answer_error(x, 400, "invalid role or secret ID");
    } else {
        token = sim_vault_add_token(x->vault, &x->vault->login);
        token->is_login = true;
        x->vault->login_total++;
        sim_vault_answer_json(
            x, 200, sim_vault_envelope(x, NULL, token_auth(token, x->vault->now_ms, true), NULL));
    }
}

static const char *token_path(const struct sim_vault_token *token, char *out, size_t out_size)
{
    if (token->is_login) {
        return "auth/approle/login";
    }
    (void)snprintf(out, out_size, "auth/token/create%s%s", token->role != NULL ? "/" : "",
                   token->role != NULL ? token->role : "");
    return out;
}

static void look_up(struct exchange *x, const struct sim_vault_token *token, bool is_shown)
{
    uint64_t now_ms = x->vault->now_ms;
    char path[64];
    json_int_t ttl_s = (json_int_t)((token->options.period_ms > 0 ? token->options.period_ms
                                                                  : token->options.ttl_ms) /
                                    1000);
    json_t *data = json_pack(
        "{s:s, s:I, s:I, s:s, s:s, s:o, s:i, s:s, s:o, s:o, s:I, s:b, s:s, s:o, s:b, s:I, s:s}",
        "accessor", token->accessor, "creation_time",
        (json_int_t)(sim_vault_wall_ms(token->issued_ms) / 1000), "creation_ttl", ttl_s,
        "display_name", token->is_login ? "approle" : "token", "entity_id", "", "expire_time",
        sim_vault_time_json(token->expires_ms), "explicit_max_ttl", 0, "id",
        is_shown ? token->id : "", "issue_time", sim_vault_time_json(token->issued_ms), "meta",
        token_meta(token), "num_uses", (json_int_t)token->uses_left, "orphan",
        is_orphan(token) || token->options.is_root, "path", token_path(token, path, sizeof(path)),
        "policies", token_policies(token), "renewable", token->options.is_renewable, "ttl",
        sim_vault_seconds_until(token->expires_ms, now_ms), "type", "service");

    if (token->renewed_ms > 0) {
        (void)json_object_set_new(data, "last_renewal", sim_vault_time_json(token->renewed_ms));
        (void)json_object_set_new(data, "last_renewal_time",
                                  json_integer(
                                      (json_int_t)(sim_vault_wall_ms(token->renewed_ms) / 1000)));
    }
    if (token->options.period_ms > 0) {
        (void)json_object_set_new(data, "period", json_integer(ttl_s));
    }
    if (token->role != NULL) {
        (void)json_object_set_new(data, "role", json_string(token->role));
    }
    sim_vault_answer_json(x, 200, sim_vault_envelope(x, data, NULL, NULL));
}

void sim_vault_token_lookup(struct exchange *x)
{
    look_up(x, x->token, true);
}

static void renew(struct exchange *x, struct sim_vault_token *token, bool is_shown)
{
    uint64_t now_ms = x->vault->now_ms;
    uint64_t ttl_ms = sim_vault_duration_ms(x, "increment");
    json_t *warnings = NULL;

    if (!token->options.is_renewable) {
        sim_vault_answer_error(x, 400, "lease is not renewable");
        return;
    }
    if (token->options.period_ms > 0) {
        ttl_ms = token->options.period_ms;
    } else if (ttl_ms == 0) {
        ttl_ms = token->options.ttl_ms;
    }
    token->expires_ms = now_ms + ttl_ms;
    if (token->expires_ms > token->max_expires_ms) {
        token->expires_ms = token->max_expires_ms;
        token->is_capped = true;
        warnings = sim_vault_capped_warning(ttl_ms, token->options.max_ttl_ms);
    }
    token->renewed_ms = now_ms;
    sim_vault_answer_json(
        x, 200, sim_vault_envelope(x, NULL, token_auth(token, now_ms, is_shown), warnings));
}

void sim_vault_token_renew(struct exchange *x)
{
    renew(x, x->token, true);
}

void sim_vault_token_revoke(struct exchange *x)
{
    x->token->is_revoked = true;
    sim_vault_answer_nothing(x, 204);
}

/* --- children --------------------------------------------------------------------------------- */

#define CHILD_MAX_MS (UINT64_C(768) * 3600000)

void sim_vault_token_create(struct exchange *x)
{
    struct sim_vault *vault = x->vault;
    const json_t *meta = json_object_get(x->body, "meta");
    struct sim_vault_token_options options = {
        .ttl_ms = sim_vault_duration_ms(x, "ttl"),
        .max_ttl_ms = CHILD_MAX_MS,
        .is_renewable = !json_is_false(json_object_get(x->body, "renewable")),
        .uses = (uint64_t)json_integer_value(json_object_get(x->body, "num_uses")),
        .parent = x->arg.len == 0 ? x->token : NULL,
    };
    struct sim_vault_token *token;
    char message[96];

    if (x->arg.len > 0 && (vault->token_role[0] == '\0' || !str_eq_c(x->arg, vault->token_role))) {
        (void)snprintf(message, sizeof(message), "unknown role %.*s", STR_ARG(x->arg));
        sim_vault_answer_error(x, 400, message);
        return;
    }
    options.ttl_ms = options.ttl_ms > 0 ? options.ttl_ms : CHILD_MAX_MS;
    token = sim_vault_add_token(vault, &options);
    token->is_child = true;
    token->role = x->arg.len > 0 ? vault->token_role : NULL;
    token->meta = json_is_object(meta) && json_object_size(meta) > 0 ? json_deep_copy(meta) : NULL;
    sim_vault_answer_json(
        x, 200, sim_vault_envelope(x, NULL, token_auth(token, vault->now_ms, true), NULL));
}

/* The token that the body's accessor names; NULL, and an answer if `is_needed` or none is named. */
static struct sim_vault_token *token_of_body(struct exchange *x, bool is_needed)
{
    const char *accessor = json_string_value(json_object_get(x->body, "accessor"));
    struct sim_vault_token *token;

    if (accessor == NULL || accessor[0] == '\0') {
        sim_vault_answer_error(x, 400, "1 error occurred:\n\t* missing accessor\n\n");
        return NULL;
    }
    token = sim_vault_find_accessor(x->vault, str_of(accessor));
    if (token == NULL && is_needed) {
        sim_vault_answer_error(x, 400, "1 error occurred:\n\t* invalid accessor\n\n");
    }
    return token;
}

void sim_vault_accessor_lookup(struct exchange *x)
{
    const struct sim_vault_token *token = token_of_body(x, true);

    if (token != NULL) {
        look_up(x, token, false);
    }
}

void sim_vault_accessor_renew(struct exchange *x)
{
    struct sim_vault_token *token = token_of_body(x, true);

    if (token != NULL) {
        renew(x, token, false);
    }
}

void sim_vault_accessor_revoke(struct exchange *x)
{
    struct sim_vault_token *token = token_of_body(x, false);

    if (token != NULL) {
        token->is_revoked = true;
        sim_vault_answer_nothing(x, 204);
    } else if (x->answer->status == 0) {
        sim_vault_answer_json(x, 200,
                              sim_vault_envelope(x, NULL, NULL,
                                                 json_pack("[s]",
                                                           "No token found with this accessor")));
    }
}

/* --- capabilities ----------------------------------------------------------------------------- */

static json_t *capabilities_of(const struct exchange *x, const char *path)
{
    bool is_denied = (x->vault->denies_child && strncmp(path, "auth/token/", 11) == 0) ||
                     (x->vault->denies_renew && strcmp(path, "sys/leases/renew") == 0);

    if (x->token->options.is_root) {
        return json_pack("[s]", "root");
    }
    return json_pack("[s]", is_denied ? "deny" : "update");
}

void sim_vault_capabilities(struct exchange *x)
{
    const json_t *paths = json_object_get(x->body, "paths");
    json_t *data = json_object();
    json_t *root;
    json_t *path;
    size_t index;

    json_array_foreach (paths, index, path) {
        (void)json_object_set_new(data, json_string_value(path),
                                  capabilities_of(x, json_string_value(path)));
    }
    if (json_array_size(paths) == 1) {
        (void)json_object_set_new(data, "capabilities",
                                  capabilities_of(x, json_string_value(json_array_get(paths, 0))));
    }
    root = sim_vault_envelope(x, json_incref(data), NULL, NULL);
    /* Older clients look for them beside the envelope's keys. */
    (void)json_object_update(root, data);
    json_decref(data);
    sim_vault_answer_json(x, 200, root);
}
