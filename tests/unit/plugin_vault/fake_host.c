/* The fake host. Operations and exchanges are never reused and timers late, so that a stale handle
 * is noticed. */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t block_count;
static size_t alloc_countdown;

static void copy(char *out, size_t size, struct leased_str s)
{
    (void)snprintf(out, size, "%.*s", (int)s.len, s.ptr != NULL ? s.ptr : "");
}

static bool is(struct leased_str s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0;
}

static struct leased_str str(const char *text)
{
    return (struct leased_str){text, strlen(text)};
}

/* --- the table -------------------------------------------------------------------------------- */

static void on_log(leased_host_context *host, uint32_t level, struct leased_str event,
                   const struct leased_kv *fields, size_t field_count)
{
    assert_true(event.len > 0);
    for (size_t i = 0; i < field_count; i++) {
        assert_int_equal(fields[i].flags & LEASED_KV_SECRET, 0);
        assert_null(memmem(fields[i].value.ptr, fields[i].value.len, "SECRET", 6));
    }
    if (level >= LEASED_LOG_WARN) {
        host->warn_count++;
        copy(host->last_warning, sizeof(host->last_warning), event);
        copy(host->last_detail, sizeof(host->last_detail),
             field_count > 0 ? fields[0].value : str(""));
    }
}

static uint64_t on_now(leased_host_context *host)
{
    return host->now_ms;
}

static int64_t on_wall(leased_host_context *host)
{
    return host->wall_ms;
}

static void on_random(leased_host_context *host, void *bytes, size_t size)
{
    unsigned char *out = bytes;

    for (size_t i = 0; i < size; i++) {
        host->random_state = host->random_state * 6364136223846793005U + 1442695040888963407U;
        out[i] = (unsigned char)(host->random_state >> 33);
    }
}

void *host_malloc(size_t size)
{
    block_count++;
    return malloc(size);
}

static void *on_secret_alloc(size_t size)
{
    if (alloc_countdown > 0 && --alloc_countdown == 0) {
        return NULL;
    }
    return host_malloc(size);
}

void host_free(void *block)
{
    block_count -= block != NULL ? 1 : 0;
    free(block);
}

static int64_t on_secret_read(leased_host_context *host, struct leased_str source, char **ret_bytes,
                              struct leased_str *ret_detail)
{
    for (size_t i = 0; i < sizeof(host->secrets) / sizeof(host->secrets[0]); i++) {
        const struct fake_secret *secret = &host->secrets[i];

        if (secret->source != NULL && secret->value != NULL && is(source, secret->source)) {
            size_t len = secret->len > 0 ? secret->len : strlen(secret->value);
            char *bytes = on_secret_alloc(len + 1);

            if (bytes == NULL) {
                break;
            }
            memcpy(bytes, secret->value, len);
            *ret_bytes = bytes;
            return (int64_t)len;
        }
    }
    *ret_detail = str("no such secret");
    return -1;
}

static uint64_t ordinal(struct leased_host_context *host, uint64_t generation)
{
    size_t i = 0;

    if (generation == 0) {
        return 0;
    }
    while (i < host->generation_count && host->generations[i] != generation) {
        i++;
    }
    assert_true(i < HOST_GENERATIONS_MAX);
    if (i == host->generation_count) {
        host->generations[host->generation_count++] = generation;
    }
    return i + 1;
}

static int32_t on_intent(leased_host_context *host, leased_op *handle, struct leased_str ref,
                         leased_intent_fn fn, void *user)
{
    struct fake_op *op = (struct fake_op *)(void *)handle;
    struct fake_intent *intent = &host->intents[host->intent_count];

    assert_true(op->is_open);
    assert_true(ref.len > 0 && ref.len <= 1024);
    if (host->intents_fail || (alloc_countdown > 0 && --alloc_countdown == 0)) {
        return -LEASED_RETRY;
    }
    for (size_t i = 0; i < host->intent_count; i++) {
        assert_false(host->intents[i].is_open && host->intents[i].op == op);
    }
    assert_true(host->intent_count++ < HOST_OPS_MAX);
    *intent = (struct fake_intent){.op = op, .is_open = true, .fn = fn, .user = user};
    copy(intent->ref, sizeof(intent->ref), ref);
    return 0;
}

static int32_t on_state_put(leased_host_context *host, struct leased_str bytes)
{
    host->state_count++;
    copy(host->state, sizeof(host->state), bytes);
    return 0;
}

static int64_t on_state_get(leased_host_context *host, char **ret_bytes)
{
    size_t len = strlen(host->state);
    char *bytes = len > 0 ? on_secret_alloc(len) : NULL;

    if (bytes == NULL) {
        return len > 0 ? -LEASED_RETRY : 0;
    }
    memcpy(bytes, host->state, len);
    *ret_bytes = bytes;
    return (int64_t)len;
}

static void on_warning(leased_host_context *host, struct leased_str key, struct leased_str text)
{
    char(*place)[512] = NULL;

    for (size_t i = 0; i < sizeof(host->warnings) / sizeof(host->warnings[0]); i++) {
        size_t len = strcspn(host->warnings[i], "=");

        if (len == key.len && memcmp(host->warnings[i], key.ptr, len) == 0) {
            place = &host->warnings[i];
            break;
        }
        place = place == NULL && len == 0 ? &host->warnings[i] : place;
    }
    assert_non_null(place);
    if (text.len == 0) {
        (*place)[0] = '\0';
    } else {
        (void)snprintf(*place, sizeof(*place), "%.*s=%.*s", (int)key.len, key.ptr, (int)text.len,
                       text.ptr);
    }
}

static leased_timer *on_timer_start(leased_host_context *host, uint64_t delay_ms,
                                    leased_timer_fn fn, void *user)
{
    struct fake_timer *timer;

    if (alloc_countdown > 0 && --alloc_countdown == 0) {
        return NULL;
    }
    timer = &host->timers[host->timer_count++ % HOST_TIMERS_MAX];
    assert_false(timer->is_armed);
    *timer = (struct fake_timer){
        .is_armed = true, .when_ms = host->now_ms + delay_ms, .fn = fn, .user = user};
    return (leased_timer *)(void *)timer;
}

static void on_timer_stop(leased_host_context *host, leased_timer *handle)
{
    struct fake_timer *timer = (struct fake_timer *)(void *)handle;

    (void)host;
    assert_true(timer->is_armed);
    timer->is_armed = false;
}

static leased_http *on_http_start(leased_host_context *host,
                                  const struct leased_http_request *request, leased_http_fn fn,
                                  void *user)
{
    struct fake_http *http;

    if (host->http_fails || (alloc_countdown > 0 && --alloc_countdown == 0)) {
        return NULL;
    }
    assert_true(host->http_count < HOST_HTTPS_MAX);
    if (is(request->path, "/v1/sys/capabilities-self")) {
        http = &host->rights;
        assert_false(http->is_open);
        host->rights_count++;
    } else {
        http = &host->https[host->http_count++];
    }
    *http = (struct fake_http){.is_open = true, .flags = request->flags, .fn = fn, .user = user};
    copy(http->method, sizeof(http->method), request->method);
    copy(http->path, sizeof(http->path), request->path);
    copy(http->body, sizeof(http->body), request->body);
    for (size_t i = 0; i < request->header_count; i++) {
        const struct leased_http_header *header = &request->headers[i];

        if (is(header->name, "X-Vault-Token")) {
            copy(http->token, sizeof(http->token), header->value);
        } else if (is(header->name, "X-Vault-Namespace")) {
            copy(http->name_space, sizeof(http->name_space), header->value);
        } else if (is(header->name, "X-Vault-Request")) {
            http->has_guard = is(header->value, "true");
        } else if (is(header->name, "X-Vault-No-Request-Forwarding")) {
            http->is_unforwarded = is(header->value, "true");
        } else {
            size_t used = strlen(http->others);

            (void)snprintf(http->others + used, sizeof(http->others) - used, "%.*s=%.*s\n",
                           (int)header->name.len, header->name.ptr, (int)header->value.len,
                           header->value.ptr);
        }
    }
    /* Only then a redirect says that nothing was done. */
    assert_int_equal((http->flags & LEASED_HTTP_MOVABLE) != 0, http->is_unforwarded);
    return (leased_http *)(void *)http;
}

static void on_http_cancel(leased_host_context *host, leased_http *handle)
{
    (void)host;
    ((struct fake_http *)(void *)handle)->is_canceled = true;
}

static void on_op_done(leased_host_context *host, leased_op *handle, int32_t status,
                       const struct leased_result *result)
{
    static const struct leased_result none = {.size = sizeof(none)};
    struct fake_op *op = (struct fake_op *)(void *)handle;

    assert_ptr_not_equal(op, host->starting);
    assert_true(op->is_open);
    op->is_open = false;
    op->done_count++;
    for (size_t i = 0; i < host->intent_count; i++) {
        host->intents[i].is_open = host->intents[i].is_open && host->intents[i].op != op;
    }
    result = result != NULL ? result : &none;
    op->status = status;
    op->flags = result->flags;
    op->lifetime_ms = result->lifetime_ms;
    op->retry_after_ms = result->retry_after_ms;
    op->anchor = ordinal(host, result->anchor);
    op->asked_ms = result->asked_ms;
    op->refresh_ms = result->refresh_ms;
    copy(op->ref, sizeof(op->ref), result->issuer_ref);
    copy(op->detail, sizeof(op->detail), result->detail);
    assert_null(strstr(op->detail, "SECRET"));
    for (size_t i = 0; i < result->field_count; i++) {
        size_t used = strlen(op->fields);
        const struct leased_kv *kv = &result->fields[i];

        (void)snprintf(op->fields + used, sizeof(op->fields) - used, "%.*s%s=%.*s\n",
                       (int)kv->key.len, kv->key.ptr, (kv->flags & LEASED_KV_SECRET) ? "*" : "",
                       (int)kv->value.len, kv->value.ptr);
    }
    for (size_t i = 0; i < result->warning_count; i++) {
        size_t used = strlen(op->warnings);

        (void)snprintf(op->warnings + used, sizeof(op->warnings) - used, "%.*s\n",
                       (int)result->warnings[i].len, result->warnings[i].ptr);
    }
}

static void on_call_done(leased_host_context *host, leased_op *handle,
                         const struct leased_call_reply *reply)
{
    struct fake_op *op = (struct fake_op *)(void *)handle;

    assert_ptr_not_equal(op, host->starting);
    assert_true(op->is_open);
    op->is_open = false;
    op->done_count++;
    op->reply_status = reply->status;
    for (size_t i = 0; i < reply->header_count; i++) {
        size_t used = strlen(op->reply);

        (void)snprintf(op->reply + used, sizeof(op->reply) - used, "%.*s=%.*s\n",
                       (int)reply->headers[i].name.len, reply->headers[i].name.ptr,
                       (int)reply->headers[i].value.len, reply->headers[i].value.ptr);
    }
    (void)snprintf(op->reply + strlen(op->reply), sizeof(op->reply) - strlen(op->reply), "%.*s",
                   (int)reply->body.len, reply->body.ptr);
}

static void on_anchor_ends(leased_host_context *host, uint64_t anchor, uint64_t when_ms,
                           struct leased_str reason)
{
    struct fake_anchor *told;

    assert_true(host->anchor_count < HOST_ANCHORS_MAX);
    told = &host->anchors[host->anchor_count++];
    *told = (struct fake_anchor){.anchor = ordinal(host, anchor), .when_ms = when_ms};
    copy(told->reason, sizeof(told->reason), reason);
}

static void on_login_expires(leased_host_context *host, uint64_t when_ms)
{
    host->login_expires_ms = when_ms;
}

static void on_metric_add(leased_host_context *host, struct leased_str name, uint64_t delta)
{
    (void)host;
    (void)delta;
    for (size_t i = 0; i < name.len; i++) {
        assert_true(name.ptr[i] == '_' || (name.ptr[i] >= 'a' && name.ptr[i] <= 'z'));
    }
}

static int32_t on_post(leased_host_context *host, leased_post_fn fn, void *user)
{
    (void)host;
    (void)fn;
    (void)user;
    return -1;
}

const struct leased_host fake_host = {
    .size = sizeof(struct leased_host),
    .abi_major = LEASED_ABI_MAJOR,
    .abi_minor = LEASED_ABI_MINOR,
    .log = on_log,
    .now_ms = on_now,
    .wall_ms = on_wall,
    .random = on_random,
    .secret_alloc = on_secret_alloc,
    .secret_free = host_free,
    .secret_read = on_secret_read,
    .timer_start = on_timer_start,
    .timer_stop = on_timer_stop,
    .http_start = on_http_start,
    .http_cancel = on_http_cancel,
    .op_done = on_op_done,
    .anchor_ends = on_anchor_ends,
    .login_expires = on_login_expires,
    .metric_add = on_metric_add,
    .post = on_post,
    .call_done = on_call_done,
    .alloc = on_secret_alloc,
    .intent = on_intent,
    .state_put = on_state_put,
    .state_get = on_state_get,
    .warning = on_warning,
};

/* --- memory ------------------------------------------------------------------------------------
 */

size_t host_block_count(void)
{
    return block_count;
}

bool host_alloc_failed(void)
{
    return alloc_countdown == 0;
}

void host_fail_alloc(size_t nth)
{
    alloc_countdown = nth;
}

void host_forget_blocks(void)
{
    block_count = 0;
}
