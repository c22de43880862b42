/* A backend that answers every issue with a random password. Nobody accepts that password: what is
 * shown is how a plugin is built. plugins/README.md leads through it. */
#include <leased/plugin.h>

struct leased_instance {
    const struct leased_host *host;
    leased_host_context *context;
    leased_op *op; /* what is under way; one at a time is enough here */
    leased_timer *timer;
};

/* Neither the backend nor its roles have keys of their own. */
static int32_t check_no_keys(struct leased_str json, struct leased_str *ret_detail)
{
    static const char text[] = "example-backend has no keys of its own";

    if (json.len == 2 && json.ptr[0] == '{') {
        return 0;
    }
    *ret_detail = (struct leased_str){text, sizeof(text) - 1};
    return -LEASED_INVALID;
}

static int32_t open_instance(const struct leased_host *host, leased_host_context *context,
                             struct leased_str config, leased_instance **ret_instance,
                             struct leased_str *ret_detail)
{
    leased_instance *instance;

    if (check_no_keys(config, ret_detail) < 0) {
        return -LEASED_INVALID;
    }
    instance = host->alloc(sizeof(*instance));
    if (instance == NULL) {
        return -LEASED_RETRY;
    }
    *instance = (struct leased_instance){.host = host, .context = context};
    host->login_expires(context, UINT64_MAX); /* there is no login that could end */
    *ret_instance = instance;
    return 0;
}

static void answer(void *user)
{
    static const char digits[] = "0123456789abcdef";
    leased_instance *instance = user;
    const struct leased_host *host = instance->host;
    leased_op *op = instance->op;
    unsigned char random[16];
    char *password = host->secret_alloc(2 * sizeof(random)); /* never in ordinary memory */
    struct leased_kv field = {.key = {"password", 8}, .flags = LEASED_KV_SECRET};
    struct leased_result result = {
        .size = sizeof(result), .lifetime_ms = 60000, .fields = &field, .field_count = 1};

    instance->op = NULL; /* op_done may be followed by the next issue */
    if (password == NULL) {
        host->op_done(instance->context, op, LEASED_RETRY, NULL);
        return;
    }
    host->random(instance->context, random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++) {
        password[2 * i] = digits[random[i] >> 4];
        password[2 * i + 1] = digits[random[i] & 15];
    }
    field.value = (struct leased_str){password, 2 * sizeof(random)};
    host->op_done(instance->context, op, LEASED_OK, &result); /* copies it */
    host->secret_free(password);
}

static int32_t issue(leased_instance *instance, const struct leased_issue *request, leased_op *op)
{
    (void)request;
    /* Never answered from inside: the timer runs from the loop. */
    if (instance->op == NULL) {
        instance->timer = instance->host->timer_start(instance->context, 0, answer, instance);
    }
    if (instance->op != NULL || instance->timer == NULL) {
        return -LEASED_RETRY;
    }
    instance->op = op;
    return 0;
}

static void end(void *user)
{
    leased_instance gone = *(leased_instance *)user;

    gone.host->secret_free(user);
    gone.host->op_done(gone.context, gone.op, LEASED_OK, NULL);
}

static int32_t close_instance(leased_instance *instance, uint32_t flags, leased_op *op)
{
    (void)flags; /* there is no login to end */
    if (instance->op != NULL) {
        instance->host->timer_stop(instance->context, instance->timer);
        instance->host->op_done(instance->context, instance->op, LEASED_CANCELED, NULL);
    }
    instance->op = op;
    if (instance->host->timer_start(instance->context, 0, end, instance) == NULL) {
        instance->host->secret_free(instance);
        return -LEASED_RETRY;
    }
    return 0;
}

static const struct leased_backend_ops ops = {.size = sizeof(ops),
                                              .open = open_instance,
                                              .check_params = check_no_keys,
                                              .check_config = check_no_keys,
                                              .close = close_instance,
                                              .issue = issue};

static const struct leased_plugin plugin = {.size = sizeof(plugin),
                                            .abi_major = LEASED_ABI_MAJOR,
                                            .kind = LEASED_KIND_BACKEND,
                                            .name = {"example-backend", 15},
                                            .version = {"1.0", 3},
                                            .ops = &ops,
                                            .flags = LEASED_PLUGIN_NO_ADDRESS};

__attribute__((visibility("default"))) int32_t leased_plugin_entry(
    const struct leased_host *host, const struct leased_plugin **ret_plugin);

int32_t leased_plugin_entry(const struct leased_host *host, const struct leased_plugin **ret_plugin)
{
    if (!LEASED_HAS(host, alloc)) {
        return -1; /* the host is older than what is used here */
    }
    *ret_plugin = &plugin;
    return 0;
}
