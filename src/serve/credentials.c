/* Credentials by the native API: GET /credentials/{role} and POST /leases, and their form. */
#include "lease/token.h"
#include "serve/acquire.h"
#include "serve/etag.h"

#include <stdio.h>
#include <string.h>

static void endpoint_write(struct json_out *json, const char *api, const char *base,
                           const char *path, const char *role)
{
    char url[SERVE_BASE_MAX_BYTES + PARAMS_ROLE_MAX_BYTES + 32];

    if (base[0] != '\0') {
        (void)snprintf(url, sizeof(url), "%s%s%s", base, path, role);
        json_out_string_c(json, api, url);
    }
}

/* What the caller's children need to use this grant by other APIs. */
static int token_write(const struct exchange *x, struct json_out *json, const struct grant *grant,
                       const char *role)
{
    const struct serve_endpoints *endpoints = &x->serve->endpoints;
    struct secret token;
    int r;

    secret_init(&token);
    r = lease_token_make(x->serve->options.core, grant, &token);
    if (r == 0) {
        json_out_string(json, "token", secret_view(&token));
    }
    secret_fini(&token);
    json_out_object_open(json, "endpoints");
    endpoint_write(json, "aws", endpoints->aws, "/aws/credentials/", role);
    endpoint_write(json, "gcp", endpoints->gcp, "", "");
    endpoint_write(json, "azure", endpoints->azure, "/azure/token/", role);
    endpoint_write(json, "vault", endpoints->vault, "", "");
    json_out_object_close(json);
    return r;
}

/* Writes the object that a credential is for its consumer. */
static int credential_write(const struct exchange *x, struct json_out *json,
                            const struct grant *grant, const char *role)
{
    int r;

    json_out_object_open(json, NULL);
    r = view_write_credential(json, x->serve->options.core, grant);
    if (r == 0 && x->params.wants_token) {
        r = token_write(x, json, grant, role);
    }
    json_out_object_close(json);
    buf_add_char(json->out, '\n');
    return r == 0 ? buf_status(json->out) : r;
}

#define ETAG_MAX_BYTES (LEASE_ID_BYTES + STR_U64_MAX_BYTES + 4)

/* The credential's version, in quotes as the header has it. */
static struct str etag_write(const struct lease_view *lease, char text[ETAG_MAX_BYTES])
{
    char *at = text;

    *at++ = '"';
    at = str_put(at, str_of(lease->id));
    *at++ = '.';
    at = str_put_u64(at, lease->version);
    *at++ = '"';
    return (struct str){.ptr = text, .len = (size_t)(at - text)};
}

/* What to answer with beside grant and status. */
struct credential_options {
    const struct answer_key *key; /* the answer may be kept under it; NULL: it may not */
    bool may_be_short; /* 304 where the caller names this version: it was delivered before */
};

/* Sends the answer; the exchange lives on. On failure nothing was sent. */
static int credential_send(struct exchange *x, uint32_t status, const struct grant *grant,
                           const struct credential_options *options)
{
    struct env_reply reply = {.status = status, .content_type = "application/json"};
    const struct answer_key *key = options->key;
    struct lease_view lease;
    struct grant_view view;
    struct json_out json;
    char text[ETAG_MAX_BYTES];
    struct str etag;
    int r = 0;

    lease_view(grant_lease(grant), &lease);
    etag = etag_write(&lease, text);
    reply.headers[reply.header_count++] =
        (struct env_request_header){.name = STR("ETag"), .value = etag};
    exchange_json(x, &json);
    if (options->may_be_short &&
        etag_is_named(env_request_header(x->request, "if-none-match"), etag)) {
        reply.status = 304;
    } else {
        r = credential_write(x, &json, grant, lease.role->name);
        if (r == 0 && key != NULL) {
            reply.body = buf_str(&x->serve->body);
            answers_note(&x->serve->answers, key, x->request, &reply);
        }
    }
    if (r == 0) {
        grant_view(grant, &view);
        idempotency_note_grant(x, view.id);
        exchange_send(x, &reply);
    }
    return r;
}

static int native_send(struct exchange *x, uint32_t status, const struct grant *grant)
{
    const struct credential_options in_full = {.key = NULL};

    return credential_send(x, status, grant, &in_full);
}

static int native_send_again(struct exchange *x, const struct grant *grant)
{
    struct answer_key key;
    const struct credential_options in_full = {.key = &key};
    const struct credential_options conditional = {.may_be_short = true};
    struct lease_view lease;
    struct grant_view view;

    if (x->is_repeated) {
        return native_send(x, 201, grant);
    }
    if (env_request_header(x->request, "if-none-match").ptr != NULL) {
        return credential_send(x, 200, grant, &conditional);
    }
    lease_view(grant_lease(grant), &lease);
    grant_view(grant, &view);
    answer_key_fill(&key, x->api, &lease, view.id);
    if (answers_send(&x->serve->answers, &key, x->request)) {
        exchange_count(x, 200);
        return 0;
    }
    return credential_send(x, 200, grant, &in_full);
}

/* A path is taken as it is sent, since no role has a name that needs encoding; whoever encodes one
 * all the same is told. */
void serve_role_unknown(struct exchange *x, struct str name)
{
    bool is_encoded = memchr(name.ptr, '%', name.len) != NULL;
    char detail[PARAMS_ROLE_MAX_BYTES + 64];

    (void)snprintf(detail, sizeof(detail), "there is no role \"%.*s\"",
                   (int)(name.len < PARAMS_ROLE_MAX_BYTES ? name.len : PARAMS_ROLE_MAX_BYTES),
                   name.ptr);
    exchange_fail(
        x, &(struct exchange_problem){.status = 404,
                                      .code = "unknown_role",
                                      .detail = detail,
                                      .hint = is_encoded ? "names of roles aren't percent-encoded"
                                                         : "roles stand in the configuration of "
                                                           "leased"});
}

const struct lease_role *serve_role_of_body(struct exchange *x)
{
    struct str name = str_of(x->params.role);
    const struct lease_role *role = NULL;

    if (name.len == 0) {
        exchange_fail(x, &(struct exchange_problem){
                             .status = 400, .code = "invalid", .detail = "the body names no role"});
        return NULL;
    }
    role = lease_core_role(x->serve->options.core, name);
    if (role == NULL) {
        serve_role_unknown(x, name);
    }
    return role;
}

/* X-Leased-Grant: the token of a grant that the caller, of whom no process may be known, has. */
static void ask(struct exchange *x, const struct lease_role *role, bool is_new_grant)
{
    struct str token = env_request_header(x->request, "x-leased-grant");

    if (x->is_repeated) {
        acquire_start(x, role, false);
    } else if (token.ptr == NULL || acquire_name_grant(x, token)) {
        acquire_start(x, role, is_new_grant);
    }
}

void serve_credentials_get(struct exchange *x)
{
    const struct lease_role *role = lease_core_role(x->serve->options.core, x->path_arg);

    if (role == NULL) {
        serve_role_unknown(x, x->path_arg);
    } else {
        ask(x, role, false);
    }
}

void serve_leases_create(struct exchange *x)
{
    const struct lease_role *role = serve_role_of_body(x);

    if (role != NULL && x->params.wants_token && x->identity.kind == ENV_PEER_TLS) {
        exchange_fail(x, &(struct exchange_problem){
                             .status = 400,
                             .code = "invalid",
                             .detail = "a grant token is for users of the machine of leased",
                             .hint = "leave `token` out"});
    } else if (role != NULL) {
        ask(x, role, true);
    }
}

const struct serve_form serve_native_form = {
    .api = "native",
    .send = native_send,
    .send_again = native_send_again,
    .problem = exchange_problem_write,
};
