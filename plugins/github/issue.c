/* Happy path: (the owner's installation is looked up) → a token is asked for → it is handed over,
 * with itself, sealed, as a part of what revoke is given.
 *
 * Failure paths. A remembered installation isn't there any more: its owner is looked up once more,
 * because the app may have been installed anew. The answer is lost: so is the token, which nobody
 * knows and which ends within the hour; LEASED_LOST. The answer can't be used, but names a token:
 * it is revoked. */
#include "issue.h"

#include "explain.h"
#include "ref.h"
#include "token.h"
#include "common/reply.h"

#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 320

static void mint(struct github_work *work);
static void look_up(struct github_work *work);

/* --- the installation ------------------------------------------------------------------------- */

static struct github_installation *find(struct leased_instance *github, const char *owner)
{
    for (size_t i = 0; i < GITHUB_INSTALLATIONS_MAX; i++) {
        if (strcmp(github->installations[i].owner, owner) == 0) {
            return &github->installations[i];
        }
    }
    return NULL;
}

static void remember(struct leased_instance *github, const char *owner, const char *id)
{
    struct github_installation *place = find(github, owner);

    if (place == NULL) {
        place = &github->installations[github->installation_next];
        github->installation_next = (github->installation_next + 1) % GITHUB_INSTALLATIONS_MAX;
    }
    (void)snprintf(place->owner, sizeof(place->owner), "%s", owner);
    (void)snprintf(place->id, sizeof(place->id), "%s", id);
}

static void found(struct github_work *work, const struct leased_http_reply *reply)
{
    const char *problem = "";
    json_t *root = reply->status == 200 ? plugin_reply_json(reply, 0, &problem) : NULL;
    const json_t *id = json_object_get(root, "id");
    json_int_t number = json_is_integer(id) ? json_integer_value(id) : 0;
    const json_t *suspended = json_object_get(root, "suspended_at");
    bool is_suspended = suspended != NULL && !json_is_null(suspended);

    json_decref(root);
    if (reply->status != 200) {
        github_explain(work, reply, false);
    } else if (number <= 0) {
        plugin_work_fail(&work->work, LEASED_RETRY, "GitHub's answer names no installation");
    } else if (is_suspended) {
        plugin_work_fail(&work->work, LEASED_DENIED,
                         "the app's installation is suspended: who owns it can end that");
    } else {
        (void)snprintf(work->installation, sizeof(work->installation), "%" JSON_INTEGER_FORMAT,
                       number);
        remember(work->github, work->params.owner, work->installation);
        mint(work);
    }
}

/* GET /users/NAME/installation finds organizations as well. */
static void look_up(struct github_work *work)
{
    char path[PATH_MAX_BYTES];
    bool is_repository = strchr(work->params.owner, '/') != NULL;
    const struct github_request request = {
        .method = "GET", .path = path, .again = look_up, .heard = found};

    (void)snprintf(path, sizeof(path), "/%s/%s/installation", is_repository ? "repos" : "users",
                   work->params.owner);
    github_ask(work, &request); /* the work may be gone */
}

/* --- the token -------------------------------------------------------------------------------- */

static void hand_over(struct github_work *work, const struct github_token *token)
{
    char ref[GITHUB_REF_MAX_BYTES];
    const struct leased_str warning =
        PLUGIN_STR("the token is too long to be kept for its revocation: it lives to its end");
    const struct leased_kv fields[] = {
        {.key = PLUGIN_STR("token"), .value = token->text, .flags = LEASED_KV_SECRET},
        {.key = PLUGIN_STR("expires_at"), .value = token->expires_at},
        {.key = PLUGIN_STR("username"), .value = PLUGIN_STR("x-access-token")},
    };
    struct leased_result result = {
        .size = sizeof(result),
        .lifetime_ms = token->life_ms,
        .issuer_ref = {ref, github_ref_write(work->github, work->installation, token->text, ref)},
        .fields = fields,
        .field_count = sizeof(fields) / sizeof(fields[0]),
        .asked_ms = work->work.sent_ms,
    };

    if (result.issuer_ref.len > 0) {
        result.flags = LEASED_RESULT_REVOCABLE;
    } else {
        result.warnings = &warning;
        result.warning_count = 1;
    }
    if (token->problem != NULL) {
        result.detail = plugin_str(token->problem);
        plugin_work_end(&work->work, LEASED_INVALID, &result);
    } else {
        plugin_work_end(&work->work, LEASED_OK, &result);
    }
}

static void minted(struct github_work *work, const struct leased_http_reply *reply)
{
    struct github_token token;

    if (reply->status == 404 && work->is_remembered && github_is_word(reply)) {
        work->is_remembered = false;
        look_up(work); /* the work may be gone */
        return;
    }
    if (reply->status != 201) {
        github_explain(work, reply, true);
    } else if (github_token_read(&work->github->works, reply, &token) != 0) {
        plugin_work_fail(&work->work, LEASED_LOST,
                         "GitHub's answer holds no token that can be "
                         "used");
    } else {
        hand_over(work, &token);
        github_token_fini(&token);
    }
}

static void mint(struct github_work *work)
{
    char path[PATH_MAX_BYTES];
    const struct github_request request = {.method = "POST",
                                           .path = path,
                                           .body = work->params.scope,
                                           .again = mint,
                                           .heard = minted,
                                           .is_creating = true};

    (void)snprintf(path, sizeof(path), "/app/installations/%s/access_tokens", work->installation);
    github_ask(work, &request); /* the work may be gone */
}

static void begin_issue(struct plugin_work *base)
{
    struct github_work *work = (struct github_work *)base;
    const struct github_installation *known = NULL;

    if (work->params.installation[0] != '\0') {
        (void)snprintf(work->installation, sizeof(work->installation), "%s",
                       work->params.installation);
    } else {
        known = find(work->github, work->params.owner);
    }
    if (known != NULL) {
        work->is_remembered = true;
        (void)snprintf(work->installation, sizeof(work->installation), "%s", known->id);
    }
    if (work->installation[0] != '\0') {
        mint(work); /* the work may be gone */
    } else {
        look_up(work); /* the work may be gone */
    }
}

int32_t github_issue(leased_instance *github, const struct leased_issue *request, leased_op *op)
{
    struct github_work *work = github_work_new(github, op);
    struct plugin_text detail;

    if (work == NULL) {
        return -LEASED_RETRY;
    }
    if (github_params_parse(request->params, &work->params, &detail) != 0) {
        return plugin_work_fail_soon(&work->work, LEASED_INVALID, detail.bytes);
    }
    return plugin_work_wait(&work->work, 0, begin_issue) == 0 ? 0 : plugin_work_refuse(&work->work);
}

/* --- its end ---------------------------------------------------------------------------------- */

/* A token that ended otherwise is refused for good. */
static void revoked(struct github_work *work, const struct leased_http_reply *reply)
{
    if (reply->status == 204) {
        plugin_work_end(&work->work, LEASED_OK, NULL);
    } else if (reply->status == 401 && github_is_word(reply)) {
        plugin_work_fail(&work->work, LEASED_GONE, "GitHub doesn't know the token any more");
    } else {
        github_explain(work, reply, false);
    }
}

static void begin_revoke(struct plugin_work *base)
{
    struct github_work *work = (struct github_work *)base;
    const struct github_request request = {
        .method = "DELETE", .path = "/installation/token", .token = work->token, .heard = revoked};

#if defined(MUTANT) && MUTANT == 25 /* see src/base/mutant.h */
    plugin_work_end(&work->work, LEASED_OK, NULL);
    return;
#endif
    github_ask(work, &request); /* the work may be gone */
}

int32_t github_revoke(leased_instance *github, const struct leased_lease_ref *lease, leased_op *op)
{
    struct github_work *work = github_work_new(github, op);
    const char *problem = "";
    int32_t status;

    if (work == NULL) {
        return -LEASED_RETRY;
    }
    status = github_ref_read(github, lease->issuer_ref, &work->token, &problem);
    if (status != 0) {
        return plugin_work_fail_soon(&work->work, status, problem);
    }
    return plugin_work_wait(&work->work, 0, begin_revoke) == 0 ? 0
                                                               : plugin_work_refuse(&work->work);
}
