/* The exec plugin: credentials that a program of the configuration prints.
 *
 * Happy path of an issue: where they can be revoked, a name is made up and put on record → the
 * program is run, with who asks and that name in its environment → what it prints is the
 * credential. A revocation runs the other program with the name.
 *
 * Failure paths: the exit code is the class (README.md). Killed, lost, or its output is no
 * credential: it may have made one, so the name goes to revoke_command. */
#include "common/work.h"
#include "config.h"
#include "output.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NAME_BYTES 16U /* of chance, in a reference that is made up */

struct leased_instance {
    struct plugin_works works; /* first */
    struct exec_config config;
};

/* What the program gets, each as long as the host allows it. */
struct values {
    char role[129];
    char user[65];
    char uid[11];
    char unit[257];
    char reason[257];
    char ttl_s[21];
    char ref[EXEC_REF_MAX_BYTES + 1];
};

struct exec_op {
    struct plugin_work work; /* first */
    struct values values;
    int64_t asked_wall_ms;
};

static struct plugin_text last_detail;

/* ---- what is run ------------------------------------------------------------ */

static bool copy(struct leased_str value, char *out, size_t out_size)
{
    if (value.len >= out_size) {
        return false;
    }
    if (value.len > 0) {
        memcpy(out, value.ptr, value.len);
    }
    out[value.len] = '\0';
    return true;
}

static bool copy_caller(const struct leased_issue *request, struct values *values)
{
    const struct {
        const char *key;
        char *out;
        size_t size;
    } known[] = {{"user", values->user, sizeof(values->user)},
                 {"uid", values->uid, sizeof(values->uid)},
                 {"unit", values->unit, sizeof(values->unit)},
                 {"reason", values->reason, sizeof(values->reason)}};
    bool fits = copy(request->role, values->role, sizeof(values->role));

    for (size_t i = 0; i < request->caller_count; i++) {
        for (size_t k = 0; k < COUNT(known); k++) {
            if (plugin_str_eq(request->caller[i].key, known[k].key)) {
                fits = copy(request->caller[i].value, known[k].out, known[k].size) && fits;
            }
        }
    }
    if (request->ttl_ms > 0) {
        (void)snprintf(values->ttl_s, sizeof(values->ttl_s), "%llu",
                       (unsigned long long)((request->ttl_ms + 999) / 1000));
    }
    return fits;
}

static int run(struct exec_op *op, struct leased_str program, plugin_ran_fn ran)
{
    struct values *values = &op->values;
    const struct leased_kv variables[] = {
        {.key = PLUGIN_STR("LEASED_ROLE"), .value = plugin_str(values->role)},
        {.key = PLUGIN_STR("LEASED_USER"), .value = plugin_str(values->user)},
        {.key = PLUGIN_STR("LEASED_UID"), .value = plugin_str(values->uid)},
        {.key = PLUGIN_STR("LEASED_UNIT"), .value = plugin_str(values->unit)},
        {.key = PLUGIN_STR("LEASED_REASON"), .value = plugin_str(values->reason)},
        {.key = PLUGIN_STR("LEASED_TTL_S"), .value = plugin_str(values->ttl_s)},
        {.key = PLUGIN_STR("LEASED_REF"), .value = plugin_str(values->ref)},
    };
    const struct leased_run_request request = {.size = sizeof(request),
                                               .program = program,
                                               .variables = variables,
                                               .variable_count = COUNT(variables)};
    const struct plugin_works *works = op->work.works;

    op->asked_wall_ms = works->host->wall_ms(works->context);
    return plugin_work_run(&op->work, &request, ran);
}

#define NOT_RUN                                                                                    \
    "the program could not be started: out of memory, or who asks gave a value that is no line "   \
    "of text"

/* ---- how it ended ----------------------------------------------------------- */

static int32_t class_of(uint32_t exit_code, bool is_issue)
{
    switch (exit_code) {
    case EX_UNAVAILABLE:
    case EX_TEMPFAIL:
        return LEASED_RETRY;
    case EX_USAGE:
    case EX_DATAERR:
    case EX_CONFIG:
    case 126: /* a shell that could not run what its script names */
    case 127:
        return LEASED_INVALID;
    case EX_NOINPUT:
        return is_issue ? LEASED_INVALID : LEASED_GONE;
    case EX_NOPERM:
        return LEASED_DENIED;
    default:
        /* Whoever waits for a credential is told; a revocation is tried again. */
        return is_issue ? LEASED_DENIED : LEASED_RETRY;
    }
}

/* Its class; LEASED_OK: it ran and is content. `detail` is set otherwise. */
static int32_t judge(const struct leased_run_end *end, bool is_issue, struct plugin_text *detail)
{
    int len = (int)(end->detail.len < 200 ? end->detail.len : 200);
    const char *text = end->detail.len > 0 ? end->detail.ptr : "";

    plugin_text_set(detail, "the program %.*s", len, text);
    switch (end->outcome) {
    case LEASED_RUN_EXITED:
        plugin_text_set(detail, "the program ended with exit code %u%s%.*s", end->exit_code,
                        len > 0 ? ": " : "", len, text);
        return end->exit_code == 0 ? LEASED_OK : class_of(end->exit_code, is_issue);
    case LEASED_RUN_NOT_STARTED:
        return is_issue ? LEASED_INVALID : LEASED_RETRY;
    case LEASED_RUN_BUSY:
        return LEASED_RETRY;
    case LEASED_RUN_CANCELED:
        return LEASED_CANCELED;
    case LEASED_RUN_KILLED:
        return LEASED_LOST;
    case LEASED_RUN_LOST:
    default:
        plugin_text_set(detail, "%.*s", len, text);
        return LEASED_LOST;
    }
}

/* ---- issue ------------------------------------------------------------------ */

/* In ms, from when the program was started; 0: it is over. */
static uint64_t life_ms(const struct exec_op *op, const struct exec_output *output)
{
    int64_t left_ms =
        output->ttl_s > 0 ? output->ttl_s * 1000 : output->expires_s * 1000 - op->asked_wall_ms;

    return left_ms > 0 ? (uint64_t)left_ms : 0;
}

/* It may have made one: what is on record names it. */
static void end_unusable(struct exec_op *op, int32_t status, const char *detail)
{
    const struct leased_result result = {.size = sizeof(result),
                                         .detail = plugin_str(detail),
                                         .issuer_ref = plugin_str(op->values.ref)};

    plugin_work_end(&op->work, status, &result);
}

static void end_issued(struct exec_op *op, const struct exec_output *output)
{
    const struct leased_instance *exec = (const struct leased_instance *)op->work.works;
    const struct leased_result result = {
        .size = sizeof(result),
        .flags = exec->config.can_revoke ? LEASED_RESULT_REVOCABLE : 0,
        .lifetime_ms = life_ms(op, output),
        .issuer_ref = output->ref.len > 0 ? output->ref : plugin_str(op->values.ref),
        .fields = output->fields,
        .field_count = output->field_count,
        .asked_ms = op->work.sent_ms,
    };

    if (result.lifetime_ms == 0) {
        end_unusable(op, LEASED_INVALID, "what the program printed has expired already");
    } else {
        plugin_work_end(&op->work, LEASED_OK, &result);
    }
}

static void issued(struct plugin_work *work, const struct leased_run_end *end)
{
    struct exec_op *op = (struct exec_op *)work;
    struct exec_output output;
    struct plugin_text detail = {{0}};
    int32_t status = judge(end, true, &detail);

    if (status == LEASED_LOST) {
        end_unusable(op, status, detail.bytes);
    } else if (status != LEASED_OK) {
        plugin_work_fail(work, status, detail.bytes);
    } else if (exec_output_parse(end->output, &output, &detail) != 0) {
        end_unusable(op, LEASED_INVALID, detail.bytes);
    } else {
        end_issued(op, &output);
        exec_output_free(&output);
    }
}

static void issue_recorded(struct plugin_work *work)
{
    if (run((struct exec_op *)work, PLUGIN_STR("command"), issued) != 0) {
        plugin_work_fail(work, LEASED_INVALID, NOT_RUN);
    }
}

static void make_name(const struct plugin_works *works, char *out)
{
    unsigned char bytes[NAME_BYTES];

    works->host->random(works->context, bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

static int32_t exec_issue(leased_instance *exec, const struct leased_issue *request, leased_op *id)
{
    struct exec_op *op = plugin_work_new(&exec->works, sizeof(*op), id);

    if (op == NULL) {
        return -LEASED_RETRY;
    }
    if (!copy_caller(request, &op->values)) {
        return plugin_work_fail_soon(&op->work, LEASED_INVALID,
                                     "who asks has a name or a reason that is too long");
    }
    if (exec->config.can_revoke) {
        make_name(&exec->works, op->values.ref);
        return plugin_work_intend(&op->work, plugin_str(op->values.ref), issue_recorded) == 0
                   ? 0
                   : plugin_work_refuse(&op->work);
    }
    return run(op, PLUGIN_STR("command"), issued) == 0
               ? 0
               : plugin_work_fail_soon(&op->work, LEASED_INVALID, NOT_RUN);
}

/* ---- revoke ----------------------------------------------------------------- */

static void revoked(struct plugin_work *work, const struct leased_run_end *end)
{
    struct plugin_text detail = {{0}};
    int32_t status = judge(end, false, &detail);

#if defined(MUTANT) && MUTANT == 29 /* see src/base/mutant.h */
    status = LEASED_OK;
#endif
    plugin_work_fail(work, status, status == LEASED_OK ? "" : detail.bytes);
}

static int32_t exec_revoke(leased_instance *exec, const struct leased_lease_ref *lease,
                           leased_op *id)
{
    struct exec_op *op = plugin_work_new(&exec->works, sizeof(*op), id);

    if (op == NULL) {
        return -LEASED_RETRY;
    }
    if (!exec->config.can_revoke) {
        return plugin_work_fail_soon(&op->work, LEASED_DENIED,
                                     "there is no revoke_command: it ends by itself");
    }
    if (!copy(lease->issuer_ref, op->values.ref, sizeof(op->values.ref))) {
        return plugin_work_fail_soon(&op->work, LEASED_INVALID, "the reference is too long");
    }
    return run(op, PLUGIN_STR("revoke_command"), revoked) == 0
               ? 0
               : plugin_work_fail_soon(&op->work, LEASED_RETRY, NOT_RUN);
}

/* ---- life ------------------------------------------------------------------- */

static int32_t exec_open(const struct leased_host *host, leased_host_context *context,
                         struct leased_str config, leased_instance **ret_instance,
                         struct leased_str *ret_detail)
{
    leased_instance *exec = plugin_alloc(host, sizeof(*exec));

    if (exec == NULL) {
        *ret_detail = PLUGIN_STR("out of memory");
        return -LEASED_RETRY;
    }
    exec->works.host = host;
    exec->works.context = context;
    if (exec_config_parse(config, &exec->config, &last_detail) != 0) {
        host->secret_free(exec);
        *ret_detail = plugin_str(last_detail.bytes);
        return -LEASED_INVALID;
    }
    host->login_expires(context, UINT64_MAX); /* there is none that could end */
    *ret_instance = exec;
    return 0;
}

static int32_t exec_check_config(struct leased_str config, struct leased_str *ret_detail)
{
    struct exec_config parsed;

    if (exec_config_parse(config, &parsed, &last_detail) != 0) {
        *ret_detail = plugin_str(last_detail.bytes);
        return -LEASED_INVALID;
    }
    return 0;
}

/* A role has no keys of ours: what is run is the configuration's word alone. */
static int32_t exec_check_params(struct leased_str params, struct leased_str *ret_detail)
{
    json_error_t problem;
    json_t *root = json_loadb(params.ptr, params.len, JSON_REJECT_DUPLICATES, &problem);
    int rc = -1;

    if (!json_is_object(root)) {
        plugin_text_set(&last_detail, "the role is not a JSON object");
    } else {
        rc = plugin_config_check_keys(root, NULL, 0, "", &last_detail);
    }
    json_decref(root);
    *ret_detail = plugin_str(last_detail.bytes);
    return rc == 0 ? 0 : -LEASED_INVALID;
}

static void exec_free(struct plugin_works *works)
{
    works->host->secret_free(works);
}

static int32_t exec_close(leased_instance *exec, uint32_t flags, leased_op *op)
{
    (void)flags;
    return plugin_works_close(&exec->works, op, exec_free);
}

static void exec_cancel(leased_instance *exec, leased_op *op)
{
    plugin_works_cancel(&exec->works, op);
}

static const struct leased_backend_ops ops = {
    .size = sizeof(ops),
    .open = exec_open,
    .check_params = exec_check_params,
    .check_config = exec_check_config,
    .close = exec_close,
    .issue = exec_issue,
    .revoke = exec_revoke,
    .cancel = exec_cancel,
};

static const struct leased_plugin plugin = {
    .size = sizeof(plugin),
    .abi_major = LEASED_ABI_MAJOR,
    .kind = LEASED_KIND_BACKEND,
    .name = {"exec", sizeof("exec") - 1},
    .version = {"0.1.0", sizeof("0.1.0") - 1},
    .ops = &ops,
    .flags = LEASED_PLUGIN_NO_ADDRESS | LEASED_PLUGIN_RUNS,
};

__attribute__((visibility("default"))) int32_t leased_plugin_entry(
    const struct leased_host *host, const struct leased_plugin **ret_plugin);

int32_t leased_plugin_entry(const struct leased_host *host, const struct leased_plugin **ret_plugin)
{
    if (host->abi_major != LEASED_ABI_MAJOR || !LEASED_HAS(host, run_cancel)) {
        return -1;
    }
    *ret_plugin = &plugin;
    return 0;
}
