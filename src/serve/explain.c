/* POST /policy/explain: what would happen if the caller, or with `subject` somebody else, asked for
 * a role now, and why. Nothing is issued and nothing goes on record.
 *
 * A caller learns about itself: how each rule for the role looks at it, what it would get, whether
 * the backend is up. Whom rules are about, and what rules for other roles there are, is for those
 * who may read. What would be issued is shown to whom a rule for the role is about. */
#include "access/assumed.h"
#include "base/mem.h"
#include "serve/approval.h"
#include "serve/decide.h"
#include "serve/plan.h"
#include "wire/json_bounds.h"

#include <jansson.h>
#include <string.h>

#define QUESTION_DEPTH_MAX 8U
#define QUESTION_VALUES_MAX 256U

struct explaining {
    struct exchange *x;
    const struct access_identity *identity; /* who would ask */
    struct access_assumed *assumed;         /* … if it isn't the caller; NULL: it is */
    struct json_out *json;
    size_t other_count; /* rules for other roles */
    bool is_reader;
};

static void rule_write(void *user, const struct access_rule_report *report)
{
    static const char *const verdicts[] = {
        [ACCESS_VERDICT_DECIDES] = "decides",
        [ACCESS_VERDICT_FITS] = "fits",
        [ACCESS_VERDICT_REFUSES] = "refuses",
        [ACCESS_VERDICT_NO_MATCH] = "no_match",
    };
    struct explaining *it = user;
    bool is_other = report->condition != NULL && strcmp(report->condition, "roles") == 0;

    it->other_count += is_other ? 1 : 0;
    if (is_other && !it->is_reader) {
        return;
    }
    json_out_object_open(it->json, NULL);
    json_out_string_c(it->json, "rule", report->rule);
    json_out_string_c(it->json, "effect", report->is_deny ? "deny" : "allow");
    json_out_string_c(it->json, "verdict", verdicts[report->verdict]);
    json_out_string_c(it->json, "condition", report->condition);
    json_out_string_c(it->json, "detail", report->detail[0] != '\0' ? report->detail : NULL);
    json_out_object_close(it->json);
}

/* How many grants the caller holds; the bindings of the decision are part of the question. */
static uint32_t live_count(struct exchange *x, const struct lease_role *role)
{
    const struct lease_ask ask = {
        .role = role, .identity = &x->identity, .decision = &x->decision, .request = x->request};

    return lease_core_live_count(x->serve->options.core, &ask);
}

/* As in a real request: grants are only counted for who may have one. Those of somebody else, of
 * whom only so much is said, can't be. */
static uint32_t live_find(const struct explaining *it, const struct lease_role *role)
{
    struct exchange *x = it->x;
    struct access_request request;

    if (it->assumed != NULL) {
        return 0;
    }
    decide_request(x, role, 0, &request);
    decide(x->serve, it->identity, &request, &x->decision);
    return x->decision.outcome == ACCESS_ALLOW ? live_count(x, role) : 0;
}

static void rules_write(struct explaining *it, const struct access_request *request)
{
    const struct access_explain explain = {.shows_subjects = it->is_reader,
                                           .rule = rule_write,
                                           .user = it};
    struct access_decision decision;

    json_out_array_open(it->json, "rules");
    access_policy_explain(it->x->serve->options.policy, it->identity, request, &explain,
                          &it->x->decision);
    json_out_array_close(it->json);
    decide(it->x->serve, it->identity, request, &decision);
    if (decision.outcome == ACCESS_BLOCKED) {
        it->x->decision = decision; /* whatever the rules say */
    }
    json_out_u64(it->json, "rules_for_other_roles", it->other_count);
}

/* What breaks the glass is part of the answer; requests of the caller's aren't. */
static void decision_write(struct explaining *it, const struct lease_role *role)
{
    const struct access_decision *decision = &it->x->decision;
    struct approval_hint hint;

    json_out_string_c(it->json, "decision", plan_outcome(decision->outcome));
    json_out_string_c(it->json, "rule", decision->rule);
    json_out_string_c(it->json, "limit", decision->limit);
    json_out_string_c(it->json, "detail", decision->detail[0] != '\0' ? decision->detail : NULL);
    approval_hint_init(&hint);
    if (decision->outcome == ACCESS_DENY) {
        approval_hint_write(it->x, role, decision, &hint);
    }
    json_out_string_c(it->json, "hint", hint.text.len > 0 ? hint.text.bytes : NULL);
    approval_hint_fini(&hint);
}

static void seconds_write(struct json_out *json, const char *key, uint64_t ms)
{
    if (ms == 0) {
        json_out_string_c(json, key, NULL);
    } else {
        json_out_u64(json, key, ms / 1000);
    }
}

static void grant_write(struct explaining *it, uint32_t live)
{
    const struct access_decision *decision = &it->x->decision;
    char text[ACCESS_BINDING_TEXT_MAX_BYTES];
    size_t i;

    json_out_object_open(it->json, "grant");
    seconds_write(it->json, "duration", decision->duration_ms);
    if (decision->until_wall_ms != 0) {
        json_out_time(it->json, "until", decision->until_wall_ms);
    }
    json_out_array_open(it->json, "binding");
    for (i = 0; i < decision->binding_count; i++) {
        json_out_string_c(it->json, NULL, access_binding_format(&decision->bindings[i], text));
    }
    json_out_array_close(it->json);
    json_out_u64(it->json, "live", live);
    json_out_object_close(it->json);
}

/* The role's own ttl, or a shorter one that the rule sets. */
static uint64_t ttl_of(const struct lease_role *role, const struct access_decision *decision)
{
    uint64_t limit_ms = decision->outcome == ACCESS_ALLOW ? decision->ttl_ms : 0;

    if (limit_ms != 0 && (role->ttl_ms == 0 || limit_ms < role->ttl_ms)) {
        return limit_ms;
    }
    return role->ttl_ms;
}

static void issue_write(struct explaining *it, const struct lease_role *role)
{
    static const char *const shares[] = {
        [LEASE_SHARE_NONE] = "none",
        [LEASE_SHARE_IDENTITY] = "identity",
        [LEASE_SHARE_ROLE] = "role",
    };
    struct json_out *json = it->json;

    json_out_object_open(json, "issue");
    json_out_string_c(json, "backend", role->issuer->name);
    json_out_text_at(json, STR("params"), str_of(role->params_json));
    seconds_write(json, "ttl", ttl_of(role, &it->x->decision));
    seconds_write(json, "max_ttl", role->max_ttl_ms);
    json_out_u64(json, "renew_at_percent", role->renew_at_percent);
    json_out_u64(json, "min_remaining", role->min_remaining_ms / 1000);
    json_out_string_c(json, "share", shares[role->share]);
    json_out_u64(json, "linger", role->linger_ms / 1000);
    json_out_object_close(json);
}

static void backend_write(struct explaining *it, const struct lease_role *role)
{
    const struct serve_options *options = &it->x->serve->options;
    struct backend_status status;
    size_t i;

    for (i = 0; i < options->backend_count; i++) {
        backend_status(options->backends[i], &status);
        if (strcmp(status.name, role->issuer->name) != 0) {
            continue;
        }
        json_out_object_open(it->json, "backend");
        json_out_string_c(it->json, "name", status.name);
        json_out_bool(it->json, "up", status.is_up);
        if (it->is_reader) {
            json_out_string_c(it->json, "last_error",
                              status.last_error[0] != '\0' ? status.last_error : NULL);
        }
        json_out_object_close(it->json);
        return;
    }
}

/* --- the question --- */

static void question_refuse(struct exchange *x, uint32_t status, const char *detail,
                            struct str errors)
{
    exchange_fail(x, &(struct exchange_problem){
                         .status = status, .code = "invalid", .detail = detail, .errors = errors});
}

/* False: it has been answered. */
static bool subject_assume(struct explaining *it, const json_t *subject)
{
    char *text;
    struct yaml_errors mistakes;
    int r;

    if ((it->x->admin & (ACCESS_ADMIN_READ | ACCESS_ADMIN_POLICY)) == 0) {
        exchange_fail(it->x,
                      &(struct exchange_problem){
                          .status = 403,
                          .code = "denied",
                          .detail = "only an admin that may read can ask about others",
                          .hint = "admins stand in the policies, with what they may: [read]"});
        return false;
    }
    text = json_dumps(subject, JSON_COMPACT);
    if (text == NULL) {
        exchange_fail_nomem(it->x);
        return false;
    }
    yaml_errors_init(&mistakes);
    r = access_assumed_read("subject", str_of(text), &it->assumed, &mistakes);
    mem_free(text);
    if (r == ERR_NOMEM) {
        exchange_fail_nomem(it->x);
    } else if (r != 0) {
        question_refuse(it->x, 422, "the subject has mistakes", buf_str(&mistakes.text));
    } else {
        it->identity = access_assumed_identity(it->assumed);
    }
    yaml_errors_fini(&mistakes);
    return r == 0;
}

/* False: it has been answered. */
static bool question_take(struct explaining *it, const json_t *question)
{
    const json_t *subject = json_object_get(question, "subject");
    struct err e = {.code = 0};

    if (params_parse_object(question, PARAMS_OF_EXPLAIN, &it->x->params, &e) != 0) {
        question_refuse(it->x, 400, e.text, (struct str){.len = 0});
        return false;
    }
    if (subject == NULL || json_is_null(subject)) {
        return true;
    }
    if (!json_is_object(subject)) {
        question_refuse(it->x, 400, "`subject` is no object", (struct str){.len = 0});
        return false;
    }
    return subject_assume(it, subject);
}

/* False: it has been answered. */
static bool question_read(struct explaining *it)
{
    struct str body = it->x->request->body;
    json_t *question = NULL;
    bool is_good;

    if (json_bounds_hold(body, QUESTION_DEPTH_MAX, QUESTION_VALUES_MAX)) {
        question =
            json_loadb(body.ptr != NULL ? body.ptr : "", body.len, JSON_REJECT_DUPLICATES, NULL);
    }
    if (!json_is_object(question)) {
        json_decref(question);
        question_refuse(it->x, 400, "the body is no JSON object of what is asked",
                        (struct str){.len = 0});
        return false;
    }
    is_good = question_take(it, question);
    json_decref(question);
    return is_good;
}

/* By which it is known; of somebody of whom no uid was said there is none: then the name. */
static const char *identity_text(const struct access_identity *identity,
                                 char text[ACCESS_KEY_MAX_BYTES])
{
    bool has_key = identity->uid != ENV_NO_ID || identity->user[0] == '\0';

    return has_key ? access_identity_key(identity, text) : identity->user;
}

static void answer(struct explaining *it, const struct lease_role *role)
{
    struct exchange *x = it->x;
    struct access_request request;
    char text[ACCESS_KEY_MAX_BYTES];
    struct json_out json;
    uint32_t live = live_find(it, role);

    it->json = &json;
    decide_request(x, role, live, &request);
    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "role", role->name);
    json_out_string_c(&json, "identity", identity_text(it->identity, text));
    rules_write(it, &request);
    decision_write(it, role);
    if (x->decision.outcome == ACCESS_ALLOW) {
        grant_write(it, live);
    }
    if (x->decision.outcome != ACCESS_DENY || it->is_reader) {
        issue_write(it, role);
        backend_write(it, role);
    }
    json_out_string_c(&json, "policy", access_policy_digest(x->serve->options.policy));
    json_out_object_close(&json);
    it->json = NULL;
    exchange_reply(x, 200);
}

void serve_policy_explain(struct exchange *x)
{
    struct explaining it = {.x = x,
                            .identity = &x->identity,
                            .is_reader = (x->admin & ACCESS_ADMIN_READ) != 0};
    const struct lease_role *role = question_read(&it) ? serve_role_of_body(x) : NULL;

    if (role != NULL) {
        answer(&it, role);
    }
    access_assumed_free(it.assumed);
}
