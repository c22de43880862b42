/* Requests with all that is below them. */
#include "unit/request/fixture.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define TRAIL "/trail"

struct fixture f;

static const char policy_format[] =
    "persons:\n"
    "  alice: [{user: alice}, {user: alice-adm}]\n"
    "  bob: [{user: bob}, {user: bob2}]\n"
    "rules:\n"
    "  - name: db\n"
    "    subjects: [{user: alice}, {user: alice-adm}, {tls: {san: 'spiffe://acme/ops'}}]\n"
    "    roles: [db]\n"
    "    limits: {duration: %s, binding: [none, process]}\n"
    "    require: {approval: {from: [{user: bob}, {user: bob2}, {user: dana}, {user: alice-adm},\n"
    "      {user: alice}, {tls: {san: 'spiffe://acme/*'}}], count: 1, decide_within: 30m,\n"
    "      use_within: 15m}}\n"
    "  - name: db2\n"
    "    subjects: [{user: alice}]\n"
    "    roles: [db2]\n"
    "    require: {approval: {from: [{user: bob}, {user: bob2}, {user: dana}], count: 2,\n"
    "      decide_within: 30m, use_within: 15m}}\n"
    "  - name: glass\n"
    "    subjects: [{user: alice}]\n"
    "    roles: [glass]\n"
    "    break_glass: true\n"
    "    limits: {duration: 10m}\n"
    "    require: {approval: {from: [{user: bob}, {user: alice-adm}], count: 1,\n"
    "      decide_within: 30m, use_within: 15m}}\n"
    "admins:\n"
    "  - {user: root}\n";

static const char *const users[WHO_COUNT] = {"alice", "alice-adm", "bob", "bob2",
                                             "dana",  "eve",       "root"};

static struct access_policy *policy_parse(const char *duration)
{
    static const char *const roles[] = {"db", "db2", "glass", NULL};
    const struct access_known known = {.roles = roles};
    struct yaml_document *document = NULL;
    struct access_policy *policy = NULL;
    const struct yaml_node *node;
    struct yaml_errors errors;
    char text[4096];

    (void)snprintf(text, sizeof(text), policy_format, duration);
    yaml_errors_init(&errors);
    assert_int_equal(yaml_parse("p.yaml", str_of(text), &document, &errors), 0);
    node = yaml_root(document);
    if (access_policy_parse(&(struct access_nodes){.items = &node, .count = 1}, &known, NULL,
                            &policy, &errors) != 0) {
        fail_msg("%s", buf_str(&errors.text).ptr);
    }
    yaml_free(document);
    yaml_errors_fini(&errors);
    return policy;
}

/* --- daemons --- */

static bool grant_lives(void *user, const char *grant)
{
    (void)user;
    return f.live_grant != NULL && strcmp(f.live_grant, grant) == 0;
}

static void grant_end(void *user, const char *grant)
{
    (void)user;
    (void)snprintf(f.ended_grant, sizeof(f.ended_grant), "%s", grant);
}

static int recover(void *user, struct str id, struct str body)
{
    (void)user;
    assert_int_equal(requests_recover(f.requests, id, body, NULL), 0);
    return 0;
}

void fixture_start(void)
{
    const struct audit_sink_options sink = {.kind = "file", .path = TRAIL, .is_required = true};
    const struct audit_options audit = {.env = &f.fake.env,
                                        .node = "test",
                                        .ledger = &f.ledger.ledger,
                                        .sinks = &sink,
                                        .sink_count = 1};
    struct requests_options options = {.env = &f.fake.env,
                                       .ledger = &f.ledger.ledger,
                                       .policy = f.policy,
                                       .grant_lives = grant_lives,
                                       .grant_end = grant_end};

    assert_int_equal(audit_new(&audit, &f.audit, NULL), 0);
    options.audit = f.audit;
    assert_int_equal(requests_new(&options, &f.requests, NULL), 0);
    assert_int_equal(env_ledger_each(&f.ledger.ledger, ENV_LEDGER_REQUEST, recover, NULL, NULL), 0);
    requests_recovered(f.requests, f.policy);
    fake_env_run(&f.fake);
}

static void closed(void *user)
{
    (void)user;
    f.audit = NULL;
}

static void stop(void)
{
    requests_free(f.requests);
    f.requests = NULL;
    audit_close(f.audit, closed, NULL);
    fake_env_run(&f.fake);
    assert_null(f.audit);
}

void fixture_die(void)
{
    fake_ledger_crash(&f.ledger);
    requests_free(f.requests);
    f.requests = NULL;
    fake_ledger_run(&f.ledger);
    audit_close(f.audit, closed, NULL);
    fake_env_run(&f.fake);
    assert_null(f.audit);
    fake_ledger_restart(&f.ledger);
    f.ledger.is_held = false;
    f.ledger.fail_status = f.ledger.put_status = 0;
}

void fixture_kill(void)
{
    fixture_die();
    fixture_start();
}

void fixture_change_policy(void)
{
    struct access_policy *policy = policy_parse("20m");

    requests_set_policy(f.requests, policy);
    access_policy_free(f.policy);
    f.policy = policy;
    fake_env_run(&f.fake);
}

/* --- set up --- */

int fixture_setup(void **state)
{
    size_t i;

    (void)state;
    memset(&f, 0, sizeof(f));
    json_set_alloc_funcs(mem_alloc, mem_free);
    f.mem_before = mem_in_use_bytes();
    fake_env_init(&f.fake, 5000000, 7);
    f.trail = fake_env_file(&f.fake, TRAIL);
    fake_ledger_init(&f.ledger, &f.fake.env);
    f.policy = policy_parse("30m");
    for (i = 0; i < WHO_COUNT; i++) {
        f.who[i] = (struct access_identity){.kind = ENV_PEER_UNIX,
                                            .listener = "local",
                                            .uid = 1000 + (uint32_t)i,
                                            .gid = 1000 + (uint32_t)i,
                                            .pid = 4000 + (int32_t)i,
                                            .env = &f.fake.env};
        (void)snprintf(f.who[i].user, sizeof(f.who[i].user), "%s", users[i]);
    }
    fixture_start();
    return 0;
}

int fixture_teardown(void **state)
{
    (void)state;
    stop();
    access_policy_free(f.policy);
    fake_ledger_fini(&f.ledger);
    fake_env_fini(&f.fake);
    assert_int_equal(mem_in_use_bytes(), f.mem_before);
    return 0;
}

/* --- what is done --- */

struct request_ask fixture_ask(enum who who, const char *role, const char *reason)
{
    return (struct request_ask){.identity = &f.who[who],
                                .role = role,
                                .role_binding = ACCESS_BINDING_PROCESS,
                                .reason = reason,
                                .is_break_glass = strcmp(role, "glass") == 0};
}

int fixture_make(const struct request_ask *ask, struct request **ret_request)
{
    struct access_request asked = {.role = ask->role,
                                   .role_binding = ask->role_binding,
                                   .role_max_ttl_ms = 24 * HOUR_MS,
                                   .duration_ms = ask->duration_ms,
                                   .reason = ask->reason,
                                   .wall_ms = f.fake.wall_ms,
                                   .is_break_glass = ask->is_break_glass};
    struct access_decision decision;
    const struct request_making making = {.ask = ask,
                                          .backend = "vault",
                                          .decision = &decision,
                                          .policy_digest = access_policy_digest(f.policy),
                                          .listener = "local",
                                          .api = "native"};

    access_policy_decide(f.policy, ask->identity, &asked, &decision);
    assert_int_equal(decision.outcome,
                     ask->is_break_glass ? ACCESS_ALLOW : ACCESS_APPROVAL_REQUIRED);
    return requests_make(f.requests, &making, ret_request, NULL);
}

struct request *fixture_request(enum who who, const char *role)
{
    const struct request_ask ask = fixture_ask(who, role, "fixing it");
    struct request *request = NULL;

    assert_int_equal(fixture_make(&ask, &request), 0);
    fake_env_run(&f.fake);
    return request;
}

static void told(struct request_wait *wait, int status)
{
    (void)wait;
    f.told = status;
}

int fixture_say(struct request *request, enum who who, enum request_verb verb)
{
    const struct request_voice voice = {
        .verb = verb, .identity = &f.who[who], .comment = "seen", .listener = "local"};
    struct request_wait wait = {.fn = told};
    int r = request_say(request, &voice, NULL);

    if (r != 0) {
        return r;
    }
    f.told = 1;
    if (!request_wait_start(request, &wait)) {
        return 0;
    }
    fake_env_advance(&f.fake, 10 * SECOND_MS);
    request_wait_stop(&wait);
    return f.told;
}

enum request_state fixture_state(const struct request *request)
{
    return fixture_view(request).state;
}

struct request_view fixture_view(const struct request *request)
{
    struct request_view view;

    request_view(request, &view);
    return view;
}

size_t fixture_trail(const char *text)
{
    const char *at = f.trail->bytes;
    size_t count = 0;

    while (at != NULL && (at = strstr(at, text)) != NULL) {
        at += strlen(text);
        count++;
    }
    return count;
}
