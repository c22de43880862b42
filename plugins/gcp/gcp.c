/* The plugin for Google Cloud: its table, and the beginning and end of an instance.
 *
 * There is no login that is kept: each token is asked for with the proof as its source holds it
 * then. Tokens are neither renewed nor revoked; they end by themselves. */
#include "instance.h"

#include "common/oauth.h"

/* The one place that the ABI gives for a reason: valid until the next call of the plugin. */
static struct plugin_text last_detail;

static int32_t gcp_open(const struct leased_host *host, leased_host_context *context,
                        struct leased_str config, leased_instance **ret_instance,
                        struct leased_str *ret_detail)
{
    struct leased_instance *gcp = plugin_alloc(host, sizeof(*gcp));

    if (gcp == NULL) {
        plugin_text_set(&last_detail, "out of memory");
        (void)plugin_refuse(&last_detail, ret_detail);
        return -LEASED_RETRY;
    }
    gcp->works.host = host;
    gcp->works.context = context;
    if (gcp_config_parse(config, &gcp->config, &last_detail) != 0) {
        host->secret_free(gcp);
        return plugin_refuse(&last_detail, ret_detail);
    }
    host->login_expires(context, UINT64_MAX);
    *ret_instance = gcp;
    return 0;
}

static int32_t gcp_check_config(struct leased_str config, struct leased_str *ret_detail)
{
    struct gcp_config parsed;

    return gcp_config_parse(config, &parsed, &last_detail) != 0
               ? plugin_refuse(&last_detail, ret_detail)
               : 0;
}

static int32_t gcp_check_params(struct leased_str params, struct leased_str *ret_detail)
{
    struct gcp_params parsed;

    if (gcp_params_parse(params, &parsed, &last_detail) != 0) {
        return plugin_refuse(&last_detail, ret_detail);
    }
    gcp_params_fini(&parsed);
    return 0;
}

static void freed(struct plugin_works *works)
{
    works->host->secret_free(works); /* the instance's first member */
}

static int32_t gcp_close(leased_instance *gcp, uint32_t flags, leased_op *op)
{
    (void)flags;
    return plugin_works_close(&gcp->works, op, freed);
}

/* Is the proof there? Google isn't asked: it has nothing to ask that tells whether it will give. */
static int32_t gcp_health(leased_instance *gcp, leased_op *op)
{
    return plugin_oauth_health(&gcp->works, &gcp->config.source, 1, op);
}

static void gcp_cancel(leased_instance *gcp, leased_op *op)
{
    plugin_works_cancel(&gcp->works, op);
}

static const struct leased_backend_ops ops = {
    .size = sizeof(ops),
    .open = gcp_open,
    .check_params = gcp_check_params,
    .check_config = gcp_check_config,
    .close = gcp_close,
    .issue = gcp_issue,
    .health = gcp_health,
    .cancel = gcp_cancel,
};

static const struct leased_plugin plugin = {
    .size = sizeof(plugin),
    .abi_major = LEASED_ABI_MAJOR,
    .kind = LEASED_KIND_BACKEND,
    .name = {"gcp", sizeof("gcp") - 1},
    .version = {"0.1.0", sizeof("0.1.0") - 1},
    .ops = &ops,
    .flags = LEASED_PLUGIN_NO_ADDRESS,
};

__attribute__((visibility("default"))) int32_t leased_plugin_entry(
    const struct leased_host *host, const struct leased_plugin **ret_plugin);

int32_t leased_plugin_entry(const struct leased_host *host, const struct leased_plugin **ret_plugin)
{
    /* A request's own address is all that is used. */
    if (host->abi_major != LEASED_ABI_MAJOR || host->abi_minor < 7) {
        return -1;
    }
    *ret_plugin = &plugin;
    return 0;
}
