/* The model AWS: STS gives sessions of roles, IAM takes the policy that denies a role's older ones.
 * Whose clock is off is refused by what the signature says of its time; the signature itself is not
 * looked at here (moto does, in e2e). */
#include "sim_issuer.h"

#include "base/mem.h"
#include "support/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEY_ID "AKIAEXAMPLE"
#define KEYS                                                                                       \
    "[default]\naws_access_key_id = " KEY_ID "\naws_secret_access_key = " SIM_MARK "/aws+key\n"
#define ROLE_PREFIX "arn:aws:iam::123456789012:role/"
#define HOP "hop" /* the role on the way, where sessions are chained */
#define ROLES_MAX 16
#define LIFE_S 3600
#define LIFE_LEAST_S 900
#define LIFE_MOST_S 43200
#define CLOCK_MAX_S 300
#define VALUE_MAX_BYTES 1024
#define VARIANT_CHAINED 256U
#define VARIANT_DENIES 512U

int32_t leased_plugin_entry_aws(const struct leased_host *host,
                                const struct leased_plugin **ret_plugin);

struct role {
    char name[SIM_ISSUER_ROLE_MAX_BYTES];
    int64_t denied_before_s; /* by the policy; 0: none is put */
    int64_t heard_before_s;  /* … as far as the daemon can know it */
    uint64_t unheard;        /* the exchange that put it, while that is under way */
};

struct session {
    struct sim_credential credential; /* first; its secret is the session token */
    struct role *role;
    int64_t issued_s;
    char key_id[40];
};

struct aws {
    struct sim_issuer issuer; /* first */
    struct role roles[ROLES_MAX];
    size_t role_count;
};

static struct sim_issuer *create(struct sim *sim, uint32_t variant)
{
    struct aws *aws = mem_calloc(1, sizeof(*aws));

    CHECK(aws != NULL);
    aws->issuer.sim = sim;
    aws->issuer.variant = variant;
    sim_issuer_init(&aws->issuer, &sim_aws_kind, &sim->random);
    sim_secret_set(sim, "file:/aws", KEYS);
    return &aws->issuer;
}

static bool is_chained(const struct sim_issuer *issuer)
{
    return (issuer->variant & VARIANT_CHAINED) != 0;
}

static bool denies_older(const struct sim_issuer *issuer)
{
    return (issuer->variant & VARIANT_DENIES) != 0;
}

static void config(const struct sim_issuer *issuer, char *out, size_t out_size)
{
    (void)snprintf(out, out_size,
                   "{\"region\":\"eu-west-1\",\"source\":{\"type\":\"file\",\"credentials_file\":"
                   "\"/aws\"}%s}",
                   is_chained(issuer) ? ",\"assume_role\":{\"role_arn\":\"" ROLE_PREFIX HOP "\"}"
                                      : "");
}

static void params(const struct sim_issuer *issuer, const char *role, char *out, size_t out_size)
{
    (void)snprintf(out, out_size,
                   "{\"role_arn\":\"" ROLE_PREFIX "%s\",\"session_name\":\"${identity.user}\"%s}",
                   role, denies_older(issuer) ? ",\"revoke\":\"deny-older\"" : "");
}

static bool asks(struct sim_issuer *issuer, const struct sim_call *call,
                 char ret_role[SIM_ISSUER_ROLE_MAX_BYTES])
{
    char arn[VALUE_MAX_BYTES];

    (void)issuer;
    if (!token_form_value(call->body, "RoleArn", arn, sizeof(arn)) ||
        strncmp(arn, ROLE_PREFIX, strlen(ROLE_PREFIX)) != 0) {
        return false;
    }
    (void)snprintf(ret_role, SIM_ISSUER_ROLE_MAX_BYTES, "%.60s", arn + strlen(ROLE_PREFIX));
    return strcmp(ret_role, HOP) != 0;
}

/* --- the truth -------------------------------------------------------------------------------- */

static struct role *role_named(struct aws *aws, const char *name)
{
    size_t i = 0;

    while (i < aws->role_count && strcmp(aws->roles[i].name, name) != 0) {
        i++;
    }
    if (i == aws->role_count) {
        CHECK(++aws->role_count <= ROLES_MAX);
        (void)snprintf(aws->roles[i].name, sizeof(aws->roles[i].name), "%s", name);
    }
    return &aws->roles[i];
}

static uint64_t valid_until_ms(const struct sim_credential *credential, uint64_t now_ms)
{
    const struct session *session = (const struct session *)credential;

    return session->issued_s < session->role->denied_before_s
               ? 0
               : sim_issuer_until_ms(credential, now_ms);
}

/* Nobody knows of a policy before its answer can have come. */
static uint64_t due_until_ms(const struct sim_credential *credential, uint64_t now_ms)
{
    const struct session *session = (const struct session *)credential;

    if (session->role->unheard != 0 && session->issued_s >= session->role->heard_before_s) {
        return SIM_NEVER;
    }
    return valid_until_ms(credential, now_ms);
}

static void ended(struct sim_issuer *issuer, uint64_t exchange)
{
    struct aws *aws = (struct aws *)issuer;

    for (size_t i = 0; i < aws->role_count; i++) {
        if (aws->roles[i].unheard == exchange) {
            aws->roles[i].unheard = 0;
            aws->roles[i].heard_before_s = aws->roles[i].denied_before_s;
        }
    }
}

/* --- requests --------------------------------------------------------------------------------- */

static void refuse(struct sim_answer *answer, uint32_t status, const char *code,
                   const char *message)
{
    answer->status = status;
    buf_printf(&answer->body,
               "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>"
               "<Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>"
               "<RequestId>r</RequestId></ErrorResponse>",
               code, message);
}

/* "20260101T000000Z"; 0: it is none. */
static int64_t moment_of(struct str text)
{
    struct tm tm = {0};
    char copy[24];

    (void)snprintf(copy, sizeof(copy), "%.*s", STR_ARG(text));
    return strptime(copy, "%Y%m%dT%H%M%SZ", &tm) != NULL ? (int64_t)timegm(&tm) : 0;
}

/* Whose request it is: answers what is wrong with it, and says no then. */
static bool is_known(struct sim_issuer *issuer, const struct sim_call *call,
                     const struct session **ret_session, struct sim_answer *answer)
{
    static const char begin[] = "AWS4-HMAC-SHA256 Credential=";
    struct str authorization = sim_call_value(call, "authorization");
    struct str token = sim_call_value(call, "x-amz-security-token");
    int64_t off_s = moment_of(sim_call_value(call, "x-amz-date")) - sim_issuer_now_s(call);
    const struct session *session = (const struct session *)sim_issuer_find(issuer, token);
    struct str id = {authorization.ptr, 0};

    *ret_session = session;
    if (str_starts_with(authorization, begin)) {
        id = (struct str){authorization.ptr + strlen(begin), authorization.len - strlen(begin)};
        id = str_cut(&id, '/');
    }
    if (off_s > CLOCK_MAX_S || off_s < -CLOCK_MAX_S) {
        refuse(answer, 403, "SignatureDoesNotMatch", "Signature expired, or not yet current");
    } else if (session != NULL && !str_eq_c(id, session->key_id)) {
        refuse(answer, 403, "InvalidClientTokenId", "The security token is invalid");
    } else if (session != NULL && valid_until_ms(&session->credential, call->now_ms) == 0) {
        refuse(answer, 403, "ExpiredToken", "The security token included is expired");
    } else if (issuer->denies_login || (session == NULL && !str_eq_c(id, KEY_ID))) {
        refuse(answer, 403, "InvalidClientTokenId", "The security token is invalid");
    } else {
        return true;
    }
    return false;
}

/* 0: not one that is given. */
static int64_t duration_of(const struct sim_call *call, const struct session *by)
{
    char text[VALUE_MAX_BYTES];
    int64_t most_s = by != NULL ? LIFE_S : LIFE_MOST_S;
    int64_t life_s = token_form_value(call->body, "DurationSeconds", text, sizeof(text))
                         ? strtoll(text, NULL, 10)
                         : LIFE_S;

    return life_s >= LIFE_LEAST_S && life_s <= most_s ? life_s : 0;
}

static void answer_session(struct sim_answer *answer, const struct session *session, int64_t ends_s)
{
    char expiration[24];

    sim_issuer_rfc3339(ends_s, expiration);
    answer->status = 200;
    buf_printf(
        &answer->body,
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
        "<AssumeRoleResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>" SIM_MARK
        "/%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s"
        "</Expiration></Credentials></AssumeRoleResult><ResponseMetadata><RequestId>r"
        "</RequestId></ResponseMetadata></AssumeRoleResponse>",
        session->key_id, session->key_id, session->credential.secret, expiration);
}

static void assume_role(struct aws *aws, const struct sim_call *call, const struct session *by,
                        struct sim_answer *answer)
{
    int64_t life_s = duration_of(call, by);
    char name[SIM_ISSUER_ROLE_MAX_BYTES];
    bool is_asked = asks(&aws->issuer, call, name);
    struct sim_credential *credential;
    struct session *session;
    int64_t ends_s;

    if (is_asked && (aws->issuer.denies_issue || (is_chained(&aws->issuer) != (by != NULL)))) {
        refuse(answer, 403, "AccessDenied", "User is not authorized to perform sts:AssumeRole");
        return;
    }
    if (life_s == 0) {
        refuse(answer, 400, "ValidationError", "The requested DurationSeconds isn't allowed");
        return;
    }
    session = mem_calloc(1, sizeof(*session));
    CHECK(session != NULL);
    credential = &session->credential;
    session->role = role_named(aws, is_asked ? name : HOP);
    session->issued_s = sim_issuer_now_s(call);
    ends_s = session->issued_s + life_s;
    sim_draw_id(aws->issuer.random, "ASIA", 16, session->key_id, sizeof(session->key_id));
    sim_draw_id(aws->issuer.random, SIM_MARK "/token+", 24, credential->secret,
                sizeof(credential->secret));
    (void)snprintf(credential->id, sizeof(credential->id), "%.40s/%s", session->role->name,
                   session->key_id);
    (void)snprintf(credential->role, sizeof(credential->role), "%s", session->role->name);
    credential->expires_ms = sim_issuer_moment_ms(ends_s);
    credential->granted_ms = credential->expires_ms - call->now_ms;
    sim_issuer_add(&aws->issuer, credential, call);
    answer_session(answer, session, ends_s);
}

static void say_who(struct sim_answer *answer)
{
    answer->status = 200;
    buf_add_c(&answer->body,
              "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>a</Arn><UserId>u</UserId>"
              "<Account>123456789012</Account></GetCallerIdentityResult>"
              "</GetCallerIdentityResponse>");
}

/* What is put last counts, as at IAM. */
static void put_policy(struct aws *aws, const struct sim_call *call, struct sim_answer *answer)
{
    static const char key[] = "\"aws:TokenIssueTime\":\"";
    char name[VALUE_MAX_BYTES];
    char policy[VALUE_MAX_BYTES];
    struct tm tm = {0};
    const char *moment;
    struct role *role;

    (void)token_form_value(call->body, "RoleName", name, sizeof(name));
    (void)token_form_value(call->body, "PolicyDocument", policy, sizeof(policy));
    moment = strstr(policy, key);
    if (moment == NULL || strptime(moment + strlen(key), "%Y-%m-%dT%H:%M:%SZ", &tm) == NULL) {
        refuse(answer, 400, "MalformedPolicyDocument", "Syntax errors in policy.");
        return;
    }
    if (sim_random_chance(aws->issuer.random, aws->issuer.faults.revoke_failed)) {
        refuse(answer, 409, "ConcurrentModification", "The request was rejected");
        return;
    }
    name[SIM_ISSUER_ROLE_MAX_BYTES - 1] = '\0';
    role = role_named(aws, name);
    role->denied_before_s = (int64_t)timegm(&tm);
    role->unheard = call->id;
    aws->issuer.revoke_total++;
    answer->status = 200;
    buf_add_c(&answer->body, "<PutRolePolicyResponse><ResponseMetadata><RequestId>r</RequestId>"
                             "</ResponseMetadata></PutRolePolicyResponse>");
}

static void answer(struct sim_issuer *issuer, const struct sim_call *call,
                   struct sim_answer *answer)
{
    uint32_t status = sim_issuer_ill_status(issuer, answer);
    const struct session *by;
    char action[VALUE_MAX_BYTES];

    sim_answer_date(answer, call);
    (void)token_form_value(call->body, "Action", action, sizeof(action));
    if (status == 429) {
        refuse(answer, 400, "Throttling", "Rate exceeded");
    } else if (status != 0) {
        refuse(answer, status, "InternalFailure", "The request processing has failed");
    } else if (!is_known(issuer, call, &by, answer)) {
        return;
    } else if (strcmp(action, "GetCallerIdentity") == 0) {
        say_who(answer);
    } else if (strcmp(action, "AssumeRole") == 0) {
        assume_role((struct aws *)issuer, call, by, answer);
    } else if (strcmp(action, "PutRolePolicy") == 0) {
        put_policy((struct aws *)issuer, call, answer);
    } else {
        refuse(answer, 400, "InvalidAction", "Could not find operation");
    }
}

static struct sim_credential *find(struct sim_issuer *issuer, const json_t *fields)
{
    struct sim_credential *credential = sim_issuer_find_field(issuer, fields, "session_token");

    /* What the plugin drops, because it may be among those that are denied, nobody has the keys of:
     * so it counts from when it is handed out. */
    if (credential != NULL) {
        credential->is_revocable = denies_older(issuer);
    }
    return credential;
}

const struct sim_issuer_kind sim_aws_kind = {
    .name = "aws",
    .places = (const char *const[]){"https://sts.eu-west-1.", "https://iam.", NULL},
    .entry = leased_plugin_entry_aws,
    .create = create,
    .destroy = sim_issuer_destroy,
    .config = config,
    .params = params,
    .answer = answer,
    .ended = ended,
    .valid_until_ms = valid_until_ms,
    .due_until_ms = due_until_ms,
    .asks = asks,
    .ends = sim_issuer_ends_none,
    .find = find,
};
