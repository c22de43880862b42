/* Happy path: read what proves who we are → one request. A file that has changed counts at once. */
#include "source.h"

#include "key.h"

#include "common/dump.h"
#include "common/form.h"
#include "common/jwt.h"
#include "common/oauth.h"

#include <stdio.h>
#include <string.h>

#define FORM "application/x-www-form-urlencoded"
#define SCOPE_IAM "https://www.googleapis.com/auth/iam"
#define GRANT "urn:ietf:params:oauth:grant-type:"
#define TOKEN_TYPE "urn:ietf:params:oauth:token-type:"
#define METADATA_PATH "/computeMetadata/v1/instance/service-accounts/"

int gcp_sent(int rc, struct gcp_failure *failure)
{
    if (rc != 0) {
        failure->status = LEASED_RETRY;
        plugin_text_set(&failure->detail, "the request could not be started");
    }
    return rc;
}

/* Nothing but to impersonate, the role's scopes, or all that the account may do. */
static void add_scopes(const struct gcp_params *params, const char *separator,
                       struct plugin_form *out)
{
    if (params->impersonate != NULL) {
        plugin_form_add(out, PLUGIN_STR(SCOPE_IAM));
    } else if (params->scopes == NULL) {
        plugin_form_add(out, PLUGIN_STR(GCP_SCOPE_ALL));
    }
    for (size_t i = 0; params->impersonate == NULL && i < json_array_size(params->scopes); i++) {
        plugin_form_add(out, plugin_str(i > 0 ? separator : ""));
        plugin_form_add(out, plugin_str(json_string_value(json_array_get(params->scopes, i))));
    }
}

/* Takes `form`; -1 when it couldn't be written or sent. */
static int post(struct gcp_work *asked, const struct plugin_endpoint *endpoint,
                struct plugin_form *form, plugin_replied_fn replied)
{
    const struct plugin_oauth_request request = {.method = "POST",
                                                 .address = endpoint->address,
                                                 .path = plugin_str(endpoint->path),
                                                 .content_type = FORM,
                                                 .body = plugin_form_str(form)};
    int rc = form->is_failed ? -1 : plugin_oauth_send(&asked->work, &request, replied);

    (void)snprintf(asked->who, sizeof(asked->who), "%.200s",
                   plugin_endpoint_host(endpoint->address));
    plugin_form_fini(form);
    return rc;
}

/* --- federation ------------------------------------------------------------------------------- */

static void add_options(const struct gcp_config *config, struct plugin_form *form)
{
    size_t len = 0;
    json_t *options;
    char *text;

    if (config->user_project[0] == '\0') {
        return;
    }
    options = json_pack("{s:s}", "userProject", config->user_project);
    text = options != NULL ? plugin_dump(form->host, options, &len) : NULL;
    if (text != NULL) {
        plugin_form_pair(form, "options", (struct leased_str){text, len});
    } else {
        form->is_failed = true;
    }
    json_decref(options);
    form->host->secret_free(text);
}

static int ask_federated(struct gcp_work *asked, plugin_replied_fn replied,
                         struct gcp_failure *failure)
{
    const struct gcp_config *config = &asked->gcp->config;
    struct plugin_endpoint endpoint = config->endpoints[GCP_ENDPOINT_STS];
    struct plugin_form scopes = {.host = asked->gcp->works.host};
    struct plugin_form form = {.host = asked->gcp->works.host};
    char type[sizeof(TOKEN_TYPE) + sizeof(config->token_type)];

    failure->status = LEASED_RETRY;
    asked->sent = plugin_oauth_secret(&asked->gcp->works, &config->source, &failure->detail);
    if (asked->sent == NULL) {
        return -1;
    }
    add_scopes(&asked->params, " ", &scopes);
    (void)snprintf(endpoint.path, sizeof(endpoint.path), "/v1/token");
    (void)snprintf(type, sizeof(type), TOKEN_TYPE "%s", config->token_type);
    plugin_form_pair(&form, "grant_type", PLUGIN_STR(GRANT "token-exchange"));
    plugin_form_pair(&form, "audience", plugin_str(config->audience));
    plugin_form_pair(&form, "scope", plugin_form_str(&scopes));
    plugin_form_pair(&form, "requested_token_type", PLUGIN_STR(TOKEN_TYPE "access_token"));
    plugin_form_pair(&form, "subject_token", plugin_str(asked->sent));
    plugin_form_pair(&form, "subject_token_type", plugin_str(type));
    add_options(config, &form);
    form.is_failed = form.is_failed || scopes.is_failed;
    plugin_form_fini(&scopes);
    return gcp_sent(post(asked, &endpoint, &form, replied), failure);
}

/* --- keys ------------------------------------------------------------------------------------- */

static char *assertion(const struct gcp_work *asked, const struct gcp_key *key,
                       struct plugin_text *detail)
{
    const struct plugin_works *works = &asked->gcp->works;
    int64_t now_s = works->host->wall_ms(works->context) / 1000 + asked->gcp->skew_s;
    struct plugin_form scopes = {.host = works->host};
    json_t *header = key->id[0] != '\0' ? json_pack("{s:s}", "kid", key->id) : NULL;
    json_t *claims = NULL;
    char *text = NULL;

    add_scopes(&asked->params, " ", &scopes);
    plugin_text_set(detail, "out of memory");
    if (!scopes.is_failed && (header != NULL || key->id[0] == '\0')) {
        claims = gcp_key_claims(key, &asked->params, plugin_form_str(&scopes).ptr,
                                asked->gcp->config.subject, now_s);
    }
    if (claims != NULL) {
        const struct plugin_jwt jwt = {
            .alg = PLUGIN_JWT_RS256, .key = key->key, .header = header, .claims = claims};

        text = plugin_jwt_sign(works->host, &jwt, detail);
    }
    plugin_form_fini(&scopes);
    json_decref(header);
    json_decref(claims);
    return text;
}

static int send_assertion(struct gcp_work *asked, const struct gcp_key *key,
                          plugin_replied_fn replied, struct gcp_failure *failure)
{
    const struct plugin_endpoint *own = &asked->gcp->config.endpoints[GCP_ENDPOINT_TOKEN];
    struct plugin_form form = {.host = asked->gcp->works.host};
    struct plugin_endpoint endpoint = key->token;

    if (own->address[0] != '\0') {
        (void)snprintf(endpoint.address, sizeof(endpoint.address), "%s", own->address);
    }
    if (endpoint.path[0] == '\0') {
        (void)snprintf(endpoint.path, sizeof(endpoint.path), "/");
    }
    (void)snprintf(asked->account, sizeof(asked->account), "%s", key->email);
    plugin_form_pair(&form, "grant_type", PLUGIN_STR(GRANT "jwt-bearer"));
    plugin_form_pair(&form, "assertion", plugin_str(asked->sent));
    return gcp_sent(post(asked, &endpoint, &form, replied), failure);
}

static int ask_by_key(struct gcp_work *asked, plugin_replied_fn replied,
                      struct gcp_failure *failure)
{
    const struct plugin_works *works = &asked->gcp->works;
    const struct plugin_source *source = &asked->gcp->config.source;
    char *file = plugin_oauth_secret(works, source, &failure->detail);
    struct plugin_text why;
    struct gcp_key key;
    int rc = -1;

    failure->status = LEASED_RETRY;
    if (file == NULL) {
        return -1;
    }
    failure->status = LEASED_INVALID;
    if (gcp_key_parse(plugin_str(file), &key, &why) != 0) {
        plugin_text_set(&failure->detail, "%.250s: %.140s", source->text, why.bytes);
        works->host->secret_free(file);
        return -1;
    }
    works->host->secret_free(file);
    works->host->secret_free(asked->sent);
    asked->sent = assertion(asked, &key, &failure->detail);
    if (asked->sent != NULL) {
        rc = send_assertion(asked, &key, replied, failure);
    }
    gcp_key_fini(&key);
    return rc;
}

/* --- this machine ----------------------------------------------------------------------------- */

static bool is_for_id(const struct gcp_work *asked)
{
    return asked->params.is_id && asked->params.impersonate == NULL;
}

/* Without scopes the machine's own are given. */
static void add_metadata_query(const struct gcp_work *asked, struct plugin_form *path)
{
    const struct gcp_params *params = &asked->params;
    struct plugin_form scopes = {.host = path->host};

    if (is_for_id(asked)) {
        plugin_form_add(path, PLUGIN_STR("/identity?format=full"));
        plugin_form_pair(path, "audience", plugin_str(params->audience));
        return;
    }
    plugin_form_add(path, PLUGIN_STR("/token"));
    if (params->scopes != NULL || params->impersonate != NULL) {
        add_scopes(params, ",", &scopes);
        plugin_form_add(path, PLUGIN_STR("?scopes="));
        plugin_form_add_encoded(path, plugin_form_str(&scopes));
    }
    path->is_failed = path->is_failed || scopes.is_failed;
    plugin_form_fini(&scopes);
}

static int ask_metadata(struct gcp_work *asked, plugin_replied_fn replied,
                        struct gcp_failure *failure)
{
    const struct gcp_config *config = &asked->gcp->config;
    struct plugin_form path = {.host = asked->gcp->works.host};
    int rc = -1;

    plugin_form_add(&path, PLUGIN_STR(METADATA_PATH));
    plugin_form_add_encoded(&path, plugin_str(config->account));
    add_metadata_query(asked, &path);
    if (!path.is_failed) {
        const struct plugin_oauth_request request = {
            .method = "GET",
            .address = config->endpoints[GCP_ENDPOINT_METADATA].address,
            .path = plugin_form_str(&path),
            .header = {PLUGIN_STR("metadata-flavor"), PLUGIN_STR("Google")},
            .is_metadata = true};

        rc = plugin_oauth_send(&asked->work, &request, replied);
    }
    (void)snprintf(asked->who, sizeof(asked->who), "the machine's metadata service");
    plugin_form_fini(&path);
    return gcp_sent(rc, failure);
}

/* --- all -------------------------------------------------------------------------------------- */

int gcp_source_ask(struct gcp_work *asked, plugin_replied_fn replied, struct gcp_failure *failure)
{
    switch (asked->gcp->config.method) {
    case GCP_FEDERATED:
        return ask_federated(asked, replied, failure);
    case GCP_KEY:
        return ask_by_key(asked, replied, failure);
    case GCP_METADATA:
    default:
        return ask_metadata(asked, replied, failure);
    }
}

bool gcp_source_is_bare(const struct gcp_work *asked)
{
    return is_for_id(asked) && asked->gcp->config.method == GCP_METADATA;
}

const char *gcp_source_member(const struct gcp_work *asked)
{
    return is_for_id(asked) ? "id_token" : "access_token";
}
