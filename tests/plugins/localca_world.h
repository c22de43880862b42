/* A localca backend with a CA of its own for X.509, and one for SSH. */
#ifndef LEASED_TESTS_PLUGINS_LOCALCA_WORLD_H
#define LEASED_TESTS_PLUGINS_LOCALCA_WORLD_H

#include "plugins/plugin_world.h"
#include "support/ca.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#define LOCALCA_CONFIG                                                                             \
    "{\"ca_key_file\":\"/ca.key\",\"ca_cert_file\":\"/ca.pem\","                                   \
    "\"ssh_ca_key_file\":\"/ssh.key\",\"crl_file\":\"/pub/ca.crl\",\"krl_file\":\"/pub/ca.krl\"}"
#define LOCALCA_NO_LISTS                                                                           \
    "{\"ca_key_file\":\"/ca.key\",\"ca_cert_file\":\"/ca.pem\",\"ssh_ca_key_file\":\"/ssh.key\"}"
#define LOCALCA_PARAMS_X509                                                                        \
    "{\"type\":\"x509\",\"common_name\":\"${identity.user}\",\"dns\":\"joe.example\"}"
#define LOCALCA_PARAMS_SSH "{\"type\":\"ssh\",\"principals\":[\"${identity.user}\",\"deploy\"]}"
#define LOCALCA_WALL_S 1767225600LL /* when the fake clock begins */
#define LOCALCA_CA_END_S (LOCALCA_WALL_S + 400 * 86400LL)

int32_t leased_plugin_entry_localca(const struct leased_host *host,
                                    const struct leased_plugin **ret_plugin);

struct localca_world {
    struct plugin_world world;
    struct test_ca ca;
    char kept[65536]; /* the plugin's state */
    size_t kept_len;
    bool keeps_nothing; /* there is no ledger */
    size_t restart_count;
};

/* `config` NULL: it isn't opened. */
void localca_world_init(struct localca_world *it, const char *config);
/* Another CA in its place, with this keyUsage. */
void localca_world_make_ca(struct localca_world *it, const char *usage);
void localca_world_open(struct localca_world *it, const char *config);
/* The daemon ends and begins again with what was kept. */
void localca_world_restart(struct localca_world *it, const char *config);
void localca_world_fini(struct localca_world *it);

/* A whole field, with its line ends. Valid until the next call. */
const char *localca_field(const struct plugin_call *call, const char *name);
/* The certificate of an issue (X509_free). */
X509 *localca_certificate(const struct plugin_call *call);
EVP_PKEY *localca_private_key(const struct plugin_call *call);

/* A standing warning; "" if there is none. */
const char *localca_warning(struct localca_world *it, const char *key);

#endif
