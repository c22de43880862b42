/* Life of a request: sent → handler → reply → finished(true) → over; or the connection ends before
 * that: finished(false) → over. A second reply, and a reply after `finished`, fail the run. */
#include "sim_request.h"

#include <stdlib.h>
#include <string.h>

#define FINISH_MAX_MS 5
#define BODY_MAX_BYTES 4096U
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
        request->over(request, is_delivered);
    }
    buf_fini(&request->body);
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

/* --- what the server may do ------------------------------------------------------------------- */

static void request_reply(struct env_request *env_request, const struct env_reply *reply)
{
    struct sim_request *request = CONTAINER_OF(env_request, struct sim_request, request);
    struct sim *sim = request->connection->sim;

    if (request->status != 0 || request->is_ended) {
        sim_fail(sim, "S3: request %llu is answered %s", (unsigned long long)request->number,
                 request->is_ended ? "after its end" : "twice");
    }
    request->status = reply->status;
    request->will_close = reply->close;
    buf_add_str(&request->answer, reply->body);
    CHECK(buf_status(&request->answer) == 0);
    if (request->replied != NULL) {
        request->replied(request);
    }
    sim_schedule_in(sim, &request->finish, sim_random_below(&sim->random, FINISH_MAX_MS));
}

static void connection_watch(struct env_connection *connection, struct env_connection_watch *watch)
{
    list_push_back(&connection->watches, &watch->node);
}

static const struct env_request_ops request_ops = {
    .reply = request_reply,
    .connection_watch = connection_watch,
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

struct sim_request *sim_request_send(struct env_connection *connection,
                                     const struct sim_request_options *options)
{
    struct sim_listener *listener = connection->listener;
    struct sim_request *request = calloc(1, sizeof(*request));
    struct str rest;

    CHECK(request != NULL);
    CHECK(connection->request == NULL);
    CHECK(!connection->is_closing);
    CHECK(strlen(options->target) < SIM_TARGET_MAX_BYTES);
    memcpy(request->target, options->target, strlen(options->target));
    buf_init(&request->body, BODY_MAX_BYTES);
    buf_init(&request->answer, ANSWER_MAX_BYTES);
    buf_add_c(&request->body, options->body != NULL ? options->body : "");
    request->connection = connection;
    request->number = ++listener->sim->request_count;
    request->finish.fn = request_finish;
    request->replied = options->replied;
    request->over = options->over;
    request->user = options->user;
    rest = str_of(request->target);
    request->request = (struct env_request){.listener = listener->name,
                                            .peer = &connection->peer,
                                            .connection = connection,
                                            .method = str_of(options->method),
                                            .ops = &request_ops};
    request->request.path = str_cut(&rest, '?');
    request->request.query = rest.ptr != NULL ? rest : STR("");
    request->request.body = buf_str(&request->body);
    add_header(&request->request, STR("Host"), STR("leased"));
    add_header(&request->request, STR("X-Leased-Request"), STR("1"));
    connection->request = request;
    listener->request_count++;
    sim_trace(listener->sim, "request %llu: uid %u pid %d %s %s %s",
              (unsigned long long)request->number, connection->peer.uid, connection->peer.pid,
              options->method, options->target, options->body != NULL ? options->body : "");
    listener->handler(listener->handler_user, &request->request);
    return request;
}
