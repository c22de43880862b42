/* A core with everything below it. */
#include "unit/lease/fixture.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define CLOCK_START_MS 5000000ULL
#define TRAIL_PATH "/trail"

struct fixture f;

static void set_roles(void)
{
    f.role = (struct lease_role){
        .name = "db",
        .issuer = &f.model.issuer,
        .params_json = "{}",
        .ttl_ms = HOUR_MS,
        .max_ttl_ms = 24 * HOUR_MS,
        .renew_at_percent = 50,
        .min_remaining_ms = 5 * MINUTE_MS,
        .overlap_ms = 10 * MINUTE_MS,
        .share = LEASE_SHARE_NONE,
        .binding = ACCESS_BINDING_PROCESS,
    };
    f.shared = f.role;
    f.shared.name = "db-shared";
    f.shared.share = LEASE_SHARE_ROLE;
    f.personal = f.role;
    f.personal.name = "db-personal";
    f.personal.share = LEASE_SHARE_IDENTITY;
}

int fixture_setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    f.mem_before = mem_in_use_bytes();
    fake_env_init(&f.fake, CLOCK_START_MS, 42);
    model_init(&f.model, &f.fake);
    f.options.skew_ms = 2000;
    list_init(&f.connection_watches);
    set_roles();
    return 0;
}

void fixture_open(void)
{
    const struct audit_sink_options sink = {.kind = "file",
                                            .path = TRAIL_PATH,
                                            .is_required = true};
    const struct audit_options audit = {
        .env = &f.fake.env, .node = "test", .sinks = &sink, .sink_count = 1};
    struct err e = {0};

    if (f.core != NULL) {
        return;
    }
    f.trail = fake_env_file(&f.fake, TRAIL_PATH);
    assert_int_equal(audit_new(&audit, &f.audit, &e), 0);
    f.options.env = &f.fake.env;
    f.options.audit = f.audit;
    assert_int_equal(lease_core_new(&f.options, &f.core, &e), 0);
    fixture_reload();
}

void fixture_reload(void)
{
    const struct lease_role *roles[] = {&f.role, &f.shared, &f.personal};
    size_t i;

    for (i = 0; i < ARRAY_LEN(roles) && !f.core->is_draining; i++) {
        if (roles[i]->name != NULL) {
            assert_int_equal(lease_core_set_role(f.core, roles[i]), 0);
        }
    }
}

void fixture_run(void)
{
    fixture_reload();
    fake_env_run(&f.fake);
    fake_env_advance(&f.fake, 0);
    lease_core_check(f.core);
}

void fixture_advance(uint64_t ms)
{
    fixture_reload();
    fake_env_advance(&f.fake, ms);
    fixture_run();
}

/* --- clients --- */

static void connection_watch(struct env_connection *connection, struct env_connection_watch *watch)
{
    (void)connection;
    list_push_back(&f.connection_watches, &watch->node);
}

void fixture_hang_up(void)
{
    struct list *node;

    while ((node = list_pop_front(&f.connection_watches)) != NULL) {
        struct env_connection_watch *watch = LIST_ENTRY(node, struct env_connection_watch, node);

        watch->fn(watch);
    }
    fixture_run();
}

struct client *fixture_client(size_t index)
{
    struct client *client = &f.clients[index];
    int32_t pid = 1000 + (int32_t)index;
    uint32_t uid = index < 40 ? 500 + (uint32_t)index / 10 : 10000 + (uint32_t)index;

    assert_true(index < FIXTURE_CLIENTS_MAX);
    fixture_open();
    if (client->identity.pid != 0) {
        return client;
    }
    client->identity.listener = "local";
    client->identity.uid = uid;
    client->identity.gid = uid;
    (void)snprintf(client->identity.user, sizeof(client->identity.user), "user%u", uid);
    client->identity.pid = pid;
    client->identity.start_ticks = 7000 + index;
    client->decision.outcome = ACCESS_ALLOW;
    client->decision.rule = "rule-one";
    client->decision.duration_ms = 12 * HOUR_MS;
    client->decision.bindings[0].kind = ACCESS_BINDING_PROCESS;
    client->decision.binding_count = 1;
    f.request_ops.connection_watch = connection_watch;
    client->request.ops = &f.request_ops;
    client->request.connection = (struct env_connection *)(void *)&f.connection_watches;
    if (index < 40) {
        (void)fake_env_add_process(&f.fake, pid, 7000 + index, 1, uid);
    } else {
        client->decision.bindings[0].kind = ACCESS_BINDING_NONE;
    }
    return client;
}

static void read_password(struct client *client)
{
    struct lease_credential credential;
    size_t i;

    client->password[0] = '\0';
    if (lease_credential_open(f.core, grant_lease(client->grant), &credential) != 0) {
        return;
    }
    for (i = 0; i < credential.field_count; i++) {
        if (str_eq_c(credential.fields[i].name, "password")) {
            (void)snprintf(client->password, sizeof(client->password), "%.*s",
                           STR_ARG(credential.fields[i].value));
        }
    }
    lease_credential_close(&credential);
}

static void got(struct lease_acquire *acquire, int status, struct grant *grant)
{
    struct client *client = acquire->user;

    client->call_count++;
    client->status = status;
    client->grant = grant;
    client->password[0] = '\0';
    if (status == 0) {
        struct lease_view view;

        lease_view(grant_lease(grant), &view);
        assert_true(fsm_lease_is_live(view.state));
        read_password(client);
        if (f.handed_out != NULL) {
            f.handed_out(client);
        }
        if (!client->is_answer_kept) {
            lease_core_delivered(f.core, grant, true);
        }
    }
}

static void prepare(struct client *client, const struct lease_role *role)
{
    struct lease_acquire *acquire = &client->acquire;

    acquire->ask.role = lease_core_role(f.core, str_of(role->name));
    acquire->ask.identity = &client->identity;
    acquire->ask.decision = &client->decision;
    acquire->policy_digest = "digest-one";
    acquire->request_id = "req-1";
    acquire->ask.request = &client->request;
    acquire->fn = got;
    acquire->user = client;
}

void fixture_ask(struct client *client, const struct lease_role *role)
{
    fixture_open();
    fixture_reload();
    prepare(client, role);
    client->status = 1;
    client->grant = NULL;
    assert_int_equal(lease_acquire_start(f.core, &client->acquire), 0);
}

void fixture_get(struct client *client, const struct lease_role *role)
{
    fixture_ask(client, role);
    fixture_run();
}

struct grant *fixture_cached(struct client *client, const struct lease_role *role)
{
    prepare(client, role);
    return lease_core_cached(f.core, &client->acquire.ask);
}

struct lease *fixture_lease(const struct client *client)
{
    assert_non_null(client->grant);
    return grant_lease(client->grant);
}

enum lease_state fixture_state(const struct client *client)
{
    return fixture_lease(client)->state;
}

/* --- the trail --- */

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

/* --- waiting --- */

static void waited(struct lease_wait *wait, int status)
{
    assert_ptr_equal(wait, &f.wait);
    f.wait_count++;
    f.wait_status = status;
}

struct lease_wait *fixture_wait(void)
{
    memset(&f.wait, 0, sizeof(f.wait));
    f.wait.fn = waited;
    f.wait_status = 1;
    return &f.wait;
}

/* --- teardown --- */

static void closed(void *user)
{
    (void)user;
    f.closed_count++;
}

static void check_trail(void)
{
    if (fixture_records("lease.adopted") == 0) { /* else a core has died */
        assert_int_equal(fixture_records("grant.created"), fixture_records("grant.ended"));
    }
    assert_int_equal(fixture_records("lease.issued"),
                     fixture_records("lease.revoked") + fixture_records("lease.expired"));
    assert_int_equal(fixture_trail_has("MARKER"), 0);
    assert_int_equal(fixture_trail_has("ref/"), 0);
}

static void drain(void)
{
    size_t i;

    f.trail->is_held = false;
    f.trail->fail_status = 0;
    f.model.start_status = 0;
    for (i = 0; i < MODEL_KINDS; i++) {
        f.model.outcomes[i] = LEASE_OUTCOME_OK;
        f.model.is_held[i] = false;
    }
    model_answer_all(&f.model);
    if (!f.core->is_draining) {
        lease_core_drain(f.core, f.fake.now_ms + HOUR_MS, false, fixture_wait());
        fixture_advance(10 * MINUTE_MS);
        assert_int_equal(f.wait_status, 0);
    }
    fixture_advance(10 * MINUTE_MS);
}

int fixture_teardown(void **state)
{
    (void)state;
    if (f.core == NULL) {
        fake_env_fini(&f.fake);
        return 0;
    }
    drain();
    check_trail();
    lease_core_close(f.core, closed, NULL);
    fake_env_run(&f.fake);
    audit_close(f.audit, closed, NULL);
    fake_env_run(&f.fake);
    assert_int_equal(f.closed_count, 2);
    model_fini(&f.model);
    fake_env_fini(&f.fake);
    assert_int_equal(mem_in_use_bytes(), f.mem_before);
    return 0;
}
