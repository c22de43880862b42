/* Any bytes as an issuer's answers to the real Vault plugin, in the real backend on the fake env.
 *
 * The first line is what leased does, a character each: the digit of the configuration, then
 *   i j k   issues a credential (three sorts of paths)    r v   renews, revokes the last one
 *   p       passes a client's request through             c     cancels what was started last
 *   0 … 6   10^n ms pass (twenty minutes in all)
 * The rest are the answers (vault_answers.h). Whatever they are: each operation ends exactly once,
 * what is called issued has a bounded life and clean fields, no secret stands in an error or in the
 * log, and in the end nothing is left. */
#include "fuzz/vault_answers.h"

#include "backend/call.h"
#include "backend/registry.h"
#include "base/log.h"
#include "base/mem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int32_t leased_plugin_entry_vault(const struct leased_host *host,
                                  const struct leased_plugin **ret_plugin);

#define CALLS_MAX 64
#define REF_MAX_BYTES 1024
#define LIFETIME_MAX_MS 86400000U
#define CLOSE_MS 600000U
#define WAIT_MAX_MS 1200000U /* a failing issuer is probed each second or so */
#define SECRET SIM_VAULT_MARK
#define WRAPPED_CONFIG                                                                             \
    "{\"auth\":{\"method\":\"approle\",\"role_id\":\"r\","                                         \
    "\"secret_id_wrapping_token_file\":\"wrapped\"}}"

struct stage;

struct
try {
    struct stage *stage;
    struct lease_call call;
    struct backend_call pass;
    bool is_pass;
    size_t end_count;
    char ref[REF_MAX_BYTES];
};

struct stage {
    struct fake_env fake;
    struct vault_answers answers;
    struct backend *backend;
    struct try calls[CALLS_MAX];
    size_t count;
    char ref[REF_MAX_BYTES]; /* of the last lease */
    size_t ref_len;
    uint64_t waited_ms;
    size_t closed_count;
    bool names_secret; /* the input itself holds the word that stands for secrets */
};

static struct stage stage;

/* Stays for all inputs: nothing is ever unloaded. */
static struct backend_registry *registry;

/* --- what must hold --------------------------------------------------------------------------- */

static void check_no_secret(struct str text)
{
    CHECK(stage.names_secret || text.len == 0 ||
          memmem(text.ptr, text.len, SECRET, sizeof(SECRET) - 1) == NULL);
}

static void check_line(const char *text)
{
    size_t i;

    CHECK(text == NULL || strlen(text) < 1024);
    for (i = 0; text != NULL && text[i] != '\0'; i++) {
        CHECK((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
    }
    check_no_secret(str_of(text));
}

static void log_line(void *user, enum log_level level, const char *event,
                     const struct log_field *fields, size_t count)
{
    size_t i;

    (void)user;
    (void)level;
    (void)event;
    for (i = 0; i < count; i++) {
        check_no_secret(fields[i].value);
    }
}

static void check_issued(const struct lease_result *result)
{
    size_t i;
    size_t j;

    CHECK(result->lifetime_ms > 0 && result->lifetime_ms <= LIFETIME_MAX_MS);
    CHECK(result->answered_ms <= stage.fake.now_ms);
    CHECK(result->field_count <= LEASE_FIELDS_MAX);
    CHECK(result->issuer_ref.len <= LEASE_ISSUER_REF_MAX_BYTES);
    CHECK(result->issuer_ref.len > 0 || (!result->is_renewable && !result->is_revocable));
    for (i = 0; i < result->field_count; i++) {
        CHECK(result->fields[i].name.len > 0);
        for (j = 0; j < i; j++) {
            CHECK(!str_eq(result->fields[i].name, result->fields[j].name));
        }
    }
    if (result->issuer_ref.len > 0 && result->issuer_ref.len <= REF_MAX_BYTES) {
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
    } else if (call->kind == LEASE_CALL_RENEW) {
        CHECK(result->lifetime_ms > 0 && result->lifetime_ms <= LIFETIME_MAX_MS);
    }
}

static void pass_ended(struct backend_call *call, const struct backend_call_result *result)
{
    struct try *try = call->user;
    size_t i;

    try->end_count++;
    CHECK(try->end_count == 1);
    if (result->outcome != LEASE_OUTCOME_OK) {
        check_line(result->detail);
        return;
    }
    CHECK(result->status >= 100 && result->status < 1000);
    CHECK(result->header_count <= BACKEND_CALL_REPLY_HEADERS_MAX);
    for (i = 0; i < result->header_count; i++) {
        CHECK(memchr(result->headers[i].value.ptr, '\n', result->headers[i].value.len) == NULL);
    }
}

/* --- acts ------------------------------------------------------------------------------------- */

static void start_call(enum lease_call_kind kind, const char *params)
{
    struct lease_issuer *issuer = backend_issuer(stage.backend);
    struct try *try = &stage.calls[stage.count];

    memcpy(try->ref, stage.ref, sizeof(try->ref));
    try->stage = &stage;
    try->call = (struct lease_call){
        .kind = kind,
        .role = "orders",
        .params_json = params,
        .issuer_ref = {.ptr = try->ref, .len = kind == LEASE_CALL_ISSUE ? 0 : stage.ref_len},
        .caller = {.user = "alice", .reason = "because", .uid = 1000},
        .ttl_ms = 3600000,
        .fn = call_ended,
        .user = try,
    };
    if (kind != LEASE_CALL_ISSUE && stage.ref_len == 0) {
        return;
    }
    stage.count += issuer->ops->call_start(issuer, &try->call) == 0 ? 1 : 0;
}

static void start_pass(void)
{
    struct try *try = &stage.calls[stage.count];

    try->is_pass = true;
    try->pass = (struct backend_call){
        .method = "GET", .path = "/v1/sys/leases/lookup", .fn = pass_ended, .user = try};
    stage.count += backend_call_start(stage.backend, &try->pass) == 0 ? 1 : 0;
}

static void cancel_last(void)
{
    struct lease_issuer *issuer = backend_issuer(stage.backend);
    struct try *try = stage.count > 0 ? &stage.calls[stage.count - 1] : NULL;

    if (try == NULL || try->end_count > 0) {
        return;
    }
    if (try->is_pass) {
        backend_call_cancel(&try->pass);
    } else {
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
    static const char *const params[] = {
        "{\"path\":\"database/creds/orders\"}",
        "{\"path\":\"pki/issue/web\",\"method\":\"post\",\"params\":{\"common_name\":\"a.b\"}}",
        "{\"path\":\"kv/data/app\",\"params\":{\"version\":1}}",
    };

    if (what >= 'i' && what <= 'k') {
        start_call(LEASE_CALL_ISSUE, params[what - 'i']);
    } else if (what == 'r') {
        start_call(LEASE_CALL_RENEW, params[0]);
    } else if (what == 'v') {
        start_call(LEASE_CALL_REVOKE, params[0]);
    } else if (what == 'p') {
        start_pass();
    } else if (what == 'c') {
        cancel_last();
    } else if (what >= '0' && what <= '6') {
        wait(what);
        fake_env_run(&stage.fake);
    }
}

/* --- the stage -------------------------------------------------------------------------------- */

static void open_backend(char config)
{
    static const char *const addresses[] = {"https://vault.example:8200",
                                            "https://other.example:8200"};
    static const char *const configs[] = {
        "{\"auth\":{\"method\":\"token\",\"token_file\":\"token\"}}",
        "{\"auth\":{\"method\":\"approle\",\"role_id\":\"" SIM_VAULT_ROLE_ID
        "\",\"secret_id_file\":\"secret\"},\"namespace\":\"team-a\"}",
        "{\"auth\":{\"method\":\"userpass\",\"username\":\"a/../b\",\"password_file\":\"secret\"}}",
        WRAPPED_CONFIG,
        "{\"auth\":{\"method\":\"jwt\",\"role\":\"ci\",\"jwt_file\":\"secret\"}}",
    };
    struct backend_options options = {
        .env = &stage.fake.env,
        .plugin = backend_registry_find(registry, STR("vault")),
        .name = "vault",
        .addresses = addresses,
        .address_count = ARRAY_LEN(addresses),
        .config_json = configs[(unsigned char)config % ARRAY_LEN(configs)],
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
    size_t i;

    memset(&stage, 0, sizeof(stage));
    stage.names_secret = input.size > 0 && memmem(input.bytes, input.size, SECRET, 6) != NULL;
    fake_env_init(&stage.fake, 1000000, 1);
    fake_env_add_secret(&stage.fake, "file:token", SIM_VAULT_ROOT);
    fake_env_add_secret(&stage.fake, "file:secret", SIM_VAULT_SECRET_ID);
    fake_env_add_secret(&stage.fake, "file:wrapped", SIM_VAULT_MARK "-wrapped");
    vault_answers_init(&stage.answers, &stage.fake, input);
    open_backend(acts.len > 0 ? acts.ptr[0] : '0');
    for (i = 1; i < acts.len && stage.count < CALLS_MAX && i < 2U * CALLS_MAX; i++) {
        act(acts.ptr[i]);
    }
}

static void stage_close(void)
{
    size_t i;

    fake_env_run(&stage.fake);
    backend_close(stage.backend, true, closed, NULL);
    fake_env_advance(&stage.fake, CLOSE_MS);
    fake_env_run(&stage.fake);
    CHECK(stage.closed_count == 1);
    for (i = 0; i < stage.count; i++) {
        CHECK(stage.calls[i].end_count == 1);
    }
    vault_answers_fini(&stage.answers);
    fake_env_fini(&stage.fake);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t bytes_before;

    json_set_alloc_funcs(mem_alloc, mem_free);
    json_object_seed(1);
    if (registry == NULL) {
        CHECK(backend_registry_new(&registry) == 0);
        CHECK(backend_registry_add_builtin(registry, leased_plugin_entry_vault, NULL) == 0);
    }
    bytes_before = mem_in_use_bytes();
    log_set_sink(log_line, NULL, LOG_LEVEL_DEBUG);
    stage_open(input_of(bytes, size));
    stage_close();
    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
    CHECK(mem_in_use_bytes() == bytes_before);
    return 0;
}
