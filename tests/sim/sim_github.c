/* The model GitHub: an app with one installation for each role, and tokens that live for an hour,
 * or until they are deleted. Nobody but who has a token can delete it. */
#include "sim_issuer.h"

#include "base/mem.h"
#include "support/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ID 1001
#define LIFE_S 3600
#define JWT_LIFE_MAX_S 600
#define VARIANT_OWNER 1U

int32_t leased_plugin_entry_github(const struct leased_host *host,
                                   const struct leased_plugin **ret_plugin);

static struct sim_issuer *create(struct sim *sim, uint32_t variant)
{
    struct sim_issuer *issuer = mem_calloc(1, sizeof(*issuer));

    CHECK(issuer != NULL);
    issuer->sim = sim;
    issuer->variant = variant;
    sim_issuer_init(issuer, &sim_github_kind, &sim->random);
    sim_secret_set(sim, "file:/github.pem", token_pair(0)->key_pem);
    return issuer;
}

static void config(const struct sim_issuer *issuer, char *out, size_t out_size)
{
    (void)issuer;
    (void)snprintf(out, out_size, "{\"app_id\":7,\"private_key_file\":\"/github.pem\"}");
}

/* An installation's id is its place here: the same for all worlds. */
static const char *const owners[] = {"none",        "other",      "own",        "shared",
                                     "common",      "none-twin",  "other-twin", "own-twin",
                                     "shared-twin", "common-twin"};

static int id_of(const char *owner)
{
    for (size_t i = 0; i < ARRAY_LEN(owners); i++) {
        if (strcmp(owners[i], owner) == 0) {
            return FIRST_ID + (int)i;
        }
    }
    return 0;
}

static void params(const struct sim_issuer *issuer, const char *role, char *out, size_t out_size)
{
    if ((issuer->variant & VARIANT_OWNER) != 0) {
        (void)snprintf(out, out_size, "{\"owner\":\"%s\"}", role);
    } else {
        (void)snprintf(out, out_size, "{\"installation_id\":%d}", id_of(role));
    }
}

/* --- requests --------------------------------------------------------------------------------- */

static void refuse(struct sim_answer *answer, uint32_t status, const char *message)
{
    sim_answer_json(answer, status, json_pack("{s:s}", "message", message));
}

/* What is wrong with it; NULL: nothing. */
static const char *jwt_problem(const struct sim_call *call)
{
    int64_t now_s = sim_issuer_now_s(call);
    const char *problem = NULL;
    json_t *header;
    json_t *claims;
    int64_t iat_s;
    int64_t exp_s;

    if (token_open(sim_call_bearer(call), "RS256", token_pair(0), &header, &claims) != 0) {
        return "A JSON web token could not be decoded";
    }
    iat_s = json_integer_value(json_object_get(claims, "iat"));
    exp_s = json_integer_value(json_object_get(claims, "exp"));
    if (strcmp(json_string_value(json_object_get(claims, "iss")), "7") != 0) {
        problem = "Integration must generate a public key";
    } else if (iat_s > now_s) {
        problem = "'Issued at' claim ('iat') must be an Integer representing the time that the "
                  "assertion was issued";
    } else if (exp_s <= now_s || exp_s - now_s > JWT_LIFE_MAX_S) {
        problem = "'Expiration time' claim ('exp') is too far in the future, or past";
    }
    json_decref(header);
    json_decref(claims);
    return problem;
}

/* "/users/OWNER/installation" */
static void look_up(const struct sim_call *call, struct sim_answer *answer)
{
    struct str rest = {call->path.ptr + 7, call->path.len - 7};
    struct str name = str_cut(&rest, '/');
    char owner[SIM_ISSUER_ROLE_MAX_BYTES];

    (void)snprintf(owner, sizeof(owner), "%.*s", STR_ARG(name));
    if (id_of(owner) == 0) {
        refuse(answer, 404, "Not Found");
        return;
    }
    sim_answer_json(answer, 200, json_pack("{s:i, s:n}", "id", id_of(owner), "suspended_at"));
}

static void mint(struct sim_issuer *issuer, const struct sim_call *call, const char *role,
                 struct sim_answer *answer)
{
    int64_t ends_s = sim_issuer_now_s(call) + LIFE_S;
    struct sim_credential *credential;
    char ends[24];

    credential =
        sim_issuer_issue_plain(issuer, call, role, sim_issuer_moment_ms(ends_s) - call->now_ms);
    credential->is_revocable = true;
    sim_issuer_rfc3339(ends_s, ends);
    sim_answer_json(answer, 201,
                    json_pack("{s:s, s:s, s:{s:s}}", "token", credential->secret, "expires_at",
                              ends, "permissions", "metadata", "read"));
}

static struct sim_credential *ends(struct sim_issuer *issuer, const struct sim_call *call)
{
    return str_eq_c(call->path, "/installation/token")
               ? sim_issuer_find(issuer, str_of(sim_call_bearer(call)))
               : NULL;
}

static void revoke(struct sim_issuer *issuer, const struct sim_call *call,
                   struct sim_answer *answer)
{
    struct sim_credential *credential = ends(issuer, call);

    if (credential == NULL || sim_credential_until_ms(credential, call->now_ms) == 0) {
        refuse(answer, 401, "Bad credentials");
    } else if (sim_random_chance(issuer->random, issuer->faults.revoke_failed)) {
        refuse(answer, 502, "Server Error");
    } else {
        credential->is_revoked = true;
        issuer->revoke_total++;
        answer->status = 204;
    }
}

static bool asks(struct sim_issuer *issuer, const struct sim_call *call,
                 char ret_role[SIM_ISSUER_ROLE_MAX_BYTES])
{
    static const char prefix[] = "/app/installations/";
    int index;

    (void)issuer;
    if (!str_starts_with(call->path, prefix)) {
        return false;
    }
    index = (int)strtol(call->path.ptr + strlen(prefix), NULL, 10) - FIRST_ID;
    if (index < 0 || index >= (int)ARRAY_LEN(owners)) {
        return false;
    }
    (void)snprintf(ret_role, SIM_ISSUER_ROLE_MAX_BYTES, "%s", owners[index]);
    return true;
}

static void answer_app(struct sim_issuer *issuer, const struct sim_call *call,
                       struct sim_answer *answer)
{
    char role[SIM_ISSUER_ROLE_MAX_BYTES];
    const char *problem = issuer->denies_login ? "Integration not found" : jwt_problem(call);

    if (problem != NULL) {
        refuse(answer, 401, problem);
    } else if (str_eq_c(call->path, "/app")) {
        sim_answer_json(answer, 200, json_pack("{s:i, s:s}", "id", 7, "slug", "leased"));
    } else if (str_starts_with(call->path, "/users/")) {
        look_up(call, answer);
    } else if (!asks(issuer, call, role)) {
        refuse(answer, 404, "Not Found");
    } else if (issuer->denies_issue) {
        refuse(answer, 403, "Resource not accessible by integration");
    } else {
        mint(issuer, call, role, answer);
    }
}

static void answer(struct sim_issuer *issuer, const struct sim_call *call,
                   struct sim_answer *answer)
{
    uint32_t status = sim_issuer_ill_status(issuer, answer);

    sim_answer_date(answer, call);
    if (status != 0) {
        refuse(answer, status, status == 429 ? "You have exceeded a secondary rate limit" : "Oops");
    } else if (str_eq_c(call->path, "/installation/token")) {
        revoke(issuer, call, answer);
    } else {
        answer_app(issuer, call, answer);
    }
}

static struct sim_credential *find(struct sim_issuer *issuer, const json_t *fields)
{
    return sim_issuer_find_field(issuer, fields, "token");
}

const struct sim_issuer_kind sim_github_kind = {
    .name = "github",
    .places = (const char *const[]){"https://api.github.com/", NULL},
    .entry = leased_plugin_entry_github,
    .create = create,
    .destroy = sim_issuer_destroy,
    .config = config,
    .params = params,
    .answer = answer,
    .valid_until_ms = sim_issuer_until_ms,
    .asks = asks,
    .ends = ends,
    .find = find,
};
