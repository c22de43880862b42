/* An audit sink that posts records, as they are, to an HTTP server: one request for each batch,
 * JSON lines in its body. Any 2xx of the server says that it has stored them. */
#include <leased/plugin.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX_BYTES 256

struct leased_instance {
    const struct leased_host *host;
    leased_host_context *context;
    leased_op *op; /* the write or the close under way */
    leased_http *http;
    char address[TEXT_MAX_BYTES];
    char endpoint[TEXT_MAX_BYTES];
};

static struct leased_str str_of(const char *text)
{
    return (struct leased_str){text, strlen(text)};
}

/* "address" and "endpoint", into `instance`. */
static int32_t config_read(struct leased_str config, leased_instance *instance,
                           struct leased_str *ret_detail)
{
    static char error[TEXT_MAX_BYTES]; /* until the next call */
    json_t *json = json_loadb(config.ptr, config.len, 0, NULL);
    const char *key;
    json_t *value;

    error[0] = '\0';
    instance->endpoint[0] = '/'; /* the rest is zero */
    json_object_foreach (json, key, value) {
        int is_known = strcmp(key, "address") == 0 || strcmp(key, "endpoint") == 0;
        char *place = strcmp(key, "address") == 0 ? instance->address : instance->endpoint;

        /* An error that begins with its key is shown at its place in the file. */
        if (!is_known || !json_is_string(value) || json_string_length(value) >= TEXT_MAX_BYTES) {
            (void)snprintf(error, sizeof(error), "%s: %s", key,
                           is_known ? "expected a short text" : "unknown key");
            break;
        }
        memcpy(place, json_string_value(value), json_string_length(value) + 1);
    }
    if (error[0] == '\0' && instance->address[0] == '\0') {
        (void)snprintf(error, sizeof(error), "`address` is missing");
    }
    json_decref(json);
    *ret_detail = str_of(error);
    return error[0] == '\0' ? 0 : -LEASED_INVALID;
}

static int32_t check_config(struct leased_str config, struct leased_str *ret_detail)
{
    leased_instance nobody = {.op = NULL};

    return config_read(config, &nobody, ret_detail);
}

static int32_t open_instance(const struct leased_host *host, leased_host_context *context,
                             struct leased_str config, leased_instance **ret_instance,
                             struct leased_str *ret_detail)
{
    leased_instance *instance = host->alloc(sizeof(*instance));

    if (instance == NULL) {
        return -LEASED_RETRY;
    }
    *instance = (struct leased_instance){.host = host, .context = context};
    if (config_read(config, instance, ret_detail) < 0) {
        host->secret_free(instance);
        return -LEASED_INVALID;
    }
    *ret_instance = instance;
    return 0;
}

static void answered(void *user, const struct leased_http_reply *reply)
{
    leased_instance *instance = user;
    struct leased_result result = {.size = sizeof(result), .detail = reply->detail};
    int32_t status = LEASED_RETRY;

    if (reply->transport == LEASED_HTTP_OK) {
        status = reply->status / 100 == 2 ? LEASED_OK : LEASED_RETRY;
        result.detail = str_of("the server refuses the records");
    } else if (reply->transport == LEASED_HTTP_CANCELED) {
        status = LEASED_CANCELED;
    }
    instance->http = NULL;
    instance->host->op_done(instance->context, instance->op, status, &result);
}

static int32_t write_records(leased_instance *instance, const struct leased_sink_write *records,
                             leased_op *op)
{
    struct leased_http_header type = {str_of("content-type"), str_of("application/x-ndjson")};
    /* No LEASED_HTTP_CREATES: records that come twice are known by their seq. */
    struct leased_http_request request = {.size = sizeof(request),
                                          .method = str_of("POST"),
                                          .path = str_of(instance->endpoint),
                                          .headers = &type,
                                          .header_count = 1,
                                          .body = records->lines,
                                          .address = str_of(instance->address)};

    instance->op = op;
    instance->http = instance->host->http_start(instance->context, &request, answered, instance);
    return instance->http != NULL ? 0 : -LEASED_RETRY;
}

static void cancel(leased_instance *instance, leased_op *op)
{
    (void)op; /* there is one at a time */
    if (instance->http != NULL) {
        instance->host->http_cancel(instance->context, instance->http);
    }
}

static void end(void *user)
{
    leased_instance gone = *(leased_instance *)user;

    gone.host->secret_free(user);
    gone.host->op_done(gone.context, gone.op, LEASED_OK, NULL);
}

/* The host closes when no write is under way. */
static int32_t close_instance(leased_instance *instance, uint32_t flags, leased_op *op)
{
    (void)flags;
    instance->op = op;
    if (instance->host->timer_start(instance->context, 0, end, instance) == NULL) {
        instance->host->secret_free(instance);
        return -LEASED_RETRY;
    }
    return 0;
}

static const struct leased_sink_ops ops = {.size = sizeof(ops),
                                           .open = open_instance,
                                           .check_config = check_config,
                                           .close = close_instance,
                                           .write = write_records,
                                           .cancel = cancel};

static const struct leased_plugin plugin = {.size = sizeof(plugin),
                                            .abi_major = LEASED_ABI_MAJOR,
                                            .kind = LEASED_KIND_SINK,
                                            .name = {"example-sink", 12},
                                            .version = {"1.0", 3},
                                            .ops = &ops};

__attribute__((visibility("default"))) int32_t leased_plugin_entry(
    const struct leased_host *host, const struct leased_plugin **ret_plugin);

int32_t leased_plugin_entry(const struct leased_host *host, const struct leased_plugin **ret_plugin)
{
    /* `address` in requests came with 1.7, which a table of that minor version has. */
    if (!LEASED_HAS(host, warning) || host->abi_minor < 7) {
        return -1;
    }
    *ret_plugin = &plugin;
    return 0;
}
