/* Tokens that can be revoked: each is bound to a Secret of its own, and ends with it.
 *
 * Happy path: what is to be revoked goes on record → an empty Secret is made → a token is asked
 * for, bound to it by name and uid. Revoking deletes the Secret.
 *
 * Failure paths: whatever happens once the Secret may exist, the work's end names it, so that the
 * host deletes it; if the daemon dies, the record does. */
#include "issue.h"

#include "common/reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 512
#define UID_MAX_BYTES 128U
#define BETWEEN "/secrets/"

/* --- made ------------------------------------------------------------------------------------- */

json_t *kubernetes_secret_annotations(const struct leased_issue *request)
{
    json_t *annotations = json_object();

    for (size_t i = 0; annotations != NULL && i < request->caller_count; i++) {
        const struct leased_kv *said = &request->caller[i];
        /* What isn't UTF-8 can't be said. */
        json_t *value = json_stringn(said->value.ptr, said->value.len);
        char key[64];

        (void)snprintf(key, sizeof(key), "leased/%.*s", (int)said->key.len, said->key.ptr);
        if (value != NULL && json_object_set_new(annotations, key, value) != 0) {
            json_decref(annotations);
            return NULL;
        }
    }
    return annotations;
}

/* By uid, too: another Secret of the same name is not the one. */
static int bind(struct kubernetes_work *work, const struct leased_http_reply *reply)
{
    const char *problem;
    json_t *root = plugin_reply_json(reply, 0, &problem);
    json_t *uid = json_object_get(json_object_get(root, "metadata"), "uid");
    size_t len = json_string_length(uid);

    if (len > 0 && len <= UID_MAX_BYTES) {
        work->params.bound =
            json_pack("{s:s, s:s, s:s, s:O}", "kind", "Secret", "apiVersion", "v1", "name",
                      strstr(work->ref, BETWEEN) + strlen(BETWEEN), "uid", uid);
    }
    json_decref(root);
    return work->params.bound != NULL ? 0 : -1;
}

static void made(struct kubernetes_work *work, const struct leased_http_reply *reply)
{
    /* Names are of chance: one that is there is our own, by a request that arrived twice. Whoever
     * asks for fewer requests may have refused the second of two, and taken the first. */
    bool is_there = reply->status == 409;
    bool is_limited = reply->status == 429;

    if (reply->status >= 400 && reply->status < 500 && !is_there && !is_limited &&
        kubernetes_is_word(reply)) {
        work->is_left = false; /* it was refused */
    }
    if (is_there) {
        kubernetes_fail(work, LEASED_RETRY, 0,
                        "the API server has the Secret already: the request reached it twice");
    } else if (reply->status != 201) {
        kubernetes_explain(work, reply, true);
    } else if (bind(work, reply) != 0) {
        kubernetes_fail(work, LEASED_RETRY, 0,
                        "the API server's answer doesn't tell the uid of the Secret");
    } else {
        kubernetes_request_token(work); /* the work may be gone */
    }
}

static void make(struct plugin_work *base)
{
    struct kubernetes_work *work = (struct kubernetes_work *)base;
    char path[PATH_MAX_BYTES];
    json_t *body =
        json_pack("{s:s, s:s, s:s, s:{s:s, s:{s:s}, s:O}}", "apiVersion", "v1", "kind", "Secret",
                  "type", "Opaque", "metadata", "name",
                  strstr(work->ref, BETWEEN) + strlen(BETWEEN), "labels",
                  "app.kubernetes.io/managed-by", "leased", "annotations", work->annotations);
    const struct kubernetes_request request = {
        .method = "POST", .path = path, .body = body, .heard = made, .is_creating = true};

    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/secrets",
                   work->params.namespace_name);
    if (body != NULL) {
        kubernetes_ask(work, &request); /* the work may be gone */
    } else {
        kubernetes_fail(work, LEASED_RETRY, 0, "out of memory");
    }
    json_decref(body);
}

void kubernetes_secret_begin(struct kubernetes_work *work)
{
    struct plugin_works *works = work->work.works;
    uint64_t name;

    works->host->random(works->context, &name, sizeof(name));
    (void)snprintf(work->ref, sizeof(work->ref), "%s" BETWEEN "leased-%016" PRIx64,
                   work->params.namespace_name, name);
    if (plugin_work_intend(&work->work, plugin_str(work->ref), make) != 0) {
        plugin_work_fail(&work->work, LEASED_RETRY, "what to revoke could not be put on record");
    }
}

/* --- deleted ---------------------------------------------------------------------------------- */

static bool says(const json_t *root, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(root, key));

    return text != NULL && strcmp(text, value) == 0;
}

/* A Status that says so, or the Secret as it was, which nobody can use any more. A 200 of something
 * in between is neither. */
static bool is_deleted(const struct leased_http_reply *reply)
{
    const char *problem;
    json_t *root = plugin_reply_json(reply, 0, &problem);
    bool is_end = says(root, "kind", "Secret") ||
                  (says(root, "kind", "Status") && says(root, "status", "Success"));

    json_decref(root);
    return is_end;
}

static void deleted(struct kubernetes_work *work, const struct leased_http_reply *reply)
{
    bool is_good = reply->status == 200 || reply->status == 202;

    if (is_good && is_deleted(reply)) {
        plugin_work_end(&work->work, LEASED_OK, NULL);
    } else if (is_good) {
        kubernetes_fail(work, LEASED_RETRY, 0,
                        "what answered the deletion isn't the API server, or doesn't say that it "
                        "is done");
    } else if (reply->status == 404 && kubernetes_is_word(reply)) {
        plugin_work_fail(&work->work, LEASED_GONE, "the Secret isn't there any more");
    } else {
        kubernetes_explain(work, reply, false);
    }
}

static void begin_delete(struct plugin_work *base)
{
    struct kubernetes_work *work = (struct kubernetes_work *)base;
    char path[PATH_MAX_BYTES + KUBERNETES_REF_MAX_BYTES];
    const struct kubernetes_request request = {.method = "DELETE", .path = path, .heard = deleted};

    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s", work->ref);
    kubernetes_ask(work, &request); /* the work may be gone */
}

/* "NAMESPACE/secrets/NAME" of ours, and nothing else? */
static bool is_ref(struct leased_str ref)
{
    const char *slash = ref.len > 0 ? memchr(ref.ptr, '/', ref.len) : NULL;
    size_t before = slash != NULL ? (size_t)(slash - ref.ptr) : 0;
    size_t middle = strlen(BETWEEN);

    return before > 0 && ref.len > before + middle && memcmp(slash, BETWEEN, middle) == 0 &&
           kubernetes_is_name((struct leased_str){ref.ptr, before},
                              KUBERNETES_LABEL_MAX_BYTES - 1) &&
           kubernetes_is_name((struct leased_str){slash + middle, ref.len - before - middle}, 64) &&
           strncmp(slash + middle, "leased-", strlen("leased-")) == 0;
}

int32_t kubernetes_revoke(leased_instance *kubernetes, const struct leased_lease_ref *lease,
                          leased_op *op)
{
    struct kubernetes_work *work = kubernetes_work_new(kubernetes, op);

    if (work == NULL) {
        return -LEASED_RETRY;
    }
    if (!is_ref(lease->issuer_ref)) {
        return plugin_work_fail_soon(&work->work, LEASED_INVALID,
                                     "it isn't known which Secret is meant");
    }
    (void)snprintf(work->ref, sizeof(work->ref), "%.*s", (int)lease->issuer_ref.len,
                   lease->issuer_ref.ptr);
    return plugin_work_wait(&work->work, 0, begin_delete) == 0 ? 0
                                                               : plugin_work_refuse(&work->work);
}
