/* Policies over the API: GET /policy and /policy/export, POST /policy/plan and /apply.
 *
 * Way of an apply: the files are compiled → they must be what was planned, against the policy that
 * counts now → an admin must remain, and no more grants may end than the caller has said → the
 * daemon takes over: the trail, the copy, then it counts → the answer. What is refused is on record
 * (policy.rejected). When the client goes away meanwhile the apply goes on. */
#include "serve/plan.h"

#include "access/identity_record.h"
#include "base/mem.h"
#include "serve/admin.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define EXPORT_HEAD_MAX_BYTES 1024U

/* What a request to plan or apply has brought. */
struct bringing {
    struct exchange *x;
    struct policy_bundle *bundle; /* NULL: no files, which ends what is observed */
    struct access_policy *policy; /* of the bundle */
    struct plan plan;
    char digest[PLAN_DIGEST_BYTES + 1];
    bool is_apply; /* what is refused goes on record */
};

/* ---- showing -------------------------------------------------------------------- */

static const struct policy_copy *copy_of(const struct serve_options *options)
{
    return options->policies != NULL ? options->policies->copy : NULL;
}

void policy_write_source(const struct serve_options *options, struct json_out *json)
{
    const struct policy_copy *copy = copy_of(options);
    bool is_applied = copy != NULL && !copy->is_seed;

    json_out_string_c(json, "source", is_applied ? "applied" : "seed");
    json_out_string_c(json, "revision",
                      copy != NULL && copy->bundle != NULL ? str_or_null(copy->bundle->revision)
                                                           : NULL);
    json_out_time(json, "applied_at", is_applied ? copy->applied_wall_ms : 0);
    json_out_string_c(json, "applied_by", is_applied ? copy->applied_by : NULL);
    if (options->observed != NULL) {
        const struct policy_bundle *observed = copy != NULL ? copy->observed : NULL;

        json_out_object_open(json, "observed");
        json_out_string_c(json, "digest", access_policy_digest(options->observed));
        json_out_string_c(json, "revision",
                          observed != NULL ? str_or_null(observed->revision) : NULL);
        json_out_string_c(json, "what", observed != NULL ? "policy" : "rules");
        json_out_object_close(json);
    } else {
        json_out_string_c(json, "observed", NULL);
    }
}

void policy_warn(const struct serve_options *options, struct json_out *json)
{
    struct str notes = str_of(options->policies != NULL ? options->policies->notes : NULL);

    while (notes.len > 0) {
        struct str line = str_cut(&notes, '\n');

        if (line.len > 0) {
            json_out_string(json, NULL, line);
        }
    }
}

static void head_write(const struct exchange *x, struct json_out *json)
{
    const struct serve_options *options = &x->serve->options;

    json_out_string_c(json, "digest", access_policy_digest(options->policy));
    json_out_u64(json, "rules", access_policy_rule_count(options->policy));
    policy_write_source(options, json);
}

void serve_policy_show(struct exchange *x)
{
    struct json_out json;

    if (!admin_may(x, ACCESS_ADMIN_READ | ACCESS_ADMIN_POLICY, "read", "[read, policy]")) {
        return;
    }
    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    head_write(x, &json);
    json_out_array_open(&json, "warnings");
    policy_warn(&x->serve->options, &json);
    json_out_array_close(&json);
    json_out_object_close(&json);
    exchange_reply(x, 200);
}

/* It may be longer than any other answer, so it has a buffer of its own. */
void serve_policy_export(struct exchange *x)
{
    const struct policy_copy *copy = copy_of(&x->serve->options);
    struct env_reply reply = {.status = 200, .content_type = "application/json"};
    struct json_out json;
    BUF_AUTO text;

    buf_init(&text, POLICY_BUNDLE_BODY_MAX_BYTES + EXPORT_HEAD_MAX_BYTES);
    if (!admin_may(x, ACCESS_ADMIN_READ | ACCESS_ADMIN_POLICY, "read", "[read, policy]")) {
        return;
    }
    json_out_init(&json, &text);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "digest", access_policy_digest(x->serve->options.policy));
    if (copy != NULL && copy->bundle != NULL) {
        policy_bundle_write(copy->bundle, &json);
    }
    json_out_object_close(&json);
    buf_add_char(&text, '\n');
    if (buf_status(&text) != 0) {
        exchange_fail_nomem(x);
        return;
    }
    reply.body = buf_str(&text);
    exchange_count(x, reply.status);
    env_request_reply(x->request, &reply);
    exchange_release(x);
}

/* ---- what was brought ------------------------------------------------------------ */

static void invalid(struct exchange *x, uint32_t status, const char *detail)
{
    exchange_fail(
        x, &(struct exchange_problem){.status = status, .code = "invalid", .detail = detail});
}

static int body_read(struct bringing *it, uint32_t allowed, struct err *e)
{
    struct exchange *x = it->x;
    json_t *object;
    const json_t *files;
    int r = policy_bundle_load(x->request->body, &object, e);

    if (r != 0) {
        return r;
    }
    r = params_parse_object(object, allowed, &x->params, e);
    files = json_object_get(object, "files");
    if (r == 0 && (!x->params.wants_observed || (files != NULL && !json_is_null(files)))) {
        r = policy_bundle_read(object, &it->bundle, e);
    }
    json_decref(object);
    return r;
}

/* `reason`: which policy; NULL: it is none. */
static void rejected_note(struct exchange *x, const char *reason, const char *why)
{
    struct audit_record record;

    exchange_record(x, "policy.rejected", "denied", &record);
    record.reason = reason;
    record.error = why;
    denied_note(&x->serve->denied, x->key, &record);
}

static void mistakes_tell(struct bringing *it, const struct yaml_errors *mistakes)
{
    struct str lines = buf_str(&mistakes->text);
    struct str first = str_cut(&lines, '\n');
    char detail[96];
    char why[ERR_TEXT_MAX_BYTES];

    (void)snprintf(detail, sizeof(detail), "the policy has %zu mistake%s", mistakes->count,
                   mistakes->count == 1 ? "" : "s");
    if (it->is_apply) {
        (void)snprintf(why, sizeof(why), "%s: %.*s", detail, STR_ARG(first));
        rejected_note(it->x, NULL, why);
    }
    exchange_fail(it->x, &(struct exchange_problem){.status = 422,
                                                    .code = "invalid",
                                                    .detail = detail,
                                                    .errors = buf_str(&mistakes->text)});
}

/* False: it has been answered. */
static bool policy_make(struct bringing *it)
{
    const struct serve_options *options = &it->x->serve->options;
    struct yaml_errors mistakes;
    int r = 0;

    yaml_errors_init(&mistakes);
    if (it->bundle != NULL) {
        r = options->policy_compile != NULL
                ? options->policy_compile(options->user, it->bundle, &it->policy, &mistakes)
                : ERR_NOMEM;
    }
    if (r != 0 && mistakes.count > 0) {
        mistakes_tell(it, &mistakes);
    } else if (r != 0) {
        exchange_fail_nomem(it->x);
    }
    yaml_errors_fini(&mistakes);
    return r == 0;
}

/* False: it has been answered. */
static bool bring(struct bringing *it, uint32_t allowed)
{
    struct exchange *x = it->x;
    struct err e = {.code = 0};
    int r;

    if (!admin_may(x, ACCESS_ADMIN_POLICY, "change policies", "[policy]")) {
        return false;
    }
    r = body_read(it, allowed, &e);
    if (r == ERR_NOMEM) {
        exchange_fail_nomem(x);
        return false;
    }
    if (r != 0) {
        invalid(x, 400, e.text);
        return false;
    }
    if (!policy_make(it)) {
        return false;
    }
    it->plan = (struct plan){.x = x,
                             .bundle = it->bundle,
                             .policy = it->policy != NULL ? it->policy : x->serve->options.policy,
                             .is_observed = x->params.wants_observed};
    if (plan_digest(&it->plan, it->digest) != 0) {
        exchange_fail_nomem(x);
        return false;
    }
    return true;
}

static void bringing_fini(struct bringing *it)
{
    policy_bundle_free(it->bundle);
    access_policy_free(it->policy);
}

/* ---- plan ------------------------------------------------------------------------ */

void serve_policy_plan(struct exchange *x)
{
    struct bringing it = {.x = x};
    struct json_out json;

    if (bring(&it, PARAM_FILES | PARAM_OBSERVE)) {
        exchange_json(x, &json);
        plan_write(&it.plan, it.digest, &json);
        exchange_reply(x, 200);
    }
    bringing_fini(&it);
}

/* ---- apply ----------------------------------------------------------------------- */

void serve_apply_free(struct serve_apply *apply)
{
    if (apply != NULL) {
        policy_bundle_free(apply->bundle);
        access_claims_free(apply->claims);
        mem_free(apply->listener);
        mem_free(apply);
    }
}

void serve_apply_record(const struct serve_apply *apply, const char *event, const char *outcome,
                        struct audit_record *ret_record)
{
    *ret_record = (struct audit_record){
        .event = event,
        .outcome = outcome,
        .listener = apply->listener,
        .api = "native",
        .request = apply->request_id,
    };
    access_identity_tell(&apply->identity, ret_record);
}

static struct serve_apply *apply_new(struct bringing *it)
{
    struct serve_apply *apply = mem_calloc(1, sizeof(*apply));
    struct exchange *x = it->x;

    if (apply == NULL) {
        return NULL;
    }
    apply->listener = mem_strdup(x->listener->name);
    apply->claims = x->claims != NULL ? access_claims_dup(x->claims) : NULL;
    if (apply->listener == NULL || (apply->claims == NULL && x->claims != NULL)) {
        serve_apply_free(apply);
        return NULL;
    }
    apply->identity = x->identity;
    apply->identity.claims = apply->claims;
    apply->identity.listener = apply->listener;
    (void)admin_name(x, apply->by);
    (void)snprintf(apply->request_id, sizeof(apply->request_id), "%s", x->request_id);
    (void)snprintf(apply->base, sizeof(apply->base), "%s",
                   access_policy_digest(x->serve->options.policy));
    apply->bundle = it->bundle;
    it->bundle = NULL;
    apply->is_observed = it->plan.is_observed;
    apply->drain_ms = x->params.drain_ms;
    return apply;
}

/* Puts on record that it was refused, and why, and answers so. */
static void reject(struct bringing *it, uint32_t status, const char *why, const char *hint)
{
    struct exchange *x = it->x;
    char reason[96];

    (void)snprintf(reason, sizeof(reason), "policy sha256:%s",
                   access_policy_digest(it->plan.policy));
    rejected_note(x, reason, why);
    exchange_fail(x, &(struct exchange_problem){
                         .status = status, .code = "invalid", .detail = why, .hint = hint});
}

/* False: it may not be applied, and has been answered. */
static bool is_applicable(struct bringing *it)
{
    const struct serve_params *params = &it->x->params;
    uint32_t ending = plan_count_ending(&it->plan);
    char why[160];

    if (params->digest[0] == '\0') {
        invalid(it->x, 400, "`digest` is missing: only what was planned is applied");
        return false;
    }
    if (strcmp(params->digest, it->digest) != 0) {
        reject(it, 409,
               "it isn't what was planned: the policy that counts, or these files, are "
               "others than at the plan",
               "plan again (lease policy plan), look at it, and apply that");
        return false;
    }
    if (!plan_has_admin(&it->plan)) {
        reject(it, 422, "no admin would remain who may change policies",
               "keep an entry below admins that may: [policy]");
        return false;
    }
    if (params->has_max_ended && ending > params->max_ended) {
        (void)snprintf(why, sizeof(why), "%u live grants would end, more than the %llu allowed",
                       (unsigned)ending, (unsigned long long)params->max_ended);
        reject(it, 409, why, "look at the plan, and apply with a larger max_ended (--max-ended)");
        return false;
    }
    return true;
}

static void applied_answer(struct exchange *x, const struct serve_apply *apply)
{
    struct json_out json;

    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    head_write(x, &json);
    json_out_u64(&json, "grants_ended", apply->ended_count);
    json_out_u64(&json, "grants_draining", apply->draining_count);
    json_out_u64(&json, "grants_reduced", apply->reduced_count);
    json_out_object_close(&json);
    exchange_reply(x, 200);
}

static void apply_fail(struct exchange *x, int status, const struct err *why)
{
    static const struct exchange_failure table[] = {
        {ERR_UNSUPPORTED, 409, "invalid", "configure state: {ledger: {sqlite: …}}"},
        {ERR_BUSY, 503, "busy", "another policy is being applied, or the configuration reloaded"},
        {ERR_EXISTS, 409, "invalid", "plan again (lease policy plan)"},
        {ERR_TOO_LARGE, 422, "invalid", NULL},
        {ERR_INVALID, 422, "invalid", NULL},
        {ERR_NOMEM, 503, "busy", NULL},
        {ERR_CLOSED, 503, "degraded", "leased is stopping"},
        {0, 503, "degraded", "no record and no copy on disk, no new policy: the one before counts"},
    };

    exchange_fail_status(x, table, status, why, 0);
}

static void apply_done(struct serve_apply *apply, int status)
{
    struct exchange *x = OBJ_CAST(apply->user, struct exchange, EXCHANGE_MAGIC);

    x->apply = NULL;
    x->request->finished = NULL;
    if (status == 0) {
        applied_answer(x, apply);
    } else {
        apply_fail(x, status, &apply->error);
    }
}

/* The client has gone; whatever becomes of the apply is on record. */
static void apply_abandoned(struct env_request *request, bool delivered)
{
    struct exchange *x = OBJ_CAST(request->user, struct exchange, EXCHANGE_MAGIC);

    (void)delivered;
    x->apply->done = NULL;
    x->apply = NULL;
    exchange_release(x);
}

static void apply_begin(struct bringing *it)
{
    struct exchange *x = it->x;
    const struct serve_options *options = &x->serve->options;
    struct serve_apply *apply = apply_new(it);
    struct err why;
    int r;

    if (apply == NULL) {
        exchange_fail_nomem(x);
        return;
    }
    apply->done = apply_done;
    apply->user = x;
    r = options->policy_apply(options->user, apply);
    if (r != 0) {
        why = apply->error;
        serve_apply_free(apply);
        apply_fail(x, r, &why);
        return;
    }
    x->apply = apply;
    exchange_keep(x, apply_abandoned);
}

void serve_policy_apply(struct exchange *x)
{
    struct bringing it = {.x = x, .is_apply = true};

    if (bring(&it, PARAM_FILES | PARAM_OBSERVE | PARAM_DIGEST | PARAM_MAX_ENDED | PARAM_DRAIN) &&
        is_applicable(&it)) {
        apply_begin(&it);
    }
    bringing_fini(&it);
}
