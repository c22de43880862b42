/* AWS's container credentials: GET /aws/credentials/{role}.
 *
 * SDKs send what AWS_CONTAINER_AUTHORIZATION_TOKEN says as it is, in Authorization. A grant token
 * names the grant; any other word is a guard and says nothing, and the caller gets what its uid
 * may have. They fetch anew when less than 15 minutes are left, so more than that is handed out,
 * where the session has so much. */
#include "serve/cloud.h"

#include "base/units.h"

#define AWS_MIN_REMAINING_MS (16U * 60U * 1000U)

/* Whole seconds: not every SDK reads fractions. */
static void time_write(struct json_out *json, const char *key, int64_t wall_ms)
{
    static const size_t seconds_end = sizeof("2026-01-01T00:00:00") - 1;
    char text[UNITS_TIME_MAX_BYTES];

    (void)units_format_time(wall_ms, text);
    text[seconds_end] = 'Z';
    text[seconds_end + 1] = '\0';
    json_out_string_c(json, key, text);
}

/* Fields of the aws plugin, then of Vault's aws engine. Keys of an IAM user have no token, which
 * SDKs want to see nevertheless. */
static int aws_send(struct exchange *x, uint32_t status, const struct grant *grant)
{
    static const char *const ids[] = {"access_key_id", "access_key", NULL};
    static const char *const keys[] = {"secret_access_key", "secret_key", NULL};
    static const char *const tokens[] = {"session_token", "security_token", NULL};
    struct env_reply reply = {.status = 200, .content_type = "application/json"};
    struct cloud_credential credential;
    struct json_out json;
    int r = cloud_open(x, grant, &credential);

    (void)status;
    if (r != 0) {
        return r;
    }
    if (cloud_field(&credential, ids).len == 0 || cloud_field(&credential, keys).len == 0) {
        cloud_close(&credential);
        return ERR_UNSUPPORTED;
    }
    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_string(&json, "AccessKeyId", cloud_field(&credential, ids));
    json_out_string(&json, "SecretAccessKey", cloud_field(&credential, keys));
    json_out_string(&json, "Token", cloud_field(&credential, tokens));
    time_write(&json, "Expiration", credential.expires_wall_ms);
    json_out_object_close(&json);
    cloud_close(&credential);
    exchange_send(x, &reply);
    return 0;
}

static int aws_send_again(struct exchange *x, const struct grant *grant)
{
    return aws_send(x, 200, grant);
}

static void aws_problem(struct exchange *x, const struct exchange_problem *problem,
                        struct env_reply *reply)
{
    struct json_out json;

    reply->content_type = "application/json";
    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "code", problem->code);
    cloud_problem_text(&json, "message", problem);
    json_out_string_c(&json, "request", x->request_id);
    json_out_object_close(&json);
}

void serve_aws_credentials(struct exchange *x)
{
    const struct lease_role *role = cloud_role(x, x->path_arg);

    if (role != NULL) {
        cloud_ask(x, role, env_request_header(x->request, "authorization"), AWS_MIN_REMAINING_MS);
    }
}

const struct serve_form serve_aws_form = {
    .api = "aws",
    .send = aws_send,
    .send_again = aws_send_again,
    .problem = aws_problem,
};
