/* One record on its way to a hook: an HTTP request with a signed body, or a program with it on its
 * stdin. */
#include "audit/hooks_internal.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define SEND_TIMEOUT_MS 10000U

static struct hook_event *first_of(struct hook *hook)
{
    return LIST_ENTRY(hook->queue.next, struct hook_event, node);
}

/* --- webhooks --- */

/* "t=SECONDS,v1=HEX": HMAC-SHA256 over SECONDS "." BODY, so that an old body isn't new later. */
static int sign(struct hook *hook, const struct hook_event *event, struct err *e)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char hash[EVP_MAX_MD_SIZE] = {0};
    struct secret key;
    struct buf text;
    size_t used;
    size_t i;
    int r;

    secret_init(&key);
    buf_init(&text, AUDIT_RECORD_MAX_BYTES + 64U);
    r = env_secret_read(hook->hooks->env, str_of(hook->key_source), &key, e);
    if (r == 0) {
        int64_t now_s = env_wall_ms(hook->hooks->env) / 1000;

        used =
            (size_t)snprintf(hook->signature, sizeof(hook->signature), "t=%" PRId64 ",v1=", now_s);
        buf_printf(&text, "%" PRId64 ".", now_s);
        buf_add(&text, event->bytes, event->size);
        r = buf_status(&text) == 0 &&
                    HMAC(EVP_sha256(), secret_view(&key).ptr, (int)secret_view(&key).len,
                         (const unsigned char *)text.bytes, text.len, hash, NULL) != NULL
                ? 0
                : err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
        for (i = 0; r == 0 && i < 32; i++) {
            hook->signature[used++] = digits[hash[i] >> 4];
            hook->signature[used++] = digits[hash[i] & 0x0f];
        }
        hook->signature[used] = '\0';
    }
    buf_fini(&text);
    secret_fini(&key);
    return r;
}

static void answered(struct env_http *http, int status, const struct env_http_reply *reply,
                     const char *detail)
{
    struct hook *hook = OBJ_CAST(http->user, struct hook, HOOK_MAGIC);
    char why[HOOK_ERROR_MAX_BYTES];

    if (status == 0 && reply->status >= 200 && reply->status < 300) {
        hook_sent(hook, NULL); /* self may be gone */
        return;
    }
    if (status == 0) {
        (void)snprintf(why, sizeof(why), "it answered with HTTP status %u", reply->status);
    } else {
        (void)snprintf(why, sizeof(why), "%s%s%.120s", err_str(status),
                       detail != NULL && detail[0] != '\0' ? ": " : "",
                       detail != NULL ? detail : "");
    }
    hook_sent(hook, why); /* self may be gone */
}

static int post(struct hook *hook, struct hook_event *event, struct err *e)
{
    int r = hook->key_source != NULL ? sign(hook, event, e) : 0;

    hook->headers[0] =
        (struct env_http_header){.name = STR("Content-Type"), .value = STR("application/json")};
    hook->headers[1] =
        (struct env_http_header){.name = STR("X-Leased-Event"), .value = str_of(event->event)};
    hook->headers[2] = (struct env_http_header){.name = STR("X-Leased-Signature"),
                                                .value = str_of(hook->signature)};
    hook->tls = (struct env_http_tls){.ca_file = hook->ca_file};
    hook->http = (struct env_http){
        .method = "POST",
        .url = hook->name,
        .headers = hook->headers,
        .header_count = hook->key_source != NULL ? 3 : 2,
        .body = {.ptr = event->bytes, .len = event->size},
        .tls = &hook->tls,
        .timeout_ms = SEND_TIMEOUT_MS,
        .fn = answered,
        .user = hook,
    };
    return r == 0 ? env_http_start(hook->hooks->env, &hook->http, e) : r;
}

/* --- programs --- */

static void ended(struct env_run *run, const struct env_run_end *end)
{
    struct hook *hook = OBJ_CAST(run->user, struct hook, HOOK_MAGIC);
    char why[HOOK_ERROR_MAX_BYTES];

    if (end->outcome == ENV_RUN_EXITED && end->exit_code == 0) {
        hook_sent(hook, NULL); /* self may be gone */
        return;
    }
    if (end->outcome == ENV_RUN_EXITED) {
        (void)snprintf(why, sizeof(why), "the program exited with %u", end->exit_code);
    } else {
        (void)snprintf(why, sizeof(why), "the program %.*s",
                       (int)(end->text.len < 120 ? end->text.len : 120),
                       end->text.ptr != NULL ? end->text.ptr : "");
    }
    hook_sent(hook, why); /* self may be gone */
}

static int start_program(struct hook *hook, struct hook_event *event, struct err *e)
{
    struct env *env = hook->hooks->env;
    int r;

    (void)snprintf(hook->owner, sizeof(hook->owner), HOOK_PROGRAM_OWNER "%s", hook->name);
    hook->run = (struct env_run){
        .backend = hook->owner,
        .program = HOOK_PROGRAM,
        .input = {.ptr = event->bytes, .len = event->size},
        .fn = ended,
        .user = hook,
    };
    r = env_run_start(env, &hook->run);
    return r == 0 ? 0
                  : err_set(e, r, "%s", r == ERR_UNSUPPORTED ? env_run_problem(env) : err_str(r));
}

void hook_send(struct hook *hook)
{
    struct hook_event *event = first_of(hook);
    struct err e = {.code = 0};
    int r;

    CHECK(!hook->is_sending && hook->queued_count > 0);
    r = hook->is_program ? start_program(hook, event, &e) : post(hook, event, &e);
    hook->is_sending = r == 0;
    if (r != 0) {
        hook_sent(hook, e.text[0] != '\0' ? e.text : err_str(r));
    }
}
