/* A built-in plugin behind the real host. */
#include "plugins/plugin_world.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

void plugin_world_init(struct plugin_world *world, leased_plugin_entry_fn entry, const char *name)
{
    struct err e = {0};

    *world = (struct plugin_world){.bytes_before = mem_in_use_bytes()};
    fake_env_init(&world->fake, WORLD_START_MS, 3);
    world->lender.fake = &world->fake;
    assert_int_equal(backend_registry_new(&world->registry), 0);
    assert_int_equal(backend_registry_add_builtin(world->registry, entry, &e), 0);
    world->plugin = backend_registry_find(world->registry, str_of(name));
    assert_non_null(world->plugin);
}

static void anchor_ends(void *user, struct backend *backend, uint64_t anchor, uint64_t when_ms,
                        const char *reason)
{
    struct plugin_world *world = user;
    size_t used = strlen(world->anchor_ends);

    (void)backend;
    assert_true(anchor != 0);
    (void)snprintf(world->anchor_ends + used, sizeof(world->anchor_ends) - used, "%s %s\n",
                   when_ms == 0            ? "now"
                   : when_ms == UINT64_MAX ? "never"
                                           : "later",
                   reason);
}

static int borrow_start(void *user, struct lease_loan *loan)
{
    return fake_lender_start(&((struct plugin_world *)user)->lender, loan);
}

static void borrow_cancel(void *user, struct lease_loan *loan)
{
    fake_lender_cancel(&((struct plugin_world *)user)->lender, loan);
}

void plugin_world_open(struct plugin_world *world, const char *address, const char *config_json)
{
    struct backend_options options = {.env = &world->fake.env,
                                      .plugin = world->plugin,
                                      .name = "under-test",
                                      .addresses = &address,
                                      .address_count = address != NULL ? 1 : 0,
                                      .config_json = config_json,
                                      .anchor_ends = anchor_ends,
                                      .borrows =
                                          world->lender.field_count > 0 ? FAKE_LENDER_ROLE : NULL,
                                      .borrow_start = borrow_start,
                                      .borrow_cancel = borrow_cancel,
                                      .health_interval_ms = world->health_interval_ms,
                                      .user = world};
    struct err e = {0};

    if (backend_open(&options, &world->backend, &e) != 0) {
        fail_msg("%s", e.text);
    }
    fake_env_run(&world->fake);
}

static void closed(void *user)
{
    ((struct plugin_world *)user)->closed_count++;
}

void plugin_world_close(struct plugin_world *world)
{
    struct backend *backend = world->backend;

    world->backend = NULL;
    backend_close(backend, true, closed, world);
    fake_env_advance(&world->fake, 0); /* timers that are due run, too */
}

void plugin_world_fini(struct plugin_world *world)
{
    if (world->backend != NULL) {
        plugin_world_close(world);
        while (world->closed_count == 0) {
            plugin_world_answer(world, 204, "");
        }
    }
    backend_registry_free(world->registry);
    assert_int_equal(fake_env_timer_count(&world->fake), 0);
    fake_env_fini(&world->fake);
    assert_int_equal(mem_in_use_bytes(), world->bytes_before);
}

const char *plugin_world_config_error(const struct plugin_world *world, const char *config_json)
{
    static struct err e;

    e = (struct err){0};
    return backend_check_config(world->plugin, config_json, &e) != 0 ? e.text : "";
}

const char *plugin_world_params_error(const struct plugin_world *world, const char *params_json)
{
    static struct err e;

    e = (struct err){0};
    return backend_check_params(world->plugin, params_json, &e) != 0 ? e.text : "";
}

/* --- calls ------------------------------------------------------------------------------------ */

static void add_fields(struct plugin_call *call, const struct lease_result *result)
{
    for (size_t i = 0; i < result->field_count; i++) {
        size_t used = strlen(call->fields);

        (void)snprintf(call->fields + used, sizeof(call->fields) - used, "%.*s%s=%.*s\n",
                       STR_ARG(result->fields[i].name), result->fields[i].is_secret ? "*" : "",
                       STR_ARG(result->fields[i].value));
    }
}

static void ended(struct lease_call *lease_call, const struct lease_result *result)
{
    struct plugin_call *call = lease_call->user;

    call->end_count++;
    call->outcome = result->outcome;
    call->lifetime_ms = result->lifetime_ms;
    call->retry_after_ms = result->retry_after_ms;
    call->is_renewable = result->is_renewable;
    call->is_revocable = result->is_revocable;
    (void)snprintf(call->ref, sizeof(call->ref), "%.*s", STR_ARG(result->issuer_ref));
    (void)snprintf(call->orphan, sizeof(call->orphan), "%.*s", STR_ARG(result->orphan_ref));
    (void)snprintf(call->detail, sizeof(call->detail), "%s",
                   result->detail != NULL ? result->detail : "");
    add_fields(call, result);
}

static int intend(struct lease_call *lease_call, struct str ref, struct lease_intent *intent)
{
    struct plugin_call *call = lease_call->user;
    size_t used = strlen(call->intents);

    (void)snprintf(call->intents + used, sizeof(call->intents) - used, "%.*s\n", STR_ARG(ref));
    call->pending = intent;
    intent->impl = call;
    return 0;
}

int plugin_world_try(struct plugin_world *world, struct plugin_call *call)
{
    struct lease_issuer *issuer = backend_issuer(world->backend);
    int rc;

    call->call.role = "the-role";
    call->call.fn = ended;
    call->call.user = call;
    call->call.intend = call->call.kind == LEASE_CALL_ISSUE ? intend : NULL;
    rc = issuer->ops->call_start(issuer, &call->call);
    if (rc == ERR_NOMEM) {
        call->end_count = 1;
        call->outcome = LEASE_OUTCOME_RETRY;
    }
    fake_env_advance(&world->fake, 0);
    while (call->pending != NULL) {
        struct lease_intent *intent = call->pending;

        call->pending = NULL;
        intent->impl = NULL;
        intent->fn(intent, 0);
        fake_env_advance(&world->fake, 0);
    }
    return rc;
}

void plugin_world_call(struct plugin_world *world, struct plugin_call *call)
{
    int rc = plugin_world_try(world, call);

    assert_true(rc == 0 || rc == ERR_NOMEM);
}

void plugin_world_issue(struct plugin_world *world, struct plugin_call *call,
                        const char *params_json, uint64_t ttl_ms)
{
    *call = (struct plugin_call){
        .call = {.kind = LEASE_CALL_ISSUE,
                 .params_json = params_json,
                 .caller = {.user = "joe", .reason = "deploy 7", .sans = "", .uid = 1000},
                 .ttl_ms = ttl_ms}};
    plugin_world_call(world, call);
}

static void about(struct plugin_world *world, struct plugin_call *call, enum lease_call_kind kind,
                  const char *params_json, const char *ref)
{
    *call = (struct plugin_call){
        .call = {.kind = kind, .params_json = params_json, .issuer_ref = str_of(ref)}};
    plugin_world_call(world, call);
}

void plugin_world_revoke(struct plugin_world *world, struct plugin_call *call,
                         const char *params_json, const char *ref)
{
    about(world, call, LEASE_CALL_REVOKE, params_json, ref);
}

void plugin_world_renew(struct plugin_world *world, struct plugin_call *call,
                        const char *params_json, const char *ref)
{
    about(world, call, LEASE_CALL_RENEW, params_json, ref);
}

void plugin_world_time_out(struct plugin_world *world)
{
    fake_env_advance(&world->fake, 60000);
}

const char *plugin_call_field(const struct plugin_call *call, const char *name)
{
    static char value[8192];
    const char *line = call->fields;
    size_t len = strlen(name);

    for (; *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *at = line + len + (line[len] == '*' ? 1 : 0);

        if (strncmp(line, name, len) == 0 && *at == '=') {
            /* A value may have lines; the next field begins behind the last of them. */
            (void)snprintf(value, sizeof(value), "%s", at + 1);
            value[strcspn(value, "\n")] = '\0';
            return value;
        }
    }
    fail_msg("there is no field %s in\n%s", name, call->fields);
    return "";
}

/* --- exchanges -------------------------------------------------------------------------------- */

struct env_http *plugin_world_http(struct plugin_world *world)
{
    struct env_http *http = fake_env_http_first(&world->fake);

    assert_non_null(http);
    return http;
}

bool plugin_world_is_idle(struct plugin_world *world)
{
    return fake_env_http_first(&world->fake) == NULL;
}

const char *plugin_world_header(struct plugin_world *world, const char *name)
{
    static char value[8192];
    const struct env_http *http = plugin_world_http(world);

    value[0] = '\0';
    for (size_t i = 0; i < http->header_count; i++) {
        if (str_eq_c(http->headers[i].name, name)) {
            (void)snprintf(value, sizeof(value), "%.*s", STR_ARG(http->headers[i].value));
        }
    }
    return value;
}

const char *plugin_world_body(struct plugin_world *world)
{
    static char body[16384];

    (void)snprintf(body, sizeof(body), "%.*s", STR_ARG(plugin_world_http(world)->body));
    return body;
}

void plugin_world_answer_with(struct plugin_world *world, uint32_t status,
                              const struct env_http_header *header, const char *body)
{
    struct env_http_reply reply = {.status = status,
                                   .headers = {{.name = STR("content-type"),
                                                .value = STR("application/json")}},
                                   .header_count = 1,
                                   .body = str_of(body)};

    if (header != NULL) {
        reply.headers[reply.header_count++] = *header;
    }
    fake_env_http_finish(&world->fake, plugin_world_http(world), 0, &reply, NULL);
    fake_env_advance(&world->fake, 0);
}

void plugin_world_answer(struct plugin_world *world, uint32_t status, const char *body)
{
    plugin_world_answer_with(world, status, NULL, body);
}

void plugin_world_fail(struct plugin_world *world, int status)
{
    fake_env_http_finish(&world->fake, plugin_world_http(world), status, NULL, "no route");
    fake_env_advance(&world->fake, 0);
}
