/* The plugin for GitHub Apps: its table, and the beginning and end of an instance. */
#include "explain.h"
#include "issue.h"
#include "ref.h"

/* The one place that the ABI gives for a reason: valid until the next call of the plugin. */
static struct plugin_text last_detail;

/* --- configuration ---------------------------------------------------------------------------- */

static int32_t github_check_config(struct leased_str config, struct leased_str *ret_detail)
{
    struct github_config parsed;

    return github_config_parse(config, &parsed, &last_detail) == 0
               ? 0
               : plugin_refuse(&last_detail, ret_detail);
}

static int32_t github_check_params(struct leased_str params, struct leased_str *ret_detail)
{
    struct github_params parsed;

    if (github_params_parse(params, &parsed, &last_detail) != 0) {
        return plugin_refuse(&last_detail, ret_detail);
    }
    github_params_fini(&parsed);
    return 0;
}

/* --- life ------------------------------------------------------------------------------------- */

static void github_free(struct leased_instance *github, const struct leased_host *host)
{
    if (github != NULL) {
        host->secret_free(github->key);
        host->secret_free(github);
    }
}

static int32_t github_open(const struct leased_host *host, leased_host_context *context,
                           struct leased_str config, leased_instance **ret_instance,
                           struct leased_str *ret_detail)
{
    struct leased_instance *github = plugin_alloc(host, sizeof(*github));
    int32_t status = -LEASED_RETRY;

    plugin_text_set(&last_detail, "out of memory");
    if (github != NULL) {
        github->works.host = host;
        github->works.context = context;
        status =
            github_config_parse(config, &github->config, &last_detail) == 0 ? 0 : -LEASED_INVALID;
    }
    if (status == 0 && github_ref_open(github) != 0) {
        status = -LEASED_RETRY;
    }
    if (status != 0) {
        (void)plugin_refuse(&last_detail, ret_detail);
        github_free(github, host);
        return status;
    }
    host->login_expires(context, UINT64_MAX); /* each request brings its own */
    *ret_instance = github;
    return 0;
}

static void freed(struct plugin_works *works)
{
    github_free((struct leased_instance *)works, works->host);
}

static int32_t github_close(leased_instance *github, uint32_t flags, leased_op *op)
{
    (void)flags;
    return plugin_works_close(&github->works, op, freed);
}

static void github_cancel(leased_instance *github, leased_op *op)
{
    plugin_works_cancel(&github->works, op);
}

/* --- health ----------------------------------------------------------------------------------- */

static void app_shown(struct github_work *work, const struct leased_http_reply *reply)
{
    if (reply->status == 200) {
        plugin_work_end(&work->work, LEASED_OK, NULL);
    } else {
        github_explain(work, reply, false);
    }
}

static void ask_app(struct github_work *work);

static const struct github_request app_request = {
    .method = "GET", .path = "/app", .again = ask_app, .heard = app_shown};

static void ask_app(struct github_work *work)
{
    github_ask(work, &app_request); /* the work may be gone */
}

/* The host knows its probe by that it is sent from in here. */
static int32_t github_health(leased_instance *github, leased_op *op)
{
    struct github_work *work = github_work_new(github, op);
    struct plugin_text detail = {{0}};
    int32_t status;

    if (work == NULL) {
        return -LEASED_RETRY;
    }
    status = github_send(work, &app_request, &detail);
    return status == 0 ? 0 : plugin_work_fail_soon(&work->work, status, detail.bytes);
}

/* --- table ------------------------------------------------------------------------------------ */

static const struct leased_backend_ops ops = {
    .size = sizeof(ops),
    .open = github_open,
    .check_params = github_check_params,
    .check_config = github_check_config,
    .close = github_close,
    .issue = github_issue,
    .revoke = github_revoke,
    .health = github_health,
    .cancel = github_cancel,
};

static const struct leased_plugin plugin = {
    .size = sizeof(plugin),
    .abi_major = LEASED_ABI_MAJOR,
    .kind = LEASED_KIND_BACKEND,
    .name = {"github", sizeof("github") - 1},
    .version = {"0.1.0", sizeof("0.1.0") - 1},
    .ops = &ops,
    .flags = LEASED_PLUGIN_NO_ADDRESS,
};

__attribute__((visibility("default"))) int32_t leased_plugin_entry(
    const struct leased_host *host, const struct leased_plugin **ret_plugin);

int32_t leased_plugin_entry(const struct leased_host *host, const struct leased_plugin **ret_plugin)
{
    /* Addresses in requests came with 1.7. */
    if (host->abi_major != LEASED_ABI_MAJOR || host->abi_minor < 7) {
        return -1;
    }
    *ret_plugin = &plugin;
    return 0;
}
