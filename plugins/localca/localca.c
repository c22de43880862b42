/* The plugin for a CA without a server: its table, and the beginning and end of an instance. */
#include "instance.h"

#include "ca.h"

#include <string.h>

/* The one place that the ABI gives for a reason: valid until the next call of the plugin. */
static struct plugin_text last_detail;

static int32_t refuse(struct leased_str *ret_detail, int32_t status)
{
    *ret_detail = plugin_str(last_detail.bytes);
    return -status;
}

void localca_log(leased_instance *ca, uint32_t level, const char *event, const char *detail)
{
    const struct leased_kv field = {.key = PLUGIN_STR("detail"), .value = plugin_str(detail)};

    ca->host->log(ca->context, level, plugin_str(event), &field, 1);
}

/* --- open, check ------------------------------------------------------------------------------ */

static void free_instance(struct plugin_works *works)
{
    struct leased_instance *ca = (struct leased_instance *)(void *)works;
    const struct leased_host *host = ca->host;

    localca_publish_stop(ca);
    localca_revoked_fini(host, &ca->revoked);
    host->secret_free(ca);
}

/* What an earlier run has revoked. 0, or -1: out of memory. */
static int restore(leased_instance *ca)
{
    char *state = NULL;
    int64_t len = ca->host->state_get(ca->context, &state);
    int rc = 0;

    if (len > 0) {
        rc =
            localca_revoked_decode(ca->host, (struct leased_str){state, (size_t)len}, &ca->revoked);
        ca->host->secret_free(state);
    }
    if (rc == -1) {
        localca_log(ca, LEASED_LOG_ERROR, "localca.state.unknown",
                    "what an earlier run has revoked can't be read: the lists begin empty");
        rc = 0;
    }
    return len < 0 || rc != 0 ? -1 : 0;
}

static int32_t localca_open(const struct leased_host *host, leased_host_context *context,
                            struct leased_str config, leased_instance **ret_instance,
                            struct leased_str *ret_detail)
{
    leased_instance *ca = plugin_alloc(host, sizeof(*ca));

    plugin_text_set(&last_detail, "out of memory");
    if (ca == NULL) {
        return refuse(ret_detail, LEASED_RETRY);
    }
    ca->works = (struct plugin_works){.host = host, .context = context};
    ca->host = host;
    ca->context = context;
    if (localca_config_parse(config, &ca->config, &last_detail) != 0) {
        host->secret_free(ca);
        return refuse(ret_detail, LEASED_INVALID);
    }
    if (restore(ca) != 0 || localca_publish_begin(ca) != 0) {
        free_instance(&ca->works);
        return refuse(ret_detail, LEASED_RETRY);
    }
    host->login_expires(context, UINT64_MAX); /* health knows better, once it has read the CA */
    *ret_instance = ca;
    return 0;
}

static int32_t localca_check_config(struct leased_str config, struct leased_str *ret_detail)
{
    struct localca_config parsed;

    return localca_config_parse(config, &parsed, &last_detail) == 0
               ? 0
               : refuse(ret_detail, LEASED_INVALID);
}

static int32_t localca_check_params(struct leased_str params, struct leased_str *ret_detail)
{
    struct localca_params parsed;

    if (localca_params_parse(params, &parsed, &last_detail) != 0) {
        return refuse(ret_detail, LEASED_INVALID);
    }
    localca_params_fini(&parsed);
    return 0;
}

/* --- health ----------------------------------------------------------------------------------- */

/* The CA's end is the end of all that it can issue, and status shows it. */
static void tell_end(leased_instance *ca, int64_t not_after_s)
{
    int64_t left_ms = not_after_s * 1000 - ca->host->wall_ms(ca->context);

    ca->host->login_expires(ca->context,
                            ca->host->now_ms(ca->context) + (left_ms > 0 ? (uint64_t)left_ms : 0));
}

static void look(struct plugin_work *work)
{
    leased_instance *ca = localca_of(work);
    struct localca_ca keys = {.key = NULL};
    struct plugin_text detail = {""};
    int32_t status = LEASED_OK;

    if (ca->config.ca_key.text[0] != '\0') {
        status = localca_ca_read(ca->host, ca->context, &ca->config, &keys, &detail);
        if (status == LEASED_OK) {
            tell_end(ca, keys.not_after_s);
        }
        localca_ca_fini(ca->host, &keys);
    }
    if (status == LEASED_OK && ca->config.ssh_ca_key.text[0] != '\0') {
        status = localca_ca_read_ssh(ca->host, ca->context, &ca->config, &keys, &detail);
        localca_ca_fini(ca->host, &keys);
    }
    if (status == LEASED_OK) {
        plugin_work_end(work, LEASED_OK, NULL);
    } else {
        plugin_work_fail(work, status, detail.bytes);
    }
}

static int32_t localca_health(leased_instance *ca, leased_op *op)
{
    struct localca_work *work = plugin_work_new(&ca->works, sizeof(*work), op);

    if (work == NULL) {
        return -LEASED_RETRY;
    }
    return plugin_work_wait(&work->work, 0, look) == 0 ? 0 : plugin_work_refuse(&work->work);
}

/* --- cancel, close ---------------------------------------------------------------------------- */

static void localca_cancel(leased_instance *ca, leased_op *op)
{
    plugin_works_cancel(&ca->works, op);
}

/* What is being written is written to its end; nobody waits for it any more. */
static int32_t localca_close(leased_instance *ca, uint32_t flags, leased_op *op)
{
    (void)flags; /* there is no login */
    localca_publish_stop(ca);
    return plugin_works_close(&ca->works, op, free_instance);
}

/* --- table ------------------------------------------------------------------------------------ */

static const struct leased_backend_ops ops = {.size = sizeof(ops),
                                              .open = localca_open,
                                              .check_params = localca_check_params,
                                              .check_config = localca_check_config,
                                              .close = localca_close,
                                              .issue = localca_issue,
                                              .revoke = localca_revoke,
                                              .health = localca_health,
                                              .cancel = localca_cancel};

static const struct leased_plugin plugin = {.size = sizeof(plugin),
                                            .abi_major = LEASED_ABI_MAJOR,
                                            .kind = LEASED_KIND_BACKEND,
                                            .name = {"localca", 7},
                                            .version = {"1.0", 3},
                                            .ops = &ops,
                                            .flags =
                                                LEASED_PLUGIN_NO_ADDRESS | LEASED_PLUGIN_NO_RELOAD};

__attribute__((visibility("default"))) int32_t leased_plugin_entry(
    const struct leased_host *host, const struct leased_plugin **ret_plugin);

int32_t leased_plugin_entry(const struct leased_host *host, const struct leased_plugin **ret_plugin)
{
    if (host->abi_major != LEASED_ABI_MAJOR || !LEASED_HAS(host, file_put)) {
        return -1; /* older than what is used here */
    }
    *ret_plugin = &plugin;
    return 0;
}
