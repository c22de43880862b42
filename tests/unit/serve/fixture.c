/* The API with everything below it. */
#include "unit/serve/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

#define CLOCK_START_MS 5000000ULL
#define TRAIL_PATH "/trail"
#define OWN_CGROUP "/system.slice/leased.service"

struct fixture f;

static const char policy_text[] =
    "rules:\n"
    "  - {name: no-mallory, subjects: [{user: mallory}], roles: ['*'], effect: deny}\n"
    "  - {name: " LONGEST_RULE ", subjects: [{user: eve}], roles: ['*'], effect: deny}\n"
    "  - name: alice-db\n"
    "    subjects: [{user: alice}]\n"
    "    roles: [db, db-shared, db-own]\n"
    "    limits: {duration: 2h, live: 3, binding: [connection, none]}\n"
    "  - {name: with-reason, subjects: [{user: alice}], roles: [db-reason],\n"
    "     require: {reason: '^OPS-[0-9]+'}}\n"
    "  - {name: shared, subjects: [{user: bob}, {user: mallory}, {user: ada},\n"
    "     {tls: {san: 'spiffe://acme/*'}}],\n"
    "     roles: [db, db-shared], limits: {binding: [none]}}\n"
    "  - {name: production, subjects: [{user: carol, jwt: {issuer: ci, claims: {env: prod}}}],\n"
    "     roles: [db]}\n"
    "admins:\n"
    "  - {subjects: [{user: ada}]}\n"
    "  - {subjects: [{user: rita}], may: [read]}\n";

static const char *const users[WHO_COUNT] = {"alice", "alice", "bob", "mallory",
                                             "carol", "eve",   "ada", "rita"};

static void set_roles(void)
{
    static const char *const names[] = {"db", "db-shared", "db-own", "db-reason"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(names); i++) {
        f.roles[i] = (struct lease_role){
            .name = names[i],
            .issuer = &f.issuer.issuer,
            .params_json = "{}",
            .ttl_ms = HOUR_MS,
            .max_ttl_ms = 24 * HOUR_MS,
            .renew_at_percent = 50,
            .min_remaining_ms = 5 * MINUTE_MS,
            .overlap_ms = 10 * MINUTE_MS,
            .binding = ACCESS_BINDING_PROCESS,
        };
    }
    f.roles[1].share = LEASE_SHARE_ROLE;
    f.roles[2].share = LEASE_SHARE_IDENTITY;
}

static void add_consumers(void)
{
    size_t i;

    for (i = 0; i < WHO_COUNT; i++) {
        uint32_t uid = i == ALICE_AGAIN ? 1000U : 1000U + (uint32_t)i;
        int32_t pid = 4000 + (int32_t)i;

        f.connections[i].peer = (struct env_peer){
            .uid = uid, .gid = uid, .pid = pid, .start_ticks = 70 + i, .cgroup = "/"};
        list_init(&f.connections[i].watches);
        (void)fake_env_add_process(&f.fake, pid, 70 + i, 1, uid);
        if (i != ALICE_AGAIN) {
            fake_env_add_user(&f.fake, uid, users[i]);
        }
    }
}

static void keep_log(void *user, enum log_level level, const char *event,
                     const struct log_field *fields, size_t field_count)
{
    size_t i;

    (void)user;
    (void)level;
    (void)event;
    for (i = 0; i < field_count; i++) {
        struct str value = fields[i].value;

        f.log = realloc(f.log, f.log_size + value.len + 2);
        assert_non_null(f.log);
        if (value.len > 0) {
            memcpy(f.log + f.log_size, value.ptr, value.len);
        }
        f.log[f.log_size + value.len] = ' ';
        f.log[f.log_size + value.len + 1] = '\0';
        f.log_size += value.len + 1;
    }
}

int fixture_setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    json_set_alloc_funcs(mem_alloc, mem_free);
    f.mem_before = mem_in_use_bytes();
    fake_env_init(&f.fake, CLOCK_START_MS, 42);
    scripted_init(&f.issuer, &f.fake);
    list_init(&f.calls);
    set_roles();
    add_consumers();
    log_set_sink(keep_log, NULL, LOG_LEVEL_DEBUG);
    return 0;
}

/* --- opening --- */

struct access_policy *fixture_parse_policy(void)
{
    static const char *const names[] = {"db", "db-shared", "db-own", "db-reason", NULL};
    static const char *const issuers[] = {"ci", NULL};
    struct yaml_document *document = NULL;
    struct access_policy *policy = NULL;
    const struct yaml_node *node;
    struct yaml_errors errors;

    yaml_errors_init(&errors);
    assert_int_equal(yaml_parse("p.yaml",
                                str_of(f.policy_text != NULL ? f.policy_text : policy_text),
                                &document, &errors),
                     0);
    node = yaml_root(document);
    if (access_policy_parse(&(struct access_nodes){.items = &node, .count = 1},
                            &(struct access_known){.roles = names, .issuers = issuers}, NULL,
                            &policy, &errors) != 0) {
        fail_msg("%s", buf_str(&errors.text).ptr);
    }
    yaml_free(document);
    yaml_errors_fini(&errors);
    return policy;
}

static void open_core(void)
{
    const struct audit_sink_options sink = {.kind = "file",
                                            .path = TRAIL_PATH,
                                            .is_required = true};
    const struct audit_options audit = {
        .env = &f.fake.env, .node = "test", .sinks = &sink, .sink_count = 1};
    struct lease_core_options core = {.env = &f.fake.env,
                                      .ledger = f.options.ledger,
                                      .skew_ms = 2000,
                                      .grants_per_uid = f.grants_per_uid};
    size_t i;

    f.trail = fake_env_file(&f.fake, TRAIL_PATH);
    assert_int_equal(audit_new(&audit, &f.audit, NULL), 0);
    core.audit = f.audit;
    assert_int_equal(lease_core_new(&core, &f.core, NULL), 0);
    for (i = 0; i < ARRAY_LEN(f.roles); i++) {
        assert_int_equal(lease_core_set_role(f.core, &f.roles[i]), 0);
    }
}

static bool grant_lives(void *user, const char *id)
{
    struct grant *grant = lease_core_find_grant(f.core, str_of(id));
    struct grant_view view = {.state = GRANT_STATE_ENDED};

    (void)user;
    if (grant != NULL) {
        grant_view(grant, &view);
    }
    return view.state != GRANT_STATE_ENDED;
}

static void end_grant(void *user, const char *id)
{
    struct grant *grant = lease_core_find_grant(f.core, str_of(id));

    (void)user;
    if (grant != NULL) {
        lease_end_grant(f.core, grant, GRANT_END_REVOKED, NULL);
    }
}

static void open_requests(void)
{
    const struct requests_options options = {.env = &f.fake.env,
                                             .audit = f.audit,
                                             .policy = f.policy,
                                             .grant_lives = grant_lives,
                                             .grant_end = end_grant};

    assert_int_equal(requests_new(&options, &f.requests, NULL), 0);
}

void fixture_open(void)
{
    const uint32_t both = SERVE_API_NATIVE | SERVE_API_METRICS;

    if (f.serve != NULL) {
        return;
    }
    f.policy = fixture_parse_policy();
    open_core();
    open_requests();
    f.options.requests = f.requests;
    f.options.env = &f.fake.env;
    f.options.core = f.core;
    f.options.audit = f.audit;
    f.options.policy = f.policy;
    f.options.own_cgroup = OWN_CGROUP;
    f.options.node = "test";
    f.options.version = "1.2.3";
    assert_int_equal(serve_new(&f.options, &f.serve, NULL), 0);
    serve_set_ready(f.serve, true);
    f.listener = (struct serve_listener){.serve = f.serve, .name = "local", .apis = both};
    f.only_native = f.listener;
    f.only_native.apis = SERVE_API_NATIVE;
    f.only_metrics = f.listener;
    f.only_metrics.apis = SERVE_API_METRICS;
}

struct idle_backend *fixture_add_backend(const char *name)
{
    size_t index = f.options.backend_count++;

    assert_true(f.serve == NULL && index < ARRAY_LEN(f.backends));
    idle_backend_open(&f.backends[index], &f.fake.env, name);
    f.backend_list[index] = f.backends[index].backend;
    f.options.backends = f.backend_list;
    return &f.backends[index];
}

/* --- sending --- */

struct call *fixture_send_message(enum who who, struct message message)
{
    struct call *call;

    fixture_open();
    message.connection = &f.connections[who];
    message.handler = serve_request;
    if (message.handler_user == NULL) {
        message.handler_user = &f.listener;
    }
    call = call_send(&message);
    list_push_back(&f.calls, &call->node);
    return call;
}

struct call *fixture_send(enum who who, const char *method, const char *target, const char *body)
{
    return fixture_send_message(who,
                                (struct message){.method = method, .target = target, .body = body});
}

struct call *fixture_call(enum who who, const char *method, const char *target, const char *body)
{
    struct call *call = fixture_send(who, method, target, body);

    fixture_run();
    if (call->status != 0) {
        call_deliver(call);
        fixture_run();
    }
    return call;
}

struct call *fixture_get(enum who who, const char *target)
{
    return fixture_call(who, "GET", target, NULL);
}

const char *fixture_path(const char *format, const char *id)
{
    static char path[256];
    const char *at = strstr(format, "%s");

    assert_non_null(at);
    (void)snprintf(path, sizeof(path), "%.*s%s%s", (int)(at - format), format, id, at + 2);
    return path;
}

void fixture_expect(struct call *call, uint32_t status, const char *code)
{
    assert_int_equal(call->status, status);
    assert_string_equal(call->content_type, "application/problem+json");
    assert_string_equal(call_text(call, "code"), code);
}

/* --- time and trail --- */

void fixture_run(void)
{
    fixture_open();
    fake_env_run(&f.fake);
    fake_env_advance(&f.fake, 0);
    lease_core_check(f.core);
}

void fixture_advance(uint64_t ms)
{
    fake_env_advance(&f.fake, ms);
    fixture_run();
}

size_t fixture_trail_has(const char *text)
{
    const char *at = f.trail->bytes;
    size_t count = 0;

    while ((at = strstr(at, text)) != NULL) {
        count++;
        at += strlen(text);
    }
    return count;
}

size_t fixture_records(const char *event)
{
    char text[96];

    (void)snprintf(text, sizeof(text), "\"event\":\"%s\"", event);
    return fixture_trail_has(text);
}

/* --- teardown --- */

static void closed(void *user)
{
    (void)user;
    f.closed_count++;
}

static void drained(struct lease_wait *wait, int status)
{
    (void)wait;
    assert_int_equal(status, 0);
    f.closed_count++;
}

static void drain(void)
{
    struct lease_wait wait = {.fn = drained};

    f.trail->is_held = false;
    f.trail->fail_status = 0;
    memset(f.issuer.outcomes, 0, sizeof(f.issuer.outcomes));
    scripted_release(&f.issuer);
    lease_core_drain(f.core, f.fake.now_ms + HOUR_MS, false, &wait);
    fixture_advance(20 * MINUTE_MS);
    assert_int_equal(f.closed_count, 1);
}

static void free_calls(void)
{
    struct list *node;

    while ((node = list_pop_front(&f.calls)) != NULL) {
        call_free(LIST_ENTRY(node, struct call, node));
    }
}

static void hang_up_all(void)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&f.calls, node, following) {
        call_hang_up(LIST_ENTRY(node, struct call, node));
    }
}

static void check_traces(void)
{
    assert_int_equal(fixture_trail_has(SCRIPTED_MARKER), 0);
    assert_true(f.log == NULL || strstr(f.log, SCRIPTED_MARKER) == NULL);
    /* A trail that had no memory for a record says so. */
    assert_true(fixture_records("grant.created") == fixture_records("grant.ended") ||
                fixture_trail_has("events were not recorded") > 0);
}

static void close_backends(void)
{
    size_t i;

    for (i = 0; i < f.options.backend_count; i++) {
        backend_close(f.backend_list[i], false, closed, NULL);
        fake_env_run(&f.fake);
    }
}

static void files_stopped(void *user)
{
    (void)user;
}

/* Who is asked for something by then does it. */
static void stop_files(void)
{
    static const struct env_run_end end = {.outcome = ENV_RUN_EXITED};
    struct env_run *run;

    serve_files_stop(f.serve, files_stopped, NULL);
    fake_env_run(&f.fake);
    while ((run = fake_env_program_first(&f.fake)) != NULL) {
        fake_env_program_finish(&f.fake, run, &end);
        fake_env_run(&f.fake);
    }
}

static void close_all(void)
{
    hang_up_all();
    drain();
    stop_files();
    check_traces();
    lease_core_close(f.core, closed, NULL);
    fake_env_run(&f.fake);
    serve_free(f.serve);
    requests_free(f.requests);
    close_backends();
    audit_close(f.audit, closed, NULL);
    fake_env_run(&f.fake);
    assert_int_equal(f.closed_count, 3 + (int)f.options.backend_count);
    access_policy_free(f.policy);
}

int fixture_teardown(void **state)
{
    (void)state;
    if (f.serve != NULL) {
        close_all();
    }
    free_calls();
    scripted_fini(&f.issuer);
    fake_env_fini(&f.fake);
    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
    free(f.log);
    assert_int_equal(mem_in_use_bytes(), f.mem_before);
    return 0;
}
