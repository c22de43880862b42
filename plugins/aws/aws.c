/* The plugin for AWS: its table, and the beginning and end of an instance and of its operations.
 *
 * There is no login: requests are signed with the source's credentials, which are read or asked for
 * when they are needed. */
#include "issue.h"
#include "query.h"
#include "request.h"
#include "revoke.h"
#include "source.h"

#include <string.h>

/* The one place that the ABI gives for a reason: valid until the next call of the plugin. */
static struct plugin_text last_detail;

/* --- shared by the other files ---------------------------------------------------------------- */

int64_t aws_now_s(const struct leased_instance *aws)
{
    return aws->works.host->wall_ms(aws->works.context) / 1000 + aws->skew_s;
}

/* FNV-1a. */
uint64_t aws_role_anchor(struct leased_str role_arn)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < role_arn.len; i++) {
        hash = (hash ^ (unsigned char)role_arn.ptr[i]) * UINT64_C(0x100000001b3);
    }
    return hash != 0 ? hash : 1;
}

static void op_fini(struct plugin_work *work)
{
    struct aws_op *op = (struct aws_op *)work;
    const struct leased_host *host = work->works->host;

    aws_revoke_fini(op);
    aws_params_fini(&op->params);
    plugin_form_fini(&op->form);
    plugin_form_fini(&op->query);
    host->secret_free(op->keys);
    host->secret_free(op->token);
    host->secret_free(op->role_arn);
}

struct aws_op *aws_op_new(struct leased_instance *aws, leased_op *handle, aws_step_fn begin)
{
    struct aws_op *op = plugin_work_new(&aws->works, sizeof(*op), handle);

    if (op != NULL) {
        op->work.fini = op_fini;
        op->aws = aws;
        op->begin = begin;
        op->form.host = op->query.host = aws->works.host;
    }
    return op;
}

static void begun(struct plugin_work *work)
{
    struct aws_op *op = (struct aws_op *)work;

    op->begin(op);
}

int32_t aws_op_start(struct aws_op *op)
{
    return plugin_work_wait(&op->work, 0, begun) == 0 ? 0 : plugin_work_refuse(&op->work);
}

/* --- health ----------------------------------------------------------------------------------- */

static void health_answered(struct aws_op *op, const struct aws_answer *answer)
{
    if (aws_answer_is_ok(answer)) {
        plugin_work_end(&op->work, LEASED_OK, NULL);
    } else {
        aws_request_refused(op, answer);
    }
}

/* It needs no permission. */
static void ask_who(struct aws_op *op)
{
    struct plugin_form *form = aws_request_form(op);

    plugin_form_pair(form, "Action", PLUGIN_STR("GetCallerIdentity"));
    plugin_form_pair(form, "Version", PLUGIN_STR(AWS_STS_VERSION));
    aws_request_send(op, AWS_SERVICE_STS, "GetCallerIdentity", health_answered);
}

static void check_health(struct aws_op *op)
{
    const struct aws_config *config = &op->aws->config;

    if (config->source != AWS_SOURCE_WEB_IDENTITY || config->web_role.arn[0] != '\0') {
        aws_source_get(op, ask_who);
    } else if (aws_source_read_token(op)) { /* there is nothing that a token alone may ask */
        plugin_work_end(&op->work, LEASED_OK, NULL);
    }
}

static int32_t aws_health(leased_instance *aws, leased_op *handle)
{
    struct aws_op *op = aws_op_new(aws, handle, check_health);

    return op != NULL ? aws_op_start(op) : -LEASED_RETRY;
}

/* --- open and close --------------------------------------------------------------------------- */

static int32_t aws_open(const struct leased_host *host, leased_host_context *context,
                        struct leased_str config, leased_instance **ret_instance,
                        struct leased_str *ret_detail)
{
    struct leased_instance *aws = plugin_alloc(host, sizeof(*aws));

    if (aws == NULL) {
        *ret_detail = PLUGIN_STR("out of memory");
        return -LEASED_RETRY;
    }
    if (aws_config_parse(config, &aws->config, &last_detail) != 0) {
        host->secret_free(aws);
        return plugin_refuse(&last_detail, ret_detail);
    }
    aws->works.host = host;
    aws->works.context = context;
    host->login_expires(context, UINT64_MAX); /* there is no login that could end */
    *ret_instance = aws;
    return 0;
}

static int32_t aws_check_config(struct leased_str config, struct leased_str *ret_detail)
{
    struct aws_config parsed;

    return aws_config_parse(config, &parsed, &last_detail) == 0
               ? 0
               : plugin_refuse(&last_detail, ret_detail);
}

static int32_t aws_check_params(struct leased_str params, struct leased_str *ret_detail)
{
    struct aws_params parsed;

    if (aws_params_parse(params, &parsed, &last_detail) != 0) {
        return plugin_refuse(&last_detail, ret_detail);
    }
    aws_params_fini(&parsed);
    return 0;
}

static void aws_free(struct plugin_works *works)
{
    struct leased_instance *aws = (struct leased_instance *)works;

    aws_source_forget(aws);
    works->host->secret_free(aws);
}

static int32_t aws_close(leased_instance *aws, uint32_t flags, leased_op *op)
{
    (void)flags; /* nothing was logged in */
    return plugin_works_close(&aws->works, op, aws_free);
}

/* --- table ------------------------------------------------------------------------------------ */

static void aws_cancel(leased_instance *aws, leased_op *op)
{
    plugin_works_cancel(&aws->works, op);
}

/* A role's sessions live on without us. */
static int32_t aws_holds_anchor(leased_instance *aws, uint64_t anchor)
{
    (void)aws;
    return anchor != 0 ? 1 : 0;
}

static const struct leased_backend_ops ops = {
    .size = sizeof(ops),
    .open = aws_open,
    .check_params = aws_check_params,
    .check_config = aws_check_config,
    .close = aws_close,
    .issue = aws_issue,
    .revoke = aws_revoke,
    .health = aws_health,
    .cancel = aws_cancel,
    .holds_anchor = aws_holds_anchor,
};

static const struct leased_plugin plugin = {
    .size = sizeof(plugin),
    .abi_major = LEASED_ABI_MAJOR,
    .kind = LEASED_KIND_BACKEND,
    .name = {"aws", sizeof("aws") - 1},
    .version = {"0.1.0", sizeof("0.1.0") - 1},
    .ops = &ops,
    .flags = LEASED_PLUGIN_NO_ADDRESS | LEASED_PLUGIN_BORROWS,
};

__attribute__((visibility("default"))) int32_t leased_plugin_entry(
    const struct leased_host *host, const struct leased_plugin **ret_plugin);

int32_t leased_plugin_entry(const struct leased_host *host, const struct leased_plugin **ret_plugin)
{
    /* Requests go to addresses of their own, which hosts can since 1.7; borrowing came after. */
    if (host->abi_major != LEASED_ABI_MAJOR || !LEASED_HAS(host, borrow_cancel)) {
        return -1;
    }
    *ret_plugin = &plugin;
    return 0;
}
