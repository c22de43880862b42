/* What one decision costs, as it is made for each read, whatever the number of rules: the caller
 * fits the last rule of its role. And what many rules cost beside it: the time to load them, and
 * their memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "access/policy.h"
#include "base/mem.h"
#include "base/str.h"
#include "support/fake_env.h"

#define DECISIONS 200000U
#define BATCH 64U
#define ROLES 1000U
#define TEXT_MAX_BYTES (8U << 20)
#define DOCUMENT_RULES 4000U

enum shape {
    BY_USER,  /* a user and two roles each */
    BY_GROUP, /* a group, which has to be looked up, and roles by a glob */
    BY_CLAIM, /* one user with a job token, a project each, and all roles */
    BY_UNIT,  /* one user, a unit each, and ten roles by a glob; a tenth of them deny */
    BY_PATH,  /* one user and a path each; a tenth of them deny */
    SHAPES,
};

static const char *const shape_names[] = {"user", "group", "claim", "unit", "path"};
static const char *role_names[ROLES + 1];
static char role_texts[ROLES][16];
static const char *const issuers[] = {"gitlab", NULL};

static double seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void rule_write(struct buf *text, enum shape shape, size_t i)
{
    switch (shape) {
    case BY_USER:
        buf_printf(text,
                   "- {name: r%zu, subjects: [{user: user-%zu}], roles: [role-%zu, role-%zu]}\n", i,
                   i, i % ROLES, i * 7 % ROLES);
        break;
    case BY_GROUP:
        buf_printf(text, "- {name: r%zu, subjects: [{group: group-%zu}], roles: \"role-%zu*\"}\n",
                   i, i, i % 100);
        break;
    case BY_CLAIM:
        buf_printf(text,
                   "- {name: r%zu, subjects: [{user: alice, jwt: {issuer: gitlab, claims: "
                   "{project: acme/p%zu}}}], roles: \"*\"}\n",
                   i, i);
        break;
    case BY_PATH:
        buf_printf(text,
                   "- {name: r%zu, subjects: [{user: alice}], effect: %s, paths: [{path: "
                   "\"kv/data/team-%zu/*\", capabilities: [read, update]}]}\n",
                   i, i % 10 == 0 ? "deny" : "allow", i);
        break;
    default:
        buf_printf(text,
                   "- {name: r%zu, subjects: [{user: alice, unit: u%zu.service}], roles: "
                   "\"role-%zu*\", effect: %s}\n",
                   i, i, i % 100, i % 10 == 0 ? "deny" : "allow");
        break;
    }
}

struct files {
    struct yaml_document *documents[16];
    const struct yaml_node *nodes[16];
    size_t count;
};

static void file_add(struct files *files, struct buf *text)
{
    struct yaml_errors errors;

    yaml_errors_init(&errors);
    if (buf_status(text) != 0 || files->count == ARRAY_LEN(files->documents) ||
        yaml_parse("bench", buf_str(text), &files->documents[files->count], &errors) != 0) {
        (void)fprintf(stderr, "%s", buf_str(&errors.text).ptr);
        abort();
    }
    files->nodes[files->count] = yaml_root(files->documents[files->count]);
    files->count++;
    yaml_errors_fini(&errors);
    buf_reset(text);
}

static struct access_policy *policy_make(enum shape shape, size_t rule_count)
{
    struct access_policy *policy = NULL;
    struct files files = {.count = 0};
    struct yaml_errors errors;
    BUF_AUTO text;
    size_t i;

    buf_init(&text, TEXT_MAX_BYTES);
    for (i = 1; i < rule_count; i++) {
        if (i % DOCUMENT_RULES == 1) {
            buf_add_c(&text, "rules:\n");
        }
        rule_write(&text, shape, i);
        if (i % DOCUMENT_RULES == 0) {
            file_add(&files, &text);
        }
    }
    if (text.len == 0) {
        buf_add_c(&text, "rules:\n");
    }
    buf_add_c(&text, "- {name: last, subjects: [{user: alice}], roles: role-500,\n"
                     "   paths: [{path: \"kv/data/mine/*\", capabilities: [read]}],\n"
                     "   limits: {duration: 30m, ttl: 1h, live: 3}}\n");
    file_add(&files, &text);
    yaml_errors_init(&errors);
    if (access_policy_parse(&(struct access_nodes){.items = files.nodes, .count = files.count},
                            &(struct access_known){.roles = role_names, .issuers = issuers}, NULL,
                            &policy, &errors) != 0) {
        (void)fprintf(stderr, "%s", buf_str(&errors.text).ptr);
        abort();
    }
    for (i = 0; i < files.count; i++) {
        yaml_free(files.documents[i]);
    }
    yaml_errors_fini(&errors);
    return policy;
}

static int double_compare(const void *a, const void *b)
{
    const double *one = a;
    const double *other = b;

    return *one < *other ? -1 : *one > *other;
}

static void decide(enum shape shape, const struct access_policy *policy,
                   const struct access_identity *identity, struct access_decision *ret_decision)
{
    static const struct access_request request = {
        .role = "role-500",
        .role_binding = ACCESS_BINDING_PROCESS,
        .role_max_ttl_ms = 86400000,
    };
    static const struct access_path_request path = {
        .backend = "vault",
        .path = {.ptr = "kv/data/mine/db/password", .len = 24},
        .needs = ACCESS_CAN_READ,
    };

    if (shape == BY_PATH) {
        access_policy_decide_path(policy, identity, &path, ret_decision);
    } else {
        access_policy_decide(policy, identity, &request, ret_decision);
    }
}

/* The median of batches, in nanoseconds for one decision. */
static double decisions_time(enum shape shape, const struct access_policy *policy,
                             const struct access_identity *identity)
{
    static double batches[DECISIONS / BATCH];
    struct access_decision decision;
    size_t i;
    size_t k;

    for (i = 0; i < ARRAY_LEN(batches); i++) {
        double begin = seconds();

        for (k = 0; k < BATCH; k++) {
            decide(shape, policy, identity, &decision);
            if (decision.outcome != ACCESS_ALLOW || strcmp(decision.rule, "last") != 0) {
                abort();
            }
        }
        batches[i] = (seconds() - begin) / BATCH * 1e9;
    }
    qsort(batches, ARRAY_LEN(batches), sizeof(batches[0]), double_compare);
    return batches[ARRAY_LEN(batches) / 2];
}

static void measure(enum shape shape, size_t rule_count, struct access_identity *identity)
{
    size_t bytes_before = mem_in_use_bytes();
    double begin = seconds();
    struct access_policy *policy = policy_make(shape, rule_count);

    begin = seconds() - begin;
    (void)printf("policy_decide_%s_%zu_rules %.0f ns\n", shape_names[shape], rule_count,
                 decisions_time(shape, policy, identity));
    if (rule_count >= 10000) {
        (void)printf("policy_load_%s_%zu_rules %.0f ms\n", shape_names[shape], rule_count,
                     begin * 1e3);
        (void)printf("policy_memory_%s_%zu_rules %.1f MiB\n", shape_names[shape], rule_count,
                     (double)(mem_in_use_bytes() - bytes_before) / (1024.0 * 1024.0));
    }
    access_policy_free(policy);
}

int main(void)
{
    static const size_t counts[] = {10, 100, 1000, 10000};
    struct access_claims claims = {.id = "", .issuer = "gitlab", .sub = "", .person = ""};
    struct access_identity identity;
    struct fake_env fake;
    size_t shape;
    size_t i;

    for (i = 0; i < ROLES; i++) {
        (void)snprintf(role_texts[i], sizeof(role_texts[i]), "role-%zu", i);
        role_names[i] = role_texts[i];
    }
    fake_env_init(&fake, 1, 1);
    fake_env_add_group(&fake, 50, "dba");
    claims.all = json_pack("{s:s}", "project", "acme/other");
    identity = (struct access_identity){.listener = "local",
                                        .uid = 1000,
                                        .gid = 50,
                                        .user = "alice",
                                        .unit = "other.service",
                                        .pid = 1,
                                        .claims = &claims,
                                        .env = &fake.env};
    for (shape = 0; shape < SHAPES; shape++) {
        for (i = 0; i < ARRAY_LEN(counts); i++) {
            measure((enum shape)shape, counts[i], &identity);
        }
    }
    json_decref(claims.all);
    fake_env_fini(&fake);
    return 0;
}
