/* Happy path: a token of the source (source.c) → without `impersonate` that is the credential; with
 * it, one more request makes the service account's token, and the source's is forgotten.
 *
 * An assertion that is refused while the answer's Date differs from our clock is signed anew once,
 * with the clock set right by it. No token of Google's for a service account can be renewed or
 * revoked: its end ends it. */
#include "source.h"

#include "common/dump.h"
#include "common/form.h"
#include "common/oauth.h"
#include "common/reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LIFE_MAX_S 43200U /* where the organisation allows it; else an hour */
#define ACCOUNT_PATH "/v1/projects/-/serviceAccounts/"

static bool is_refusal(const struct leased_http_reply *reply)
{
    return reply->status < 200 || reply->status > 299;
}

static void end_unusable(struct gcp_work *asked, const char *problem)
{
    struct plugin_text detail;

    plugin_text_set(&detail, "the answer of %.200s can't be used: %s", asked->who, problem);
    plugin_work_fail(&asked->work, LEASED_RETRY, detail.bytes);
}

static void end_well(struct gcp_work *asked, struct plugin_token *token)
{
    struct plugin_token ended = *token;
    struct leased_kv account = {.flags = 0};

    if (asked->account[0] != '\0') {
        account.key = PLUGIN_STR("service_account");
        account.value = plugin_str(asked->account);
    }
    plugin_oauth_end(&asked->work, asked->params.is_id ? "id_token" : "access_token", &ended,
                     &account);
    plugin_token_fini(&ended);
}

/* --- impersonation ---------------------------------------------------------------------------- */

static void impersonated(struct plugin_work *work, const struct leased_http_reply *reply)
{
    struct gcp_work *asked = (struct gcp_work *)work;
    struct plugin_token token;
    const char *problem;

    if (plugin_work_is_unanswered(work, reply)) {
        return;
    }
    if (is_refusal(reply)) {
        struct plugin_refusal refusal;

        plugin_oauth_refused(reply, asked->who, plugin_str(asked->sent), &refusal);
        if (reply->status == 403) {
            const struct plugin_text said = refusal.detail;

            plugin_text_set(&refusal.detail,
                            "%.300s (is roles/iam.serviceAccountTokenCreator granted on it?)",
                            said.bytes);
        }
        plugin_oauth_fail(work, &refusal);
        return;
    }
    problem =
        plugin_oauth_token(work, reply, asked->params.is_id ? "token" : "accessToken", &token);
    if (problem != NULL) {
        end_unusable(asked, problem);
    } else {
        end_well(asked, &token);
    }
}

/* Names as the API wants them; an empty list where there are none. */
static json_t *delegates_of(const struct gcp_params *params)
{
    json_t *names = json_array();

    for (size_t i = 0; names != NULL && i < json_array_size(params->delegates); i++) {
        const char *email = json_string_value(json_array_get(params->delegates, i));

        if (json_array_append_new(names, json_sprintf("projects/-/serviceAccounts/%s", email)) !=
            0) {
            json_decref(names);
            names = NULL;
        }
    }
    return names;
}

/* json_decref; NULL: out of memory. */
static json_t *wish_of(const struct gcp_work *asked)
{
    const struct gcp_params *params = &asked->params;
    uint64_t ttl_s = (asked->ttl_ms + 999U) / 1000U;
    json_t *wish = json_pack("{s:o}", "delegates", delegates_of(params));
    int rc = wish != NULL ? 0 : -1;

    if (rc == 0 && params->is_id) {
        rc = json_object_set_new(wish, "audience", json_string(params->audience));
        rc |= json_object_set_new(wish, "includeEmail", json_true());
    } else if (rc == 0) {
        rc = json_object_set_new(wish, "scope",
                                 params->scopes != NULL ? json_deep_copy(params->scopes)
                                                        : json_pack("[s]", GCP_SCOPE_ALL));
    }
    if (rc == 0 && !params->is_id && ttl_s > 0) {
        rc = json_object_set_new(wish, "lifetime",
                                 json_sprintf("%" PRIu64 "s",
                                              ttl_s < LIFE_MAX_S ? ttl_s : LIFE_MAX_S));
    }
    if (rc != 0) {
        json_decref(wish);
        wish = NULL;
    }
    return wish;
}

/* `bearer` with its scheme before it. */
static int send_wish(struct gcp_work *asked, struct leased_str bearer, struct leased_str wish)
{
    const struct gcp_config *config = &asked->gcp->config;
    struct plugin_form path = {.host = asked->gcp->works.host};
    int rc = -1;

    plugin_form_add(&path, PLUGIN_STR(ACCOUNT_PATH));
    plugin_form_add_encoded(&path, plugin_str(asked->params.impersonate));
    plugin_form_add(&path, asked->params.is_id ? PLUGIN_STR(":generateIdToken")
                                               : PLUGIN_STR(":generateAccessToken"));
    if (!path.is_failed) {
        const struct plugin_oauth_request request = {
            .method = "POST",
            .address = config->endpoints[GCP_ENDPOINT_IAM].address,
            .path = plugin_form_str(&path),
            .content_type = "application/json",
            .body = wish,
            .header = {PLUGIN_STR("authorization"), bearer}};

        rc = plugin_oauth_send(&asked->work, &request, impersonated);
    }
    plugin_form_fini(&path);
    return rc;
}

static void impersonate(struct gcp_work *asked, struct leased_str token)
{
    const struct leased_host *host = asked->gcp->works.host;
    struct plugin_form bearer = {.host = host};
    json_t *wish = wish_of(asked);
    size_t len = 0;
    char *body = wish != NULL ? plugin_dump(host, wish, &len) : NULL;
    int rc = -1;

    (void)snprintf(asked->who, sizeof(asked->who), "%.200s",
                   plugin_endpoint_host(asked->gcp->config.endpoints[GCP_ENDPOINT_IAM].address));
    (void)snprintf(asked->account, sizeof(asked->account), "%.255s", asked->params.impersonate);
    host->secret_free(asked->sent);
    asked->sent = plugin_strdup(host, token);
    plugin_form_add(&bearer, PLUGIN_STR("Bearer "));
    plugin_form_add(&bearer, token);
    if (body != NULL && asked->sent != NULL && !bearer.is_failed) {
        rc = send_wish(asked, plugin_form_str(&bearer), (struct leased_str){body, len});
    }
    json_decref(wish);
    host->secret_free(body);
    plugin_form_fini(&bearer);
    if (rc != 0) {
        plugin_work_fail(&asked->work, LEASED_RETRY, "the request could not be started");
    }
}

/* --- the source's answer ---------------------------------------------------------------------- */

static void replied(struct plugin_work *work, const struct leased_http_reply *reply);

static void refused(struct gcp_work *asked, const struct leased_http_reply *reply)
{
    struct leased_instance *gcp = asked->gcp;
    struct plugin_refusal refusal;
    struct gcp_failure failure;

    plugin_oauth_refused(reply, asked->who, plugin_str(asked->sent), &refusal);
    if (gcp->config.method == GCP_KEY && !asked->is_second &&
        (reply->status == 400 || reply->status == 401) &&
        plugin_oauth_corrects_clock(&asked->work, reply, &gcp->skew_s)) {
        asked->is_second = true;
        if (gcp_source_ask(asked, replied, &failure) != 0) {
            plugin_work_fail(&asked->work, failure.status, failure.detail.bytes);
        }
        return;
    }
    plugin_oauth_fail(&asked->work, &refusal);
}

/* Anything could stand at a metadata service's address; a real one says that it is one. */
static bool is_impostor(const struct gcp_work *asked, const struct leased_http_reply *reply)
{
    return asked->gcp->config.method == GCP_METADATA &&
           !plugin_str_is(plugin_header(reply, "metadata-flavor"), "google");
}

static void replied(struct plugin_work *work, const struct leased_http_reply *reply)
{
    struct gcp_work *asked = (struct gcp_work *)work;
    struct plugin_token token;
    const char *problem;

    if (plugin_work_is_unanswered(work, reply)) {
        return;
    }
    if (is_impostor(asked, reply)) {
        end_unusable(asked, "it has no header Metadata-Flavor: Google");
        return;
    }
    if (is_refusal(reply)) {
        refused(asked, reply);
        return;
    }
    problem = gcp_source_is_bare(asked)
                  ? plugin_oauth_bare_token(work, reply, &token)
                  : plugin_oauth_token(work, reply, gcp_source_member(asked), &token);
    if (problem != NULL) {
        end_unusable(asked, problem);
    } else if (asked->params.impersonate == NULL) {
        end_well(asked, &token);
    } else {
        impersonate(asked, token.text); /* the work may be gone */
        plugin_token_fini(&token);
    }
}

/* --- beginning -------------------------------------------------------------------------------- */

static void fini(struct plugin_work *work)
{
    struct gcp_work *asked = (struct gcp_work *)work;

    gcp_params_fini(&asked->params);
    work->works->host->secret_free(asked->sent);
}

static int begin(struct gcp_work *asked, struct leased_str params, struct gcp_failure *failure)
{
    failure->status = LEASED_INVALID;
    if (gcp_params_parse(params, &asked->params, &failure->detail) != 0) {
        return -1;
    }
    if (asked->gcp->config.method == GCP_FEDERATED && asked->params.is_id &&
        asked->params.impersonate == NULL) {
        plugin_text_set(&failure->detail, "impersonate: Google makes ID tokens for service "
                                          "accounts only, not for a federated identity itself");
        return -1;
    }
    return gcp_source_ask(asked, replied, failure);
}

int32_t gcp_issue(struct leased_instance *gcp, const struct leased_issue *request, leased_op *op)
{
    struct gcp_work *asked = plugin_work_new(&gcp->works, sizeof(*asked), op);
    struct gcp_failure failure;

    if (asked == NULL) {
        return -LEASED_RETRY;
    }
    asked->gcp = gcp;
    asked->ttl_ms = request->ttl_ms;
    asked->work.fini = fini;
    if (begin(asked, request->params, &failure) != 0) {
        return plugin_work_fail_soon(&asked->work, failure.status, failure.detail.bytes);
    }
    return 0;
}
