/* Leases and grants as the API shows them: state, owner, times, never a secret. A caller sees its
 * own, an admin that may read sees all; what it may not see doesn't exist for it. */
#include "serve/exchange.h"

bool view_may_see_grant(const struct exchange *x, const struct grant *grant)
{
    struct grant_view view;

    if ((x->admin & ACCESS_ADMIN_READ) != 0) {
        return true;
    }
    grant_view(grant, &view);
    return str_eq_c(str_of(view.identity_key), x->key);
}

bool view_may_see_lease(const struct exchange *x, const struct lease *lease)
{
    const struct grant *grant = NULL;

    if ((x->admin & ACCESS_ADMIN_READ) != 0) {
        return true;
    }
    while ((grant = lease_next_grant(lease, grant)) != NULL) {
        if (view_may_see_grant(x, grant)) {
            return true;
        }
    }
    return false;
}

void view_write_grant(struct json_out *json, const char *key, const struct grant *grant)
{
    struct grant_view view;

    grant_view(grant, &view);
    json_out_object_open(json, key);
    json_out_string_c(json, "id", view.id);
    json_out_string_c(json, "lease", view.lease);
    json_out_string_c(json, "role", view.role->name);
    json_out_string_c(json, "state", grant_state_str(view.state));
    if (view.end != GRANT_END_NONE) {
        json_out_string_c(json, "ended_by", grant_end_str(view.end));
    }
    json_out_object_open(json, "identity");
    json_out_u64(json, "uid", view.uid);
    json_out_string_c(json, "user", view.user);
    json_out_u64(json, "pid", view.pid > 0 ? (uint64_t)view.pid : 0);
    json_out_string_c(json, "unit", view.unit[0] != '\0' ? view.unit : NULL);
    json_out_object_close(json);
    json_out_string_c(json, "rule", view.rule);
    json_out_string_c(json, "binding", view.bindings);
    json_out_string_c(json, "reason", view.reason[0] != '\0' ? view.reason : NULL);
    json_out_string_c(json, "ticket", view.ticket[0] != '\0' ? view.ticket : NULL);
    json_out_time(json, "created_at", view.created_wall_ms);
    json_out_time(json, "until", view.until_wall_ms);
    json_out_u64(json, "reads", view.read_count);
    json_out_object_close(json);
}

void view_write_lease(struct json_out *json, const char *key, const struct lease *lease)
{
    struct lease_view view;
    const struct grant *grant = NULL;
    struct grant_view holder;

    lease_view(lease, &view);
    json_out_object_open(json, key);
    json_out_string_c(json, "id", view.id);
    json_out_string_c(json, "role", view.role->name);
    json_out_string_c(json, "backend", view.role->issuer->name);
    json_out_string_c(json, "state", lease_state_str(view.state));
    json_out_u64(json, "version", view.version);
    json_out_time(json, "issued_at", view.issued_wall_ms);
    json_out_time(json, "expires_at", view.expires_wall_ms);
    json_out_time(json, "renewed_at", view.renewed_wall_ms);
    json_out_u64(json, "renewals", view.renewal_count);
    json_out_bool(json, "renewable", view.is_renewable);
    json_out_bool(json, "revocable", view.is_revocable);
    json_out_string_c(json, "last_error", view.last_error[0] != '\0' ? view.last_error : NULL);
    json_out_string_c(json, "successor", view.successor);
    json_out_array_open(json, "grants");
    while ((grant = lease_next_grant(lease, grant)) != NULL) {
        grant_view(grant, &holder);
        json_out_string_c(json, NULL, holder.id);
    }
    json_out_array_close(json);
    json_out_object_close(json);
}
