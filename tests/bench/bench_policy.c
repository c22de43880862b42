/* What one decision costs, as it is made for each read: the caller fits the last rule of its role.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "access/policy.h"
#include "base/str.h"
#include "support/fake_env.h"

#define DECISIONS 1000000U
#define RULES_MAX_BYTES (1U << 20)

/* How the rules before the last one look; `%zu` is their number. */
static const char by_user[] =
    "- {name: r%zu, subjects: [{user: \"user-%zu\"}], roles: orders-db}\n";
static const char by_group[] = "- {name: r%zu, subjects: [{group: \"group-%zu\"}], roles: \"*\"}\n";

static struct access_policy *policy_make(size_t rule_count, bool has_groups)
{
    static const char *const roles[] = {"orders-db", "other", NULL};
    struct access_policy *policy = NULL;
    struct yaml_document *document = NULL;
    const struct yaml_node *root;
    struct yaml_errors errors;
    BUF_AUTO text;
    size_t i;

    buf_init(&text, RULES_MAX_BYTES);
    buf_add_c(&text, "rules:\n");
    for (i = 1; i < rule_count; i++) {
        if (has_groups) {
            buf_printf(&text, by_group, i, i);
        } else {
            buf_printf(&text, by_user, i, i);
        }
    }
    buf_add_c(&text, "- {name: last, subjects: [{user: alice}], roles: orders-db,\n"
                     "   limits: {duration: 30m, ttl: 1h, live: 3}}\n");
    yaml_errors_init(&errors);
    if (buf_status(&text) != 0 || yaml_parse("bench", buf_str(&text), &document, &errors) != 0) {
        abort();
    }
    root = yaml_root(document);
    if (access_policy_parse(&(struct access_nodes){.items = &root, .count = 1},
                            &(struct access_known){.roles = roles}, NULL, &policy, &errors) != 0) {
        abort();
    }
    yaml_free(document);
    yaml_errors_fini(&errors);
    return policy;
}

static double seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void measure(const char *name, size_t rule_count, bool has_groups)
{
    const struct access_request request = {
        .role = "orders-db",
        .role_binding = ACCESS_BINDING_PROCESS,
        .role_max_ttl_ms = 86400000,
    };
    struct access_policy *policy = policy_make(rule_count, has_groups);
    struct access_decision decision;
    struct access_identity identity;
    struct fake_env fake;
    double best = 1e9;
    double begin;
    uint32_t i;
    int round;

    fake_env_init(&fake, 1, 1);
    fake_env_add_group(&fake, 50, "dba");
    identity = (struct access_identity){
        .listener = "local", .uid = 1000, .gid = 50, .user = "alice", .pid = 1, .env = &fake.env};
    for (round = 0; round < 3; round++) {
        begin = seconds();
        for (i = 0; i < DECISIONS; i++) {
            access_policy_decide(policy, &identity, &request, &decision);
            if (decision.outcome != ACCESS_ALLOW) {
                abort();
            }
        }
        begin = seconds() - begin;
        best = begin < best ? begin : best;
    }
    (void)printf("%s %.0f ns\n", name, best / DECISIONS * 1e9);
    fake_env_fini(&fake);
    access_policy_free(policy);
}

int main(void)
{
    measure("policy_decide_3_rules", 3, false);
    measure("policy_decide_100_rules", 100, false);
    measure("policy_decide_3_group_rules", 3, true);
    measure("policy_decide_100_group_rules", 100, true);
    return 0;
}
