/* A localca backend, and a CA that the test makes. */
#include "plugins/localca_world.h"

#include "plugins/localca_keys.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

void localca_world_make_ca(struct localca_world *it, const char *usage)
{
    test_ca_fini(&it->ca);
    test_ca_make(&it->ca, EVP_EC_gen("P-256"), usage, LOCALCA_WALL_S - 86400, LOCALCA_CA_END_S);
}

void localca_world_init(struct localca_world *it, const char *config)
{
    memset(it, 0, sizeof(*it));
    plugin_world_init(&it->world, leased_plugin_entry_localca, "localca");
    localca_world_make_ca(it, "critical,keyCertSign,cRLSign");
    fake_env_add_secret(&it->world.fake, "file:/ca.key", it->ca.key_pem);
    fake_env_add_secret(&it->world.fake, "shared-file:/ca.pem", it->ca.pem);
    fake_env_add_secret(&it->world.fake, "file:/ssh.key", KEY_ED25519);
    if (config != NULL) {
        localca_world_open(it, config);
    }
}

static int keep(void *user, struct backend *backend, struct str state)
{
    struct localca_world *it = user;

    (void)backend;
    if (it->keeps_nothing) {
        return ERR_IO;
    }
    assert_true(state.len <= sizeof(it->kept));
    memcpy(it->kept, state.ptr, state.len);
    it->kept_len = state.len;
    return 0;
}

void localca_world_open(struct localca_world *it, const char *config)
{
    struct backend_options options = {.env = &it->world.fake.env,
                                      .plugin = it->world.plugin,
                                      .name = "under-test",
                                      .config_json = config,
                                      .state = {it->kept, it->kept_len},
                                      .keep_state = keep,
                                      .user = it};
    struct err e = {0};

    if (backend_open(&options, &it->world.backend, &e) != 0) {
        fail_msg("%s", e.text);
    }
    fake_env_advance(&it->world.fake, 0);
}

static void closed(void *user)
{
    ((struct localca_world *)user)->restart_count++;
}

void localca_world_restart(struct localca_world *it, const char *config)
{
    size_t before = it->restart_count;

    backend_close(it->world.backend, false, closed, it);
    fake_env_advance(&it->world.fake, 0);
    assert_int_equal(it->restart_count, before + 1);
    localca_world_open(it, config);
}

void localca_world_fini(struct localca_world *it)
{
    plugin_world_fini(&it->world);
    test_ca_fini(&it->ca);
}

const char *localca_field(const struct plugin_call *call, const char *name)
{
    static char value[8192];
    const char *line = call->fields;
    size_t len = strlen(name);

    for (; *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *at = line + len + (line[len] == '*' ? 1 : 0);
        const char *end;

        if (strncmp(line, name, len) != 0 || *at != '=') {
            continue;
        }
        at++;
        /* In PEM it goes on to the end of the last block. */
        end = strchr(at, '\n');
        while (strncmp(at, "-----BEGIN", 10) == 0) {
            const char *last = strstr(end, "-----END");

            assert_non_null(last);
            end = strchr(last, '\n');
            if (strncmp(end + 1, "-----BEGIN", 10) != 0) {
                break;
            }
        }
        (void)snprintf(value, sizeof(value), "%.*s", (int)(end - at), at);
        return value;
    }
    fail_msg("there is no field %s in\n%s", name, call->fields);
    return "";
}

X509 *localca_certificate(const struct plugin_call *call)
{
    BIO *bio = BIO_new_mem_buf(localca_field(call, "certificate"), -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    assert_non_null(certificate);
    return certificate;
}

EVP_PKEY *localca_private_key(const struct plugin_call *call)
{
    BIO *bio = BIO_new_mem_buf(localca_field(call, "private_key"), -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

    BIO_free(bio);
    assert_non_null(key);
    return key;
}

const char *localca_warning(struct localca_world *it, const char *key)
{
    struct backend_status status;

    backend_status(it->world.backend, &status);
    for (size_t i = 0; i < status.warning_count; i++) {
        if (strcmp(status.warnings[i].key, key) == 0) {
            return status.warnings[i].text;
        }
    }
    return "";
}
