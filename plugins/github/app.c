/* Happy path: read the private key → sign a JWT by GitHub's clock as far as it is known → send.
 *
 * A JWT that is refused while GitHub's clock, by the answer's Date, is another than the one it was
 * made by: that clock counts from then on, and the same is sent once more. */
#include "app.h"

#include "explain.h"
#include "common/dump.h"
#include "common/form.h"
#include "common/jwt.h"
#include "common/reply.h"
#include "common/when.h"

#include <openssl/evp.h>
#include <string.h>

#define ADDRESS "https://api.github.com"
/* GitHub takes JWTs of ten minutes at most, and none that begin in its future. */
#define JWT_BACKDATED_S 60
#define JWT_LIFE_S 540
#define SKEW_LEAST_S 30

static void work_fini(struct plugin_work *base)
{
    struct github_work *work = (struct github_work *)base;

    github_params_fini(&work->params);
    base->works->host->secret_free(work->token);
}

struct github_work *github_work_new(struct leased_instance *github, leased_op *op)
{
    struct github_work *work = plugin_work_new(&github->works, sizeof(*work), op);

    if (work != NULL) {
        work->github = github;
        work->work.fini = work_fini;
    }
    return work;
}

/* --- the JWT ---------------------------------------------------------------------------------- */

static int64_t wall_s(const struct leased_instance *github)
{
    return github->works.host->wall_ms(github->works.context) / 1000;
}

static EVP_PKEY *read_key(const struct leased_instance *github, struct plugin_text *detail)
{
    const struct leased_host *host = github->works.host;
    const char *source = github->config.key.text;
    struct plugin_text why;
    struct leased_str problem = {0};
    char *pem = NULL;
    int64_t len = host->secret_read(github->works.context, plugin_str(source), &pem, &problem);
    EVP_PKEY *key = NULL;

    if (len < 0) {
        plugin_text_set(detail, "the app's private key can't be read: %.*s", (int)problem.len,
                        problem.len > 0 ? problem.ptr : "");
        return NULL;
    }
    key = plugin_key_read((struct leased_str){pem, (size_t)len}, &why);
    host->secret_free(pem);
    if (key == NULL) {
        plugin_text_set(detail, "the app's private key (%.200s) can't be used: %s", source,
                        why.bytes);
    }
    return key;
}

static char *sign(const struct leased_instance *github, EVP_PKEY *key, struct plugin_text *detail)
{
    int64_t now_s = wall_s(github) + github->skew_s;
    json_t *claims =
        json_pack("{s:s, s:I, s:I}", "iss", github->config.app, "iat",
                  (json_int_t)(now_s - JWT_BACKDATED_S), "exp", (json_int_t)(now_s + JWT_LIFE_S));
    const struct plugin_jwt jwt = {.alg = PLUGIN_JWT_RS256, .key = key, .claims = claims};
    char *text = NULL;

    plugin_text_set(detail, "out of memory");
    if (claims != NULL) {
        text = plugin_jwt_sign(github->works.host, &jwt, detail);
    }
    json_decref(claims);
    return text;
}

/* What stands behind "Authorization:". */
static int add_authorization(const struct leased_instance *github, const char *token,
                             struct plugin_form *out, struct plugin_text *detail)
{
    EVP_PKEY *key = NULL;
    char *jwt = NULL;

    if (token == NULL) {
        key = read_key(github, detail);
        jwt = key != NULL ? sign(github, key, detail) : NULL;
        EVP_PKEY_free(key);
        token = jwt;
    }
    if (token == NULL) {
        return -1;
    }
    plugin_form_add(out, PLUGIN_STR("Bearer "));
    plugin_form_add(out, plugin_str(token));
    github->works.host->secret_free(jwt);
    plugin_text_set(detail, "out of memory");
    return out->is_failed ? -1 : 0;
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Was it refused for its time, and is that better known now? */
static bool is_clock_corrected(struct github_work *work, const struct leased_http_reply *reply)
{
    int64_t date_s = plugin_when_http(plugin_header(reply, "date"));
    int64_t skew_s = date_s - wall_s(work->github);
    int64_t off_s = skew_s - work->skew_s;

    if (reply->status != 401 || work->is_corrected || work->again == NULL || date_s < 0 ||
        (off_s > -SKEW_LEAST_S && off_s < SKEW_LEAST_S) || !github_is_word(reply)) {
        return false;
    }
    work->is_corrected = true;
    work->github->skew_s = skew_s;
    return true;
}

static void replied(struct plugin_work *base, const struct leased_http_reply *reply)
{
    struct github_work *work = (struct github_work *)base;

    bool was_creating = base->is_creating;

    if (plugin_work_is_unanswered(base, reply)) {
        return;
    }
    base->is_creating = false; /* what it created is in the answer */
    if (base->is_given_up && !(was_creating && reply->status < 300)) {
        plugin_work_fail(base, LEASED_CANCELED, "");
    } else if (is_clock_corrected(work, reply)) {
        work->again(work);
    } else {
        work->heard(work, reply); /* the work may be gone */
    }
}

static int start(struct github_work *work, const struct github_request *request,
                 struct leased_str authorization, struct leased_str body)
{
    const struct leased_http_header headers[] = {
        {PLUGIN_STR("Authorization"), authorization},
        {PLUGIN_STR("Accept"), PLUGIN_STR("application/vnd.github+json")},
        {PLUGIN_STR("X-GitHub-Api-Version"), PLUGIN_STR("2022-11-28")},
        {PLUGIN_STR("User-Agent"), PLUGIN_STR("leased")}, /* GitHub refuses who has none */
        {PLUGIN_STR("Content-Type"), PLUGIN_STR("application/json")},
    };
    const struct leased_http_request http = {
        .size = sizeof(http),
        .flags = LEASED_HTTP_DEFAULT | (request->is_creating ? LEASED_HTTP_CREATES : 0),
        .method = plugin_str(request->method),
        .path = plugin_str(request->path),
        .headers = headers,
        .header_count = sizeof(headers) / sizeof(headers[0]) - (body.len > 0 ? 0 : 1),
        .body = body,
        .address = PLUGIN_STR(ADDRESS),
    };

    work->skew_s = work->github->skew_s;
    work->again = request->again;
    work->heard = request->heard;
    work->work.is_creating = request->is_creating;
    return plugin_work_send(&work->work, &http, replied);
}

int32_t github_send(struct github_work *work, const struct github_request *request,
                    struct plugin_text *ret_detail)
{
    const struct leased_host *host = work->github->works.host;
    struct plugin_form authorization = {.host = host};
    size_t body_len = 0;
    char *body = NULL;
    int32_t status = LEASED_INVALID;

    if (add_authorization(work->github, request->token, &authorization, ret_detail) == 0) {
        body = request->body != NULL ? plugin_dump(host, request->body, &body_len) : NULL;
        plugin_text_set(ret_detail, "the request could not be sent");
        status = LEASED_RETRY;
        if ((request->body == NULL || body != NULL) &&
            start(work, request, plugin_form_str(&authorization),
                  (struct leased_str){body, body_len}) == 0) {
            status = 0;
        }
    }
    plugin_form_fini(&authorization);
    host->secret_free(body);
    return status;
}

void github_ask(struct github_work *work, const struct github_request *request)
{
    struct plugin_text detail = {{0}};
    int32_t status = github_send(work, request, &detail);

    if (status != 0) {
        plugin_work_fail(&work->work, status, detail.bytes);
    }
}
