/* Azure's managed identities, as App Service (IDENTITY_ENDPOINT, IDENTITY_HEADER) and as the
 * instance's metadata service (AZURE_POD_IDENTITY_AUTHORITY_HOST) give them.
 *
 * Which role: the one in the address (/azure/token/{role}), else the listener's, else the first
 * that policy allows the caller and that is for the resource asked for. IDENTITY_HEADER is a grant
 * token, or any other word, which says nothing. `client_id` and the like say which identity the
 * client thinks it has; here that is the role's matter. */
#include "serve/cloud.h"

#include <string.h>

#define AZURE_MIN_REMAINING_MS (5U * 60U * 1000U) /* SDKs keep no token with less */
#define DEFAULT_SCOPE "/.default"

/* One "/" at the end, or none, is the same resource. */
static struct str trimmed(const char *resource)
{
    struct str text = str_of(resource);

    text.len -= str_ends_with(text, "/") ? 1 : 0;
    return text;
}

/* What the role's tokens are for; false: its configuration doesn't say. */
static bool resource_of(const struct lease_role *role, char out[CLOUD_TEXT_MAX_BYTES])
{
    if (cloud_role_text(role, "resource", out)) {
        return true;
    }
    if (!cloud_role_text(role, "scope", out) || !str_ends_with(str_of(out), DEFAULT_SCOPE)) {
        return false;
    }
    out[strlen(out) - strlen(DEFAULT_SCOPE)] = '\0';
    return true;
}

/* `user`: the resource that is asked for. */
static bool is_for_resource(const struct lease_role *role, const void *user)
{
    char resource[CLOUD_TEXT_MAX_BYTES];

    return resource_of(role, resource) && str_eq(trimmed(resource), trimmed(user));
}

static int azure_send(struct exchange *x, uint32_t status, const struct grant *grant)
{
    static const char *const tokens[] = {"access_token", NULL};
    struct env_reply reply = {.status = 200, .content_type = "application/json"};
    struct cloud_credential credential;
    char resource[CLOUD_TEXT_MAX_BYTES];
    struct json_out json;
    char number[STR_U64_MAX_BYTES + 1];
    int r = cloud_open(x, grant, &credential);

    (void)status;
    if (r != 0) {
        return r;
    }
    if (cloud_field(&credential, tokens).len == 0) {
        cloud_close(&credential);
        return ERR_UNSUPPORTED;
    }
    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_string(&json, "access_token", cloud_field(&credential, tokens));
    /* Numbers as texts: App Service's clients read expires_on alone, the instance's expires_in. */
    *str_put_u64(number, credential.left_s) = '\0';
    json_out_string_c(&json, "expires_in", number);
    *str_put_u64(number, (uint64_t)(credential.expires_wall_ms / 1000)) = '\0';
    json_out_string_c(&json, "expires_on", number);
    if (cloud_query(x, "resource", resource)) {
        json_out_string_c(&json, "resource", resource);
    }
    json_out_string_c(&json, "token_type", "Bearer");
    json_out_object_close(&json);
    cloud_close(&credential);
    exchange_send(x, &reply);
    return 0;
}

static int azure_send_again(struct exchange *x, const struct grant *grant)
{
    return azure_send(x, 200, grant);
}

static void azure_problem(struct exchange *x, const struct exchange_problem *problem,
                          struct env_reply *reply)
{
    struct json_out json;

    reply->content_type = "application/json";
    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_u64(&json, "statusCode", problem->status);
    cloud_problem_text(&json, "message", problem);
    json_out_string_c(&json, "error", problem->code);
    cloud_problem_text(&json, "error_description", problem);
    json_out_string_c(&json, "request", x->request_id);
    json_out_object_close(&json);
}

static void invalid(struct exchange *x, const char *detail)
{
    exchange_fail(x,
                  &(struct exchange_problem){.status = 400, .code = "invalid", .detail = detail});
}

static void ask(struct exchange *x, const struct lease_role *role, const char *resource)
{
    char own[CLOUD_TEXT_MAX_BYTES];

    if (resource_of(role, own) && !is_for_resource(role, resource)) {
        invalid(x, "the role's tokens are for another resource than the one asked for");
        return;
    }
    cloud_ask(x, role, env_request_header(x->request, "x-identity-header"), AZURE_MIN_REMAINING_MS);
}

/* The resource that is asked for. False: it is missing, and the exchange has been answered. */
static bool read_resource(struct exchange *x, char resource[CLOUD_TEXT_MAX_BYTES])
{
    char version[CLOUD_TEXT_MAX_BYTES];

    if (!cloud_query(x, "api-version", version)) {
        invalid(x, "api-version is missing");
        return false;
    }
    if (!cloud_query(x, "resource", resource)) {
        invalid(x, "the resource is missing");
        return false;
    }
    return true;
}

void serve_azure_role_token(struct exchange *x)
{
    char resource[CLOUD_TEXT_MAX_BYTES];
    const struct lease_role *role = NULL;

    if (read_resource(x, resource)) {
        role = cloud_role(x, x->path_arg);
    }
    if (role != NULL) {
        ask(x, role, resource);
    }
}

void serve_azure_token(struct exchange *x)
{
    const char *configured = x->listener->azure_role;
    char resource[CLOUD_TEXT_MAX_BYTES];
    const struct cloud_pick pick = {.plugin = "entra",
                                    .configured = configured[0] != '\0' ? configured : NULL,
                                    .fits = is_for_resource,
                                    .user = resource};
    const struct lease_role *role = NULL;

    if (read_resource(x, resource)) {
        role = cloud_pick_role(x, &pick);
    }
    if (role != NULL) {
        ask(x, role, resource);
    }
}

const struct serve_form serve_azure_form = {
    .api = "azure",
    .send = azure_send,
    .send_again = azure_send_again,
    .problem = azure_problem,
};
