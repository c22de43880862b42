/* Leases and grants as the API shows them: state, owner, times, never a secret. A caller sees its
 * own, an admin that may read sees all; what it may not see doesn't exist for it. */
#include "serve/exchange.h"

#define VIEW_GRANTS_MAX 100 /* ids of grants that one lease shows */

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
    return (x->admin & ACCESS_ADMIN_READ) != 0 || lease_is_own(lease, &x->identity);
}

static void uid_write(struct json_out *json, uint32_t uid)
{
    if (uid != ENV_NO_ID) {
        json_out_u64(json, "uid", uid);
    } else {
        json_out_string_c(json, "uid", NULL);
    }
}

/* A member that only callers with a certificate have. */
static void san_write(struct json_out *json, const char *sans)
{
    if (sans != NULL && sans[0] != '\0') {
        json_out_string_c(json, "san", sans);
    }
}

/* The same of callers with a job token. */
static void claims_write(struct json_out *json, const struct access_claims *claims)
{
    if (claims != NULL) {
        json_out_object_open(json, "jwt");
        json_out_string_c(json, "issuer", claims->issuer);
        json_out_string_c(json, "sub", claims->sub);
        json_out_string_c(json, "session", str_or_null(claims->session));
        json_out_string_c(json, "person", str_or_null(claims->person));
        json_out_object_close(json);
    }
}

static void container_write(struct json_out *json, const struct grant_view *view)
{
    if (view->container[0] != '\0') {
        json_out_string_c(json, "container", view->container);
        json_out_string_c(json, "image", str_or_null(view->image));
    }
}

void view_write_grant(struct json_out *json, const struct grant *grant)
{
    struct grant_view view;

    grant_view(grant, &view);
    json_out_object_open(json, NULL);
    json_out_string_c(json, "id", view.id);
    json_out_string_c(json, "lease", view.lease);
    json_out_string_c(json, "role", view.role->name);
    json_out_string_c(json, "state", grant_state_str(view.state));
    if (view.end != GRANT_END_NONE) {
        json_out_string_c(json, "ended_by", grant_end_str(view.end));
    }
    json_out_object_open(json, "identity");
    uid_write(json, view.uid);
    json_out_string_c(json, "user", str_or_null(view.user));
    if (view.pid > 0) {
        json_out_u64(json, "pid", (uint64_t)view.pid);
    } else {
        json_out_string_c(json, "pid", NULL);
    }
    json_out_string_c(json, "unit", str_or_null(view.unit));
    container_write(json, &view);
    san_write(json, view.sans);
    claims_write(json, view.claims);
    json_out_object_close(json);
    json_out_string_c(json, "rule", str_or_null(view.rule));
    json_out_string_c(json, "binding", view.bindings);
    json_out_string_c(json, "reason", str_or_null(view.reason));
    json_out_string_c(json, "ticket", str_or_null(view.ticket));
    if (view.approval.len > 0) {
        json_out_string(json, "approval", view.approval);
    }
    json_out_time(json, "created_at", view.created_wall_ms);
    json_out_time(json, "until", view.until_wall_ms);
    json_out_u64(json, "reads", view.read_count);
    json_out_object_close(json);
}

static void owner_write(struct json_out *json, const struct lease_view *view)
{
    if (view->identity_key == NULL) {
        json_out_string_c(json, "owner", NULL);
        return;
    }
    json_out_object_open(json, "owner");
    uid_write(json, view->uid);
    json_out_string_c(json, "user", str_or_null(view->user));
    san_write(json, view->sans);
    json_out_object_close(json);
}

static const struct grant *next_visible(const struct exchange *x, const struct lease *lease,
                                        const struct grant *after)
{
    return (x->admin & ACCESS_ADMIN_READ) != 0 ? lease_next_grant(lease, after)
                                               : lease_next_own_grant(lease, &x->identity, after);
}

/* Those that the reader may look at; of a lease that thousands share, the first ones. */
static void grants_write(const struct exchange *x, struct json_out *json, const struct lease *lease)
{
    const struct grant *grant = NULL;
    struct grant_view view;
    uint32_t count = 0;

    json_out_array_open(json, "grants");
    while (count < VIEW_GRANTS_MAX && (grant = next_visible(x, lease, grant)) != NULL) {
        grant_view(grant, &view);
        json_out_string_c(json, NULL, view.id);
        count++;
    }
    json_out_array_close(json);
}

void view_write_lease(const struct exchange *x, struct json_out *json, const struct lease *lease)
{
    struct lease_view view;

    lease_view(lease, &view);
    json_out_object_open(json, NULL);
    json_out_string_c(json, "id", view.id);
    json_out_string_c(json, "role", view.role->name);
    json_out_string_c(json, "backend", view.backend);
    json_out_string_c(json, "state", lease_state_str(view.state));
    owner_write(json, &view);
    json_out_u64(json, "version", view.version);
    json_out_time(json, "issued_at", view.issued_wall_ms);
    json_out_time(json, "expires_at", view.expires_wall_ms);
    json_out_time(json, "renewed_at", view.renewed_wall_ms);
    json_out_u64(json, "renewals", view.renewal_count);
    json_out_bool(json, "renewable", view.is_renewable);
    json_out_bool(json, "revocable", view.is_revocable);
    json_out_string_c(json, "last_error", str_or_null(view.last_error));
    json_out_string_c(json, "successor", view.successor);
    json_out_u64(json, "grant_count", view.grant_count);
    grants_write(x, json, lease);
    json_out_object_close(json);
}

static void fields_write(struct json_out *json, const char *key, const struct lease_field *fields,
                         size_t count)
{
    size_t i;

    json_out_object_open(json, key);
    for (i = 0; i < count; i++) {
        json_out_member(json, fields[i].name, fields[i].value);
    }
    json_out_object_close(json);
}

int view_write_credential(struct json_out *json, struct lease_core *core, const struct grant *grant)
{
    struct lease_credential credential;
    struct lease_view lease;
    struct grant_view view;
    int r = lease_credential_open(core, grant_lease(grant), &credential);

    if (r != 0) {
        return r;
    }
    lease_view(grant_lease(grant), &lease);
    grant_view(grant, &view);
    json_out_string_c(json, "role", lease.role->name);
    json_out_string_c(json, "lease", lease.id);
    json_out_string_c(json, "grant", view.id);
    json_out_u64(json, "version", lease.version);
    json_out_time(json, "issued_at", lease.issued_wall_ms);
    json_out_time(json, "expires_at", lease.expires_wall_ms);
    json_out_time(json, "until", view.until_wall_ms);
    json_out_bool(json, "renewable", lease.is_renewable);
    json_out_bool(json, "revocable", lease.is_revocable);
    fields_write(json, "credential", credential.fields, credential.field_count);
    if (lease.role->env_name_count > 0) {
        fields_write(json, "env", lease.role->env_names, lease.role->env_name_count);
    }
    lease_credential_close(&credential);
    return buf_status(json->out);
}
