/* Happy path: the parameters are read → from the loop: the CA is read → key and certificate are
 * made → the operation ends with them. Nothing is recorded beforehand: whoever never heard of a
 * certificate hasn't got its key either. */
#include "instance.h"
#include "issued.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DEFAULT_TTL_S 3600U
#define FIELDS_MAX 6

static void free_work(struct plugin_work *plugin_work)
{
    struct localca_work *work = (struct localca_work *)(void *)plugin_work;

    localca_params_fini(&work->params);
    plugin_work->works->host->secret_free(work->key_id);
}

static void write_when(int64_t unix_s, char out[LOCALCA_WHEN_MAX_BYTES])
{
    time_t seconds = (time_t)unix_s;
    struct tm tm = {0};

    (void)gmtime_r(&seconds, &tm);
    (void)strftime(out, LOCALCA_WHEN_MAX_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void add_field(struct leased_kv *fields, size_t *count, const char *key,
                      struct leased_str value, uint32_t flags)
{
    if (value.len > 0) {
        fields[(*count)++] =
            (struct leased_kv){.key = plugin_str(key), .value = value, .flags = flags};
    }
}

/* The end, and whether it is earlier than was asked for. */
static bool choose_end(const leased_instance *ca, const struct localca_work *work,
                       struct localca_order *order)
{
    uint64_t asked_s = work->ttl_ms > 0 ? (work->ttl_ms + 999) / 1000 : DEFAULT_TTL_S;
    uint64_t ttl_s = asked_s < ca->config.max_ttl_s ? asked_s : ca->config.max_ttl_s;
    int64_t most_s = order->ca->certificate != NULL ? order->ca->not_after_s : INT64_MAX;

    order->end_s = order->now_s + (int64_t)ttl_s;
    order->end_s = order->end_s < most_s ? order->end_s : most_s;
    return work->ttl_ms > 0 && order->end_s - order->now_s < (int64_t)asked_s;
}

static void end_issued(struct localca_work *work, const struct localca_order *order,
                       const struct localca_issued *issued, bool is_capped)
{
    leased_instance *ca = localca_of(&work->work);
    enum localca_type type = work->params.type;
    const struct localca_entry entry = {.serial = order->serial,
                                        .type = type,
                                        .expires_s = (uint32_t)order->end_s};
    struct leased_kv fields[FIELDS_MAX];
    char when[LOCALCA_WHEN_MAX_BYTES];
    char ref[LOCALCA_REF_MAX_BYTES];
    size_t count = 0;
    struct leased_result result = {.size = sizeof(result), .fields = fields};

    write_when(order->end_s, when);
    add_field(fields, &count, "certificate", plugin_form_str(&issued->certificate), 0);
    add_field(fields, &count, "private_key", plugin_form_str(&issued->private_key),
              LEASED_KV_SECRET);
    add_field(fields, &count, "public_key", plugin_form_str(&issued->public_key), 0);
    if (type == LOCALCA_X509) {
        add_field(fields, &count, "ca_chain",
                  (struct leased_str){order->ca->chain, order->ca->chain_len}, 0);
    }
    add_field(fields, &count, "serial", plugin_str(issued->serial), 0);
    add_field(fields, &count, "expiration", plugin_str(when), 0);
    result.field_count = count;
    result.issuer_ref = (struct leased_str){ref, localca_ref_write(&entry, ref)};
    result.lifetime_ms =
        (uint64_t)(order->end_s * 1000 - order->wall_ms); /* > 0: it ends after this second */
    result.flags = (localca_list_path(ca, type)[0] != '\0' ? LEASED_RESULT_REVOCABLE : 0) |
                   (is_capped ? LEASED_RESULT_CAPPED : 0);
    plugin_work_end(&work->work, LEASED_OK, &result);
}

static void make(struct plugin_work *plugin_work)
{
    struct localca_work *work = (struct localca_work *)(void *)plugin_work;
    leased_instance *ca = localca_of(plugin_work);
    const struct leased_host *host = ca->host;
    enum localca_type type = work->params.type;
    struct localca_ca keys = {.key = NULL};
    struct localca_order order = {.host = host,
                                  .ca = &keys,
                                  .params = &work->params,
                                  .key_id = plugin_str(work->key_id),
                                  .wall_ms = host->wall_ms(ca->context)};
    struct localca_issued issued;
    struct plugin_text detail = {""};
    bool is_capped;
    int32_t status = type == LOCALCA_X509
                         ? localca_ca_read(host, ca->context, &ca->config, &keys, &detail)
                         : localca_ca_read_ssh(host, ca->context, &ca->config, &keys, &detail);

    if (status != LEASED_OK) {
        plugin_work_fail(plugin_work, status, detail.bytes);
        return;
    }
    order.now_s = order.wall_ms / 1000;
    host->random(ca->context, &order.serial, sizeof(order.serial));
    host->random(ca->context, order.seed, sizeof(order.seed));
    host->random(ca->context, order.nonce, sizeof(order.nonce));
    host->random(ca->context, &order.check, sizeof(order.check));
    is_capped = choose_end(ca, work, &order);
    if ((type == LOCALCA_X509 ? localca_x509_make(&order, &issued, &detail)
                              : localca_ssh_make(&order, &issued, &detail)) == 0) {
        end_issued(work, &order, &issued, is_capped);
    } else {
        plugin_work_fail(plugin_work, LEASED_RETRY, detail.bytes);
    }
    OPENSSL_cleanse(order.seed, sizeof(order.seed));
    localca_issued_fini(&issued);
    localca_ca_fini(host, &keys);
}

static int at_most(struct leased_str text)
{
    return text.len < 128 ? (int)text.len : 128;
}

/* What sshd writes into its log: the role's own text, or role and user. */
static char *make_key_id(const struct leased_host *host, const struct localca_params *params,
                         const struct leased_issue *request)
{
    struct leased_str user = {"", 0};
    char text[300];

    if (params->key_id.len > 0) {
        return plugin_strdup(host, params->key_id);
    }
    for (size_t i = 0; i < request->caller_count; i++) {
        if (plugin_str_eq(request->caller[i].key, "user")) {
            user = request->caller[i].value;
        }
    }
    (void)snprintf(text, sizeof(text), "leased/%.*s%s%.*s", at_most(request->role),
                   request->role.ptr, user.len > 0 ? "/" : "", at_most(user), user.ptr);
    return plugin_strdup(host, plugin_str(text));
}

int32_t localca_issue(leased_instance *ca, const struct leased_issue *request, leased_op *op)
{
    struct localca_work *work = plugin_work_new(&ca->works, sizeof(*work), op);
    struct plugin_text detail = {""};

    if (work == NULL) {
        return -LEASED_RETRY;
    }
    if (localca_params_parse(request->params, &work->params, &detail) != 0) {
        return plugin_work_fail_soon(&work->work, LEASED_INVALID, detail.bytes);
    }
    work->work.fini = free_work;
    work->ttl_ms = request->ttl_ms;
    if (localca_params_check_caller(&work->params, request, &detail) != 0) {
        return plugin_work_fail_soon(&work->work, LEASED_INVALID, detail.bytes);
    }
    work->key_id = make_key_id(ca->host, &work->params, request);
    if (work->key_id == NULL || plugin_work_wait(&work->work, 0, make) != 0) {
        return plugin_work_refuse(&work->work);
    }
    return 0;
}
