/* Decisions against a plain reading of the rules (plain_policy.c), for random policies, callers and
 * requests: they agree in every case; a rule that denies is never lost, and one that is only
 * observed changes nothing.
 *
 * `make unit T=test_policy_plain CASES=1000000 SEED=7`: so many of them, from that seed on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access/partial.h"
#include "plain_policy.h"
#include "support/fake_env.h"
#include "support/slowdown.h"

#define CASES_DEFAULT 30000U
#define CASES_OF_POLICY 40U
#define TEXT_MAX_BYTES (256U * 1024U)
/* A thursday, 2026-01-01. */
#define WALL_MS INT64_C(1767225600000)
#define HOUR_MS 3600000ULL

static const char *role_names[PLAIN_ROLE_COUNT + 1];
static char role_texts[PLAIN_ROLE_COUNT][16];

/* --- chance --------------------------------------------------------------------------------- */

static uint64_t state;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % below;
}

static bool one_in(uint64_t count)
{
    return draw(count) == 0;
}

static const char *pick(const char *const *list, size_t count)
{
    return list[draw(count)];
}
#define PICK(list) pick(list, ARRAY_LEN(list))

/* --- policies ------------------------------------------------------------------------------- */

static const char *const users[] = {"alice", "bob", "carol", "ci", "dave"};
static const char *const user_patterns[] = {"alice", "bob", "carol", "ci", "*", "a*", "*o*", "eve"};
static const char *const group_patterns[] = {"dba", "ops", "dev", "web", "d*", "*", "none"};
static const char *const units[] = {"", "a.service", "b.service", "c.service"};
static const char *const unit_patterns[] = {"a.service", "b.service", "*.service", "x.service"};
static const char *const containers[] = {"", "c1", "c2"};
static const char *const container_patterns[] = {"c1", "c2", "*", "c*"};
static const char *const images[] = {"", "reg/app:1", "reg/app:2"};
static const char *const image_patterns[] = {"reg/app:1", "reg/*", "*:2"};
static const char *const listeners[] = {"local", "pods", "tls"};
static const char *const listener_patterns[] = {"local", "pods", "tls", "*", "p*"};
static const char *const sans[] = {"web.example", "web.example db.example", "other.example"};
static const char *const san_patterns[] = {"web.example", "db.example", "*.example", "x"};
static const char *const issuer_patterns[] = {"gitlab", "github", "git*"};
static const char *const projects[] = {"acme/a", "acme/b", "other/a"};
static const char *const project_patterns[] = {"acme/a", "acme/b", "acme/*", "*"};
static const char *const role_patterns[] = {"a-1", "a-2", "a-3", "b-1", "b-2",  "c-1",
                                            "a-*", "b-*", "*",   "*-1", "c-1*", "a-39"};
static const char *const path_patterns[] = {"*",       "kv/*",   "kv/a",       "kv/a/", "kv/a/*",
                                            "kv/+/b",  "kv/a/b", "kv/+",       "+/a/b", "kv/a/b*",
                                            "db/a/+/", "db/*",   "kv/a/b/+/d", "k*",    "+/+"};
static const char *const paths[] = {"kv/a", "kv/a/",   "kv/b", "kv/a/b", "kv/a/b/", "kv/a/b/c/d",
                                    "db/a", "db/a/x/", "kv",   "db/a/b", "kv//b",   "k/a/b"};
static const char *const backends[] = {"one", "two"};

static void range_make(int *first, int *last, int base, int count)
{
    *first = base + (int)draw((uint64_t)count);
    *last = one_in(2) ? *first : *first + (int)draw(3);
}

static void somebody_make(struct plain_subject *subject)
{
    do {
        subject->user = one_in(2) ? PICK(user_patterns) : NULL;
        subject->group = one_in(3) ? PICK(group_patterns) : NULL;
        if (one_in(4)) {
            range_make(&subject->uid_first, &subject->uid_last, 1000, 5);
        }
        if (one_in(4)) {
            range_make(&subject->gid_first, &subject->gid_last, 50, PLAIN_GROUPS);
        }
    } while (subject->user == NULL && subject->group == NULL && subject->uid_first < 0 &&
             subject->gid_first < 0);
    subject->unit = one_in(4) ? PICK(unit_patterns) : NULL;
    subject->container = one_in(4) ? PICK(container_patterns) : NULL;
    subject->image = one_in(6) ? PICK(image_patterns) : NULL;
}

static struct plain_subject subject_make(void)
{
    struct plain_subject subject = {
        .uid_first = -1, .uid_last = -1, .gid_first = -1, .gid_last = -1};

    if (one_in(8)) {
        subject.san = PICK(san_patterns);
    } else if (!one_in(8)) {
        somebody_make(&subject);
    } else {
        subject.listener = PICK(listener_patterns);
    }
    subject.listener = one_in(4) ? PICK(listener_patterns) : subject.listener;
    if (one_in(4)) {
        subject.issuer = PICK(issuer_patterns);
        subject.project = one_in(2) ? PICK(project_patterns) : NULL;
    }
    return subject;
}

static void allow_make(struct plain_rule *rule)
{
    rule->is_break_glass = one_in(8);
    rule->has_approval = rule->is_break_glass || one_in(5);
    rule->needs_reason = one_in(4);
    rule->needs_ticket = one_in(5);
    rule->lists_none = one_in(2);
    rule->has_window = one_in(4);
    rule->hours = rule->is_break_glass || one_in(2) ? 1 + (int)draw(4) : 0;
    rule->live = one_in(4) ? 1 + (int)draw(3) : 0;
}

static void path_make(struct plain_path *path)
{
    path->pattern = PICK(path_patterns);
    path->backend = one_in(4) ? PICK(backends) : NULL;
    path->may = 1 + (uint32_t)draw(2 * ACCESS_CAN_SCAN - 1);
}

static void rule_make(struct plain_rule *rule, size_t number)
{
    size_t i;

    memset(rule, 0, sizeof(*rule));
    (void)snprintf(rule->name, sizeof(rule->name), "r%zu", number);
    rule->is_deny = one_in(6);
    rule->is_observed = one_in(5);
    if (!rule->is_deny) {
        allow_make(rule);
    }
    rule->subject_count = one_in(10) ? PLAIN_SUBJECTS_MAX : 1 + draw(2);
    for (i = 0; i < rule->subject_count; i++) {
        rule->subjects[i] = subject_make();
    }
    rule->role_count = 1 + draw(PLAIN_ROLES_MAX);
    for (i = 0; i < rule->role_count; i++) {
        rule->roles[i] = PICK(role_patterns);
    }
    rule->path_count = rule->is_break_glass ? 0 : draw(PLAIN_PATHS_MAX + 1);
    for (i = 0; i < rule->path_count; i++) {
        path_make(&rule->paths[i]);
    }
}

static void policy_make(struct plain_policy *policy)
{
    size_t i;

    policy->rule_count = 1 + draw(one_in(3) ? PLAIN_RULES_MAX : 8);
    for (i = 0; i < policy->rule_count; i++) {
        rule_make(&policy->rules[i], i);
    }
}

static struct access_policy *policy_compile(const struct plain_policy *plain)
{
    static const char *const issuers[] = {"gitlab", "github", NULL};
    const struct access_known known = {.roles = role_names, .issuers = issuers};
    const struct access_policy_options options = {.counts_observed = plain->counts_observed};
    struct yaml_document *document = NULL;
    struct access_policy *policy = NULL;
    const struct yaml_node *root;
    struct yaml_errors errors;
    BUF_AUTO text;

    buf_init(&text, TEXT_MAX_BYTES);
    plain_write(plain, &text);
    yaml_errors_init(&errors);
    assert_int_equal(buf_status(&text), 0);
    assert_int_equal(yaml_parse("p.yaml", buf_str(&text), &document, &errors), 0);
    root = yaml_root(document);
    if (access_policy_parse(&(struct access_nodes){.items = &root, .count = 1}, &known, &options,
                            &policy, &errors) != 0) {
        fail_msg("%s\n%s", buf_str(&text).ptr, buf_str(&errors.text).ptr);
    }
    yaml_free(document);
    yaml_errors_fini(&errors);
    return policy;
}

/* --- callers -------------------------------------------------------------------------------- */

struct caller {
    struct access_identity identity;
    struct access_claims claims;
    struct plain_caller plain;
};

static void peer_make(struct access_identity *identity)
{
    size_t i;

    (void)snprintf(identity->user, sizeof(identity->user), "%s", PICK(users));
    identity->uid = 1000 + (uint32_t)draw(6);
    identity->gid = one_in(8) ? ENV_NO_ID : 50 + (uint32_t)draw(PLAIN_GROUPS);
    identity->group_count = identity->gid == ENV_NO_ID ? 0 : draw(4);
    for (i = 0; i < identity->group_count; i++) {
        identity->groups[i] = 50 + (uint32_t)draw(PLAIN_GROUPS);
    }
    (void)snprintf(identity->unit, sizeof(identity->unit), "%s", PICK(units));
    (void)snprintf(identity->container, sizeof(identity->container), "%s", PICK(containers));
    (void)snprintf(identity->image, sizeof(identity->image), "%s", PICK(images));
    identity->is_foreign = one_in(3);
    identity->kind = one_in(4) ? ENV_PEER_FOREIGN : identity->kind;
    identity->user[0] = one_in(10) ? '\0' : identity->user[0];
}

static void caller_make(struct caller *caller, struct fake_env *fake)
{
    struct access_identity *identity = &caller->identity;

    memset(caller, 0, sizeof(*caller));
    identity->env = &fake->env;
    identity->listener = PICK(listeners);
    if (one_in(6)) {
        identity->kind = ENV_PEER_TLS;
        identity->uid = identity->gid = ENV_NO_ID;
        (void)snprintf(identity->sans, sizeof(identity->sans), "%s", PICK(sans));
    } else {
        peer_make(identity);
    }
    fake->name_status = one_in(10) ? ERR_UNAVAILABLE : 0;
    caller->plain =
        (struct plain_caller){.identity = identity, .has_unknown_groups = fake->name_status != 0};
    if (one_in(3)) {
        caller->plain.issuer = one_in(2) ? "gitlab" : "github";
        caller->plain.project = PICK(projects);
        caller->claims = (struct access_claims){
            .id = "", .issuer = caller->plain.issuer, .sub = "", .session = "", .person = ""};
        caller->claims.all = json_pack("{s:s}", "project", caller->plain.project);
        identity->claims = &caller->claims;
    }
}

static void request_make(struct access_request *request)
{
    static const char *const reasons[] = {NULL, "OPS-1", "because"};

    *request = (struct access_request){
        .role = one_in(2)   ? PICK(role_names)
                : one_in(2) ? "a-1"
                            : "c-1",
        .role_binding = ACCESS_BINDING_PROCESS,
        .role_max_ttl_ms = 3 * HOUR_MS,
        .duration_ms = draw(5) * HOUR_MS,
        .reason = PICK(reasons),
        .ticket = PICK(reasons),
        .live_count = (uint32_t)draw(4),
        .wall_ms = WALL_MS + (int64_t)draw(14 * 24 * HOUR_MS),
        .is_break_glass = one_in(3),
    };
    if (request->role == NULL) {
        request->role = "b-1"; /* the end of the list */
    }
    if (one_in(4)) {
        request->bindings[0].kind = ACCESS_BINDING_NONE;
        request->binding_count = 1;
    }
}

/* --- the comparison ------------------------------------------------------------------------- */

static bool is_same(const struct plain_decision *plain, const struct access_decision *decision)
{
    bool gives = decision->outcome == ACCESS_ALLOW || decision->outcome == ACCESS_APPROVAL_REQUIRED;

    if (plain->outcome != decision->outcome || (plain->rule == NULL) != (decision->rule == NULL) ||
        (plain->rule != NULL && strcmp(plain->rule->name, decision->rule) != 0) ||
        (plain->limit == NULL) != (decision->limit == NULL) ||
        (plain->limit != NULL && strcmp(plain->limit, decision->limit) != 0) ||
        plain->opens_wall_ms != decision->opens_wall_ms) {
        return false;
    }
    if (!gives) {
        return decision->approval == NULL && !decision->is_break_glass;
    }
    return plain->duration_ms == decision->duration_ms &&
           plain->until_wall_ms == decision->until_wall_ms &&
           plain->rule->is_break_glass == decision->is_break_glass &&
           plain->rule->has_approval == (decision->approval != NULL);
}

static void difference_tell(const struct plain_policy *plain, const struct access_request *request,
                            const struct plain_decision *expected,
                            const struct access_decision *decision)
{
    BUF_AUTO text;

    buf_init(&text, TEXT_MAX_BYTES);
    plain_write(plain, &text);
    print_message("role %s: %d by %s (%s), the plain reading says %d by %s (%s)\n%s", request->role,
                  decision->outcome, decision->rule != NULL ? decision->rule : "-",
                  decision->detail, expected->outcome,
                  expected->rule != NULL ? expected->rule->name : "-",
                  expected->limit != NULL ? expected->limit : "-", buf_str(&text).ptr);
}

static struct access_path_request path_request_make(int64_t wall_ms)
{
    return (struct access_path_request){.backend = PICK(backends),
                                        .path = str_of(PICK(paths)),
                                        .needs = one_in(3) ? ACCESS_CAN_CREATE | ACCESS_CAN_UPDATE
                                                           : 1U << draw(8),
                                        .wall_ms = wall_ms};
}

static void path_compare(const struct plain_policy *plain, const struct access_policy *policy,
                         const struct caller *caller, int64_t wall_ms)
{
    const struct access_path_request request = path_request_make(wall_ms);
    const struct access_request told = {.role = request.path.ptr};
    struct access_decision decision;
    struct plain_decision expected;

    access_policy_decide_path(policy, &caller->identity, &request, &decision);
    expected = plain_decide_path(plain, &caller->plain, &request);
    if (expected.outcome != decision.outcome ||
        (expected.rule == NULL) != (decision.rule == NULL) ||
        (expected.rule != NULL && strcmp(expected.rule->name, decision.rule) != 0)) {
        difference_tell(plain, &told, &expected, &decision);
        fail_msg("path %s for %u differs", request.path.ptr, request.needs);
    }
}

/* With groups, claims and image hidden: what is certain without them is what is decided with them.
 */
static void partial_compare(const struct plain_policy *plain, const struct access_policy *policy,
                            const struct caller *caller, const struct access_request *request)
{
    const struct plain_decision expected = plain_decide(plain, &caller->plain, request);
    struct access_identity hidden = caller->identity;
    uint32_t unknown = ACCESS_PART_IMAGE;
    struct access_partial partial;

    if (hidden.kind != ENV_PEER_TLS) {
        unknown |= ACCESS_PART_GROUPS;
        hidden.gid = 1;
        hidden.group_count = 0;
    }
    unknown |= hidden.claims != NULL ? ACCESS_PART_CLAIMS : 0;
    hidden.claims = NULL;
    hidden.image[0] = '\0';
    access_policy_decide_partially(policy, &hidden, unknown, request, &partial);
    if (partial.needs == 0 && (partial.decision.outcome != expected.outcome ||
                               (expected.outcome == ACCESS_ALLOW &&
                                strcmp(partial.decision.rule, expected.rule->name) != 0))) {
        difference_tell(plain, request, &expected, &partial.decision);
        fail_msg("what was certain without groups, claims and image isn't");
    }
}

static void case_compare(const struct plain_policy *plain, const struct access_policy *policy,
                         struct fake_env *fake, uint64_t number)
{
    struct access_request request;
    struct access_decision decision;
    struct plain_decision expected;
    struct caller caller;

    caller_make(&caller, fake);
    request_make(&request);
    access_policy_decide(policy, &caller.identity, &request, &decision);
    expected = plain_decide(plain, &caller.plain, &request);
    if (!is_same(&expected, &decision)) {
        difference_tell(plain, &request, &expected, &decision);
        fail_msg("case %" PRIu64 " differs", number);
    }
    path_compare(plain, policy, &caller, request.wall_ms);
    partial_compare(plain, policy, &caller, &request);
    json_decref(caller.claims.all);
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    uint64_t number;

    return text != NULL && str_parse_u64(str_of(text), &number) == 0 ? number : otherwise;
}

static void test_decisions_are_those_of_a_plain_reading(void **unused)
{
    const uint64_t seed = number_of("SEED", 1);
    const uint64_t cases = number_of("CASES", slowed(CASES_DEFAULT));
    static struct plain_policy plain;
    struct access_policy *policy = NULL;
    struct fake_env fake;
    uint64_t i;
    size_t k;

    (void)unused;
    fake_env_init(&fake, 1, 1);
    for (k = 0; k < PLAIN_GROUPS; k++) {
        if (plain_group_name(50 + (uint32_t)k) != NULL) {
            fake_env_add_group(&fake, 50 + (uint32_t)k, plain_group_name(50 + (uint32_t)k));
        }
    }
    for (k = 0; k < PLAIN_ROLE_COUNT; k++) {
        (void)snprintf(role_texts[k], sizeof(role_texts[k]), "%c-%zu",
                       k < 70   ? 'a'
                       : k < 90 ? 'b'
                                : 'c',
                       k < 70   ? k
                       : k < 90 ? k - 70
                                : k - 90);
        role_names[k] = role_texts[k];
    }
    state = seed * 0x9e3779b97f4a7c15ULL + 1;
    for (i = 0; i < cases; i++) {
        if (i % CASES_OF_POLICY == 0) {
            policy_make(&plain);
        }
        if (i % (CASES_OF_POLICY / 2) == 0) {
            plain.counts_observed = i % CASES_OF_POLICY != 0;
            access_policy_free(policy);
            policy = policy_compile(&plain);
        }
        case_compare(&plain, policy, &fake, i);
    }
    access_policy_free(policy);
    fake_env_fini(&fake);
    print_message("%" PRIu64 " cases from seed %" PRIu64 " agree\n", cases, seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decisions_are_those_of_a_plain_reading),
    };

    return cmocka_run_group_tests_name("policy_plain", tests, NULL, NULL);
}
