/* Credentials from the machine: the container endpoint of ECS and EKS, and EC2's instance metadata,
 * version 2.
 *
 * Happy path, container: one GET, with what the authorization token's file holds. Instance: PUT for
 * a token, GET for the role's name, GET for its credentials. Version 1, which answers whoever can
 * make this machine send a GET, isn't asked. */
#include "source.h"

#include "charset.h"
#include "common/reply.h"
#include "common/when.h"

#include <stdio.h>
#include <string.h>

#define CONTAINER_ADDRESS "http://169.254.170.2"
#define ROLES_PATH "/latest/meta-data/iam/security-credentials/"
#define TOKEN_MAX_BYTES 4096U
#define TIMEOUT_MS 5000U

static void fail(struct aws_op *op, const char *what, const char *problem)
{
    struct plugin_text text;

    plugin_text_set(&text, "source: %s%s", what, problem);
    plugin_work_fail(&op->work, LEASED_RETRY, text.bytes);
}

/* Did it answer 200? Otherwise the operation has ended. */
static bool is_answered(struct aws_op *op, const struct leased_http_reply *reply, const char *what)
{
    char problem[64];

    if (plugin_work_is_unanswered(&op->work, reply)) {
        return false;
    }
    if (reply->status != 200) {
        (void)snprintf(problem, sizeof(problem), " answered %u", (unsigned)reply->status);
        fail(op, what, problem);
        return false;
    }
    return true;
}

/* --- credentials as JSON ---------------------------------------------------------------------- */

static struct leased_str member(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);

    return (struct leased_str){json_string_value(value), json_string_length(value)};
}

static void read_keys(struct aws_op *op, const struct leased_http_reply *reply, const char *what)
{
    const char *problem = "";
    json_t *root = plugin_reply_json(reply, 0, &problem);
    struct aws_keys_parts parts = {.id = member(root, "AccessKeyId"),
                                   .secret = member(root, "SecretAccessKey"),
                                   .token = member(root, "Token"),
                                   .is_role_session = true};
    struct aws_keys *keys = NULL;
    struct plugin_text text;

    if (root != NULL) {
        parts.expires_s = plugin_when_rfc3339(member(root, "Expiration"));
        parts.expires_s = parts.expires_s > 0 ? parts.expires_s : 0;
        keys = aws_keys_new(op->aws->works.host, &parts, &problem);
    }
    json_decref(root);
    if (keys == NULL) {
        plugin_text_set(&text, "'s answer can't be used: %s", problem);
        fail(op, what, text.bytes);
        return;
    }
    aws_source_came(op, keys);
}

/* --- a container's endpoint ------------------------------------------------------------------- */

/* What the environment says, NUL-terminated (host->secret_free); NULL: nothing. */
static char *from_environment(struct aws_op *op, const char *source)
{
    struct leased_str detail;
    char *value = NULL;
    int64_t len = op->aws->works.host->secret_read(op->aws->works.context, plugin_str(source),
                                                   &value, &detail);

    if (len <= 0) {
        op->aws->works.host->secret_free(value);
        return NULL;
    }
    return value;
}

/* Where plain http may go: this machine, and the addresses that AWS gives to containers. */
static bool is_allowed(struct leased_str address)
{
    return (address.len > 8 && memcmp(address.ptr, "https://", 8) == 0) ||
           aws_place_is_loopback(address) || plugin_str_eq(address, CONTAINER_ADDRESS) ||
           plugin_str_eq(address, "http://169.254.170.23");
}

/* The address and the path of a URI; a path alone is at ECS's address. */
static bool split(struct leased_str uri, struct leased_str *ret_address,
                  struct leased_str *ret_path)
{
    const char *scheme = memmem(uri.ptr, uri.len, "://", 3);
    size_t begin = scheme != NULL ? (size_t)(scheme - uri.ptr) + 3 : 0;
    const char *slash = memchr(uri.ptr + begin, '/', uri.len - begin);
    size_t len = slash != NULL ? (size_t)(slash - uri.ptr) : uri.len;

    if (uri.ptr[0] == '/') {
        *ret_address = PLUGIN_STR(CONTAINER_ADDRESS);
        *ret_path = uri;
        return true;
    }
    *ret_address = (struct leased_str){uri.ptr, len};
    *ret_path = slash != NULL ? (struct leased_str){slash, uri.len - len} : PLUGIN_STR("/");
    return is_allowed(*ret_address);
}

/* The authorization token into op->token, as the configuration or the environment says; none is
 * fine there. False: the operation has ended. */
static bool read_authorization(struct aws_op *op)
{
    const struct leased_host *host = op->aws->works.host;
    const char *source = op->aws->config.token.text;
    char *path = NULL;
    char named[PLUGIN_SOURCE_MAX_BYTES];
    struct leased_str detail = {0};
    struct plugin_text text;
    int64_t len;

    if (source[0] == '\0') {
        path = from_environment(op, "env:AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    }
    if (path != NULL) {
        (void)snprintf(named, sizeof(named), "shared-file:%s", path);
        source = named;
        host->secret_free(path);
    }
    host->secret_free(op->token);
    op->token = NULL;
    op->token_len = 0;
    if (source[0] == '\0') {
        op->token = from_environment(op, "env:AWS_CONTAINER_AUTHORIZATION_TOKEN");
        op->token_len = op->token != NULL ? strlen(op->token) : 0;
        return true;
    }
    len = host->secret_read(op->aws->works.context, plugin_str(source), &op->token, &detail);
    if (len < 0) {
        plugin_text_set(&text, "%.*s", (int)detail.len, detail.ptr);
        fail(op, "authorization token: ", text.bytes);
        return false;
    }
    op->token_len = (size_t)len;
    return true;
}

static void container_replied(struct plugin_work *work, const struct leased_http_reply *reply)
{
    struct aws_op *op = (struct aws_op *)work;

    if (is_answered(op, reply, "the container's endpoint")) {
        read_keys(op, reply, "the container's endpoint");
    }
}

static void ask(struct aws_op *op, struct leased_str uri)
{
    const struct leased_http_header header = {.name = PLUGIN_STR("authorization"),
                                              .value = {op->token, op->token_len}};
    struct leased_http_request request = {.size = sizeof(request),
                                          .flags = LEASED_HTTP_METADATA,
                                          .method = PLUGIN_STR("GET"),
                                          .headers = &header,
                                          .header_count = op->token_len > 0 ? 1 : 0,
                                          .timeout_ms = TIMEOUT_MS};

    if (!split(uri, &request.address, &request.path)) {
        plugin_work_fail(&op->work, LEASED_INVALID,
                         "source: the container endpoint's address must be https, or http to this "
                         "machine, 169.254.170.2 or 169.254.170.23");
    } else if (plugin_work_send(&op->work, &request, container_replied) != 0) {
        fail(op, "the container's endpoint", " could not be asked");
    }
}

void aws_source_ask_container(struct aws_op *op)
{
    const struct leased_host *host = op->aws->works.host;
    char *named = NULL;

    if (!read_authorization(op)) {
        return; /* op is gone */
    }
    if (op->aws->config.uri[0] != '\0') {
        ask(op, plugin_str(op->aws->config.uri));
        return;
    }
    named = from_environment(op, "env:AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    if (named == NULL) {
        named = from_environment(op, "env:AWS_CONTAINER_CREDENTIALS_FULL_URI");
    }
    if (named == NULL) {
        fail(op, "",
             "there is no uri, and no AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or …_FULL_URI "
             "in the environment");
        return;
    }
    ask(op, plugin_str(named)); /* op may be gone */
    host->secret_free(named);
}

/* --- instance metadata ------------------------------------------------------------------------ */

/* A GET with the metadata service's token. */
static void get(struct aws_op *op, const char *path, plugin_replied_fn fn)
{
    const struct leased_http_header header = {.name = PLUGIN_STR("x-aws-ec2-metadata-token"),
                                              .value = {op->token, op->token_len}};
    const struct leased_http_request request = {.size = sizeof(request),
                                                .flags = LEASED_HTTP_METADATA,
                                                .method = PLUGIN_STR("GET"),
                                                .path = plugin_str(path),
                                                .headers = &header,
                                                .header_count = 1,
                                                .timeout_ms = TIMEOUT_MS,
                                                .address = plugin_str(op->aws->config.metadata)};

    if (plugin_work_send(&op->work, &request, fn) != 0) {
        fail(op, "instance metadata", " could not be asked");
    }
}

static void keys_replied(struct plugin_work *work, const struct leased_http_reply *reply)
{
    struct aws_op *op = (struct aws_op *)work;

    if (is_answered(op, reply, "instance metadata")) {
        read_keys(op, reply, "instance metadata");
    }
}

static void role_replied(struct plugin_work *work, const struct leased_http_reply *reply)
{
    struct aws_op *op = (struct aws_op *)work;
    char path[sizeof(ROLES_PATH) + 128];
    struct leased_str name = reply->body;
    const char *end;

    if (plugin_work_is_unanswered(work, reply)) {
        return;
    }
    if (reply->status == 404) {
        fail(op, "", "the instance has no role");
        return;
    }
    end = name.len > 0 ? memchr(name.ptr, '\n', name.len) : NULL;
    name.len = end != NULL ? (size_t)(end - name.ptr) : name.len;
    if (reply->status != 200 || !aws_text_fits(name, AWS_NAME, 1, 64)) {
        fail(op, "instance metadata", " named no role");
        return;
    }
    (void)snprintf(path, sizeof(path), ROLES_PATH "%.*s", (int)name.len, name.ptr);
    get(op, path, keys_replied);
}

static void token_replied(struct plugin_work *work, const struct leased_http_reply *reply)
{
    struct aws_op *op = (struct aws_op *)work;
    const struct leased_host *host = op->aws->works.host;

    if (!is_answered(op, reply, "instance metadata (version 2)")) {
        return;
    }
    if (reply->body.len == 0 || reply->body.len > TOKEN_MAX_BYTES) {
        fail(op, "instance metadata", " gave no token");
        return;
    }
    host->secret_free(op->token);
    op->token = plugin_secret_dup(host, reply->body);
    op->token_len = op->token != NULL ? reply->body.len : 0;
    if (op->token == NULL) {
        fail(op, "", "out of memory");
        return;
    }
    get(op, ROLES_PATH, role_replied);
}

void aws_source_ask_instance(struct aws_op *op)
{
    const struct leased_http_header header = {
        .name = PLUGIN_STR("x-aws-ec2-metadata-token-ttl-seconds"), .value = PLUGIN_STR("21600")};
    const struct leased_http_request request = {.size = sizeof(request),
                                                .flags = LEASED_HTTP_METADATA,
                                                .method = PLUGIN_STR("PUT"),
                                                .path = PLUGIN_STR("/latest/api/token"),
                                                .headers = &header,
                                                .header_count = 1,
                                                .timeout_ms = TIMEOUT_MS,
                                                .address = plugin_str(op->aws->config.metadata)};

    if (plugin_work_send(&op->work, &request, token_replied) != 0) {
        fail(op, "instance metadata", " could not be asked");
    }
}
