/* The plugin for Kubernetes: its table, and the beginning and end of an instance. */
#include "issue.h"

/* The one place that the ABI gives for a reason: valid until the next call of the plugin. */
static struct plugin_text last_detail;

/* --- configuration ---------------------------------------------------------------------------- */

static int32_t kubernetes_check_config(struct leased_str config, struct leased_str *ret_detail)
{
    struct kubernetes_config parsed;

    if (kubernetes_config_parse(config, &parsed, &last_detail) != 0) {
        return plugin_refuse(&last_detail, ret_detail);
    }
    return parsed.is_certificate ? LEASED_NEEDS_CLIENT_CERTIFICATE : 0;
}

static int32_t kubernetes_check_params(struct leased_str params, struct leased_str *ret_detail)
{
    struct kubernetes_params parsed;

    if (kubernetes_params_parse(params, &parsed, &last_detail) != 0) {
        return plugin_refuse(&last_detail, ret_detail);
    }
    kubernetes_params_fini(&parsed);
    return 0;
}

/* --- life ------------------------------------------------------------------------------------- */

static int32_t kubernetes_open(const struct leased_host *host, leased_host_context *context,
                               struct leased_str config, leased_instance **ret_instance,
                               struct leased_str *ret_detail)
{
    struct leased_instance *kubernetes = plugin_alloc(host, sizeof(*kubernetes));

    if (kubernetes == NULL) {
        plugin_text_set(&last_detail, "out of memory");
        (void)plugin_refuse(&last_detail, ret_detail);
        return -LEASED_RETRY;
    }
    kubernetes->works.host = host;
    kubernetes->works.context = context;
    if (kubernetes_config_parse(config, &kubernetes->config, &last_detail) != 0) {
        host->secret_free(kubernetes);
        return plugin_refuse(&last_detail, ret_detail);
    }
    host->login_expires(context, UINT64_MAX); /* each request brings its own */
    *ret_instance = kubernetes;
    return 0;
}

static void freed(struct plugin_works *works)
{
    works->host->secret_free((struct leased_instance *)works);
}

static int32_t kubernetes_close(leased_instance *kubernetes, uint32_t flags, leased_op *op)
{
    (void)flags;
    return plugin_works_close(&kubernetes->works, op, freed);
}

static void kubernetes_cancel(leased_instance *kubernetes, leased_op *op)
{
    plugin_works_cancel(&kubernetes->works, op);
}

/* --- health ----------------------------------------------------------------------------------- */

/* Who may not ask has been told that it serves. */
static void ready_told(struct kubernetes_work *work, const struct leased_http_reply *reply)
{
    if (reply->status == 200 || reply->status == 403 || reply->status == 404) {
        plugin_work_end(&work->work, LEASED_OK, NULL);
    } else {
        kubernetes_explain(work, reply, false);
    }
}

/* The host knows its probe by that it is sent from in here. */
static int32_t kubernetes_health(leased_instance *kubernetes, leased_op *op)
{
    const struct kubernetes_request request = {.method = "GET",
                                               .path = "/readyz",
                                               .heard = ready_told};
    struct kubernetes_work *work = kubernetes_work_new(kubernetes, op);
    struct plugin_text detail = {{0}};
    int32_t status;

    if (work == NULL) {
        return -LEASED_RETRY;
    }
    status = kubernetes_send(work, &request, &detail);
    return status == 0 ? 0 : plugin_work_fail_soon(&work->work, status, detail.bytes);
}

/* --- table ------------------------------------------------------------------------------------ */

static const struct leased_backend_ops ops = {
    .size = sizeof(ops),
    .open = kubernetes_open,
    .check_params = kubernetes_check_params,
    .check_config = kubernetes_check_config,
    .close = kubernetes_close,
    .issue = kubernetes_issue,
    .revoke = kubernetes_revoke,
    .health = kubernetes_health,
    .cancel = kubernetes_cancel,
};

static const struct leased_plugin plugin = {
    .size = sizeof(plugin),
    .abi_major = LEASED_ABI_MAJOR,
    .kind = LEASED_KIND_BACKEND,
    .name = {"kubernetes", sizeof("kubernetes") - 1},
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
