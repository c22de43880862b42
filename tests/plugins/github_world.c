/* The github plugin in its world. */
#include "plugins/github_world.h"

#include "common/base64.h"

#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#define HEADERS_MAX 8U

int32_t leased_plugin_entry_github(const struct leased_host *host,
                                   const struct leased_plugin **ret_plugin);

static EVP_PKEY *key;
static char pem[4096];

static void make_key(void)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int len;

    key = EVP_RSA_gen(2048);
    assert_non_null(key);
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    len = BIO_read(bio, pem, sizeof(pem) - 1);
    assert_true(len > 0);
    pem[len] = '\0';
    BIO_free(bio);
}

void github_world_init(struct plugin_world *world, const char *address)
{
    if (key == NULL) {
        make_key();
    }
    plugin_world_init(world, leased_plugin_entry_github, "github");
    fake_env_add_secret(&world->fake, "file:/key.pem", pem);
    plugin_world_open(world, address, GITHUB_CONFIG);
}

int64_t github_world_claim(struct plugin_world *world, const char *claim)
{
    const char *jwt = plugin_world_header(world, "Authorization") + strlen("Bearer ");
    const char *first = strchr(jwt, '.');
    const char *last = strrchr(jwt, '.');
    unsigned char signature[256];
    char plain[1024];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int64_t size = plugin_base64_decode(plugin_str(last + 1), signature, sizeof(signature));
    json_t *claims;
    int64_t value;

    assert_int_equal(size, sizeof(signature));
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(context, signature, sizeof(signature),
                                      (const unsigned char *)jwt, (size_t)(last - jwt)),
                     1);
    EVP_MD_CTX_free(context);
    size = plugin_base64_decode((struct leased_str){first + 1, (size_t)(last - first - 1)}, plain,
                                sizeof(plain));
    assert_true(size > 0);
    claims = json_loadb(plain, (size_t)size, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_object_size(claims), 3);
    assert_string_equal(json_string_value(json_object_get(claims, "iss")), "7");
    value = json_integer_value(json_object_get(claims, claim));
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
