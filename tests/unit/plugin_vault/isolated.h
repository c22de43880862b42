/* What the tests of isolation share: answers about a child token "acc1" and its lease. */
#ifndef TESTS_UNIT_PLUGIN_VAULT_ISOLATED_H
#define TESTS_UNIT_PLUGIN_VAULT_ISOLATED_H

#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ISSUE "{\"path\":\"database/creds/orders\"}"
#define ISOLATED "{\"path\":\"database/creds/orders\",\"isolate\":true}"
#define POLICY "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}"
#define UNKNOWN "{\"errors\":[\"1 error occurred:\\n\\t* invalid accessor\\n\\n\"]}"
#define HALF_ENDED "{\"errors\":[\"token not found\"]}"
#define CHILD(uses, renewable, orphan)                                                             \
    "{\"auth\":{\"client_token\":\"s.SECRET-child\",\"accessor\":\"acc1\",\"lease_duration\":60,"  \
    "\"renewable\":" renewable ",\"token_type\":\"service\",\"orphan\":" orphan                    \
    ",\"num_uses\":" uses "}}"
#define ORPHAN CHILD("2", "true", "true")
#define LEASE(seconds)                                                                             \
    "{\"request_id\":\"r\",\"lease_id\":\"database/creds/orders/x1\",\"renewable\":true,"          \
    "\"lease_duration\":" seconds ",\"data\":{\"username\":\"u\",\"password\":\"SECRET\"}}"
#define EXTENDED(seconds)                                                                          \
    "{\"auth\":{\"client_token\":\"\",\"accessor\":\"acc1\",\"lease_duration\":" seconds           \
    ",\"renewable\":true}}"
#define REF "database/creds/orders/x1\nacc1"
#define ROLE_CONFIG                                                                                \
    "{\"auth\":{\"method\":\"approle\",\"role_id\":\"the-role\",\"secret_id_file\":\"/sid\"},"     \
    "\"token_role\":\"leased\"}"
#define LOGIN                                                                                      \
    "{\"auth\":{\"client_token\":\"s.SECRET-1\",\"accessor\":\"own1\",\"lease_duration\":3600,"    \
    "\"renewable\":true}}"

static inline struct leased_host_context *open_with(const char *config)
{
    struct leased_host_context *host = host_open(config);

    host_answer(host, host_last(host), 200, LOGIN);
    host->is_isolating = true;
    return host;
}

static inline void expect(struct leased_host_context *host, const char *path, const char *token)
{
    assert_string_equal(host_last(host)->path, path);
    assert_string_equal(host_last(host)->token, token);
}

/* Answers the last exchange, which must have been this one. */
static inline void step(struct leased_host_context *host, const char *path, uint32_t status,
                        const char *body)
{
    assert_string_equal(host_last(host)->path, path);
    host_answer(host, host_last(host), status, body);
}

#define CREATE "/v1/auth/token/create/leased"
#define CREDS "/v1/database/creds/orders"
#define EXTEND "/v1/auth/token/renew-accessor"
#define FIT "/v1/sys/leases/renew"
#define REVOKE "/v1/sys/leases/revoke"
#define REVOKE_CHILD "/v1/auth/token/revoke-accessor"
#define LOOKUP_CHILD "/v1/auth/token/lookup-accessor"

#endif
