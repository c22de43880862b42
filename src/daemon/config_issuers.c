/* Issuers of job tokens: their keys in the configuration, what can be wrong with them, and what
 * access/ gets of them. */
#include "access/jwt.h"
#include "base/host.h"
#include "base/mem.h"
#include "daemon/config_fields.h"

#include <string.h>

#define MINUTE_MS (60ULL * 1000ULL)

static const struct schema_enum_value algorithm_values[] = {
    {"RS256", ACCESS_JWT_RS256}, {"RS384", ACCESS_JWT_RS384},
    {"RS512", ACCESS_JWT_RS512}, {"PS256", ACCESS_JWT_PS256},
    {"PS384", ACCESS_JWT_PS384}, {"PS512", ACCESS_JWT_PS512},
    {"ES256", ACCESS_JWT_ES256}, {"ES384", ACCESS_JWT_ES384},
    {"ES512", ACCESS_JWT_ES512}, {0},
};

static const struct schema_field issuer_fields[] = {
    {FIELD(config_issuer, "url", SCHEMA_STRING, url), .flags = SCHEMA_REQUIRED,
     .pattern = "^https?://", .doc = "what `iss` of its tokens is, byte for byte"},
    {FIELD(config_issuer, "audience", SCHEMA_STRINGS, audience), .flags = SCHEMA_REQUIRED, .min = 1,
     .doc = "one of these must be in `aud`: what stands for leased there"},
    {FIELD(config_issuer, "algorithms", SCHEMA_STRINGS, algorithms), .min = 1,
     .values = algorithm_values, .default_text = "RS256",
     .doc = "what its signatures may be made with"},
    {FIELD(config_issuer, "jwks_file", SCHEMA_STRING, jwks_file), ABSOLUTE,
     .doc = "its keys; by default its discovery document says where they are"},
    {FIELD(config_issuer, "jwks_url", SCHEMA_STRING, jwks_url), .pattern = "^https?://",
     .doc = "the same, from there"},
    {FIELD(config_issuer, "ca_file", SCHEMA_STRING, ca_file), ABSOLUTE,
     .doc = "whom to trust there; the system's by default"},
    {FIELD(config_issuer, "leeway", SCHEMA_DURATION, leeway_ms), .max = 10 * MINUTE_MS,
     .default_text = "60s", .doc = "how far its clock may be off"},
    {FIELD(config_issuer, "session", SCHEMA_STRING, session),
     .doc = "the claim that names one job: those of one user are told apart by it"},
    {FIELD(config_issuer, "person", SCHEMA_STRING, person),
     .doc = "the claim that names who is behind it"},
    {0},
};
const struct schema_object config_issuer_table =
    TABLE("an issuer", config_issuer, issuer_fields, false);

void config_check_url(const struct yaml_node *node, const char *url, struct yaml_errors *errors)
{
    bool is_https = url != NULL && str_starts_with(str_of(url), "https://");
    bool is_http = url != NULL && str_starts_with(str_of(url), "http://");
    const char *rest = is_https || is_http ? strstr(url, "://") + 3 : "";
    struct str host;
    uint16_t port;

    if (url == NULL) {
        return;
    }
    if (host_parse((struct str){.ptr = rest, .len = strcspn(rest, "/?#")}, &host, &port) != 0) {
        yaml_error_at(errors, node, "expected https://host/path, found `%s`", url);
    } else if (!is_https && !host_is_loopback(host)) {
        yaml_error_at(errors, node, "plain http goes to loopback only: use https");
    }
}

static void issuer_check(const struct config_issuer *issuers, size_t index,
                         struct yaml_errors *errors)
{
    const struct config_issuer *issuer = &issuers[index];
    size_t i;

    config_check_url(config_place_of(issuer->node, "url"), issuer->url, errors);
    config_check_url(config_place_of(issuer->node, "jwks_url"), issuer->jwks_url, errors);
    if (issuer->jwks_file != NULL && issuer->jwks_url != NULL) {
        yaml_error_at_key(errors, yaml_get(issuer->node, "jwks_url"),
                          "`jwks_file` and `jwks_url` exclude each other");
    }
    for (i = 0; i < index; i++) {
        if (issuer->url != NULL && issuers[i].url != NULL &&
            strcmp(issuer->url, issuers[i].url) == 0) {
            yaml_error_at(errors, config_place_of(issuer->node, "url"),
                          "issuer `%s` has this url already", issuers[i].name);
        }
    }
}

void config_check_issuers(const struct config_settings *settings, struct yaml_errors *errors)
{
    const struct config_issuer *issuers = settings->issuers.items;
    size_t i;

    for (i = 0; i < settings->issuers.count; i++) {
        issuer_check(issuers, i, errors);
    }
    if (settings->issuers.count > ACCESS_ISSUERS_MAX) {
        yaml_error_at(errors, issuers[ACCESS_ISSUERS_MAX].node, "at most %u issuers are possible",
                      ACCESS_ISSUERS_MAX);
    }
}

static uint32_t algorithms_of(const struct schema_strings *words)
{
    uint32_t algorithms = 0;
    size_t i;

    for (i = 0; i < words->count; i++) {
        algorithms |= access_jwt_algorithm(str_of(words->items[i]));
    }
    return algorithms;
}

int config_make_issuers(struct config *config)
{
    const struct config_issuer *issuers = config->settings.issuers.items;
    size_t i;

    config->issuers = mem_calloc(config->settings.issuers.count + 1, sizeof(*config->issuers));
    if (config->issuers == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i < config->settings.issuers.count; i++) {
        config->issuers[i] = (struct access_issuer_config){
            .name = issuers[i].name,
            .url = issuers[i].url,
            .audiences = (const char *const *)issuers[i].audience.items,
            .audience_count = issuers[i].audience.count,
            .algorithms = algorithms_of(&issuers[i].algorithms),
            .jwks_file = issuers[i].jwks_file,
            .jwks_url = issuers[i].jwks_url,
            .ca_file = issuers[i].ca_file,
            .leeway_ms = issuers[i].leeway_ms,
            .session = issuers[i].session,
            .person = issuers[i].person,
        };
    }
    return 0;
}
