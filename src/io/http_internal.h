/* What the files behind io's HTTP client share. The way of one exchange:
 *
 *   http.c          starts, deadline, cancel, finish
 *   http_request.c  checks what the caller wants and makes it curl's
 *   http_resolve.c  names to addresses, outside of curl
 *   http_policy.c   sets every curl option
 *   http_multi.c    curl's sockets and timers on the loop
 *   http_reply.c    takes the reply in, bounded
 *   http_result.c   curl's results as ERR_* */
#ifndef LEASED_IO_HTTP_INTERNAL_H
#define LEASED_IO_HTTP_INTERNAL_H

#include "base/buf.h"
#include "env/http.h"
#include "io/io_internal.h"

#include <curl/curl.h>

#define HTTP_MAGIC 0x68747470U     /* "http" */
#define MULTI_MAGIC 0x6d756c74U    /* "mult" */
#define EXCHANGE_MAGIC 0x78636867U /* "xchg" */

#define HTTP_EXCHANGES_MAX 1024U
#define HTTP_CONNECTIONS_KEPT 64
#define HTTP_NAMES_MAX 64U
#define HTTP_NAME_WAITS_MAX HTTP_EXCHANGES_MAX
#define HTTP_NAME_FRESH_MS 30000U
#define HTTP_ADDRESSES_MAX 16U
#define HTTP_HOST_MAX_BYTES 254U
#define HTTP_URL_MAX_BYTES 8192U
#define HTTP_REQUEST_HEADERS_MAX 64U
/* All header lines of all responses to one request, interim ones included. */
#define HTTP_REPLY_HEAD_MAX_BYTES 65536U
#define HTTP_CONNECT_TIMEOUT_MS 5000U
/* An answer that has begun and of which fewer bytes come in each of so many seconds in a row isn't
 * waited for. One that hasn't begun may take its time. */
#define HTTP_SLOW_BYTES_PER_S 100U
#define HTTP_SLOW_TICKS 10U
#define HTTP_TICK_MS 1000U
/* curl reports its time-outs itself; when it hasn't by then, it is stuck. */
#define HTTP_STUCK_GRACE_MS 250U

/* --- http_multi.c --------------------------------------------------------------------------- */

struct http_multi {
    uint32_t magic;
    struct io *io;
    CURLM *multi;     /* NULL: to be made when it is needed again */
    bool is_draining; /* curl is being cleaned up: no new sockets */
    uv_timer_t timer;
    struct env_deferred soon; /* instead of a timer of 0 ms */
    struct list sockets;      /* struct socket_context */
    /* Set by the user. Takes the result of a transfer; may start and finish others. */
    void (*done)(CURL *easy, CURLcode result);
    /* Memory was short for a socket of this transfer. Called from inside curl. */
    void (*starved)(CURL *easy);
    /* curl can't be trusted any more: removes every transfer. */
    void (*broken)(struct http_multi *multi);
};

int http_multi_open(struct http_multi *multi, struct io *io) ATTR_MUST_USE;
int http_multi_add(struct http_multi *multi, CURL *easy) ATTR_MUST_USE;
/* Never from inside one of curl's callbacks. Fine when it wasn't added. */
void http_multi_remove(struct http_multi *multi, CURL *easy);
/* All transfers must have been removed. Handles close from the loop. */
void http_multi_close(struct http_multi *multi);

/* --- http_resolve.c ------------------------------------------------------------------------- */

struct http_names {
    struct io *io;
    struct list entries; /* struct name_entry, least recently used first */
    size_t count;
    size_t running_count; /* look-ups in libuv's pool */
};

/* Somebody who waits for a name; embedded. `addresses` is borrowed until the function returns; NULL
 * on failure, then `problem` says why. The function doesn't call back into http_names. */
struct http_name_wait {
    void (*fn)(struct http_name_wait *wait, const char *addresses, const char *problem);
    struct name_entry *entry;
    struct list node;
};

void http_names_init(struct http_names *names, struct io *io);
/* Forgets what is known; no look-up may be running. */
void http_names_fini(struct http_names *names);
/* Looks `host` up. 0: either *ret_addresses ("192.0.2.1,[2001:db8::1]", borrowed until the next
 * call) is known now, or it is NULL and wait->fn runs later, from the loop. ERR_LIMIT, ERR_NOMEM.
 */
int http_names_start(struct http_names *names, const char *host, struct http_name_wait *wait,
                     const char **ret_addresses) ATTR_MUST_USE;
/* wait->fn will not run. Fine when it isn't waiting. The look-up itself may go on in its thread;
 * its answer is kept for the next who asks. */
void http_names_leave(struct http_name_wait *wait);
/* What was known about `host` has led to no connection. */
void http_names_forget(struct http_names *names, const char *host);

/* --- http_request.c ------------------------------------------------------------------------- */

/* A host that is connected to: the URL's or the proxy's. */
struct http_host {
    char name[HTTP_HOST_MAX_BYTES]; /* without brackets; "" if none */
    char port[8];
    bool is_literal; /* an address, or localhost: needs no look-up */
    bool is_ipv6;
};

struct http_request {
    CURLU *url;
    bool is_tls;
    struct http_host target;
    struct http_host proxy;
    struct curl_slist *headers;
    struct curl_slist *connect_to;
    struct curl_slist *resolve;
};

/* Checks everything that the caller gave. ERR_INVALID or ERR_NOMEM with a text. */
int http_request_init(struct http_request *request, const struct env_http *http,
                      struct err *e) ATTR_MUST_USE;
void http_request_fini(struct http_request *request);
/* The host whose name must be looked up before curl may start; NULL if none. */
const struct http_host *http_request_unresolved(const struct http_request *request,
                                                const struct env_http *http);
/* Tells curl the addresses, so that it never resolves by itself. */
int http_request_resolved(struct http_request *request, const struct http_host *host,
                          const char *addresses) ATTR_MUST_USE;

/* --- the exchange --------------------------------------------------------------------------- */

enum exchange_state {
    EXCHANGE_RESOLVING, /* waits for a name */
    EXCHANGE_RUNNING,   /* curl has it */
    EXCHANGE_ENDING,    /* its end is deferred to the loop */
};

/* A header of the reply, as places in head.bytes, which may move while it grows. */
struct http_header_place {
    size_t name_at;
    size_t name_len;
    size_t value_at;
    size_t value_len;
};

struct http_reply {
    struct buf head; /* names and values */
    struct http_header_place places[ENV_HTTP_HEADERS_MAX];
    size_t count;
    size_t head_total_bytes;
    uint32_t status;  /* of the response whose header is being read */
    bool is_complete; /* the header of the final response has ended */
    struct buf body;
};

struct exchange {
    uint32_t magic;
    enum exchange_state state;
    struct io_http *pool;
    struct env_http *owner;
    struct http_request request;
    struct http_reply reply;
    CURL *easy; /* NULL before EXCHANGE_RUNNING */
    char error_text[CURL_ERROR_SIZE];
    bool is_sent; /* the connection was ready: from here on the request may be executed */
    int verdict;  /* why our own code ends it: an ERR_*, or 0 */
    const char *verdict_text; /* static */
    uint64_t started_ms;
    struct env_timer deadline;
    struct env_timer pace;
    size_t paced_bytes; /* of the answer, when the pace was last looked at */
    unsigned slow_ticks;
    struct env_deferred ending;
    struct http_name_wait wait;
    struct list node; /* in io_http.exchanges */
};

struct io_http {
    uint32_t magic;
    struct io *io;
    struct http_multi multi;
    struct http_names names;
    struct list exchanges;
    size_t exchange_count;
    uint64_t tick_ms; /* HTTP_TICK_MS; less in tests */
    bool has_libraries;
    bool has_multi;
};

/* Notes the first reason why the exchange can't go on. */
static inline void exchange_judge(struct exchange *exchange, int verdict, const char *text)
{
    if (exchange->verdict == 0) {
        exchange->verdict = verdict;
        exchange->verdict_text = text;
    }
}

/* --- http_policy.c, http_reply.c, http_result.c --------------------------------------------- */

/* Sets every option of exchange->easy. ERR_NOMEM or ERR_UNSUPPORTED. */
int http_policy_apply(struct exchange *exchange, uint64_t timeout_ms,
                      uint64_t connect_timeout_ms) ATTR_MUST_USE;

void http_reply_init(struct http_reply *reply, size_t body_max_bytes);
void http_reply_fini(struct http_reply *reply);
/* curl's callbacks; `user` is the exchange. They only copy bytes and judge. */
size_t http_reply_on_header(char *bytes, size_t size, size_t count, void *user);
size_t http_reply_on_body(char *bytes, size_t size, size_t count, void *user);
/* The reply as the caller sees it; borrowed from `reply`. */
void http_reply_view(const struct http_reply *reply, struct env_http_reply *ret_view);

/* The ERR_* for curl's result, and a text about it; 0 for a whole reply. `elapsed_ms` since the
 * start. */
int http_result_status(struct exchange *exchange, CURLcode result, uint64_t elapsed_ms,
                       const char **ret_detail);

#endif
