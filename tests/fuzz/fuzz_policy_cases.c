/* Tests of policies: whatever a file of them says, reading and judging them ends, and each is
 * judged the same way again. */
#include "access/cases.h"
#include "base/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define POLICY                                                                                     \
    "rules:\n"                                                                                     \
    "  - {name: no, subjects: [{group: interns}], roles: [db], effect: deny}\n"                    \
    "  - {name: dev, subjects: [{user: \"a*\"}], roles: [db, kv], limits: {duration: 1h}}\n"       \
    "  - {subjects: [{jwt: {issuer: ci}}], roles: [db], require: {reason: ^x, approval: {from: "   \
    "[{group: dba}]}}}\n"

struct run {
    size_t count;
    size_t passed_count;
};

static void judged(void *user, const struct access_case_result *result)
{
    struct run *run = user;

    CHECK(result->node->line > 0);
    CHECK(result->has_passed == (result->detail[0] == '\0'));
    run->count++;
    run->passed_count += result->has_passed ? 1 : 0;
}

static struct access_policy *policy_make(struct yaml_errors *errors)
{
    static const char *const roles[] = {"db", "kv", NULL};
    static const char *const issuers[] = {"ci", NULL};
    const struct access_known known = {.roles = roles, .issuers = issuers};
    struct access_policy *policy = NULL;
    struct yaml_document *document = NULL;
    int r = yaml_parse("policy", str_of(POLICY), &document, errors);

    if (r == 0) {
        const struct yaml_node *node = yaml_root(document);

        r = access_policy_parse(&(struct access_nodes){.items = &node, .count = 1}, &known, NULL,
                                &policy, errors);
    }
    yaml_free(document);
    CHECK(r == 0);
    return policy;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct access_roles roles = {.items = NULL, .count = 0, .are_known = false};
    struct access_cases *cases = NULL;
    struct yaml_errors errors;
    struct access_policy *policy;
    struct access_cases_source source = {
        .file = "a_test.yaml",
        .text = {.ptr = (const char *)bytes, .len = size},
        .roles = &roles,
    };

    yaml_errors_init(&errors);
    policy = policy_make(&errors);
    source.policy = policy;
    if (access_cases_read(&source, &cases, &errors) == 0) {
        struct run first = {0};
        struct run second = {0};

        access_cases_run(cases, policy, judged, &first);
        access_cases_run(cases, policy, judged, &second);
        CHECK(first.count == access_cases_count(cases));
        CHECK(first.count == second.count);
        CHECK(first.passed_count == second.passed_count);
    } else {
        CHECK(errors.count > 0);
    }
    access_cases_free(cases);
    access_policy_free(policy);
    yaml_errors_fini(&errors);
    return 0;
}
