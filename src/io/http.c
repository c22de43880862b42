/* HTTP exchanges on the loop: from start to callback.
 *
 * Happy path: io_http_start checks the request → the host's name is looked up (or is an address) →
 * curl gets the transfer → its result arrives from the pump → finish: removed from curl, the
 * caller's callback, freed.
 *
 * Failure paths: a bad request ends in io_http_start. A name that isn't found, memory that is
 * short, a cancel: the end is deferred, so that the callback runs from the loop. A look-up that
 * takes too long, or a curl that doesn't report its own time-out: our deadline ends it. An answer
 * that trickles: the look at its pace ends it. A cancelled exchange whose result arrives first
 * gives the result. */
#include "io/http_internal.h"

#include "base/mem.h"
#include "io/alloc.h"

static void finish(struct exchange *exchange, CURLcode result);

static struct exchange *exchange_of(CURL *easy)
{
    char *private = NULL;

    if (easy == NULL || curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private) != CURLE_OK ||
        private == NULL) {
        return NULL;
    }
    return OBJ_CAST(private, struct exchange, EXCHANGE_MAGIC);
}

static uint64_t elapsed_ms(const struct exchange *exchange)
{
    return io_now_ms(&exchange->pool->io->env) - exchange->started_ms;
}

static uint64_t connect_timeout_ms(const struct exchange *exchange)
{
    const struct env_http *http = exchange->owner;
    uint64_t limit_ms =
        http->connect_timeout_ms > 0 ? http->connect_timeout_ms : HTTP_CONNECT_TIMEOUT_MS;

    return limit_ms < http->timeout_ms ? limit_ms : http->timeout_ms;
}

/* Ends the exchange from the loop, with its verdict. */
static void end_soon(struct exchange *exchange)
{
    exchange->state = EXCHANGE_ENDING;
    env_defer(&exchange->pool->io->env, &exchange->ending);
}

static void on_ending(struct env_deferred *ending)
{
    finish(OBJ_CAST(ending->user, struct exchange, EXCHANGE_MAGIC), CURLE_ABORTED_BY_CALLBACK);
}

static void on_deadline(struct env_timer *timer)
{
    struct exchange *exchange = OBJ_CAST(timer->user, struct exchange, EXCHANGE_MAGIC);

    if (exchange->state == EXCHANGE_RESOLVING) {
        exchange_judge(exchange,
                       connect_timeout_ms(exchange) < exchange->owner->timeout_ms ? ERR_CONNECT
                                                                                  : ERR_TIMEOUT,
                       "the name was not resolved in time");
    } else {
        exchange_judge(exchange, exchange->is_sent ? ERR_LOST : ERR_TIMEOUT, "the time was up");
    }
    finish(exchange, CURLE_OPERATION_TIMEDOUT);
}

static void pace_arm(struct exchange *exchange)
{
    struct env *env = &exchange->pool->io->env;

    env_timer_arm(env, &exchange->pace, env_now_ms(env) + exchange->pool->tick_ms);
}

/* curl's own limit of speed counts the time that the issuer thinks, too. Ticks are counted, not
 * time: a loop that stood still hasn't read what arrived meanwhile. */
static void on_pace(struct env_timer *timer)
{
    struct exchange *exchange = OBJ_CAST(timer->user, struct exchange, EXCHANGE_MAGIC);
    const struct http_reply *reply = &exchange->reply;
    size_t bytes = reply->head_total_bytes + reply->body.len;
    bool is_slow =
        (bytes - exchange->paced_bytes) * 1000U < HTTP_SLOW_BYTES_PER_S * exchange->pool->tick_ms;

    exchange->slow_ticks = is_slow && reply->status >= 200 ? exchange->slow_ticks + 1 : 0;
    exchange->paced_bytes = bytes;
    if (exchange->slow_ticks < HTTP_SLOW_TICKS) {
        pace_arm(exchange);
        return;
    }
    exchange_judge(exchange, ERR_LOST, "the answer came too slowly");
    finish(exchange, CURLE_OPERATION_TIMEDOUT); /* self is gone */
}

/* Never from inside one of curl's callbacks. */
static void drop_transfer(struct exchange *exchange)
{
    if (exchange->easy != NULL) {
        http_multi_remove(&exchange->pool->multi, exchange->easy);
        curl_easy_cleanup(exchange->easy);
        exchange->easy = NULL;
    }
}

/* Takes it out of every list that could call it. */
static void detach(struct exchange *exchange)
{
    struct env *env = &exchange->pool->io->env;

    env_timer_disarm(env, &exchange->deadline);
    env_timer_disarm(env, &exchange->pace);
    env_undefer(&exchange->ending);
    http_names_leave(&exchange->wait);
    drop_transfer(exchange);
}

static void exchange_free(struct exchange *exchange)
{
    http_request_fini(&exchange->request);
    http_reply_fini(&exchange->reply);
    list_remove(&exchange->node);
    exchange->pool->exchange_count--;
    exchange->magic = 0;
    mem_free(exchange);
}

static void finish(struct exchange *exchange, CURLcode result)
{
    static const struct env_http_reply no_reply;
    struct env_http *owner = exchange->owner;
    const struct http_host *host = http_request_unresolved(&exchange->request, owner);
    struct env_http_reply reply;
    const char *detail;
    int status = http_result_status(exchange, result, elapsed_ms(exchange), &detail);

    detach(exchange);
    if (status == ERR_CONNECT && host != NULL) {
        http_names_forget(&exchange->pool->names, host->name);
    }
    owner->impl = NULL;
    if (status == 0) {
        http_reply_view(&exchange->reply, &reply);
    }
    owner->fn(owner, status, status == 0 ? &reply : &no_reply, detail); /* owner may be gone */
    exchange_free(exchange);
}

static void on_done(CURL *easy, CURLcode result)
{
    struct exchange *exchange = exchange_of(easy);

    CHECK(exchange != NULL);
    finish(exchange, result);
}

static void starve(struct exchange *exchange)
{
    exchange_judge(exchange, exchange->is_sent ? ERR_LOST : ERR_NOMEM, "out of memory");
    end_soon(exchange);
}

static void on_starved(CURL *easy)
{
    struct exchange *exchange = exchange_of(easy);

    /* NULL is a socket of curl's own: the transfers on it run into their deadlines. */
    if (exchange != NULL) {
        starve(exchange);
    }
}

static void on_broken(struct http_multi *multi)
{
    struct io_http *http = CONTAINER_OF(multi, struct io_http, multi);
    struct list *node;

    for (node = http->exchanges.next; node != &http->exchanges; node = node->next) {
        struct exchange *exchange = LIST_ENTRY(node, struct exchange, node);

        if (exchange->easy != NULL) {
            drop_transfer(exchange);
            starve(exchange);
        }
    }
}

/* Hands the transfer to curl. */
static int run(struct exchange *exchange)
{
    struct env *env = &exchange->pool->io->env;
    uint64_t spent_ms = elapsed_ms(exchange);
    uint64_t total_ms = exchange->owner->timeout_ms;
    uint64_t connect_ms = connect_timeout_ms(exchange);
    int rc;

    exchange->state = EXCHANGE_RUNNING;
    exchange->easy = curl_easy_init();
    if (exchange->easy == NULL) {
        return ERR_NOMEM;
    }
    total_ms = spent_ms < total_ms ? total_ms - spent_ms : 1;
    connect_ms = spent_ms < connect_ms ? connect_ms - spent_ms : 1;
    rc = http_policy_apply(exchange, total_ms, connect_ms);
    if (rc != 0) {
        return rc;
    }
    env_timer_arm(env, &exchange->deadline, env_now_ms(env) + total_ms + HTTP_STUCK_GRACE_MS);
    pace_arm(exchange);
    return http_multi_add(&exchange->pool->multi, exchange->easy);
}

static void on_name(struct http_name_wait *wait, const char *addresses, const char *problem)
{
    struct exchange *exchange = CONTAINER_OF(wait, struct exchange, wait);
    const struct http_host *host = http_request_unresolved(&exchange->request, exchange->owner);
    int rc = ERR_CONNECT;

    if (exchange->state != EXCHANGE_RESOLVING) {
        return; /* Cancelled; its end is on its way. */
    }
    if (addresses != NULL) {
        rc = http_request_resolved(&exchange->request, host, addresses);
        rc = rc == 0 ? run(exchange) : rc;
    }
    if (rc != 0) {
        exchange_judge(exchange, rc, rc == ERR_CONNECT ? problem : err_str(rc));
        end_soon(exchange);
    }
}

/* Looks the name up, or goes ahead at once. */
static int begin(struct exchange *exchange)
{
    struct env *env = &exchange->pool->io->env;
    const struct http_host *host = http_request_unresolved(&exchange->request, exchange->owner);
    const char *addresses = NULL;
    int rc;

    if (host == NULL) {
        return run(exchange);
    }
    exchange->state = EXCHANGE_RESOLVING;
    env_timer_arm(env, &exchange->deadline, exchange->started_ms + connect_timeout_ms(exchange));
    rc = http_names_start(&exchange->pool->names, host->name, &exchange->wait, &addresses);
    if (rc == 0 && addresses != NULL) {
        rc = http_request_resolved(&exchange->request, host, addresses);
        rc = rc == 0 ? run(exchange) : rc;
    }
    return rc;
}

static size_t body_limit(const struct env_http *http)
{
    size_t limit = http->reply_max_bytes > 0 ? http->reply_max_bytes : ENV_HTTP_REPLY_MAX_BYTES;

    return limit < ENV_HTTP_REPLY_HARD_MAX_BYTES ? limit : ENV_HTTP_REPLY_HARD_MAX_BYTES;
}

int io_http_start(struct env *env, struct env_http *owner, struct err *e)
{
    struct io *io = io_of(env);
    struct exchange *exchange;
    int rc;

    CHECK(owner->fn != NULL);
    CHECK(owner->timeout_ms > 0);
    if (io->is_closing) {
        return err_set(e, ERR_CLOSED, "shutting down");
    }
    if (io->http->exchange_count >= HTTP_EXCHANGES_MAX) {
        return err_set(e, ERR_LIMIT, "%u exchanges run already", HTTP_EXCHANGES_MAX);
    }
    exchange = mem_calloc(1, sizeof(*exchange));
    if (exchange == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    rc = http_request_init(&exchange->request, owner, e);
    if (rc != 0) {
        mem_free(exchange);
        return rc;
    }
    exchange->magic = EXCHANGE_MAGIC;
    exchange->pool = io->http;
    exchange->owner = owner;
    exchange->started_ms = io_now_ms(env);
    exchange->deadline.fn = on_deadline;
    exchange->deadline.user = exchange;
    exchange->pace.fn = on_pace;
    exchange->pace.user = exchange;
    exchange->ending.fn = on_ending;
    exchange->ending.user = exchange;
    exchange->wait.fn = on_name;
    http_reply_init(&exchange->reply, body_limit(owner));
    list_push_back(&io->http->exchanges, &exchange->node);
    io->http->exchange_count++;
    rc = begin(exchange);
    if (rc != 0) {
        detach(exchange);
        exchange_free(exchange);
        return err_set(e, rc, "could not start the request: %s", err_str(rc));
    }
    owner->impl = exchange;
    return 0;
}

static void cancel(struct exchange *exchange)
{
    exchange_judge(exchange, ERR_CANCELED, "canceled");
    end_soon(exchange);
}

void io_http_cancel(struct env *env, struct env_http *owner)
{
    (void)env;
    if (owner->impl != NULL) {
        cancel(OBJ_CAST(owner->impl, struct exchange, EXCHANGE_MAGIC));
    }
}

int io_http_new(struct io *io, struct err *e)
{
    struct io_http *http = mem_calloc(1, sizeof(*http));
    int rc;

    if (http == NULL) {
        return err_set(e, ERR_NOMEM, "could not start the HTTP client: out of memory");
    }
    http->magic = HTTP_MAGIC;
    http->io = io;
    http->tick_ms = HTTP_TICK_MS;
    list_init(&http->exchanges);
    http_names_init(&http->names, io);
    io->http = http;
    rc = io_libraries_start();
    http->has_libraries = rc == 0;
    if (rc == 0) {
        http->multi.done = on_done;
        http->multi.starved = on_starved;
        http->multi.broken = on_broken;
        rc = http_multi_open(&http->multi, io);
        http->has_multi = rc == 0;
    }
    return rc == 0 ? 0 : err_set(e, rc, "could not start the HTTP client: %s", err_str(rc));
}

bool io_http_drain(struct io *io)
{
    struct list *node;

    if (io->http == NULL) {
        return true;
    }
    for (node = io->http->exchanges.next; node != &io->http->exchanges; node = node->next) {
        struct exchange *exchange = LIST_ENTRY(node, struct exchange, node);

        if (exchange->state != EXCHANGE_ENDING) {
            cancel(exchange);
        }
    }
    return io->http->exchange_count == 0 && io->http->names.running_count == 0;
}

void io_http_close(struct io *io)
{
    if (io->http != NULL && io->http->has_multi) {
        http_multi_close(&io->http->multi);
    }
}

void io_http_fini(struct io *io)
{
    if (io->http == NULL) {
        return;
    }
    http_names_fini(&io->http->names);
    if (io->http->has_libraries) {
        io_libraries_stop();
    }
    mem_free(io->http);
    io->http = NULL;
}
