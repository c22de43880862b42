/* POST /policy/explain: what would happen if the caller asked for a role now, and why. Nothing is
 * issued and nothing goes on record.
 *
 * A caller learns about itself: how each rule for the role looks at it, what it would get, whether
 * the backend is up. Whom rules are about, and what rules for other roles there are, is for those
 * who may read. What would be issued is shown to whom a rule for the role is about. */
#include "serve/decide.h"

#include <string.h>

struct explaining {
    struct exchange *x;
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

/* As in a real request: grants are only counted for who may have one. */
static uint32_t live_find(struct exchange *x, const struct lease_role *role)
{
    decide_exchange(x, role, 0, &x->decision);
    return x->decision.outcome == ACCESS_ALLOW ? live_count(x, role) : 0;
}

static void rules_write(struct explaining *it, const struct access_request *request)
{
    const struct access_explain explain = {.shows_subjects = it->is_reader,
                                           .rule = rule_write,
                                           .user = it};
    struct access_decision decision;

    json_out_array_open(it->json, "rules");
    access_policy_explain(it->x->serve->options.policy, &it->x->identity, request, &explain,
                          &it->x->decision);
    json_out_array_close(it->json);
    decide(it->x->serve, &it->x->identity, request, &decision);
    if (decision.outcome == ACCESS_BLOCKED) {
        it->x->decision = decision; /* whatever the rules say */
    }
    json_out_u64(it->json, "rules_for_other_roles", it->other_count);
}

static void decision_write(struct explaining *it)
{
    static const char *const outcomes[] = {
        [ACCESS_ALLOW] = "allow",
        [ACCESS_DENY] = "denied",
        [ACCESS_LIMIT_EXCEEDED] = "limit_exceeded",
        [ACCESS_REASON_REQUIRED] = "reason_required",
        [ACCESS_APPROVAL_REQUIRED] = "approval_required",
        [ACCESS_BLOCKED] = "blocked",
    };
    const struct access_decision *decision = &it->x->decision;

    json_out_string_c(it->json, "decision", outcomes[decision->outcome]);
    json_out_string_c(it->json, "rule", decision->rule);
    json_out_string_c(it->json, "limit", decision->limit);
    json_out_string_c(it->json, "detail", decision->detail[0] != '\0' ? decision->detail : NULL);
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

void serve_policy_explain(struct exchange *x)
{
    const struct lease_role *role = serve_role_of_body(x);
    struct json_out json;
    struct explaining it = {.x = x,
                            .json = &json,
                            .is_reader = (x->admin & ACCESS_ADMIN_READ) != 0};
    struct access_request request;
    uint32_t live;

    if (role == NULL) {
        return;
    }
    live = live_find(x, role);
    decide_request(x, role, live, &request);
    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "role", role->name);
    json_out_string_c(&json, "identity", x->key);
    rules_write(&it, &request);
    decision_write(&it);
    if (x->decision.outcome == ACCESS_ALLOW) {
        grant_write(&it, live);
    }
    if (x->decision.outcome != ACCESS_DENY || it.is_reader) {
        issue_write(&it, role);
        backend_write(&it, role);
    }
    json_out_string_c(&json, "policy", access_policy_digest(x->serve->options.policy));
    json_out_object_close(&json);
    exchange_reply(x, 200);
}
