/* The model Google: a token of the source (by federation, or by a service account's key), which may
 * impersonate one service account for each role. Tokens end by themselves. */
#include "sim_issuer.h"

#include "base/mem.h"
#include "support/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECT SIM_MARK "-gcp-subject"
#define SOURCE_TOKEN "ya29." SIM_MARK "-source"
#define TOKEN_URL "https://oauth2.googleapis.com/token"
#define ACCOUNTS "/v1/projects/-/serviceAccounts/"
#define DOMAIN "%40p.iam.gserviceaccount.com:generateAccessToken"
#define LIFE_S 3600
#define LIFE_MAX_S 43200
#define CLOCK_MAX_S 300
#define VALUE_MAX_BYTES 4096
#define VARIANT_KEY 8U

int32_t leased_plugin_entry_gcp(const struct leased_host *host,
                                const struct leased_plugin **ret_plugin);

struct google {
    struct sim_issuer issuer; /* first */
    char *key_file;
};

static struct sim_issuer *create(struct sim *sim, uint32_t variant)
{
    struct google *google = mem_calloc(1, sizeof(*google));
    json_t *file = json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "service_account", "client_email",
                             "leased@p.iam.gserviceaccount.com", "private_key_id", "k1",
                             "private_key", token_pair(0)->key_pem, "token_uri", TOKEN_URL);

    CHECK(google != NULL);
    google->key_file = json_dumps(file, JSON_COMPACT);
    CHECK(google->key_file != NULL);
    json_decref(file);
    google->issuer.sim = sim;
    google->issuer.variant = variant;
    sim_issuer_init(&google->issuer, &sim_google_kind, &sim->random);
    sim_secret_set(sim, "file:/gcp.json", google->key_file);
    return &google->issuer;
}

static void destroy(struct sim_issuer *issuer)
{
    mem_free(((struct google *)issuer)->key_file);
    sim_issuer_destroy(issuer);
}

static void config(const struct sim_issuer *issuer, char *out, size_t out_size)
{
    const char *auth =
        (issuer->variant & VARIANT_KEY) != 0
            ? "\"service_account_key\",\"key_file\":\"/gcp.json\""
            : "\"federated\",\"token_file\":\"" SUBJECT "\",\"audience\":\"//iam.googleapis.com/"
              "projects/1/locations/global/workloadIdentityPools/pool/providers/cluster\"";

    (void)snprintf(out, out_size, "{\"auth\":{\"method\":%s}}", auth);
}

static void params(const struct sim_issuer *issuer, const char *role, char *out, size_t out_size)
{
    (void)issuer;
    (void)snprintf(out, out_size, "{\"impersonate\":\"%s@p.iam.gserviceaccount.com\"}", role);
}

static bool asks(struct sim_issuer *issuer, const struct sim_call *call,
                 char ret_role[SIM_ISSUER_ROLE_MAX_BYTES])
{
    size_t before = strlen(ACCOUNTS);
    size_t behind = strlen(DOMAIN);

    (void)issuer;
    if (!str_starts_with(call->path, ACCOUNTS) || !str_ends_with(call->path, DOMAIN)) {
        return false;
    }
    (void)snprintf(ret_role, SIM_ISSUER_ROLE_MAX_BYTES, "%.*s",
                   (int)(call->path.len - before - behind), call->path.ptr + before);
    return true;
}

/* --- the source's token ----------------------------------------------------------------------- */

static void refuse(struct sim_answer *answer, uint32_t status, const char *error, const char *text)
{
    sim_answer_json(answer, status,
                    json_pack("{s:s, s:s}", "error", error, "error_description", text));
}

static bool is_assertion(const struct sim_call *call, const char *jwt)
{
    int64_t now_s = sim_issuer_now_s(call);
    json_t *header;
    json_t *claims;
    bool is_fine;

    if (token_open(jwt, "RS256", token_pair(0), &header, &claims) != 0) {
        return false;
    }
    is_fine = json_integer_value(json_object_get(claims, "iat")) <= now_s + CLOCK_MAX_S &&
              json_integer_value(json_object_get(claims, "exp")) > now_s &&
              strcmp(json_string_value(json_object_get(claims, "aud")), TOKEN_URL) == 0;
    json_decref(header);
    json_decref(claims);
    return is_fine;
}

static void give_source_token(struct sim_issuer *issuer, const struct sim_call *call,
                              struct sim_answer *answer)
{
    char proof[VALUE_MAX_BYTES];
    bool is_key = (issuer->variant & VARIANT_KEY) != 0;
    bool is_good;

    (void)token_form_value(call->body, is_key ? "assertion" : "subject_token", proof,
                           sizeof(proof));
    is_good = is_key ? is_assertion(call, proof) : strcmp(proof, SUBJECT) == 0;
    if (issuer->denies_login || !is_good) {
        refuse(answer, 400, "invalid_grant", proof); /* it says again what it was shown */
        return;
    }
    sim_answer_json(answer, 200,
                    json_pack("{s:s, s:i, s:s}", "access_token", SOURCE_TOKEN, "expires_in", LIFE_S,
                              "token_type", "Bearer"));
}

/* --- impersonation ---------------------------------------------------------------------------- */

static void refuse_call(struct sim_answer *answer, uint32_t status, const char *reason,
                        const char *text)
{
    sim_answer_json(answer, status,
                    json_pack("{s:{s:i, s:s, s:s}}", "error", "code", (int)status, "message", text,
                              "status", reason));
}

/* 0: not one that is given. */
static int64_t life_of(const struct sim_call *call)
{
    json_t *body = json_loadb(call->body.ptr, call->body.len, JSON_REJECT_DUPLICATES, NULL);
    const char *text = json_string_value(json_object_get(body, "lifetime"));
    int64_t life_s = text != NULL ? strtoll(text, NULL, 10) : LIFE_S;
    bool is_whole = json_array_size(json_object_get(body, "scope")) > 0 &&
                    json_is_array(json_object_get(body, "delegates"));

    json_decref(body);
    return is_whole && life_s > 0 && life_s <= LIFE_MAX_S ? life_s : 0;
}

static void impersonate(struct sim_issuer *issuer, const struct sim_call *call, const char *role,
                        struct sim_answer *answer)
{
    int64_t life_s = life_of(call);
    int64_t ends_s = sim_issuer_now_s(call) + life_s;
    struct sim_credential *credential;
    char ends[24];

    if (strcmp(sim_call_bearer(call), SOURCE_TOKEN) != 0) {
        refuse_call(answer, 401, "UNAUTHENTICATED", "Request had invalid credentials.");
    } else if (issuer->denies_issue) {
        refuse_call(answer, 403, "PERMISSION_DENIED", "Permission denied on resource.");
    } else if (life_s == 0) {
        refuse_call(answer, 400, "INVALID_ARGUMENT", "The lifetime is not allowed.");
    } else {
        credential =
            sim_issuer_issue_plain(issuer, call, role, sim_issuer_moment_ms(ends_s) - call->now_ms);
        sim_issuer_rfc3339(ends_s, ends);
        sim_answer_json(answer, 200,
                        json_pack("{s:s, s:s}", "accessToken", credential->secret, "expireTime",
                                  ends));
    }
}

static void answer(struct sim_issuer *issuer, const struct sim_call *call,
                   struct sim_answer *answer)
{
    uint32_t status = sim_issuer_ill_status(issuer, answer);
    char role[SIM_ISSUER_ROLE_MAX_BYTES];

    sim_answer_date(answer, call);
    if (status != 0) {
        refuse_call(answer, status, status == 429 ? "RESOURCE_EXHAUSTED" : "INTERNAL", "Not now.");
    } else if (str_eq_c(call->path, "/v1/token") || str_eq_c(call->path, "/token")) {
        give_source_token(issuer, call, answer);
    } else if (asks(issuer, call, role)) {
        impersonate(issuer, call, role, answer);
    } else {
        refuse_call(answer, 404, "NOT_FOUND", "There is nothing.");
    }
}

static struct sim_credential *find(struct sim_issuer *issuer, const json_t *fields)
{
    return sim_issuer_find_field(issuer, fields, "access_token");
}

const struct sim_issuer_kind sim_google_kind = {
    .name = "gcp",
    .places = (const char *const[]){"https://sts.googleapis.com/",
                                    "https://iamcredentials.googleapis.com/", TOKEN_URL, NULL},
    .entry = leased_plugin_entry_gcp,
    .create = create,
    .destroy = destroy,
    .config = config,
    .params = params,
    .answer = answer,
    .valid_until_ms = sim_issuer_until_ms,
    .asks = asks,
    .ends = sim_issuer_ends_none,
    .find = find,
};
