/* Happy path: (a Secret is made: secret.c) → TokenRequest → the token is handed over.
 *
 * The API server keeps nothing of a token, so one whose answer is lost is nobody's, and it is asked
 * for again. */
#include "issue.h"

#include "common/answer.h"
#include "common/reply.h"
#include "common/when.h"

#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 512
#define TTL_LEAST_S 600U
#define TTL_MOST_S 4294967295U
#define LIFE_MAX_S (INT64_C(366) * 86400)
#define TOKEN_MAX_BYTES 16384U
/* An API server takes just this number for the kubelet's own, and lets such a token live on for a
 * year after the end that it tells. */
#define KUBELETS_TTL_S 3607U

/* --- the answer ------------------------------------------------------------------------------- */

static bool is_token(struct leased_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~') {
            return false;
        }
    }
    return text.len > 0 && text.len <= TOKEN_MAX_BYTES;
}

static struct leased_str text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_string(value)
               ? (struct leased_str){json_string_value(value), json_string_length(value)}
               : (struct leased_str){"", 0};
}

static void hand_over(struct kubernetes_work *work, struct leased_str token,
                      struct leased_str expires_at, uint64_t life_ms)
{
    const struct leased_kv fields[] = {
        {.key = PLUGIN_STR("token"), .value = token, .flags = LEASED_KV_SECRET},
        {.key = PLUGIN_STR("expires_at"), .value = expires_at},
        {.key = PLUGIN_STR("namespace"), .value = plugin_str(work->params.namespace_name)},
        {.key = PLUGIN_STR("service_account"), .value = plugin_str(work->params.account)},
    };
    const struct leased_result result = {
        .size = sizeof(result),
        .flags = work->is_left ? LEASED_RESULT_REVOCABLE : 0,
        .lifetime_ms = life_ms,
        .issuer_ref = plugin_str(work->is_left ? work->ref : ""),
        .fields = fields,
        .field_count = sizeof(fields) / sizeof(fields[0]),
        .asked_ms = work->work.sent_ms,
    };

    plugin_work_end(&work->work, LEASED_OK, &result);
}

static void answered(struct kubernetes_work *work, const struct leased_http_reply *reply)
{
    const char *problem = "";
    json_t *root;
    const json_t *status;
    struct leased_str token;
    struct leased_str expires_at;
    int64_t end_s;
    uint64_t life_ms;

    if (reply->status != 201 && reply->status != 200) {
        kubernetes_explain(work, reply, false);
        return;
    }
    root = plugin_reply_json(reply, 0, &problem);
    status = json_object_get(root, "status");
    token = text_of(status, "token");
    expires_at = text_of(status, "expirationTimestamp");
    end_s = plugin_when_rfc3339(expires_at);
    life_ms = plugin_life_ms(work->work.works, reply, end_s, LIFE_MAX_S);
    if (!is_token(token) || end_s < 0) {
        kubernetes_fail(work, LEASED_RETRY, 0,
                        "the API server's answer holds no token, or doesn't say when it expires");
    } else if (life_ms == 0) {
        kubernetes_fail(work, LEASED_INVALID, 0,
                        "the token that the API server gave has expired already");
    } else {
        hand_over(work, token, expires_at, life_ms);
    }
    json_decref(root);
}

/* --- the request ------------------------------------------------------------------------------ */

static json_int_t expiration_s(uint64_t ttl_ms)
{
    uint64_t seconds = ttl_ms / 1000 + (ttl_ms % 1000 > 0 ? 1 : 0);

    seconds = seconds > TTL_LEAST_S ? seconds : TTL_LEAST_S;
    seconds = seconds < TTL_MOST_S ? seconds : TTL_MOST_S;
    return (json_int_t)(seconds != KUBELETS_TTL_S ? seconds : KUBELETS_TTL_S - 1);
}

/* NULL when out of memory. */
static json_t *token_request(const struct kubernetes_work *work)
{
    json_t *spec = json_pack("{s:O}", "audiences", work->params.audiences);
    bool is_whole = spec != NULL;

    if (is_whole && work->ttl_ms > 0) {
        is_whole = json_object_set_new(spec, "expirationSeconds",
                                       json_integer(expiration_s(work->ttl_ms))) == 0;
    }
    if (is_whole && work->params.bound != NULL) {
        is_whole = json_object_set(spec, "boundObjectRef", work->params.bound) == 0;
    }
    if (!is_whole) {
        json_decref(spec);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:o}", "apiVersion", "authentication.k8s.io/v1", "kind",
                     "TokenRequest", "spec", spec);
}

void kubernetes_request_token(struct kubernetes_work *work)
{
    char path[PATH_MAX_BYTES];
    json_t *body = token_request(work);
    const struct kubernetes_request request = {
        .method = "POST", .path = path, .body = body, .heard = answered};

    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/serviceaccounts/%s/token",
                   work->params.namespace_name, work->params.account);
    if (body != NULL) {
        kubernetes_ask(work, &request); /* the work may be gone */
    } else {
        kubernetes_fail(work, LEASED_RETRY, 0, "out of memory");
    }
    json_decref(body);
}

static void begin(struct plugin_work *base)
{
    struct kubernetes_work *work = (struct kubernetes_work *)base;

    if (work->params.is_bound_to_secret) {
        kubernetes_secret_begin(work); /* the work may be gone */
    } else {
        kubernetes_request_token(work); /* the work may be gone */
    }
}

int32_t kubernetes_issue(leased_instance *kubernetes, const struct leased_issue *request,
                         leased_op *op)
{
    struct kubernetes_work *work = kubernetes_work_new(kubernetes, op);
    struct plugin_text detail;

    if (work == NULL) {
        return -LEASED_RETRY;
    }
    if (kubernetes_params_parse(request->params, &work->params, &detail) != 0) {
        return plugin_work_fail_soon(&work->work, LEASED_INVALID, detail.bytes);
    }
    work->ttl_ms = request->ttl_ms;
    if (work->params.is_bound_to_secret) {
        work->annotations = kubernetes_secret_annotations(request);
    }
    if (work->params.is_bound_to_secret && work->annotations == NULL) {
        return plugin_work_refuse(&work->work);
    }
    return plugin_work_wait(&work->work, 0, begin) == 0 ? 0 : plugin_work_refuse(&work->work);
}
