/* One backend of the vault plugin, with an AppRole login. */
#include "builtin_world.h"

#include "base/mem.h"
#include "env/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

int32_t leased_plugin_entry_vault(const struct leased_host *host,
                                  const struct leased_plugin **ret_plugin);

static void anchor_ends(void *user, struct backend *backend, uint64_t anchor, uint64_t when_ms,
                        const char *reason)
{
    struct world *world = user;

    (void)backend;
    (void)reason;
    assert_true(anchor > 0);
    world->anchor_count++;
    world->anchor_when_ms = when_ms;
}

static void closed(void *user)
{
    ((struct world *)user)->closed_count++;
}

void call_ended(struct lease_call *call, const struct lease_result *result)
{
    struct ended *ended = call->user;

    ended->count++;
    ended->outcome = result->outcome;
    ended->lifetime_ms = result->lifetime_ms;
    (void)snprintf(ended->ref, sizeof(ended->ref), "%.*s", STR_ARG(result->issuer_ref));
    (void)snprintf(ended->orphan, sizeof(ended->orphan), "%.*s", STR_ARG(result->orphan_ref));
    (void)snprintf(ended->detail, sizeof(ended->detail), "%s",
                   result->detail != NULL ? result->detail : "");
    for (size_t i = 0; i < result->field_count; i++) {
        if (result->fields[i].is_secret) {
            (void)snprintf(ended->secret, sizeof(ended->secret), "%.*s",
                           STR_ARG(result->fields[i].value));
        }
    }
}

void answer(struct world *world, uint32_t status, const char *body)
{
    const struct env_http_reply reply = {.status = status, .body = str_of(body)};

    assert_non_null(fake_env_http_first(&world->fake));
    fake_env_http_finish(&world->fake, fake_env_http_first(&world->fake), 0, &reply, NULL);
    fake_env_run(&world->fake);
}

void call(struct world *world, struct ended *ended, enum lease_call_kind kind, const char *params)
{
    struct lease_issuer *issuer = backend_issuer(world->backend);

    *ended = (struct ended){.call = {.kind = kind,
                                     .role = "orders",
                                     .params_json = params,
                                     .issuer_ref = STR("database/creds/joe/1"),
                                     .caller = {.user = "joe"},
                                     .ttl_ms = 3600000,
                                     .fn = call_ended}};
    ended->call.user = ended;
    assert_int_equal(issuer->ops->call_start(issuer, &ended->call), 0);
    fake_env_run(&world->fake);
}

void call_for(struct world *world, struct ended *ended, const char *user, const char *reason,
              const char *params)
{
    struct lease_issuer *issuer = backend_issuer(world->backend);

    *ended = (struct ended){.call = {.kind = LEASE_CALL_ISSUE,
                                     .role = "orders",
                                     .params_json = params,
                                     .caller = {.user = user, .reason = reason},
                                     .fn = call_ended}};
    ended->call.user = ended;
    assert_int_equal(issuer->ops->call_start(issuer, &ended->call), 0);
    fake_env_run(&world->fake);
}

void world_open(struct world *world)
{
    const char *address = "https://vault.example";
    struct backend_options options = {.env = &world->fake.env,
                                      .name = "prod",
                                      .addresses = &address,
                                      .address_count = 1,
                                      .config_json = CONFIG,
                                      .anchor_ends = anchor_ends,
                                      .user = world};
    struct err e = {0};

    *world = (struct world){0};
    fake_env_init(&world->fake, 5000, 3);
    fake_env_add_secret(&world->fake, "file:/run/sid", "hidden");
    assert_int_equal(backend_registry_new(&world->registry), 0);
    assert_int_equal(backend_registry_add_builtin(world->registry, leased_plugin_entry_vault, &e),
                     0);
    world->plugin = backend_registry_find(world->registry, STR("vault"));
    assert_non_null(world->plugin);
    options.plugin = world->plugin;
    assert_int_equal(backend_open(&options, &world->backend, &e), 0);
    fake_env_run(&world->fake);
}

void world_close(struct world *world)
{
    backend_close(world->backend, true, closed, world);
    fake_env_advance(&world->fake, 0); /* timers that are due run, too */
    while (world->closed_count == 0) {
        answer(world, 204, "");
    }
    backend_registry_free(world->registry);
    assert_int_equal(fake_env_timer_count(&world->fake), 0);
    fake_env_fini(&world->fake);
    assert_int_equal(mem_in_use_bytes(), 0);
}

const char *path_of(struct world *world)
{
    return fake_env_http_first(&world->fake)->url + strlen("https://vault.example/v1/");
}

void log_in(struct world *world)
{
    assert_string_equal(fake_env_http_first(&world->fake)->url,
                        "https://vault.example/v1/auth/approle/login");
    answer(world, 200,
           "{\"auth\":{\"client_token\":\"s.1\",\"lease_duration\":7200,\"renewable\":true}}");
    assert_string_equal(path_of(world), "sys/capabilities-self");
    answer(world, 200, "{\"data\":{\"auth/token/create\":[\"deny\"]}}");
}
