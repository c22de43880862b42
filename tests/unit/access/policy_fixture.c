/* Policies from text, and callers to try them on, for the tests of access. */
#include "policy_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/str.h"

static const char *const roles[] = {"orders-db", "orders-ro", "staging-a", "staging-b", NULL};
static const char *const issuers[] = {"gitlab", "github", NULL};
static const struct access_known known = {.roles = roles, .issuers = issuers};

void fixture_init(struct fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    fake_env_init(&fixture->fake, 1000, 1);
    fake_env_add_user(&fixture->fake, 1000, "alice");
    fake_env_add_user(&fixture->fake, 1001, "orders");
    fake_env_add_group(&fixture->fake, 50, "dba");
    fake_env_add_group(&fixture->fake, 51, "wheel");
    yaml_errors_init(&fixture->errors);
    fixture->identity = (struct access_identity){
        .listener = "local",
        .uid = 1000,
        .gid = 1000,
        .groups = {50},
        .group_count = 1,
        .user = "alice",
        .pid = 4711,
        .env = &fixture->fake.env,
    };
    fixture->request = (struct access_request){
        .role = "orders-db",
        .role_binding = ACCESS_BINDING_PROCESS,
        .role_max_ttl_ms = 24 * FIXTURE_HOUR_MS,
    };
}

void fixture_fini(struct fixture *fixture)
{
    access_policy_free(fixture->policy);
    yaml_errors_fini(&fixture->errors);
    fake_env_fini(&fixture->fake);
}

static int parse(struct fixture *fixture, const char *first, const char *second)
{
    const char *const texts[] = {first, second};
    struct yaml_document *documents[2] = {NULL, NULL};
    const struct yaml_node *nodes[2];
    size_t count = 0;
    size_t i;
    int r;

    access_policy_free(fixture->policy);
    fixture->policy = NULL;
    yaml_errors_fini(&fixture->errors);
    yaml_errors_init(&fixture->errors);
    for (i = 0; i < 2; i++) {
        if (texts[i] != NULL) {
            assert_int_equal(
                yaml_parse("p.yaml", str_of(texts[i]), &documents[i], &fixture->errors), 0);
            nodes[count++] = yaml_root(documents[i]);
        }
    }
    r = access_policy_parse(&(struct access_nodes){.items = nodes, .count = count}, &known, NULL,
                            &fixture->policy, &fixture->errors);
    yaml_free(documents[0]);
    yaml_free(documents[1]);
    return r;
}

void fixture_policies(struct fixture *fixture, const char *first, const char *second)
{
    int r = parse(fixture, first, second);

    if (r != 0) {
        print_message("%s\n", buf_str(&fixture->errors.text).ptr);
    }
    assert_int_equal(r, 0);
}

void fixture_policy(struct fixture *fixture, const char *text)
{
    fixture_policies(fixture, text, NULL);
}

void fixture_mistakes(struct fixture *fixture, const char *text)
{
    assert_int_equal(parse(fixture, text, NULL), ERR_INVALID);
    assert_null(fixture->policy);
    assert_true(fixture->errors.count > 0);
}

enum access_outcome fixture_decide(struct fixture *fixture)
{
    memset(&fixture->decision, 0x5a, sizeof(fixture->decision));
    access_policy_decide(fixture->policy, &fixture->identity, &fixture->request,
                         &fixture->decision);
    assert_true(fixture->decision.outcome != ACCESS_LIMIT_EXCEEDED ||
                fixture->decision.limit != NULL);
    assert_true((fixture->decision.rule == NULL) == (fixture->decision.rule_digest == NULL));
    if (fixture->decision.outcome == ACCESS_ALLOW) {
        assert_non_null(fixture->decision.rule);
        assert_string_equal(fixture->decision.detail, "");
        assert_true(fixture->decision.binding_count > 0);
    } else {
        assert_string_not_equal(fixture->decision.detail, "");
        assert_true((fixture->decision.binding_count > 0) ==
                    (fixture->decision.outcome == ACCESS_APPROVAL_REQUIRED));
    }
    return fixture->decision.outcome;
}

void fixture_ask_bindings(struct fixture *fixture, const char *words)
{
    struct str rest = str_of(words);

    fixture->request.binding_count = 0;
    while (rest.len > 0) {
        size_t at = fixture->request.binding_count++;

        assert_true(at < ACCESS_BINDINGS_MAX);
        assert_int_equal(access_binding_parse(str_cut(&rest, ','), &fixture->request.bindings[at]),
                         0);
    }
}
