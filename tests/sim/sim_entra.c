/* The model Entra: client credentials by secret, certificate or federated assertion, and tokens
 * that end by themselves, after 60 to 90 minutes. */
#include "sim_issuer.h"

#include "base/mem.h"
#include "support/token.h"

#include <stdio.h>
#include <string.h>

#define TENANT_PATH "/contoso.example/oauth2/v2.0/token"
#define SECRET SIM_MARK "-entra"
#define LIFE_LEAST_S 3600
#define LIFE_SPREAD_S 1800
#define VALUE_MAX_BYTES 4096
#define CLOCK_MAX_S 300

int32_t leased_plugin_entry_entra(const struct leased_host *host,
                                  const struct leased_plugin **ret_plugin);

enum way {
    WAY_SECRET,
    WAY_FEDERATED,
    WAY_CERTIFICATE,
};

static enum way way_of(const struct sim_issuer *issuer)
{
    return (enum way)(issuer->variant % 3);
}

static struct sim_issuer *create(struct sim *sim, uint32_t variant)
{
    struct sim_issuer *issuer = mem_calloc(1, sizeof(*issuer));

    CHECK(issuer != NULL);
    issuer->sim = sim;
    issuer->variant = variant;
    sim_issuer_init(issuer, &sim_entra_kind, &sim->random);
    sim_secret_set(sim, "file:/entra.key", token_pair(1)->key_pem);
    sim_secret_set(sim, "shared-file:/entra.pem", token_pair(1)->certificate_pem);
    return issuer;
}

static void config(const struct sim_issuer *issuer, char *out, size_t out_size)
{
    static const char *const auths[] = {
        [WAY_SECRET] = "\"secret\",\"client_secret_file\":\"" SECRET "\"",
        [WAY_FEDERATED] = "\"federated\",\"token_file\":\"" SECRET "\"",
        [WAY_CERTIFICATE] = "\"certificate\",\"key_file\":\"/entra.key\","
                            "\"certificate_file\":\"/entra.pem\"",
    };

    (void)snprintf(
        out, out_size,
        "{\"tenant\":\"contoso.example\",\"client_id\":\"app\",\"auth\":{\"method\":%s}}",
        auths[way_of(issuer)]);
}

static void params(const struct sim_issuer *issuer, const char *role, char *out, size_t out_size)
{
    (void)issuer;
    (void)snprintf(out, out_size, "{\"scope\":\"api://%s/.default\"}", role);
}

static bool asks(struct sim_issuer *issuer, const struct sim_call *call,
                 char ret_role[SIM_ISSUER_ROLE_MAX_BYTES])
{
    char scope[128];
    char *end;

    (void)issuer;
    (void)token_form_value(call->body, "scope", scope, sizeof(scope));
    end = strstr(scope, "/.default");
    if (strncmp(scope, "api://", 6) != 0 || end == NULL) {
        return false;
    }
    *end = '\0';
    (void)snprintf(ret_role, SIM_ISSUER_ROLE_MAX_BYTES, "%.60s", scope + 6);
    return true;
}

/* --- requests --------------------------------------------------------------------------------- */

static void refuse(struct sim_answer *answer, uint32_t status, const char *error, int code,
                   const char *text)
{
    sim_answer_json(answer, status,
                    json_pack("{s:s, s:o, s:[i], s:s}", "error", error, "error_description",
                              json_sprintf("AADSTS%d: %s", code, text), "error_codes", code,
                              "trace_id", "t"));
}

/* 0, or the number of what is wrong with the application's own assertion. */
static int assertion_problem(const struct sim_call *call, const char *jwt)
{
    int64_t now_s = sim_issuer_now_s(call);
    json_t *header;
    json_t *claims;
    int problem = 0;

    if (token_open(jwt, "PS256", token_pair(1), &header, &claims) != 0) {
        return 700027;
    }
    if (json_integer_value(json_object_get(claims, "nbf")) > now_s + CLOCK_MAX_S ||
        json_integer_value(json_object_get(claims, "exp")) < now_s - CLOCK_MAX_S) {
        problem = 700024;
    } else if (strcmp(json_string_value(json_object_get(claims, "aud")),
                      "https://login.microsoftonline.com" TENANT_PATH) != 0 ||
               strcmp(json_string_value(json_object_get(claims, "sub")), "app") != 0) {
        problem = 700023;
    }
    json_decref(header);
    json_decref(claims);
    return problem;
}

static int login_problem(const struct sim_issuer *issuer, const struct sim_call *call,
                         char proof[VALUE_MAX_BYTES])
{
    enum way way = way_of(issuer);

    (void)token_form_value(call->body, way == WAY_SECRET ? "client_secret" : "client_assertion",
                           proof, VALUE_MAX_BYTES);
    if (issuer->denies_login) {
        return 7000222;
    }
    if (way == WAY_CERTIFICATE) {
        return assertion_problem(call, proof);
    }
    return strcmp(proof, SECRET) == 0 ? 0 : 7000215;
}

static void issue(struct sim_issuer *issuer, const struct sim_call *call, const char *role,
                  struct sim_answer *answer)
{
    uint64_t life_s = LIFE_LEAST_S + sim_random_below(issuer->random, LIFE_SPREAD_S);
    struct sim_credential *credential = sim_issuer_issue_plain(issuer, call, role, life_s * 1000);

    sim_answer_json(answer, 200,
                    json_pack("{s:s, s:I, s:I, s:s}", "token_type", "Bearer", "expires_in",
                              (json_int_t)life_s, "ext_expires_in", (json_int_t)life_s,
                              "access_token", credential->secret));
}

static void answer(struct sim_issuer *issuer, const struct sim_call *call,
                   struct sim_answer *answer)
{
    uint32_t status = sim_issuer_ill_status(issuer, answer);
    char role[SIM_ISSUER_ROLE_MAX_BYTES];
    char proof[VALUE_MAX_BYTES];
    int problem;

    sim_answer_date(answer, call);
    if (status != 0) {
        refuse(answer, status, "temporarily_unavailable", 90033, "A transient error has occurred");
    } else if (!str_eq_c(call->path, TENANT_PATH)) {
        refuse(answer, 400, "invalid_request", 90002, "Tenant not found");
    } else if ((problem = login_problem(issuer, call, proof)) != 0) {
        refuse(answer, 401, "invalid_client", problem, proof); /* it says again what it was shown */
    } else if (!asks(issuer, call, role)) {
        refuse(answer, 400, "invalid_scope", 70011, "The scope is not valid");
    } else if (issuer->denies_issue) {
        refuse(answer, 400, "unauthorized_client", 700016, "The application was not found");
    } else {
        issue(issuer, call, role, answer);
    }
}

static struct sim_credential *find(struct sim_issuer *issuer, const json_t *fields)
{
    return sim_issuer_find_field(issuer, fields, "access_token");
}

const struct sim_issuer_kind sim_entra_kind = {
    .name = "entra",
    .places = (const char *const[]){"https://login.microsoftonline.com/", NULL},
    .entry = leased_plugin_entry_entra,
    .create = create,
    .destroy = sim_issuer_destroy,
    .config = config,
    .params = params,
    .answer = answer,
    .valid_until_ms = sim_issuer_until_ms,
    .asks = asks,
    .ends = sim_issuer_ends_none,
    .find = find,
};
