/* Happy path: sign, send, read the answer, hand it over.
 *
 * A clock that is off: AWS takes five minutes. Where it refuses a signature and its own clock (the
 * answer's Date) is more than four away from ours, the difference is kept and the request is sent
 * once more. A credential of the source that has expired, or that was kept and isn't known any
 * more: everything that was kept is dropped, and the operation begins once more. */
#include "request.h"

#include "sigv4.h"
#include "source.h"

#include <string.h>

#define SKEW_LEAST_S 240

struct plugin_form *aws_request_form(struct aws_op *op)
{
    plugin_form_fini(&op->form);
    op->form = (struct plugin_form){.host = op->work.works->host};
    return &op->form;
}

/* A key that a role has just made isn't known everywhere at once; one that was taken away is
 * replaced when it is asked for again. */
static int32_t class_of(const struct aws_op *op, const struct aws_answer *answer)
{
    return op->aws->config.source == AWS_SOURCE_ROLE && aws_answer_is_unknown(answer)
               ? LEASED_RETRY
               : aws_answer_class(answer);
}

void aws_request_refused(struct aws_op *op, const struct aws_answer *answer)
{
    struct plugin_text text;

    aws_answer_explain(answer, op->what, &text);
    plugin_work_fail_by(&op->work, class_of(op, answer), answer->retry_after_ms, text.bytes);
}

static void replied(struct plugin_work *work, const struct leased_http_reply *reply);

static int send(struct aws_op *op)
{
    const struct leased_instance *aws = op->aws;
    bool is_iam = op->service == AWS_SERVICE_IAM;
    const struct aws_place *place = is_iam ? &aws->config.iam : &aws->config.sts;
    struct aws_signature signature;
    struct leased_http_header headers[4] = {
        {.name = PLUGIN_STR("content-type"), .value = PLUGIN_STR(AWS_CONTENT_TYPE)}};
    struct leased_http_request request = {.size = sizeof(request),
                                          .method = PLUGIN_STR("POST"),
                                          .path = PLUGIN_STR("/"),
                                          .headers = headers,
                                          .header_count = 1,
                                          .body = plugin_form_str(&op->form),
                                          .address = plugin_str(place->address)};

    if (op->form.is_failed) {
        return -1;
    }
    if (op->keys != NULL) {
        const struct aws_to_sign to_sign = {.keys = op->keys,
                                            .host = place->host,
                                            .region = place->region,
                                            .service = is_iam ? "iam" : "sts",
                                            .body = request.body,
                                            .when_s = aws_now_s(aws)};

        if (aws_sign(&to_sign, &signature) != 0) {
            return -1;
        }
        headers[1] =
            (struct leased_http_header){PLUGIN_STR("x-amz-date"), plugin_str(signature.date)};
        headers[2] = (struct leased_http_header){PLUGIN_STR("authorization"),
                                                 plugin_str(signature.authorization)};
        headers[3] = (struct leased_http_header){PLUGIN_STR("x-amz-security-token"),
                                                 plugin_str(op->keys->token)};
        request.header_count = op->keys->token[0] != '\0' ? 4 : 3;
    }
    return plugin_work_send(&op->work, &request, replied);
}

static void send_or_fail(struct aws_op *op)
{
    if (send(op) != 0) {
        plugin_work_fail(&op->work, LEASED_RETRY, "the request could not be started");
    }
}

/* Takes the issuer's clock over. */
static bool is_skewed(struct aws_op *op, const struct aws_answer *answer)
{
    struct leased_instance *aws = op->aws;
    int64_t off_s = answer->date_s - aws_now_s(aws);

    if (op->keys == NULL || op->is_resigned || answer->date_s < 0 ||
        !aws_answer_may_be_skewed(answer) || (off_s > -SKEW_LEAST_S && off_s < SKEW_LEAST_S)) {
        return false;
    }
    aws->skew_s += off_s;
    aws->works.host->log(aws->works.context, LEASED_LOG_WARN, PLUGIN_STR("aws.clock.corrected"),
                         NULL, 0);
    return true;
}

/* What an error must not repeat. */
static struct leased_str secret_of(const struct aws_op *op)
{
    if (op->keys == NULL) {
        return (struct leased_str){op->token, op->token_len};
    }
    return plugin_str(op->keys->token);
}

/* May the source have better credentials than those that were refused? What it reads from a file is
 * read anew each time. */
static bool is_outdated(const struct leased_instance *aws, const struct aws_answer *answer)
{
    bool is_kept = aws->cached[AWS_CACHED_BASE] != NULL || aws->cached[AWS_CACHED_CHAIN] != NULL ||
                   aws->config.source == AWS_SOURCE_ROLE;

    return aws_answer_is_expired(answer) || (is_kept && aws_answer_is_unknown(answer));
}

static void replied(struct plugin_work *work, const struct leased_http_reply *reply)
{
    struct aws_op *op = (struct aws_op *)work;
    struct aws_answer answer;

    op->may_be_put = op->may_be_put && reply->transport != LEASED_HTTP_NOT_SENT;
    if (plugin_work_is_unanswered(work, reply)) {
        return;
    }
    aws_answer_read(reply, secret_of(op), &answer);
    op->may_be_put = op->may_be_put && !aws_answer_is_refusal(&answer);
    if (is_skewed(op, &answer)) {
        op->is_resigned = true;
        send_or_fail(op);
    } else if (!op->is_begun_again && is_outdated(op->aws, &answer)) {
        op->is_begun_again = true;
        aws_source_forget(op->aws);
        op->begin(op);
    } else {
        op->answered(op, &answer);
    }
}

/* Blanks as forms have them, and botocore: moto computes its signature from them. */
static void spell_blanks(struct plugin_form *form)
{
    size_t to = 0;

    for (size_t from = 0; from < form->len; from++) {
        bool is_blank = form->len - from >= 3 && memcmp(form->bytes + from, "%20", 3) == 0;

        form->bytes[to++] = is_blank ? '+' : form->bytes[from];
        from += is_blank ? 2 : 0;
    }
    form->len = to;
}

void aws_request_send(struct aws_op *op, enum aws_service service, const char *what,
                      aws_answered_fn answered)
{
    op->service = service;
    op->what = what;
    op->answered = answered;
    spell_blanks(&op->form);
    send_or_fail(op);
}
