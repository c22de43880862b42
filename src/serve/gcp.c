/* Google Cloud's ways to a token: the metadata service's paths (GCE_METADATA_HOST), and
 * GET /gcp/token/{role} for URL-sourced credentials.
 *
 * The metadata paths name no role: it is the listener's, or the first one that policy allows the
 * caller whose kind of token is asked for. What they tell of its service account beside the token
 * is what the configuration says, so nothing is issued for that. Scopes that are asked for change
 * nothing: a role has its own. */
#include "serve/cloud.h"

#include "access/jwt.h"

#include <jansson.h>
#include <string.h>

#define GCP_MIN_REMAINING_MS                                                                       \
    (5U * 60U * 1000U) /* SDKs fetch anew when less than 225 s are left                            \
                        */

static const char *const access_names[] = {"access_token", NULL};
static const char *const id_names[] = {"id_token", NULL};
/* Of Vault's engines: gcp's access token, identity's JWT. */
static const char *const other_names[] = {"token", NULL};

static void flavor_put(struct env_reply *reply)
{
    reply->headers[reply->header_count++] =
        (struct env_request_header){.name = STR("Metadata-Flavor"), .value = STR("Google")};
}

static struct str id_of(const struct cloud_credential *credential)
{
    struct str token = cloud_field(credential, id_names);
    struct str other = cloud_field(credential, other_names);

    return token.len > 0 || !access_jwt_is_one(other) ? token : other;
}

static struct str access_of(const struct cloud_credential *credential)
{
    struct str token = cloud_field(credential, access_names);
    struct str other = cloud_field(credential, other_names);

    return token.len > 0 || access_jwt_is_one(other) ? token : other;
}

/* The token as it is, without an end of line, which would become a part of it. */
static void text_write(struct exchange *x, struct str token, struct env_reply *reply)
{
    reply->content_type = "text/plain";
    buf_reset(&x->serve->body);
    buf_add_str(&x->serve->body, token);
}

static void json_write(struct exchange *x, const struct cloud_credential *credential)
{
    struct json_out json;

    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    if (access_of(credential).len > 0) {
        json_out_string(&json, "access_token", access_of(credential));
        json_out_string_c(&json, "token_type", "Bearer");
    }
    if (id_of(credential).len > 0) {
        json_out_string(&json, "id_token", id_of(credential));
    }
    json_out_u64(&json, "expires_in", credential->left_s);
    json_out_object_close(&json);
}

static bool is_path(const struct exchange *x, const char *end)
{
    return str_ends_with(x->request->path, end);
}

static bool wants_text(const struct exchange *x)
{
    char format[CLOUD_TEXT_MAX_BYTES];

    return cloud_query(x, "format", format) && strcmp(format, "text") == 0;
}

/* Writes what this path gives of the credential. ERR_UNSUPPORTED: it hasn't got that. */
static int token_write(struct exchange *x, const struct cloud_credential *credential,
                       struct env_reply *reply)
{
    struct str id = id_of(credential);
    struct str access = access_of(credential);

    if (is_path(x, "/identity")) {
        text_write(x, id, reply);
        return id.len > 0 ? 0 : ERR_UNSUPPORTED;
    }
    if (is_path(x, "/token")) {
        json_write(x, credential);
        return access.len > 0 ? 0 : ERR_UNSUPPORTED;
    }
    if (wants_text(x)) {
        text_write(x, id.len > 0 ? id : access, reply);
    } else {
        json_write(x, credential);
    }
    return id.len > 0 || access.len > 0 ? 0 : ERR_UNSUPPORTED;
}

static int gcp_send(struct exchange *x, uint32_t status, const struct grant *grant)
{
    struct env_reply reply = {.status = 200, .content_type = "application/json"};
    struct cloud_credential credential;
    int r = cloud_open(x, grant, &credential);

    (void)status;
    if (r != 0) {
        return r;
    }
    r = token_write(x, &credential, &reply);
    cloud_close(&credential);
    if (r == 0) {
        flavor_put(&reply);
        exchange_send(x, &reply);
    }
    return r;
}

static int gcp_send_again(struct exchange *x, const struct grant *grant)
{
    return gcp_send(x, 200, grant);
}

static void gcp_problem(struct exchange *x, const struct exchange_problem *problem,
                        struct env_reply *reply)
{
    struct json_out json;

    reply->content_type = "application/json";
    flavor_put(reply);
    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "error", problem->code);
    cloud_problem_text(&json, "error_description", problem);
    json_out_string_c(&json, "request", x->request_id);
    json_out_object_close(&json);
}

/* --- URL-sourced ------------------------------------------------------------------------------ */

void serve_gcp_token(struct exchange *x)
{
    const struct lease_role *role = cloud_role(x, x->path_arg);

    if (role != NULL) {
        cloud_ask(x, role, env_request_header(x->request, "x-leased-grant"), GCP_MIN_REMAINING_MS);
    }
}

/* --- the metadata service --------------------------------------------------------------------- */

static bool is_id_role(const struct lease_role *role)
{
    char type[CLOUD_TEXT_MAX_BYTES];

    return cloud_role_text(role, "type", type) && strcmp(type, "id_token") == 0;
}

static bool gives_access(const struct lease_role *role, const void *user)
{
    (void)user;
    return !is_id_role(role);
}

/* `user`: the audience that is asked for. */
static bool gives_identity(const struct lease_role *role, const void *user)
{
    char audience[CLOUD_TEXT_MAX_BYTES];

    return is_id_role(role) && cloud_role_text(role, "audience", audience) &&
           strcmp(audience, user) == 0;
}

static const char *configured_role(const struct exchange *x)
{
    return x->listener->gcp_role[0] != '\0' ? x->listener->gcp_role : NULL;
}

/* The service account's address; "default" where only the issuer knows it. */
static void email_of(const struct lease_role *role, char out[CLOUD_TEXT_MAX_BYTES])
{
    if (!cloud_role_text(role, "impersonate", out)) {
        *str_put(out, STR("default")) = '\0';
    }
}

static void not_found(struct exchange *x)
{
    exchange_fail(x, &(struct exchange_problem){.status = 404,
                                                .code = "not_found",
                                                .detail = "there is no such service account here"});
}

/* The role whose service account the path names: "default", or by its address. NULL: answered. */
static const struct lease_role *role_of_path(struct exchange *x)
{
    const struct cloud_pick pick = {.plugin = "gcp",
                                    .configured = configured_role(x),
                                    .fits = gives_access};
    const struct lease_role *role = cloud_pick_role(x, &pick);
    char email[CLOUD_TEXT_MAX_BYTES];

    if (role == NULL) {
        return NULL;
    }
    email_of(role, email);
    if (!str_eq_c(x->path_arg, "default") && !str_eq_c(x->path_arg, email)) {
        not_found(x);
        return NULL;
    }
    return role;
}

void serve_gcp_access(struct exchange *x)
{
    const struct lease_role *role = role_of_path(x);

    if (role != NULL) {
        cloud_ask(x, role, (struct str){.ptr = NULL}, GCP_MIN_REMAINING_MS);
    }
}

void serve_gcp_identity(struct exchange *x)
{
    char audience[CLOUD_TEXT_MAX_BYTES];
    const struct cloud_pick pick = {.plugin = "gcp", .fits = gives_identity, .user = audience};
    const struct lease_role *role;

    if (!cloud_query(x, "audience", audience)) {
        exchange_fail(x, &(struct exchange_problem){.status = 400,
                                                    .code = "invalid",
                                                    .detail = "the audience is missing"});
        return;
    }
    role = cloud_pick_role(x, &pick);
    if (role != NULL) {
        cloud_ask(x, role, (struct str){.ptr = NULL}, GCP_MIN_REMAINING_MS);
    }
}

static void reply_text(struct exchange *x, const char *content_type)
{
    struct env_reply reply = {.status = 200, .content_type = content_type};

    flavor_put(&reply);
    exchange_send(x, &reply);
    exchange_release(x);
}

/* The scopes that the role is configured with, each by `put`. */
static void scopes_each(const struct lease_role *role, struct json_out *json, struct buf *lines)
{
    json_t *root = json_loads(role->params_json, JSON_REJECT_DUPLICATES, NULL);
    const json_t *scopes = json_object_get(root, "scopes");
    size_t count = json_array_size(scopes);
    size_t i;

    for (i = 0; i < (count > 0 ? count : 1); i++) {
        const char *scope = count > 0 ? json_string_value(json_array_get(scopes, i))
                                      : "https://www.googleapis.com/auth/cloud-platform";

        if (json != NULL) {
            json_out_string_c(json, NULL, scope);
        } else if (scope != NULL) {
            buf_printf(lines, "%s\n", scope);
        }
    }
    json_decref(root);
}

void serve_gcp_email(struct exchange *x)
{
    const struct lease_role *role = role_of_path(x);
    char email[CLOUD_TEXT_MAX_BYTES];

    if (role != NULL) {
        email_of(role, email);
        buf_reset(&x->serve->body);
        buf_add_c(&x->serve->body, email);
        reply_text(x, "text/plain");
    }
}

void serve_gcp_scopes(struct exchange *x)
{
    const struct lease_role *role = role_of_path(x);

    if (role != NULL) {
        buf_reset(&x->serve->body);
        scopes_each(role, NULL, &x->serve->body);
        reply_text(x, "text/plain");
    }
}

/* All of it, for ?recursive=true. */
void serve_gcp_account(struct exchange *x)
{
    const struct lease_role *role = role_of_path(x);
    char email[CLOUD_TEXT_MAX_BYTES];
    struct json_out json;

    if (role == NULL) {
        return;
    }
    email_of(role, email);
    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_array_open(&json, "aliases");
    json_out_string_c(&json, NULL, "default");
    json_out_array_close(&json);
    json_out_string_c(&json, "email", email);
    json_out_array_open(&json, "scopes");
    scopes_each(role, &json, NULL);
    json_out_array_close(&json);
    json_out_object_close(&json);
    reply_text(x, "application/json");
}

/* Clients ask here whether it is a metadata service. */
void serve_gcp_ping(struct exchange *x)
{
    buf_reset(&x->serve->body);
    buf_add_c(&x->serve->body, "computeMetadata/\n");
    reply_text(x, "text/plain");
}

const struct serve_form serve_gcp_form = {
    .api = "gcp",
    .send = gcp_send,
    .send_again = gcp_send_again,
    .problem = gcp_problem,
};
