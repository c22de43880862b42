#include "io/http_call.h"

#include <stdio.h>
#include <string.h>

static void on_done(struct env_http *http, int status, const struct env_http_reply *reply,
                    const char *detail)
{
    struct call *call = http->user;
    struct str retry_after = env_http_reply_header(reply, "retry-after");

    call->runs++;
    call->is_done = true;
    call->status = status;
    call->http_status = reply->status;
    call->header_count = reply->header_count;
    call->body_len = reply->body.len;
    (void)snprintf(call->body, sizeof(call->body), "%.*s", STR_ARG(reply->body));
    (void)snprintf(call->retry_after, sizeof(call->retry_after), "%.*s", STR_ARG(retry_after));
    (void)snprintf(call->detail, sizeof(call->detail), "%s", detail);
    if (status != 0) {
        assert_int_equal(reply->status, 0);
        assert_int_equal(reply->body.len, 0);
        assert_true(strlen(detail) > 0);
    }
    if (call->also != NULL) {
        *call->also = true;
    }
}

void call_init(struct call *call, const struct peer *peer, const char *path)
{
    *call = (struct call){0};
    call->http.method = "GET";
    call->http.timeout_ms = 20000;
    call->http.fn = on_done;
    call->http.user = call;
    if (peer != NULL) {
        call->http.url = peer_url(peer, path, call->url);
    }
}

void call_start(struct loop *loop, struct call *call)
{
    struct err e = {0};
    int rc = env_http_start(loop->env, &call->http, &e);

    if (rc != 0) {
        print_error("%s\n", e.text);
    }
    assert_int_equal(rc, 0);
    assert_false(call->is_done);
}

int call_run(struct loop *loop, struct call *call)
{
    call_start(loop, call);
    loop_until(loop, &call->is_done);
    assert_int_equal(call->runs, 1);
    return call->status;
}
