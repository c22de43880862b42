/* The plugin for Microsoft Entra ID (Azure AD): its table, and the beginning and end of an
 * instance.
 *
 * There is no login that is kept: each token is asked for with the proof as its source holds it
 * then. Tokens are neither renewed nor revoked; they end by themselves. */
#include "instance.h"
#include "params.h"

#include "common/oauth.h"

/* The one place that the ABI gives for a reason: valid until the next call of the plugin. */
static struct plugin_text last_detail;

static int32_t entra_open(const struct leased_host *host, leased_host_context *context,
                          struct leased_str config, leased_instance **ret_instance,
                          struct leased_str *ret_detail)
{
    struct leased_instance *entra = plugin_alloc(host, sizeof(*entra));

    if (entra == NULL) {
        plugin_text_set(&last_detail, "out of memory");
        (void)plugin_refuse(&last_detail, ret_detail);
        return -LEASED_RETRY;
    }
    entra->works.host = host;
    entra->works.context = context;
    if (entra_config_parse(config, &entra->config, &last_detail) != 0) {
        host->secret_free(entra);
        return plugin_refuse(&last_detail, ret_detail);
    }
    host->login_expires(context, UINT64_MAX);
    *ret_instance = entra;
    return 0;
}

static int32_t entra_check_config(struct leased_str config, struct leased_str *ret_detail)
{
    struct entra_config parsed;

    return entra_config_parse(config, &parsed, &last_detail) != 0
               ? plugin_refuse(&last_detail, ret_detail)
               : 0;
}

static int32_t entra_check_params(struct leased_str params, struct leased_str *ret_detail)
{
    struct entra_params parsed;

    return entra_params_parse(params, &parsed, &last_detail) != 0
               ? plugin_refuse(&last_detail, ret_detail)
               : 0;
}

static void freed(struct plugin_works *works)
{
    works->host->secret_free(works); /* the instance's first member */
}

static int32_t entra_close(leased_instance *entra, uint32_t flags, leased_op *op)
{
    (void)flags;
    return plugin_works_close(&entra->works, op, freed);
}

/* Is the proof there? The tenant isn't asked: what it would say of one request costs another. */
static int32_t entra_health(leased_instance *entra, leased_op *op)
{
    return plugin_oauth_health(&entra->works, entra->config.sources, ENTRA_SOURCE_COUNT, op);
}

static void entra_cancel(leased_instance *entra, leased_op *op)
{
    plugin_works_cancel(&entra->works, op);
}

static const struct leased_backend_ops ops = {
    .size = sizeof(ops),
    .open = entra_open,
    .check_params = entra_check_params,
    .check_config = entra_check_config,
    .close = entra_close,
    .issue = entra_issue,
    .health = entra_health,
    .cancel = entra_cancel,
};

static const struct leased_plugin plugin = {
    .size = sizeof(plugin),
    .abi_major = LEASED_ABI_MAJOR,
    .kind = LEASED_KIND_BACKEND,
    .name = {"entra", sizeof("entra") - 1},
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
