/* The github plugin in its world. */
#include "plugins/github_world.h"

#include "support/token.h"

#include <string.h>

#define HEADERS_MAX 8U

int32_t leased_plugin_entry_github(const struct leased_host *host,
                                   const struct leased_plugin **ret_plugin);

void github_world_init(struct plugin_world *world, const char *address)
{
    plugin_world_init(world, leased_plugin_entry_github, "github");
    fake_env_add_secret(&world->fake, "file:/key.pem", token_pair(0)->key_pem);
    plugin_world_open(world, address, GITHUB_CONFIG);
}

int64_t github_world_claim(struct plugin_world *world, const char *claim)
{
    const char *jwt = plugin_world_header(world, "Authorization") + strlen("Bearer ");
    json_t *header;
    json_t *claims;
    int64_t value;

    assert_int_equal(token_open(jwt, "RS256", token_pair(0), &header, &claims), 0);
    assert_int_equal(json_object_size(claims), 3);
    assert_string_equal(json_string_value(json_object_get(claims, "iss")), "7");
    value = json_integer_value(json_object_get(claims, claim));
    json_decref(header);
    json_decref(claims);
    return value;
}

void github_world_answer(struct plugin_world *world, uint32_t status, const char *const *headers,
                         const char *body)
{
    struct env_http_reply reply = {.status = status, .body = str_of(body)};

    for (size_t i = 0; headers[i] != NULL && reply.header_count < HEADERS_MAX; i += 2) {
        reply.headers[reply.header_count++] =
            (struct env_http_header){str_of(headers[i]), str_of(headers[i + 1])};
    }
    fake_env_http_finish(&world->fake, plugin_world_http(world), 0, &reply, NULL);
    fake_env_advance(&world->fake, 0);
}

void github_world_mint(struct plugin_world *world)
{
    github_world_answer(world, 201, (const char *const[]){"date", GITHUB_DATE, NULL},
                        GITHUB_MINTED);
}

const char *github_world_ref(struct plugin_world *world)
{
    static struct plugin_call call;

    plugin_world_issue(world, &call, "{\"installation_id\":42}", 0);
    github_world_mint(world);
    assert_memory_equal(call.ref, GITHUB_NAME "\n", strlen(GITHUB_NAME) + 1);
    return call.ref;
}
