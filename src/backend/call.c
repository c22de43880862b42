/* Happy path: backend_call_start takes an operation → op.c hands it to the plugin → the plugin's
 * call_done → the answer, checked, goes to the caller.
 *
 * Failure paths: op.c's deadline, cancel and close, and the plugin's op_done, end it without an
 * answer; an answer that breaks a rule (status, headers that HTTP itself needs or that hold control
 * bytes, size) is refused as a whole; a late or second one is counted and dropped. */
#include "backend/call.h"

#include <string.h>

#define STATUS_MIN 200U
#define STATUS_MAX 599U

size_t call_max(uint32_t in_flight)
{
    return in_flight > 1 ? in_flight / 2U : 1U;
}

static void call_ended(void *user, const struct lease_result *result)
{
    struct backend_call *call = user;
    const struct backend_call_result *answer = call->answer;
    const struct backend_call_result none = {
        .outcome = result->outcome,
        .retry_after_ms = result->retry_after_ms,
        .detail = result->detail,
    };

    call->impl = NULL;
    call->answer = NULL;
    call->fn(call, answer != NULL ? answer : &none); /* self may be gone */
}

int call_start_op(struct ops *ops, struct backend_call *call)
{
    struct op *op;
    int rc;

    if (call->header_count > BACKEND_CALL_HEADERS_MAX ||
        call->body.len > BACKEND_CALL_BODY_MAX_BYTES ||
        strlen(call->path) > BACKEND_CALL_PATH_MAX_BYTES) {
        return ERR_TOO_LARGE;
    }
    /* Whoever waits for a lease goes first. */
    if (ops->pass_count >= ops->pass_max || ops->pass_count + ops->call_count >= ops->call_max) {
        return ERR_LIMIT;
    }
    rc = op_new(ops, OP_CALL, &op);
    if (rc == 0) {
        ops->pass_count++;
        op->timeout_ms = call->timeout_ms;
        op->fn = call_ended;
        op->user = call;
        call->impl = op;
        call->answer = NULL;
        op_queue(op);
    }
    return rc;
}

void backend_call_cancel(struct backend_call *call)
{
    op_cancel(call->impl);
}

/* NULL, or why the answer is refused. */
static const char *check_reply(const struct leased_call_reply *reply)
{
    if (reply == NULL || !LEASED_HAS(reply, body)) {
        return "there is none";
    }
    if (reply->status < STATUS_MIN || reply->status > STATUS_MAX) {
        return "its status is no final one";
    }
    if (reply->header_count > BACKEND_CALL_REPLY_HEADERS_MAX) {
        return "it has too many headers";
    }
    for (size_t i = 0; i < reply->header_count; i++) {
        if (!host_is_header(&reply->headers[i])) {
            return "it has a header that can't be passed on";
        }
    }
    return reply->body.len > BACKEND_CALL_BODY_MAX_BYTES ? "it is too large" : NULL;
}

static void refuse(struct ops *ops, const leased_op *handle, const char *why)
{
    const struct leased_result result = {.size = sizeof(result),
                                         .detail = host_leased_str(str_of(why))};

    op_done(ops, handle, LEASED_LOST, &result);
}

void call_op_done(struct ops *ops, const leased_op *handle, const struct leased_call_reply *reply)
{
    struct op *op = handles_get(&ops->handles, handle);
    struct env_http_header headers[BACKEND_CALL_REPLY_HEADERS_MAX];
    struct backend_call_result answer = {.outcome = LEASE_OUTCOME_OK};
    struct lease_result result = result_of(LEASE_OUTCOME_OK, NULL);
    const char *why = check_reply(reply);

    if (op == NULL || op->kind != OP_CALL || op->state != OP_STATE_RUNNING || why != NULL) {
        /* What op_done does with a handle that is used up, overdue or just starting fits. */
        refuse(ops, handle, why != NULL ? why : "it doesn't fit the operation");
        return;
    }
    for (size_t i = 0; i < reply->header_count; i++) {
        headers[i].name = host_str(reply->headers[i].name);
        headers[i].value = host_str(reply->headers[i].value);
    }
    answer.status = reply->status;
    answer.headers = headers;
    answer.header_count = reply->header_count;
    answer.body = host_str(reply->body);
    ((struct backend_call *)op->user)->answer = &answer;
    op_end(op, &result, false); /* self may be gone */
}
