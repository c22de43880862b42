/* Any bytes as what AWS answers to the real AWS plugin, in the real backend on the fake env.
 *
 * The first byte says which source the backend has, and what is done: '0' to '4' issue with a
 * credentials file, a container's endpoint, instance metadata, a web identity, a role on top; '5'
 * revokes (deny-older); '6' another role's credential, of four fields, each up to a zero byte. With
 * '0' the second line is the credentials file's text up to a zero byte. The rest are the answers,
 * one after the other, each with a status and up to a zero byte: "200 <…>". Whatever they are: the
 * operation ends exactly once, what is issued has a bounded life and clean fields, no secret stands
 * in an error, and in the end nothing is left. */
#include "backend/backend.h"
#include "backend/registry.h"
#include "base/mem.h"
#include "leased/plugin.h"
#include "plugins/fake_lender.h"
#include "support/fake_env.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int32_t leased_plugin_entry_aws(const struct leased_host *host,
                                const struct leased_plugin **ret_plugin);

#define SECRET "SECRET-of-the-fuzzer"
#define LIFETIME_MAX_MS UINT64_C(129600000)
#define STEPS_MAX 64
#define FILE_SOURCE "\"source\":{\"type\":\"file\",\"credentials_file\":\"f\"}"
#define ARN "\"role_arn\":\"arn:aws:iam::123456789012:role/r\""
#define PARAMS "{" ARN ",\"revoke\":\"deny-older\"}"

static const char *const configs[] = {
    "{\"region\":\"eu-west-1\"," FILE_SOURCE "}",
    "{\"region\":\"eu-west-1\",\"source\":{\"type\":\"container\",\"uri\":\"/c\"}}",
    "{\"region\":\"eu-west-1\",\"source\":{\"type\":\"instance_metadata\"}}",
    "{\"region\":\"eu-west-1\",\"source\":{\"type\":\"web_identity\",\"token_file\":\"t\"," ARN
    "}}",
    "{\"region\":\"eu-west-1\"," FILE_SOURCE ",\"assume_role\":{" ARN "}}",
    "{\"region\":\"eu-west-1\"," FILE_SOURCE "}",
    "{\"region\":\"eu-west-1\",\"source\":{\"type\":\"role\",\"role\":\"keys\"}}",
};

struct stage {
    struct fake_env fake;
    struct fake_lender lender;
    struct backend *backend;
    struct lease_call call;
    size_t end_count;
    size_t closed_count;
    char *file; /* the credentials file */
    const uint8_t *at;
    const uint8_t *end;
    bool names_secret; /* the input itself holds the word that stands for secrets */
};

/* Stays for all inputs: nothing is ever unloaded. */
static struct backend_registry *registry;

static void check_text(const struct stage *stage, const char *text)
{
    CHECK(text == NULL || stage->names_secret || strstr(text, SECRET) == NULL);
    for (size_t i = 0; text != NULL && text[i] != '\0'; i++) {
        CHECK((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
    }
}

static void ended(struct lease_call *call, const struct lease_result *result)
{
    struct stage *stage = call->user;

    stage->end_count++;
    check_text(stage, result->detail);
    if (result->outcome != LEASE_OUTCOME_OK || call->kind != LEASE_CALL_ISSUE) {
        return;
    }
    CHECK(result->lifetime_ms > 0 && result->lifetime_ms <= LIFETIME_MAX_MS);
    CHECK(result->field_count == 4);
    CHECK(result->is_revocable && !result->is_renewable);
    for (size_t i = 0; i < result->field_count; i++) {
        struct str value = result->fields[i].value;

        CHECK(value.len > 0);
        for (size_t j = 0; j < value.len; j++) {
            CHECK(value.ptr[j] > 0x20 && value.ptr[j] < 0x7f);
        }
    }
}

static void closed(void *user)
{
    ((struct stage *)user)->closed_count++;
}

/* Up to the next zero byte, which is skipped. */
static struct str next_part(struct stage *stage)
{
    const uint8_t *zero = memchr(stage->at, 0, (size_t)(stage->end - stage->at));
    const uint8_t *end = zero != NULL ? zero : stage->end;
    struct str part = {(const char *)stage->at, (size_t)(end - stage->at)};

    stage->at = zero != NULL ? zero + 1 : end;
    return part;
}

/* "200 body"; without such a beginning it is 200. */
static void answer(struct stage *stage, struct env_http *http)
{
    struct env_http_reply reply = {.status = 200, .body = next_part(stage)};
    const char *text = reply.body.ptr;

    if (stage->at == stage->end && reply.body.len == 0) {
        fake_env_http_finish(&stage->fake, http, ERR_LOST, NULL, "no more");
        return;
    }
    if (reply.body.len >= 4 && text[0] >= '1' && text[0] <= '5' && text[1] >= '0' &&
        text[1] <= '9' && text[2] >= '0' && text[2] <= '9' && text[3] == ' ') {
        reply.status = (uint32_t)((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0'));
        reply.body = (struct str){text + 4, reply.body.len - 4};
    }
    fake_env_http_finish(&stage->fake, http, 0, &reply, NULL);
}

static void run(struct stage *stage)
{
    for (size_t i = 0; i < STEPS_MAX; i++) {
        struct env_http *http = fake_env_http_first(&stage->fake);

        if (http != NULL) {
            answer(stage, http);
        } else if (stage->end_count > 0) {
            return;
        }
        fake_env_advance(&stage->fake, http != NULL ? 0 : 1000);
    }
}

static int borrow_start(void *user, struct lease_loan *loan)
{
    return fake_lender_start(&((struct stage *)user)->lender, loan);
}

static void borrow_cancel(void *user, struct lease_loan *loan)
{
    fake_lender_cancel(&((struct stage *)user)->lender, loan);
}

/* What another role gives: three values, the third under either of its names. */
static void set_up_lender(struct stage *stage)
{
    static const char *const names[] = {"access_key_id", "secret_key", "session_token",
                                        "security_token"};

    stage->lender.fake = &stage->fake;
    for (size_t i = 0; i < 4; i++) {
        stage->lender.fields[i] =
            (struct lease_field){.name = str_of(names[i]), .value = next_part(stage)};
    }
    stage->lender.field_count = 4;
}

static void open_backend(struct stage *stage, const char *config)
{
    const struct backend_options options = {.env = &stage->fake.env,
                                            .plugin = backend_registry_find(registry, STR("aws")),
                                            .name = "aws",
                                            .config_json = config,
                                            .borrows = FAKE_LENDER_ROLE,
                                            .borrow_start = borrow_start,
                                            .borrow_cancel = borrow_cancel,
                                            .user = stage};
    struct err e = {0};

    CHECK(backend_open(&options, &stage->backend, &e) == 0);
}

static void set_up(struct stage *stage, uint8_t kind)
{
    struct str file = STR("[default]\naws_access_key_id=AKIA1\naws_secret_access_key=" SECRET
                          "\naws_session_token=" SECRET "\n");

    fake_env_init(&stage->fake, 1000, 1);
    if (kind == 0) {
        file = next_part(stage);
    }
    stage->file = mem_strndup(file.ptr, file.len);
    CHECK(stage->file != NULL);
    fake_env_add_secret(&stage->fake, "file:f", stage->file);
    fake_env_add_secret(&stage->fake, "shared-file:t", SECRET);
    if (kind == 6) {
        set_up_lender(stage);
    }
    open_backend(stage, configs[kind]);
}

static void tear_down(struct stage *stage)
{
    backend_close(stage->backend, false, closed, stage);
    for (size_t i = 0; i < STEPS_MAX && stage->closed_count == 0; i++) {
        struct env_http *http = fake_env_http_first(&stage->fake);

        if (http != NULL) {
            fake_env_http_finish(&stage->fake, http, ERR_CANCELED, NULL, NULL);
        }
        fake_env_advance(&stage->fake, 0);
    }
    CHECK(stage->closed_count == 1);
    CHECK(stage->end_count == 1);
    CHECK(fake_env_timer_count(&stage->fake) == 0);
    fake_env_fini(&stage->fake);
    mem_free(stage->file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct stage stage = {.at = bytes + 1, .end = bytes + size};
    struct lease_issuer *issuer;
    size_t before;
    struct err e = {0};

    if (size == 0 || bytes[0] < '0' || bytes[0] > '6') {
        return 0;
    }
    if (registry == NULL) {
        json_set_alloc_funcs(mem_alloc, mem_free);
        CHECK(backend_registry_new(&registry) == 0);
        CHECK(backend_registry_add_builtin(registry, leased_plugin_entry_aws, &e) == 0);
    }
    before = mem_in_use_bytes();
    stage.names_secret = memmem(bytes, size, SECRET, strlen(SECRET)) != NULL;
    set_up(&stage, (uint8_t)(bytes[0] - '0'));
    stage.call = (struct lease_call){
        .kind = bytes[0] == '5' ? LEASE_CALL_REVOKE : LEASE_CALL_ISSUE,
        .role = "r",
        .params_json = PARAMS,
        .caller = {.user = "joe", .reason = "x", .sans = ""},
        .issuer_ref = STR("A\narn:aws:iam::123456789012:role/r 1767225600"),
        .fn = ended,
        .user = &stage,
    };
    issuer = backend_issuer(stage.backend);
    CHECK(issuer->ops->call_start(issuer, &stage.call) == 0);
    fake_env_advance(&stage.fake, 0);
    run(&stage);
    tear_down(&stage);
    CHECK(mem_in_use_bytes() == before);
    return 0;
}
