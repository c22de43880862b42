/* Any bytes as an issuer's answers to the github and kubernetes plugins, in the real backend on the
 * fake env.
 *
 * The first line is what leased does, a character each: g or k for the plugin, then
 *   i j     issues a credential (two sorts of roles)      v   revokes the last one
 *   c       cancels what was started last
 *   0 … 6   10^n ms pass (twenty minutes in all)
 * The rest are the answers (vault_answers.h); the private key is no key where the line has an x, so
 * that nothing is sent. Whatever they are: each operation ends exactly once, what is called issued
 * has a bounded life and clean fields, no secret stands in an error or in the log, and in the end
 * nothing is left. */
#include "fuzz/vault_answers.h"

#include "backend/backend.h"
#include "backend/registry.h"
#include "base/log.h"
#include "base/mem.h"

#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int32_t leased_plugin_entry_github(const struct leased_host *host,
                                   const struct leased_plugin **ret_plugin);
int32_t leased_plugin_entry_kubernetes(const struct leased_host *host,
                                       const struct leased_plugin **ret_plugin);

#define CALLS_MAX 64
#define REF_MAX_BYTES 1024
#define LIFETIME_MAX_MS 86400000U
#define CLOSE_MS 600000U
#define WAIT_MAX_MS 1200000U
#define SECRET "own-SECRET"

struct
try {
    struct lease_call call;
    size_t end_count;
    char ref[REF_MAX_BYTES];
};

struct stage {
    struct fake_env fake;
    struct vault_answers answers;
    struct backend *backend;
    bool is_github;
    struct try calls[CALLS_MAX];
    size_t count;
    char ref[REF_MAX_BYTES]; /* of the last lease */
    size_t ref_len;
    uint64_t waited_ms;
    size_t closed_count;
    bool names_secret; /* the input itself holds the word that stands for secrets */
};

static struct stage stage;

/* Stay for all inputs. */
static struct backend_registry *registry;
static char pem[4096];

/* --- what must hold --------------------------------------------------------------------------- */

static void check_no_secret(struct str text)
{
    CHECK(stage.names_secret || text.len == 0 ||
          memmem(text.ptr, text.len, SECRET, sizeof(SECRET) - 1) == NULL);
    CHECK(text.len == 0 || memmem(text.ptr, text.len, "PRIVATE KEY", 11) == NULL ||
          stage.names_secret);
}

static void check_line(const char *text)
{
    CHECK(text == NULL || strlen(text) < 1024);
    for (size_t i = 0; text != NULL && text[i] != '\0'; i++) {
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

static void check_issued(const struct lease_result *result)
{
    CHECK(result->lifetime_ms > 0 && result->lifetime_ms <= LIFETIME_MAX_MS);
    CHECK(!stage.is_github || result->lifetime_ms <= 3600000);
    CHECK(result->answered_ms <= stage.fake.now_ms);
    CHECK(result->field_count >= 3);
    CHECK(str_eq_c(result->fields[0].name, "token") && result->fields[0].is_secret);
    for (size_t i = 0; i < result->fields[0].value.len; i++) {
        CHECK(result->fields[0].value.ptr[i] > ' ' && result->fields[0].value.ptr[i] <= '~');
    }
    CHECK(!result->is_renewable);
    CHECK(result->issuer_ref.len <= LEASE_ISSUER_REF_MAX_BYTES);
    CHECK(result->is_revocable == (result->issuer_ref.len > 0));
    if (result->issuer_ref.len > 0) {
        memcpy(stage.ref, result->issuer_ref.ptr, result->issuer_ref.len);
        stage.ref_len = result->issuer_ref.len;
    }
}

static void call_ended(struct lease_call *call, const struct lease_result *result)
{
    struct try *try = call->user;

    try->end_count++;
    CHECK(try->end_count == 1);
    if (result->outcome != LEASE_OUTCOME_OK) {
        check_line(result->detail);
        CHECK(result->field_count == 0);
    } else if (call->kind == LEASE_CALL_ISSUE) {
        check_issued(result);
    }
}

/* --- acts ------------------------------------------------------------------------------------- */

static void start_call(enum lease_call_kind kind, const char *params)
{
    struct lease_issuer *issuer = backend_issuer(stage.backend);
    struct try *try = &stage.calls[stage.count];

    if (kind != LEASE_CALL_ISSUE && stage.ref_len == 0) {
        return;
    }
    memcpy(try->ref, stage.ref, sizeof(try->ref));
    try->call = (struct lease_call){
        .kind = kind,
        .role = "app",
        .params_json = params,
        .issuer_ref = {.ptr = try->ref, .len = kind == LEASE_CALL_ISSUE ? 0 : stage.ref_len},
        .caller = {.user = "alice", .reason = "because", .uid = 1000},
        .ttl_ms = 3600000,
        .fn = call_ended,
        .user = try,
    };
    stage.count += issuer->ops->call_start(issuer, &try->call) == 0 ? 1 : 0;
}

static void cancel_last(void)
{
    struct lease_issuer *issuer = backend_issuer(stage.backend);
    struct try *try = stage.count > 0 ? &stage.calls[stage.count - 1] : NULL;

    if (try != NULL && try->end_count == 0) {
        issuer->ops->call_cancel(issuer, &try->call);
    }
}

static void wait(char digit)
{
    uint64_t ms = 1;

    for (; digit > '0'; digit--) {
        ms *= 10;
    }
    if (stage.waited_ms + ms <= WAIT_MAX_MS) {
        stage.waited_ms += ms;
        fake_env_advance(&stage.fake, ms);
    }
}

static void act(char what)
{
    static const char *const params[2][2] = {
        {"{\"namespace\":\"team-a\",\"service_account\":\"runner\",\"audiences\":[\"x\"]}",
         "{\"namespace\":\"team-a\",\"service_account\":\"r\",\"revoke\":\"bound-secret\"}"},
        {"{\"installation_id\":7,\"permissions\":{\"contents\":\"read\"}}",
         "{\"owner\":\"acme/${identity.user}\"}"},
    };

    if (what == 'i' || what == 'j') {
        start_call(LEASE_CALL_ISSUE, params[stage.is_github][what - 'i']);
    } else if (what == 'v') {
        start_call(LEASE_CALL_REVOKE, params[stage.is_github][0]);
    } else if (what == 'c') {
        cancel_last();
    } else if (what >= '0' && what <= '6') {
        wait(what);
    }
    fake_env_run(&stage.fake);
}

/* --- the stage -------------------------------------------------------------------------------- */

static void open_backend(void)
{
    const char *address = NULL;
    struct backend_options options = {
        .env = &stage.fake.env,
        .plugin =
            backend_registry_find(registry, stage.is_github ? STR("github") : STR("kubernetes")),
        .name = "forge",
        .addresses = &address,
        .config_json = stage.is_github ? "{\"app_id\":7,\"private_key_file\":\"key\"}"
                                       : "{\"token_file\":\"token\"}",
        .limits = {.in_flight = 8, .lifetime_max_ms = LIFETIME_MAX_MS},
        .health_interval_ms = 300000,
    };

    CHECK(backend_open(&options, &stage.backend, NULL) == 0);
}

static void closed(void *user)
{
    (void)user;
    stage.closed_count++;
}

static void stage_open(struct input input)
{
    struct str acts = input_line(&input);
    bool has_key = acts.len == 0 || memchr(acts.ptr, 'x', acts.len) == NULL;

    memset(&stage, 0, sizeof(stage));
    stage.is_github = acts.len > 0 && acts.ptr[0] == 'g';
    stage.names_secret = input.size > 0 && (memmem(input.bytes, input.size, SECRET, 6) != NULL ||
                                            memmem(input.bytes, input.size, "PRIVATE", 7) != NULL);
    fake_env_init(&stage.fake, 1000000, 1);
    fake_env_add_secret(&stage.fake, "file:token", SECRET);
    fake_env_add_secret(&stage.fake, "file:key", has_key ? pem : SECRET);
    vault_answers_init(&stage.answers, &stage.fake, input);
    open_backend();
    for (size_t i = 1; i < acts.len && stage.count < CALLS_MAX && i < 2U * CALLS_MAX; i++) {
        act(acts.ptr[i]);
    }
}

static void stage_close(void)
{
    fake_env_run(&stage.fake);
    backend_close(stage.backend, true, closed, NULL);
    fake_env_advance(&stage.fake, CLOSE_MS);
    fake_env_run(&stage.fake);
    CHECK(stage.closed_count == 1);
    for (size_t i = 0; i < stage.count; i++) {
        CHECK(stage.calls[i].end_count == 1);
    }
    vault_answers_fini(&stage.answers);
    fake_env_fini(&stage.fake);
}

static void set_up(void)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    BIO *bio = BIO_new(BIO_s_mem());
    int len = -1;

    CHECK(key != NULL && bio != NULL);
    CHECK(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    len = BIO_read(bio, pem, sizeof(pem) - 1);
    CHECK(len > 0);
    pem[len] = '\0';
    BIO_free(bio);
    EVP_PKEY_free(key);
    CHECK(backend_registry_new(&registry) == 0);
    CHECK(backend_registry_add_builtin(registry, leased_plugin_entry_github, NULL) == 0);
    CHECK(backend_registry_add_builtin(registry, leased_plugin_entry_kubernetes, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t bytes_before;

    json_set_alloc_funcs(mem_alloc, mem_free);
    json_object_seed(1);
    if (registry == NULL) {
        set_up();
    }
    bytes_before = mem_in_use_bytes();
    log_set_sink(log_line, NULL, LOG_LEVEL_DEBUG);
    stage_open(input_of(bytes, size));
    stage_close();
    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
    CHECK(mem_in_use_bytes() == bytes_before);
    return 0;
}
