/* Happy path: read the proof → one request to the tenant's token endpoint (or to the machine's
 * identity endpoint) → the token.
 *
 * An assertion that is refused while the answer's Date differs from our clock is signed anew once,
 * with the clock set right by it. A token is renewed by asking for another one; nobody but its end
 * revokes it. */
#include "assertion.h"
#include "instance.h"
#include "params.h"

#include "common/form.h"
#include "common/oauth.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

struct entra_work {
    struct plugin_work work; /* first */
    struct leased_instance *entra;
    struct entra_params params;
    char *sent; /* the proof, to recognise it in what comes back; owned */
    bool is_second;
};

/* What to do about the frequent ones. */
static const struct {
    int64_t code;
    const char *hint;
} hints[] = {
    {7000215, "the secret's value is needed, not its id"},
    {7000222, "the secret has expired: make a new one"},
    {700016, "the application isn't in this tenant: see client_id and tenant"},
    {90002, "there is no such tenant in this cloud: see tenant and cloud"},
    {700027, "the certificate isn't (or is no longer) one of the application's"},
    {700024, "see this machine's clock, and the end of the token that is presented"},
    {700211, "the application has no federated credential with this issuer"},
    {700212, "the federated credential has another audience"},
    {700213, "the federated credential has another subject"},
    {70011, "see scope"},
    {500011, "the tenant has no such resource: see scope"},
};

static bool is_managed(const struct leased_instance *entra)
{
    return entra->config.method == ENTRA_IMDS || entra->config.method == ENTRA_APP_SERVICE;
}

static int give_up(struct entra_failure *failure, int32_t status, const char *detail)
{
    failure->status = status;
    plugin_text_set(&failure->detail, "%s", detail);
    return -1;
}

static int sent(int rc, struct entra_failure *failure)
{
    return rc == 0 ? 0 : give_up(failure, LEASED_RETRY, "the request could not be started");
}

static void replied(struct plugin_work *work, const struct leased_http_reply *reply);

/* --- client credentials ----------------------------------------------------------------------- */

/* The secret, an assertion of ours, or another issuer's; into `sent`. */
static int prove(struct entra_work *asked, const char *audience, struct entra_failure *failure)
{
    struct leased_instance *entra = asked->entra;

    entra->works.host->secret_free(asked->sent);
    if (entra->config.method == ENTRA_CERTIFICATE) {
        asked->sent = entra_assertion(entra, audience, failure);
    } else {
        failure->status = LEASED_RETRY;
        asked->sent = plugin_oauth_secret(&entra->works, &entra->config.sources[ENTRA_SOURCE_PROOF],
                                          &failure->detail);
    }
    return asked->sent != NULL ? 0 : -1;
}

static void add_form(const struct entra_work *asked, struct plugin_form *form)
{
    const struct entra_config *config = &asked->entra->config;

    plugin_form_pair(form, "grant_type", PLUGIN_STR("client_credentials"));
    plugin_form_pair(form, "client_id", plugin_str(config->client_id));
    plugin_form_pair(form, "scope", plugin_str(asked->params.scope));
    if (config->method == ENTRA_SECRET) {
        plugin_form_pair(form, "client_secret", plugin_str(asked->sent));
    } else {
        plugin_form_pair(form, "client_assertion_type", PLUGIN_STR(ASSERTION_TYPE));
        plugin_form_pair(form, "client_assertion", plugin_str(asked->sent));
    }
}

static int ask_tenant(struct entra_work *asked, struct entra_failure *failure)
{
    const struct entra_config *config = &asked->entra->config;
    struct plugin_form form = {.host = asked->entra->works.host};
    char path[ENTRA_NAME_MAX_BYTES + 32];
    char url[ENTRA_URL_MAX_BYTES];
    int rc = -1;

    (void)snprintf(path, sizeof(path), "/%s/oauth2/v2.0/token", config->tenant);
    (void)snprintf(url, sizeof(url), "%s%s", config->authority.address, path);
    if (prove(asked, url, failure) != 0) {
        return -1;
    }
    add_form(asked, &form);
    if (!form.is_failed) {
        const struct plugin_oauth_request request = {.method = "POST",
                                                     .address = config->authority.address,
                                                     .path = plugin_str(path),
                                                     .content_type =
                                                         "application/x-www-form-urlencoded",
                                                     .body = plugin_form_str(&form)};

        rc = plugin_oauth_send(&asked->work, &request, replied);
    }
    plugin_form_fini(&form);
    return sent(rc, failure);
}

/* --- managed identities ----------------------------------------------------------------------- */

static void add_identity(const struct entra_work *asked, struct plugin_form *path)
{
    const struct entra_config *config = &asked->entra->config;
    bool is_imds = config->method == ENTRA_IMDS;

    plugin_form_add(path, is_imds ? PLUGIN_STR("?api-version=2018-02-01")
                                  : PLUGIN_STR("?api-version=2019-08-01"));
    plugin_form_pair(path, "resource", plugin_str(asked->params.resource));
    plugin_form_pair_if(path, "client_id", plugin_str(config->client_id));
    plugin_form_pair_if(path, "object_id", plugin_str(config->object_id));
    plugin_form_pair_if(path, is_imds ? "msi_res_id" : "mi_res_id",
                        plugin_str(config->resource_id));
}

static int send_managed(struct entra_work *asked, const struct plugin_endpoint *endpoint,
                        struct entra_failure *failure)
{
    struct plugin_form path = {.host = asked->entra->works.host};
    int rc = -1;

    plugin_form_add(&path, plugin_str(endpoint->path));
    add_identity(asked, &path);
    if (!path.is_failed) {
        struct plugin_oauth_request request = {.method = "GET",
                                               .address = endpoint->address,
                                               .path = plugin_form_str(&path),
                                               .header = {PLUGIN_STR("metadata"),
                                                          PLUGIN_STR("true")},
                                               .is_metadata = true};

        if (asked->sent != NULL) {
            request.other.name = PLUGIN_STR("x-identity-header");
            request.other.value = plugin_str(asked->sent);
        }
        rc = plugin_oauth_send(&asked->work, &request, replied);
    }
    plugin_form_fini(&path);
    return sent(rc, failure);
}

/* Where the platform says, with the header's value that keeps other programs' requests out. */
static int ask_app_service(struct entra_work *asked, struct entra_failure *failure)
{
    const struct plugin_works *works = &asked->entra->works;
    const struct plugin_source *sources = asked->entra->config.sources;
    struct plugin_endpoint endpoint;
    const char *problem;
    char *url = plugin_oauth_secret(works, &sources[ENTRA_SOURCE_ENDPOINT], &failure->detail);

    failure->status = LEASED_RETRY;
    if (url == NULL) {
        return -1;
    }
    problem = plugin_endpoint_parse(plugin_str(url), PLUGIN_ENDPOINT_METADATA, &endpoint);
    works->host->secret_free(url);
    if (problem != NULL) {
        failure->status = LEASED_INVALID;
        plugin_text_set(&failure->detail, "%.300s: %s", sources[ENTRA_SOURCE_ENDPOINT].text,
                        problem);
        return -1;
    }
    asked->sent = plugin_oauth_secret(works, &sources[ENTRA_SOURCE_PROOF], &failure->detail);
    return asked->sent != NULL ? send_managed(asked, &endpoint, failure) : -1;
}

static int ask_imds(struct entra_work *asked, struct entra_failure *failure)
{
    struct plugin_endpoint endpoint = asked->entra->config.authority;

    (void)snprintf(endpoint.path, sizeof(endpoint.path), "/metadata/identity/oauth2/token");
    return send_managed(asked, &endpoint, failure);
}

/* --- answers ---------------------------------------------------------------------------------- */

static int ask(struct entra_work *asked, struct entra_failure *failure)
{
    switch (asked->entra->config.method) {
    case ENTRA_IMDS:
        return ask_imds(asked, failure);
    case ENTRA_APP_SERVICE:
        return ask_app_service(asked, failure);
    case ENTRA_SECRET:
    case ENTRA_CERTIFICATE:
    case ENTRA_FEDERATED:
    default:
        return ask_tenant(asked, failure);
    }
}

/* The part of a refusal's text that says who refuses. */
static const char *who(const struct leased_instance *entra)
{
    switch (entra->config.method) {
    case ENTRA_IMDS:
        return "the machine's metadata service";
    case ENTRA_APP_SERVICE:
        return "App Service's identity endpoint";
    case ENTRA_SECRET:
    case ENTRA_CERTIFICATE:
    case ENTRA_FEDERATED:
    default:
        return plugin_endpoint_host(entra->config.authority.address);
    }
}

static void add_hint(struct plugin_refusal *refusal)
{
    for (size_t i = 0; i < COUNT(hints); i++) {
        if (refusal->code == hints[i].code) {
            const struct plugin_text said = refusal->detail;

            plugin_text_set(&refusal->detail, "%.310s (%s)", said.bytes, hints[i].hint);
        }
    }
}

static void refused(struct entra_work *asked, const struct leased_http_reply *reply)
{
    struct leased_instance *entra = asked->entra;
    struct plugin_refusal refusal;
    struct entra_failure failure;
    bool is_signed = entra->config.method == ENTRA_CERTIFICATE;

    plugin_oauth_refused(reply, who(entra), plugin_str(asked->sent), &refusal);
    if (is_signed && !asked->is_second && (reply->status == 400 || reply->status == 401) &&
        plugin_oauth_corrects_clock(&asked->work, reply, &entra->skew_s)) {
        asked->is_second = true;
        if (ask(asked, &failure) != 0) {
            plugin_work_fail(&asked->work, failure.status, failure.detail.bytes);
        }
        return;
    }
    /* The service that is being updated says so, and whoever asks is to wait. */
    if (is_managed(entra) && (reply->status == 404 || reply->status == 410)) {
        refusal.status = LEASED_RETRY;
    }
    add_hint(&refusal);
    plugin_oauth_fail(&asked->work, &refusal);
}

static void replied(struct plugin_work *work, const struct leased_http_reply *reply)
{
    struct entra_work *asked = (struct entra_work *)work;
    struct plugin_token token;
    const struct leased_kv nothing_more = {.flags = 0};
    struct plugin_text detail;
    const char *problem;

    if (plugin_work_is_unanswered(work, reply)) {
        return;
    }
    if (reply->status < 200 || reply->status > 299) {
        refused(asked, reply);
        return;
    }
    problem = plugin_oauth_token(work, reply, "access_token", &token);
    if (problem != NULL) {
        plugin_text_set(&detail, "the answer of %.200s can't be used: %s", who(asked->entra),
                        problem);
        plugin_work_fail(work, LEASED_RETRY, detail.bytes);
        return;
    }
    plugin_oauth_end(work, "access_token", &token, &nothing_more);
    plugin_token_fini(&token);
}

/* --- beginning -------------------------------------------------------------------------------- */

static void fini(struct plugin_work *work)
{
    struct entra_work *asked = (struct entra_work *)work;

    work->works->host->secret_free(asked->sent);
}

int32_t entra_issue(struct leased_instance *entra, const struct leased_issue *request,
                    leased_op *op)
{
    struct entra_work *asked = plugin_work_new(&entra->works, sizeof(*asked), op);
    struct entra_failure failure;

    if (asked == NULL) {
        return -LEASED_RETRY;
    }
    asked->entra = entra;
    asked->work.fini = fini;
    if (entra_params_parse(request->params, &asked->params, &failure.detail) != 0) {
        return plugin_work_fail_soon(&asked->work, LEASED_INVALID, failure.detail.bytes);
    }
    if (ask(asked, &failure) != 0) {
        return plugin_work_fail_soon(&asked->work, failure.status, failure.detail.bytes);
    }
    return 0;
}
