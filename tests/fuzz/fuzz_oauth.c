/* Any bytes as what token services answer to the real entra and gcp plugins, in the real backend on
 * the fake env; and as a service account's key file.
 *
 * The first line has two digits: the configuration, and the role's parameters. With a third
 * character, "f", what follows up to a line "--" is the key file. The rest are the answers, each up
 * to a line "--": a line with the status (200, …), or lost, connect or held; headers ("name:
 * value") up to an empty line; a body. Behind the last one everything is lost.
 *
 * Whatever they are: the issue ends exactly once, what is called issued has a bounded life and a
 * clean token, no secret stands in an error or in the log, nothing is asked in the clear, and in
 * the end nothing is left. */
#include "backend/backend.h"
#include "backend/registry.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "fuzz/input.h"
#include "leased/plugin.h"
#include "support/fake_env.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int32_t leased_plugin_entry_entra(const struct leased_host *host,
                                  const struct leased_plugin **ret_plugin);
int32_t leased_plugin_entry_gcp(const struct leased_host *host,
                                const struct leased_plugin **ret_plugin);

#define SECRET "SECRET-proof"
#define LIFETIME_MAX_MS 200000000U
#define CLOSE_MS 600000U
#define EXCHANGES_MAX 8U
#define PEM_MAX_BYTES 4096
#define APPLICATION "\"tenant\":\"t\",\"client_id\":\"c\","
#define PROVIDER "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p"

static const struct {
    const char *plugin;
    const char *config;
} configs[] = {
    {"entra",
     "{" APPLICATION "\"auth\":{\"method\":\"secret\",\"client_secret_file\":\"secret\"}}"},
    {"entra", "{" APPLICATION
              "\"auth\":{\"method\":\"certificate\",\"key_file\":\"pem\",\"certificate_file\":"
              "\"certificate\"}}"},
    {"entra", "{\"auth\":{\"method\":\"managed_identity\"}}"},
    {"gcp", "{\"auth\":{\"method\":\"federated\",\"token_file\":\"secret\",\"audience\":\"" PROVIDER
            "\"}}"},
    {"gcp", "{\"auth\":{\"method\":\"service_account_key\",\"key_file\":\"key\"}}"},
    {"gcp", "{\"auth\":{\"method\":\"metadata\"}}"},
};

/* By the digit, for either plugin. */
static const char *const entra_params[] = {"{\"scope\":\"https://v/.default\"}"};
static const char *const gcp_params[] = {
    "{}", "{\"impersonate\":\"sa@p\",\"scopes\":[\"a\"]}",
    "{\"type\":\"id_token\",\"audience\":\"x\"}",
    "{\"type\":\"id_token\",\"audience\":\"x\",\"impersonate\":\"sa@p\"}"};

static struct {
    struct fake_env fake;
    struct backend *backend;
    struct lease_call call;
    size_t end_count;
    size_t closed_count;
    bool names_secret; /* the input itself holds the word that stands for secrets */
} stage;

/* Stay for all inputs. */
static struct backend_registry *registry;
static char pem[PEM_MAX_BYTES];
static char certificate_pem[PEM_MAX_BYTES];
static char default_key[2 * PEM_MAX_BYTES];

/* --- what must hold --------------------------------------------------------------------------- */

static void check_no_secret(struct str text)
{
    CHECK(stage.names_secret || text.len == 0 ||
          memmem(text.ptr, text.len, SECRET, sizeof(SECRET) - 1) == NULL);
}

static void check_line(const char *text)
{
    CHECK(text != NULL && strlen(text) < 1024);
    for (size_t i = 0; text[i] != '\0'; i++) {
        CHECK((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
    }
    check_no_secret(str_of(text));
}

static void log_line(void *user, enum log_level level, const char *event,
                     const struct log_field *fields, size_t count)
{
    (void)user;
    (void)level;
    (void)event;
    for (size_t i = 0; i < count; i++) {
        check_no_secret(fields[i].value);
    }
}

static void check_field(const struct lease_field *field)
{
    CHECK(field->name.len > 0 && field->value.len > 0);
    for (size_t i = 0; i < field->value.len; i++) {
        CHECK(field->value.ptr[i] > ' ' && field->value.ptr[i] < 0x7f);
    }
}

static void ended(struct lease_call *call, const struct lease_result *result)
{
    (void)call;
    stage.end_count++;
    CHECK(stage.end_count == 1);
    if (result->outcome != LEASE_OUTCOME_OK) {
        check_line(result->detail);
        CHECK(result->field_count == 0);
        return;
    }
    CHECK(result->lifetime_ms > 0 && result->lifetime_ms <= LIFETIME_MAX_MS);
    CHECK(!result->is_renewable && !result->is_revocable && result->issuer_ref.len == 0);
    CHECK(result->field_count >= 2 && result->fields[0].is_secret);
    for (size_t i = 0; i < result->field_count; i++) {
        check_field(&result->fields[i]);
    }
}

static void check_target(const struct env_http *http)
{
    CHECK(strncmp(http->url, "https://", 8) == 0 || strncmp(http->url, "http://127.", 11) == 0 ||
          strncmp(http->url, "http://localhost", 16) == 0 ||
          strncmp(http->url, "http://[::1]", 12) == 0 || (http->flags & ENV_HTTP_METADATA) != 0);
    for (const char *at = http->url; *at != '\0'; at++) {
        CHECK(*at > ' ' && *at < 0x7f);
    }
}

/* --- answers ---------------------------------------------------------------------------------- */

/* Up to a line "--", which is taken away. */
static struct str take_part(struct input *input)
{
    const char *begin = (const char *)input->bytes;
    const char *end = begin;

    while (input->size > 0) {
        struct str line = input_line(input);

        if (str_eq_c(line, "--")) {
            break;
        }
        end = line.ptr + line.len;
    }
    return (struct str){.ptr = begin, .len = (size_t)(end - begin)};
}

static void read_headers(struct input *part, struct env_http_reply *reply)
{
    while (part->size > 0 && reply->header_count < ENV_HTTP_HEADERS_MAX) {
        struct str value = input_line(part);
        struct str name;

        if (value.len == 0) {
            break;
        }
        name = str_cut(&value, ':');
        while (value.len > 0 && value.ptr[0] == ' ') {
            value = (struct str){.ptr = value.ptr + 1, .len = value.len - 1};
        }
        if (name.len > 0) {
            reply->headers[reply->header_count++] =
                (struct env_http_header){.name = name, .value = value};
        }
    }
}

static uint32_t status_of(struct str line)
{
    uint32_t status = 0;

    for (size_t i = 0; i < line.len && i < 3 && line.ptr[i] >= '0' && line.ptr[i] <= '9'; i++) {
        status = status * 10 + (uint32_t)(line.ptr[i] - '0');
    }
    return status >= 100 ? status : 200;
}

static void answer(struct env_http *http, struct input *input)
{
    struct str text = take_part(input);
    struct input part = input_of((const uint8_t *)text.ptr, text.len);
    struct str first = input_line(&part);
    struct env_http_reply reply = {.status = status_of(first)};

    if (first.len == 0 || str_eq_c(first, "lost")) {
        fake_env_http_finish(&stage.fake, http, ERR_LOST, NULL, "reset");
    } else if (str_eq_c(first, "connect")) {
        fake_env_http_finish(&stage.fake, http, ERR_CONNECT, NULL, "refused");
    } else if (str_eq_c(first, "held")) {
        struct lease_issuer *issuer = backend_issuer(stage.backend);

        if (stage.end_count == 0) {
            issuer->ops->call_cancel(issuer, &stage.call);
        }
    } else {
        read_headers(&part, &reply);
        reply.body = input_rest(&part);
        fake_env_http_finish(&stage.fake, http, 0, &reply, NULL);
    }
}

/* --- the stage -------------------------------------------------------------------------------- */

static void read_pem(BIO *bio, char *out)
{
    int len = BIO_read(bio, out, PEM_MAX_BYTES - 1);

    CHECK(len > 0);
    out[len] = '\0';
    BIO_free(bio);
}

static void make_proofs(void)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *certificate = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    json_t *root;

    CHECK(key != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    read_pem(bio, pem);
    (void)X509_set_pubkey(certificate, key);
    CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
    bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509(bio, certificate) == 1);
    read_pem(bio, certificate_pem);
    root = json_pack("{s:s, s:s, s:s}", "type", "service_account", "client_email", "sa@p",
                     "private_key", pem);
    CHECK(json_dumpb(root, default_key, sizeof(default_key) - 1, 0) < sizeof(default_key));
    json_decref(root);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void set_up_once(void)
{
    json_set_alloc_funcs(mem_alloc, mem_free);
    json_object_seed(1);
    if (registry == NULL) {
        CHECK(backend_registry_new(&registry) == 0);
        CHECK(backend_registry_add_builtin(registry, leased_plugin_entry_entra, NULL) == 0);
        CHECK(backend_registry_add_builtin(registry, leased_plugin_entry_gcp, NULL) == 0);
        make_proofs();
    }
}

static void stage_open(size_t config, const char *key_file)
{
    const struct backend_options options = {
        .env = &stage.fake.env,
        .plugin = backend_registry_find(registry, str_of(configs[config].plugin)),
        .name = "fuzzed",
        .config_json = configs[config].config,
        .limits = {.in_flight = 8, .lifetime_max_ms = LIFETIME_MAX_MS},
        .health_interval_ms = 300000,
    };

    fake_env_init(&stage.fake, 1000000, 1);
    fake_env_add_secret(&stage.fake, "file:secret", SECRET);
    fake_env_add_secret(&stage.fake, "shared-file:secret", SECRET);
    fake_env_add_secret(&stage.fake, "file:pem", pem);
    fake_env_add_secret(&stage.fake, "shared-file:certificate", certificate_pem);
    fake_env_add_secret(&stage.fake, "file:key", key_file);
    CHECK(backend_open(&options, &stage.backend, NULL) == 0);
}

static void issue(const char *params, struct input *input)
{
    struct lease_issuer *issuer = backend_issuer(stage.backend);

    stage.call = (struct lease_call){.kind = LEASE_CALL_ISSUE,
                                     .role = "orders",
                                     .params_json = params,
                                     .caller = {.user = "alice", .reason = "because", .uid = 1000},
                                     .ttl_ms = 3600000,
                                     .fn = ended};
    CHECK(issuer->ops->call_start(issuer, &stage.call) == 0);
    fake_env_advance(&stage.fake, 0);
    for (size_t i = 0; i < EXCHANGES_MAX; i++) {
        struct env_http *http = fake_env_http_first(&stage.fake);

        if (http == NULL) {
            break;
        }
        check_target(http);
        answer(http, input);
        fake_env_advance(&stage.fake, 0);
    }
    CHECK(stage.end_count == 1);
}

static void closed(void *user)
{
    (void)user;
    stage.closed_count++;
}

static void stage_close(void)
{
    backend_close(stage.backend, true, closed, NULL);
    fake_env_advance(&stage.fake, CLOSE_MS);
    CHECK(stage.closed_count == 1);
    fake_env_fini(&stage.fake);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    struct str acts = input_line(&input);
    size_t config = acts.len > 0 ? (unsigned char)acts.ptr[0] % ARRAY_LEN(configs) : 0;
    size_t role = acts.len > 1 ? (unsigned char)acts.ptr[1] : 0;
    bool is_entra = strcmp(configs[config].plugin, "entra") == 0;
    char *key_file = NULL;
    size_t bytes_before;

    set_up_once();
    bytes_before = mem_in_use_bytes();
    memset(&stage, 0, sizeof(stage));
    stage.names_secret = size > 0 && memmem(bytes, size, SECRET, 6) != NULL;
    if (acts.len > 2 && acts.ptr[2] == 'f') {
        key_file = input_text(take_part(&input));
    }
    log_set_sink(log_line, NULL, LOG_LEVEL_DEBUG);
    stage_open(config, key_file != NULL ? key_file : default_key);
    issue(is_entra ? entra_params[role % ARRAY_LEN(entra_params)]
                   : gcp_params[role % ARRAY_LEN(gcp_params)],
          &input);
    stage_close();
    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
    CHECK(mem_in_use_bytes() == bytes_before);
    free(key_file);
    return 0;
}
