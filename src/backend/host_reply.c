/* What became of an exchange: told to the guard, tried at another address, or handed to the plugin
 * in the ABI's words.
 *
 * Another address is tried at once when nothing was sent (unreachable, TLS refused, out of time
 * before that), whatever the request; when the answer says that this node can't serve, for requests
 * that create nothing; and when a node names another configured address (307, 308), at most twice,
 * unless the request creates something and its plugin doesn't vouch for that it wasn't executed. A
 * redirect to anywhere else is handed over as it is: the token goes nowhere that isn't configured.
 * What goes elsewhere by the plugin's own word has one try, and says nothing of the addresses.
 * After host_end replies are dropped. */
#include "backend/host_http.h"

#include "wire/http_date.h"

#include <stdio.h>

#define RETRY_AFTER_DIGITS_MAX 6U

static uint32_t transport_of(int status)
{
    switch (status) {
    case 0:
        return LEASED_HTTP_OK;
    case ERR_CONNECT:
    case ERR_TLS:
    case ERR_TIMEOUT:
        return LEASED_HTTP_NOT_SENT;
    case ERR_CANCELED:
        return LEASED_HTTP_CANCELED;
    default:
        /* Whatever doesn't prove that nothing was sent. */
        return LEASED_HTTP_LOST;
    }
}

/* --- what it says of the issuer --------------------------------------------------------------- */

static enum guard_verdict verdict_of_status(uint32_t status)
{
    switch (status) {
    case 429:
        return GUARD_LIMITED;
    case 472: /* Vault's kinds of standby */
    case 473:
    case 474:
    case 501: /* not initialised */
    case 503: /* sealed, or something in between has no node to ask */
    case 530:
        return GUARD_DOWN;
    default:
        return status >= 500 ? GUARD_FAULT : GUARD_SERVED;
    }
}

static enum guard_verdict verdict_of(int status, const struct env_http_reply *reply)
{
    switch (status) {
    case 0:
        return verdict_of_status(reply->status);
    case ERR_CONNECT:
    case ERR_TLS:
    case ERR_TIMEOUT:
        return GUARD_DOWN;
    case ERR_LOST:
    case ERR_TOO_LARGE:
    case ERR_PROTOCOL:
        return GUARD_FAULT;
    default:
        return GUARD_UNKNOWN;
    }
}

/* Seconds, or a date by the issuer's own clock. 0: it says nothing. */
static uint64_t retry_after_ms(const struct env_http_reply *reply)
{
    struct str text = env_http_reply_header(reply, "retry-after");
    uint64_t seconds;
    int64_t then_ms;
    int64_t now_ms;

    if (http_date_parse(text, &then_ms) == 0) {
        bool is_ahead =
            http_date_parse(env_http_reply_header(reply, "date"), &now_ms) == 0 && then_ms > now_ms;

        return is_ahead ? (uint64_t)(then_ms - now_ms) : 0;
    }

    if (text.len > RETRY_AFTER_DIGITS_MAX || str_parse_u64(text, &seconds) != 0) {
        return 0;
    }
    return seconds * 1000U;
}

/* The address that a redirect names instead of this one, or ADDRESS_NONE. */
static size_t target_of(const struct host_http *exchange, int status,
                        const struct env_http_reply *reply)
{
    if (status != 0 || (reply->status != 307 && reply->status != 308)) {
        return ADDRESS_NONE;
    }
    return addresses_of_location(&exchange->context->guard.addresses,
                                 env_http_reply_header(reply, "location"), str_of(exchange->path));
}

/* Where it goes next; ADDRESS_NONE: this was the last try. */
static size_t next_address(const struct host_http *exchange, int status, enum guard_verdict verdict,
                           size_t target)
{
    const struct leased_host_context *context = exchange->context;
    bool creates = (exchange->http.flags & (uint32_t)ENV_HTTP_CREATES) != 0;

    if (exchange->is_pinned || exchange->is_canceled || context->is_ended) {
        return ADDRESS_NONE;
    }
    if (target != ADDRESS_NONE) {
        bool was_tried = (exchange->tried >> target & 1U) != 0;

        return was_tried || exchange->redirect_count >= HTTP_REDIRECTS_MAX ||
                       (creates && !exchange->is_movable)
                   ? ADDRESS_NONE
                   : target;
    }
    if (verdict != GUARD_DOWN || (status == 0 && creates)) {
        return ADDRESS_NONE;
    }
    return addresses_pick(&context->guard.addresses, exchange->tried, env_now_ms(context->env));
}

/* --- the end ---------------------------------------------------------------------------------- */

static void hand_over(struct host_http *exchange, int status, const struct env_http_reply *reply,
                      const char *detail)
{
    struct leased_host_context *context = exchange->context;
    struct leased_http_header headers[ENV_HTTP_HEADERS_MAX];
    struct leased_http_reply handed = {.size = sizeof(handed), .transport = transport_of(status)};
    leased_http_fn fn = exchange->fn;
    void *user = exchange->user;

    http_free(exchange);
    if (context->is_ended) {
        host_left_ended(context);
        return;
    }
    handed.detail = host_leased_str(str_of(detail));
    if (status == 0) {
        for (size_t i = 0; i < reply->header_count; i++) {
            headers[i].name = host_leased_str(reply->headers[i].name);
            headers[i].value = host_leased_str(reply->headers[i].value);
        }
        handed.status = reply->status;
        handed.headers = headers;
        handed.header_count = reply->header_count;
        handed.body = host_leased_str(reply->body);
        handed.depth_max = context->answer_depth_max;
        handed.values_max = context->answer_values_max;
    }
    host_enter(context);
    fn(user, &handed);
    host_leave(context, "http");
}

void http_done(struct env_http *http, int status, const struct env_http_reply *reply,
               const char *detail)
{
    struct host_http *exchange = OBJ_CAST(http->user, struct host_http, HTTP_MAGIC);
    struct guard *guard = &exchange->context->guard;
    size_t target;
    size_t next;
    char text[96] = "";
    struct guard_news news = {
        .verdict = verdict_of(status, reply),
        .address = exchange->address_index,
        .is_probe = exchange->is_pinned,
    };

    if (status == 0) {
        skew_heard(&exchange->context->skew, exchange->context->name,
                   env_http_reply_header(reply, "date"), env_wall_ms(exchange->context->env));
    }
    if (exchange->elsewhere != NULL) {
        hand_over(exchange, status, reply, detail != NULL ? detail : "");
        return;
    }
    target = target_of(exchange, status, reply);
    news.is_moved = target != ADDRESS_NONE && target != exchange->address_index;
    if (status == 0) {
        news.retry_after_ms = retry_after_ms(reply);
        (void)snprintf(text, sizeof(text), "the issuer answered with HTTP status %u%s",
                       reply->status, news.is_moved ? ", which names another address" : "");
    } else if (detail == NULL || detail[0] == '\0') {
        detail = err_str(status);
    }
    news.text = status == 0 ? text : detail;
    next = next_address(exchange, status, news.verdict, target);
    news.is_final = next == ADDRESS_NONE;
    guard_heard(guard, &news);
    if (next != ADDRESS_NONE) {
        exchange->redirect_count += target != ADDRESS_NONE;
        if (http_try(exchange, next, NULL) == 0) {
            return;
        }
        /* It stays with what this try brought. */
        news.is_final = true;
        guard_heard(guard, &news);
    }
    hand_over(exchange, status, reply, detail != NULL ? detail : "");
}
