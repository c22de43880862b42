/* Requests by hand. */
#include "unit/serve/fake_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "unit/serve/scripted_issuer.h"

struct fake_request {
    struct env_request request; /* first */
    struct call *call;
    char *texts[3]; /* method, target, body: gone when the request is over */
    char *header_texts[ENV_REQUEST_HEADERS_MAX];
};

static char *copy(const char *text, size_t len)
{
    char *bytes = calloc(1, len + 1);

    assert_non_null(bytes);
    if (len > 0) {
        memcpy(bytes, text, len);
    }
    return bytes;
}

/* --- the answer --- */

static bool is_problem(const struct call *call)
{
    return strcmp(call->content_type, "application/problem+json") == 0;
}

static void judge_problem(struct call *call)
{
    static const char *const members[] = {"type", "title", "code", "request"};
    size_t i;

    assert_true(call->status >= 400);
    for (i = 0; i < ARRAY_LEN(members); i++) {
        assert_string_not_equal(call_text(call, members[i]), "");
    }
    assert_string_not_equal(call_text(call, "title"), "Error");
    assert_int_equal(json_integer_value(call_member(call, "status")), call->status);
}

/* Vault's API has words of its own. */
static bool is_vault(const struct call *call)
{
    return strncmp(call->target, "/v1/", 4) == 0;
}

static bool may_have_secret(const struct call *call)
{
    bool is_credential =
        strstr(call->target, "/credentials/") != NULL || is_vault(call) ||
        (strcmp(call->method, "POST") == 0 && str_ends_with(str_of(call->target), "/leases"));

    return is_credential && (call->status == 200 || call->status == 201);
}

/* Our headers, and nothing of anybody else's in them. */
static void judge_headers(const struct call *call)
{
    static const char *const names[] = {"ETag",     "Retry-After",     "Allow",
                                        "Location", "Metadata-Flavor", "x-vault-index"};
    struct str rest = str_of(call->headers);
    size_t i;

    while (rest.len > 0) {
        struct str line = str_cut(&rest, '\n');
        struct str name = str_cut(&line, ':');
        bool is_ours = false;

        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            is_ours = is_ours || str_eq_c(name, names[i]);
        }
        assert_true(is_ours);
        for (i = 0; i < line.len; i++) {
            assert_in_range((unsigned char)line.ptr[i], 0x20, 0x7e);
        }
    }
}

/* The clouds' APIs have problems in their own words. */
static bool has_own_words(const struct call *call)
{
    static const char *const begins[] = {"/aws/", "/gcp/", "/computeMetadata/", "/azure/",
                                         "/metadata/"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(begins); i++) {
        if (str_starts_with(str_of(call->target), begins[i])) {
            return true;
        }
    }
    return strcmp(call->target, "/") == 0;
}

static void judge(struct call *call)
{
    judge_headers(call);
    if (call->status >= 400 && is_vault(call) && !is_problem(call)) {
        assert_true(strcmp(call->content_type, "application/json") == 0);
    } else if (call->status >= 400 && !has_own_words(call) &&
               strcmp(call->content_type, "text/plain; charset=utf-8") != 0) {
        assert_true(is_problem(call));
    }
    if (is_problem(call)) {
        judge_problem(call);
    }
    if (!may_have_secret(call)) {
        assert_null(strstr(call->body, SCRIPTED_MARKER));
    }
    assert_null(strstr(call->headers, SCRIPTED_MARKER));
}

static void add_header(struct call *call, const struct env_request_header *header)
{
    size_t used = strlen(call->headers);
    size_t size = used + header->name.len + header->value.len + 4;

    call->headers = realloc(call->headers, size);
    assert_non_null(call->headers);
    (void)snprintf(call->headers + used, size - used, "%.*s: %.*s\n", STR_ARG(header->name),
                   STR_ARG(header->value));
}

static void on_reply(struct env_request *request, const struct env_reply *reply)
{
    struct call *call = CONTAINER_OF(request, struct fake_request, request)->call;
    size_t i;

    assert_ptr_equal(call->request, request);
    assert_int_equal(call->status, 0);
    assert_true(reply->status >= 200 && reply->status <= 599);
    assert_true(reply->header_count <= ARRAY_LEN(reply->headers));
    call->status = reply->status;
    call->is_closing = reply->close;
    (void)snprintf(call->content_type, sizeof(call->content_type), "%s",
                   reply->content_type != NULL ? reply->content_type : "");
    call->body = copy(reply->body.ptr, reply->body.len);
    for (i = 0; i < reply->header_count; i++) {
        add_header(call, &reply->headers[i]);
    }
}

static void on_watch(struct env_connection *connection, struct env_connection_watch *watch)
{
    list_push_back(&connection->watches, &watch->node);
}

/* --- streams --- */

static int stream_refusal;
static size_t stream_limit;

void call_refuse_streams(int status)
{
    stream_refusal = status;
}

void call_limit_streams(size_t room)
{
    stream_limit = room;
}

void call_drain(struct call *call)
{
    call->stream_room = stream_limit > 0 ? stream_limit : SIZE_MAX;
    if (call->drained != NULL && !call->is_stream_ended && !call->is_stream_dropped) {
        call->drained(call->request);
    }
}

static size_t on_stream_room(const struct env_request *request)
{
    return ((const struct fake_request *)(const void *)request)->call->stream_room;
}

static int on_stream_begin(struct env_request *request, const struct env_stream *stream)
{
    struct call *call = CONTAINER_OF(request, struct fake_request, request)->call;

    assert_ptr_equal(call->request, request);
    assert_int_equal(call->status, 0);
    assert_non_null(request->finished);
    if (stream_refusal != 0) {
        return stream_refusal;
    }
    call->status = 200;
    call->is_stream = true;
    call->stream_room = stream_limit > 0 ? stream_limit : SIZE_MAX;
    call->drained = stream->drained;
    call->is_closing = true;
    call->body = copy("", 0);
    (void)snprintf(call->content_type, sizeof(call->content_type), "%s", stream->content_type);
    return 0;
}

static int on_stream_write(struct env_request *request, struct str bytes)
{
    struct call *call = CONTAINER_OF(request, struct fake_request, request)->call;
    size_t len;

    assert_true(call->is_stream);
    if (call->is_stream_ended || call->is_stream_dropped) {
        return ERR_CLOSED;
    }
    if (bytes.len > call->stream_room) {
        call->is_stream_dropped = true;
        return ERR_LIMIT;
    }
    call->stream_room -= bytes.len;
    len = strlen(call->body);
    call->body = realloc(call->body, len + bytes.len + 1);
    assert_non_null(call->body);
    memcpy(call->body + len, bytes.ptr, bytes.len);
    call->body[len + bytes.len] = '\0';
    return 0;
}

static void on_stream_end(struct env_request *request)
{
    CONTAINER_OF(request, struct fake_request, request)->call->is_stream_ended = true;
}

static const struct env_request_ops fake_ops = {
    .reply = on_reply,
    .connection_watch = on_watch,
    .stream_begin = on_stream_begin,
    .stream_write = on_stream_write,
    .stream_room = on_stream_room,
    .stream_end = on_stream_end,
};

/* --- the request --- */

static void add_request_header(struct fake_request *fake, const char *line)
{
    struct env_request *request = &fake->request;
    char *text = copy(line, strlen(line));
    struct str value = str_of(text);
    struct str name = str_cut(&value, ':');

    assert_true(request->header_count < ENV_REQUEST_HEADERS_MAX);
    fake->header_texts[request->header_count] = text;
    request->headers[request->header_count].name = name;
    request->headers[request->header_count].value = str_trim(value);
    request->header_count++;
}

static void request_free(struct call *call)
{
    struct fake_request *fake = CONTAINER_OF(call->request, struct fake_request, request);
    size_t i;

    for (i = 0; i < fake->request.header_count; i++) {
        free(fake->header_texts[i]);
    }
    for (i = 0; i < ARRAY_LEN(fake->texts); i++) {
        free(fake->texts[i]);
    }
    free(fake);
    call->request = NULL;
}

static void request_over(struct call *call, bool delivered)
{
    struct env_request *request = call->request;
    void (*finished)(struct env_request * over, bool is_delivered) = request->finished;

    request->finished = NULL;
    if (finished != NULL) {
        finished(request, delivered);
    }
    request_free(call);
}

static struct fake_request *request_new(const struct message *message, struct call *call)
{
    struct fake_request *fake = calloc(1, sizeof(*fake));
    size_t i;

    assert_non_null(fake);
    fake->call = call;
    fake->texts[0] = copy(message->method, strlen(message->method));
    fake->texts[1] = copy(message->target, strlen(message->target));
    fake->texts[2] = message->body != NULL ? copy(message->body, strlen(message->body)) : NULL;
    fake->request = (struct env_request){
        .listener = "local",
        .peer = &message->connection->peer,
        .connection = message->connection,
        .method = str_of(fake->texts[0]),
        .query = str_of(fake->texts[1]),
        .body = str_of(fake->texts[2]),
        .unit = str_of(message->unit),
        .credential = str_of(message->credential),
        .ops = &fake_ops,
    };
    fake->request.path = str_cut(&fake->request.query, '?');
    if (!message->has_no_default_headers) {
        add_request_header(fake, "Host: leased");
        add_request_header(fake, "X-Leased-Request: 1");
    }
    for (i = 0; message->headers != NULL && message->headers[i] != NULL; i++) {
        add_request_header(fake, message->headers[i]);
    }
    return fake;
}

struct call *call_send(const struct message *message)
{
    struct call *call = calloc(1, sizeof(*call));

    assert_non_null(call);
    call->method = copy(message->method, strlen(message->method));
    call->target = copy(message->target, strlen(message->target));
    call->headers = copy("", 0);
    call->request = &request_new(message, call)->request;
    message->handler(message->handler_user, call->request);
    if (call->status == 0) {
        assert_non_null(call->request->finished); /* who keeps a request must hear of its end */
    } else if (call->request->finished == NULL) {
        request_over(call, true);
    }
    return call;
}

void call_deliver(struct call *call)
{
    assert_int_not_equal(call->status, 0);
    if (call->request != NULL) {
        request_over(call, true);
    }
}

void call_hang_up(struct call *call)
{
    if (call->request != NULL) {
        request_over(call, false);
    }
}

void call_free(struct call *call)
{
    if (call->status != 0) {
        judge(call);
    }
    assert_null(call->request);
    json_decref(call->json);
    free(call->method);
    free(call->target);
    free(call->headers);
    free(call->body);
    free(call);
}

/* --- looking at it --- */

const char *call_header(const struct call *call, const char *name)
{
    static char value[256];
    struct str rest = str_of(call->headers);

    while (rest.len > 0) {
        struct str line = str_cut(&rest, '\n');
        struct str have = str_cut(&line, ':');

        if (have.len == strlen(name) && strncasecmp(have.ptr, name, have.len) == 0) {
            line = str_trim(line);
            (void)snprintf(value, sizeof(value), "%.*s", STR_ARG(line));
            return value;
        }
    }
    return NULL;
}

json_t *call_json(struct call *call)
{
    json_error_t why;

    if (call->json == NULL) {
        assert_non_null(call->body);
        call->json = json_loads(call->body, JSON_REJECT_DUPLICATES, &why);
        if (call->json == NULL) {
            print_message("%s in: %s\n", why.text, call->body);
        }
        assert_non_null(call->json);
    }
    return call->json;
}

json_t *call_member(struct call *call, const char *path)
{
    json_t *value = call_json(call);
    struct str rest = str_of(path);

    while (rest.ptr != NULL && value != NULL) {
        struct str part = str_cut(&rest, '.');
        char key[64];

        (void)snprintf(key, sizeof(key), "%.*s", STR_ARG(part));
        value = json_object_get(value, key);
    }
    return value;
}

const char *call_text(struct call *call, const char *path)
{
    const char *text = json_string_value(call_member(call, path));

    if (text == NULL) {
        print_message("no \"%s\" in: %s\n", path, call->body);
    }
    assert_non_null(text);
    return text;
}

void connection_end(struct env_connection *connection)
{
    struct list *node;

    while ((node = list_pop_front(&connection->watches)) != NULL) {
        struct env_connection_watch *watch = LIST_ENTRY(node, struct env_connection_watch, node);

        watch->fn(watch);
    }
}
