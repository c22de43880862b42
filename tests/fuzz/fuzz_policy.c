/* A policy and a caller. The first line says who asks for what (see `caller`), the rest is the
 * policy. Whatever stands in it: parsing ends and says why it refuses, decisions are whole and
 * repeat, and a rule that denies everybody denies this one too, whoever he is. */
#include "access/source.h"
#include "base/mem.h"
#include "fuzz/input.h"
#include "support/fake_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define HOUR_MS 3600000U
#define FILES_MAX 8U
#define DENY_ALL                                                                                   \
    "rules:\n- {name: deny-all, subjects: [{uid: 1000}, {uid: 0}], roles: ['*'], effect: deny}\n"

static const char *const roles[] = {"orders-db", "orders-ro", "staging-a", NULL};

/* libfyaml 0.7 loses a table of its own after some syntax errors; the policy is read at start and
 * at reload. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml";
}

struct caller {
    struct fake_env fake;
    struct access_identity identity;
    struct access_request request;
    char *role;
    char *reason;
    char *ticket;
};

static void copy(char *out, size_t size, struct str text)
{
    (void)snprintf(out, size, "%.*s", STR_ARG(text));
}

static void ask_bindings(struct access_request *request, struct str words)
{
    while (words.len > 0 && request->binding_count < ACCESS_BINDINGS_MAX) {
        struct str word = str_cut(&words, ',');

        if (access_binding_parse(word, &request->bindings[request->binding_count]) == 0) {
            request->binding_count++;
        }
    }
}

/* role|user|unit|container|reason|bindings|how many hours|ticket|image|when, in ms */
static void caller_init(struct caller *caller, struct str line)
{
    uint64_t wall_ms = 0;
    uint64_t hours = 0;
    struct str user;
    struct str container;

    memset(caller, 0, sizeof(*caller));
    fake_env_init(&caller->fake, 1000, 1);
    fake_env_add_group(&caller->fake, 50, "dba");
    caller->role = input_text(str_cut(&line, '|'));
    user = str_cut(&line, '|');
    caller->identity = (struct access_identity){.listener = "local",
                                                .uid = user.len > 0 ? 1000 : 0,
                                                .gid = 1000,
                                                .groups = {50, 51},
                                                .group_count = 2,
                                                .pid = 4711,
                                                .env = &caller->fake.env};
    copy(caller->identity.user, sizeof(caller->identity.user), user);
    copy(caller->identity.unit, sizeof(caller->identity.unit), str_cut(&line, '|'));
    container = str_cut(&line, '|');
    copy(caller->identity.container, sizeof(caller->identity.container), container);
    caller->identity.is_foreign = container.len > 0;
    caller->reason = input_text(str_cut(&line, '|'));
    caller->request = (struct access_request){.role = caller->role,
                                              .reason = caller->reason,
                                              .role_binding = ACCESS_BINDING_PROCESS,
                                              .role_max_ttl_ms = 24 * HOUR_MS};
    ask_bindings(&caller->request, str_cut(&line, '|'));
    if (str_parse_u64(str_cut(&line, '|'), &hours) == 0 && hours < 1000) {
        caller->request.duration_ms = hours * HOUR_MS;
        caller->request.live_count = (uint32_t)hours;
    }
    caller->ticket = input_text(str_cut(&line, '|'));
    caller->request.ticket = caller->ticket;
    copy(caller->identity.image, sizeof(caller->identity.image), str_cut(&line, '|'));
    if (str_parse_u64(line, &wall_ms) == 0 && wall_ms < 1ULL << 50) {
        caller->request.wall_ms = (int64_t)wall_ms;
    }
}

static void caller_fini(struct caller *caller)
{
    fake_env_fini(&caller->fake);
    free(caller->role);
    free(caller->reason);
    free(caller->ticket);
}

/* --- policies --------------------------------------------------------------------------------- */

/* Lines `%% NAME` begin a file of that name; what stands before the first is policy.yaml. */
static size_t files_of(struct str text, struct policy_file files[FILES_MAX], char *names[FILES_MAX])
{
    struct str rest = text;
    size_t count = 1;

    files[0] = (struct policy_file){.name = "policy.yaml", .text = {.ptr = text.ptr}};
    names[0] = NULL;
    while (rest.ptr != NULL) {
        struct str line = str_cut(&rest, '\n');

        if (str_starts_with(line, "%% ") && count < FILES_MAX) {
            names[count] = input_text((struct str){.ptr = line.ptr + 3, .len = line.len - 3});
            files[count] = (struct policy_file){.name = names[count],
                                                .text = {.ptr = rest.ptr != NULL ? rest.ptr : ""}};
            count++;
        } else if (line.ptr != NULL) {
            files[count - 1].text.len = (size_t)(line.ptr + line.len - files[count - 1].text.ptr) +
                                        (rest.ptr != NULL ? 1 : 0);
        }
    }
    return count;
}

/* NULL when there are mistakes. */
static struct access_policy *policy_of(struct str text, struct str more, bool counts_observed)
{
    struct policy_file files[FILES_MAX + 1];
    char *names[FILES_MAX];
    struct access_source source = {.files = files, .file_count = files_of(text, files, names)};
    const struct access_known known = {.roles = roles};
    struct access_policy *policy = NULL;
    size_t own_count = source.file_count;
    struct yaml_errors errors;
    size_t i;
    int r;

    if (more.len > 0) {
        files[source.file_count++] = (struct policy_file){.name = "zzz.yaml", .text = more};
    }
    yaml_errors_init(&errors);
    r = access_policy_compile(&source, &known,
                              &(struct access_policy_options){.counts_observed = counts_observed},
                              &policy, &errors);
    CHECK((r == 0) == (policy != NULL) && (r == 0) == (errors.count == 0));
    for (i = 1; i < own_count; i++) {
        free(names[i]);
    }
    yaml_errors_fini(&errors);
    return policy;
}

/* --- decisions -------------------------------------------------------------------------------- */

static void check_decision(const struct caller *caller, const struct access_decision *decision)
{
    bool gives = decision->outcome == ACCESS_ALLOW || decision->outcome == ACCESS_APPROVAL_REQUIRED;

    CHECK(decision->limit != NULL || decision->outcome != ACCESS_LIMIT_EXCEEDED);
    CHECK((decision->rule == NULL) == (decision->rule_digest == NULL));
    CHECK(strnlen(decision->detail, sizeof(decision->detail)) < sizeof(decision->detail));
    if (decision->outcome != ACCESS_ALLOW) {
        CHECK(decision->detail[0] != '\0');
        CHECK(gives || (decision->binding_count == 0 && decision->duration_ms == 0));
        CHECK((decision->outcome == ACCESS_APPROVAL_REQUIRED) == (decision->approval != NULL));
        return;
    }
    CHECK(decision->rule != NULL && decision->detail[0] == '\0');
    CHECK(decision->binding_count > 0 && decision->binding_count <= ACCESS_BINDINGS_MAX);
    CHECK(decision->duration_ms > 0);
    CHECK(caller->request.duration_ms == 0 || caller->request.duration_ms == decision->duration_ms);
}

static void check_policy(const struct caller *caller, const struct access_policy *policy)
{
    struct access_decision first;
    struct access_decision second;

    access_policy_decide(policy, &caller->identity, &caller->request, &first);
    access_policy_decide(policy, &caller->identity, &caller->request, &second);
    check_decision(caller, &first);
    CHECK(first.outcome == second.outcome && first.rule == second.rule);
    CHECK(strcmp(first.detail, second.detail) == 0);
    CHECK(first.outcome != ACCESS_ALLOW || access_policy_has_rule(policy, first.rule_digest));
    CHECK(access_policy_admin(policy, &caller->identity) ==
          access_policy_admin(policy, &caller->identity));
}

/* Where nothing is observed, counting what is changes nothing. */
static void check_same(const struct caller *caller, const struct access_policy *policy,
                       const struct access_policy *other)
{
    struct access_decision one;
    struct access_decision two;

    access_policy_decide(policy, &caller->identity, &caller->request, &one);
    access_policy_decide(other, &caller->identity, &caller->request, &two);
    CHECK(one.outcome == two.outcome && strcmp(one.detail, two.detail) == 0);
}

/* The same rules and one more that denies this caller everything. The text may have no room for it:
 * there is a highest number of rules. */
static void check_denial(const struct caller *caller, struct str text, const char *digest)
{
    struct access_policy *policy = policy_of(text, STR(DENY_ALL), false);
    struct access_decision decision;

    if (policy == NULL) {
        return;
    }
    CHECK(strcmp(access_policy_digest(policy), digest) != 0);
    access_policy_decide(policy, &caller->identity, &caller->request, &decision);
    CHECK(decision.outcome == ACCESS_DENY);
    access_policy_free(policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    size_t bytes_before = mem_in_use_bytes();
    struct access_policy *policy;
    struct access_policy *again;
    struct caller caller;
    struct str text;

    caller_init(&caller, input_line(&input));
    text = input_rest(&input);
    policy = policy_of(text, (struct str){0}, false);
    if (policy != NULL) {
        again = policy_of(text, (struct str){0}, true);
        CHECK(again != NULL);
        CHECK(strcmp(access_policy_digest(policy), access_policy_digest(again)) == 0);
        check_policy(&caller, policy);
        check_policy(&caller, again);
        if (!access_policy_has_observed(policy)) {
            check_same(&caller, policy, again);
        }
        check_denial(&caller, text, access_policy_digest(policy));
        access_policy_free(again);
    }
    access_policy_free(policy);
    caller_fini(&caller);
    CHECK(mem_in_use_bytes() == bytes_before);
    return 0;
}
