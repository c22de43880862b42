/* Life of a request: sent → handler → reply → finished(true) → over; or the connection ends before
 * that: finished(false) → over. A second reply, and a reply after `finished`, fail the run. */
#include "sim_request.h"

#include "sim_oom.h"
#include <stdlib.h>
#include <string.h>

#define FINISH_MAX_MS 5
#define STALLED_MAX_MS 120000
#define BODY_MAX_BYTES 4096U
#define RAW_MAX_BYTES (256U * 1024U)
#define ANSWER_MAX_BYTES (2U * 1024U * 1024U)

void sim_listener_init(struct sim_listener *listener, struct sim *sim, const char *name)
{
    *listener = (struct sim_listener){.sim = sim, .name = name};
    list_init(&listener->connections);
}

/* --- the end of a request --------------------------------------------------------------------- */

static void request_end(struct sim_request *request, bool is_delivered)
{
    struct env_connection *connection = request->connection;
    void (*finished)(struct env_request * env_request, bool delivered) = request->request.finished;

    CHECK(!request->is_ended);
    sim_unschedule(connection->sim, &request->finish);
    sim_unschedule(connection->sim, &request->taken);
    request->is_ended = true;
    connection->request = NULL;
    connection->listener->request_count--;
    if (finished != NULL) {
        request->request.finished = NULL;
        finished(&request->request, is_delivered);
    }
    sim_trace(connection->sim, "request %llu: %u%s", (unsigned long long)request->number,
              request->status, is_delivered ? "" : ", not delivered");
    if (is_delivered && request->will_close) {
        sim_connection_close(connection, 0);
    }
    if (request->over != NULL) {
        sim_oom_outside();
        request->over(request, is_delivered);
        sim_oom_inside();
    }
    buf_fini(&request->body);
    buf_fini(&request->raw);
    buf_fini(&request->answer);
    free(request);
}

static void request_finish(struct sim_event *event)
{
    struct sim_request *request = CONTAINER_OF(event, struct sim_request, finish);
    struct env_connection *connection = request->connection;

    if (sim_random_chance(&connection->sim->random, connection->listener->undelivered)) {
        sim_connection_close(connection, 0);
    } else {
        request_end(request, true);
    }
}

/* How long the consumer takes to read its answer. */
static uint64_t draw_finish_ms(struct sim_listener *listener)
{
    struct sim_random *random = &listener->sim->random;
    bool is_stalled = listener->stalled > 0 && sim_random_chance(random, listener->stalled);

    return sim_random_below(random, is_stalled ? STALLED_MAX_MS : FINISH_MAX_MS);
}

/* --- what the server may do ------------------------------------------------------------------- */

static void request_reply(struct env_request *env_request, const struct env_reply *reply)
{
    struct sim_request *request = CONTAINER_OF(env_request, struct sim_request, request);
    struct sim *sim = request->connection->sim;

    if (request->status != 0 || request->is_ended) {
        sim_fail(sim, "S3: request %llu is answered %s", (unsigned long long)request->number,
                 request->is_ended ? "after its end" : "twice");
    }
    if (sim->is_dead) {
        return; /* its connection breaks */
    }
    request->status = reply->status;
    request->will_close = reply->close;
    sim_oom_outside();
    buf_add_str(&request->answer, reply->body);
    CHECK(buf_status(&request->answer) == 0);
    if (request->replied != NULL) {
        request->replied(request);
    }
    sim_oom_inside();
    sim_schedule_in(sim, &request->finish, draw_finish_ms(request->connection->listener));
}

/* Streams: what was written lies there until the consumer takes it, sooner or later. */
static void stream_taken(struct sim_event *event)
{
    struct sim_request *request = CONTAINER_OF(event, struct sim_request, taken);

    if (request->replied != NULL) {
        request->replied(request);
    }
    buf_reset(&request->answer);
    if (request->finish.heap_index == 0 && !request->connection->is_closing &&
        request->drained != NULL) {
        request->drained(&request->request);
    }
}

static int stream_begin(struct env_request *env_request, const struct env_stream *stream)
{
    struct sim_request *request = CONTAINER_OF(env_request, struct sim_request, request);

    if (request->status != 0 || request->is_ended) {
        sim_fail(request->connection->sim, "S3: request %llu becomes a stream too late",
                 (unsigned long long)request->number);
    }
    request->status = 200;
    request->is_stream = true;
    request->will_close = true;
    request->taken.fn = stream_taken;
    request->drained = stream->drained;
    return 0;
}

static int stream_write(struct env_request *env_request, struct str bytes)
{
    struct sim_request *request = CONTAINER_OF(env_request, struct sim_request, request);
    struct sim *sim = request->connection->sim;

    if (!request->is_stream || request->is_ended) {
        sim_fail(sim, "S3: request %llu is written to %s", (unsigned long long)request->number,
                 request->is_ended ? "after its end" : "without a stream");
    }
    if (request->finish.heap_index != 0 || request->connection->is_closing || sim->is_dead) {
        return ERR_CLOSED;
    }
    if (request->answer.len + bytes.len > ENV_STREAM_QUEUE_MAX_BYTES) {
        sim_connection_close(request->connection, 0);
        return ERR_LIMIT;
    }
    buf_add_str(&request->answer, bytes);
    CHECK(buf_status(&request->answer) == 0);
    if (request->taken.heap_index == 0) {
        sim_schedule_in(sim, &request->taken, draw_finish_ms(request->connection->listener));
    }
    return 0;
}

static size_t stream_room(const struct env_request *env_request)
{
    const struct sim_request *request = (const struct sim_request *)(const void *)env_request;

    return ENV_STREAM_QUEUE_MAX_BYTES - request->answer.len;
}

static void stream_end(struct env_request *env_request)
{
    struct sim_request *request = CONTAINER_OF(env_request, struct sim_request, request);
    struct sim *sim = request->connection->sim;

    if (sim->is_dead) {
        return; /* its connection breaks */
    }
    if (request->replied != NULL) {
        request->replied(request);
    }
    sim_unschedule(sim, &request->taken);
    sim_schedule_in(sim, &request->finish, draw_finish_ms(request->connection->listener));
}

static void connection_watch(struct env_connection *connection, struct env_connection_watch *watch)
{
    list_push_back(&connection->watches, &watch->node);
}

static const struct env_request_ops request_ops = {
    .reply = request_reply,
    .connection_watch = connection_watch,
    .stream_begin = stream_begin,
    .stream_write = stream_write,
    .stream_room = stream_room,
    .stream_end = stream_end,
};

/* --- connections ------------------------------------------------------------------------------ */

static void tell_watches(struct env_connection *connection)
{
    struct list *node;

    while ((node = list_pop_front(&connection->watches)) != NULL) {
        struct env_connection_watch *watch = LIST_ENTRY(node, struct env_connection_watch, node);

        watch->fn(watch);
    }
}

static void connection_ended(struct sim_event *event)
{
    struct env_connection *connection = CONTAINER_OF(event, struct env_connection, ended);
    bool watches_first = sim_random_chance(&connection->sim->random, 500);

    if (watches_first) {
        tell_watches(connection);
    }
    if (connection->request != NULL) {
        request_end(connection->request, false);
    }
    tell_watches(connection);
    list_remove(&connection->node);
    free(connection);
}

struct env_connection *sim_connection_open(struct sim_listener *listener,
                                           const struct env_peer *peer)
{
    struct env_connection *connection = calloc(1, sizeof(*connection));

    CHECK(connection != NULL);
    connection->sim = listener->sim;
    connection->listener = listener;
    connection->peer = *peer;
    connection->ended.fn = connection_ended;
    list_init(&connection->watches);
    list_push_back(&listener->connections, &connection->node);
    return connection;
}

void sim_connection_close(struct env_connection *connection, uint64_t delay_ms)
{
    if (!connection->is_closing) {
        connection->is_closing = true;
        sim_schedule_in(connection->sim, &connection->ended,
                        sim_random_below(&connection->sim->random, delay_ms + 1));
    }
}

void sim_listener_close(struct sim_listener *listener)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&listener->connections, node, following) {
        sim_connection_close(LIST_ENTRY(node, struct env_connection, node), 0);
    }
}

/* --- sending ---------------------------------------------------------------------------------- */

static void add_header(struct env_request *request, struct str name, struct str value)
{
    request->headers[request->header_count++] = (struct env_request_header){name, value};
}

static size_t raw_size(const struct env_request *raw)
{
    size_t size = raw->method.len + raw->path.len + raw->query.len + raw->body.len;

    for (size_t i = 0; i < raw->header_count; i++) {
        size += raw->headers[i].name.len + raw->headers[i].value.len;
    }
    return size;
}

/* The slice's copy behind `*at`. */
static struct str raw_copy(char **at, struct str s)
{
    struct str copy = {.ptr = s.ptr != NULL ? *at : NULL, .len = s.len};

    if (s.len > 0) {
        memcpy(*at, s.ptr, s.len);
    }
    *at += s.len;
    return copy;
}

static void fill_raw(struct sim_request *request, const struct env_request *raw)
{
    struct env_request *to = &request->request;
    char *at;

    buf_init(&request->raw, RAW_MAX_BYTES);
    for (size_t i = raw_size(raw) + 1; i > 0; i--) {
        buf_add_char(&request->raw, ' ');
    }
    CHECK(buf_status(&request->raw) == 0);
    at = request->raw.bytes;
    to->method = raw_copy(&at, raw->method);
    to->path = raw_copy(&at, raw->path);
    to->query = raw_copy(&at, raw->query);
    to->body = raw_copy(&at, raw->body);
    for (size_t i = 0; i < raw->header_count; i++) {
        add_header(to, raw_copy(&at, raw->headers[i].name), raw_copy(&at, raw->headers[i].value));
    }
}

static void fill(struct sim_request *request, const struct sim_request_options *options)
{
    struct env_request *to = &request->request;
    struct str rest;

    CHECK(strlen(options->target) < SIM_TARGET_MAX_BYTES);
    memcpy(request->target, options->target, strlen(options->target));
    buf_init(&request->body, BODY_MAX_BYTES);
    buf_add_c(&request->body, options->body != NULL ? options->body : "");
    to->method = str_of(options->method);
    rest = str_of(request->target);
    to->path = str_cut(&rest, '?');
    to->query = rest.ptr != NULL ? rest : STR("");
    to->body = buf_str(&request->body);
    add_header(to, STR("Host"), STR("leased"));
    add_header(to, STR("X-Leased-Request"), STR("1"));
}

struct sim_request *sim_request_send(struct env_connection *connection,
                                     const struct sim_request_options *options)
{
    struct sim_listener *listener = connection->listener;
    struct sim_request *request = calloc(1, sizeof(*request));

    CHECK(request != NULL);
    CHECK(connection->request == NULL);
    CHECK(!connection->is_closing);
    buf_init(&request->answer, ANSWER_MAX_BYTES);
    request->connection = connection;
    request->number = ++listener->sim->request_count;
    request->sent_ms = sim_awake_ms(listener->sim);
    request->finish.fn = request_finish;
    request->replied = options->replied;
    request->over = options->over;
    request->user = options->user;
    request->request = (struct env_request){.listener = listener->name,
                                            .peer = &connection->peer,
                                            .connection = connection,
                                            .ops = &request_ops};
    sim_oom_outside();
    if (options->raw != NULL) {
        fill_raw(request, options->raw);
    } else {
        fill(request, options);
    }
    sim_oom_inside();
    connection->request = request;
    listener->request_count++;
    sim_trace(listener->sim, "request %llu: uid %u pid %d %.*s %.*s?%.*s %.*s",
              (unsigned long long)request->number, connection->peer.uid, connection->peer.pid,
              STR_ARG(request->request.method), STR_ARG(request->request.path),
              STR_ARG(request->request.query), STR_ARG(request->request.body));
    listener->handler(listener->handler_user, &request->request);
    return request;
}

/* Most answers are none of these, so that looking for the word saves a lot. */
json_t *sim_request_credential(const struct sim_request *request)
{
    static const char word[] = "\"credential\":";
    struct str body = buf_str(&request->answer);
    json_t *answer;

    if ((request->status != 200 && request->status != 201) || body.len == 0 ||
        memmem(body.ptr, body.len, word, sizeof(word) - 1) == NULL) {
        return NULL;
    }
    answer = json_loadb(body.ptr, body.len, 0, NULL);
    if (json_object_get(answer, "credential") == NULL) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}
