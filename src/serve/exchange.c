/* One request on its way: taken from a pool, answered once, given back.
 *
 * A handler that answers at once ends with exchange_reply or exchange_fail. One that has to wait
 * calls exchange_keep; when the client goes away meanwhile, its `finished` runs, x->request is NULL
 * from then on, and what was waited for gives the exchange back. */
#include "serve/exchange.h"

#include "access/identity_record.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/acquire.h"
#include "serve/metrics.h"
#include "serve/vault.h"

#include <stdio.h>
#include <string.h>

#define EXCHANGES_DEFAULT 4096
#define RETRY_DEFAULT_MS 1000

/* Who waits for keys of the old ones asks the new ones. */
static void issuers_set(struct serve *serve, const struct access_issuer_config *configs,
                        size_t count)
{
    struct access_issuers *old = serve->issuers;

    serve->issuers = NULL;
    if (access_issuers_new(serve->options.env, configs, count, old, &serve->issuers) != 0) {
        log_event(LOG_LEVEL_ERROR, "issuers.unusable", "err", err_str(ERR_NOMEM), "hint",
                  "job tokens are refused until leased is reloaded", NULL);
    }
    access_issuers_free(old);
}

static void containers_set(struct serve *serve, const struct access_container_config *configs,
                           size_t count)
{
    access_containers_free(serve->containers);
    serve->containers = NULL;
    if (access_containers_new(serve->options.env, configs, count, &serve->containers) != 0) {
        log_event(LOG_LEVEL_ERROR, "containers.unusable", "err", err_str(ERR_NOMEM), "hint",
                  "rules on images don't match until leased is reloaded", NULL);
    }
}

static size_t reply_max(size_t asked_bytes)
{
    return asked_bytes != 0 ? asked_bytes : SERVE_REPLY_DEFAULT_BYTES;
}

int serve_new(const struct serve_options *options, struct serve **ret_serve, struct err *e)
{
    struct serve *serve = mem_calloc(1, sizeof(*serve));
    uint64_t seed;
    uint32_t start;
    int r;

    if (serve == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    serve->options = *options;
    if (serve->options.exchanges_max == 0) {
        serve->options.exchanges_max = EXCHANGES_DEFAULT;
    }
    serve->started_ms = env_now_ms(options->env);
    serve->started_wall_ms = env_wall_ms(options->env);
    env_random(options->env, &start, sizeof(start));
    (void)snprintf(serve->request_prefix, sizeof(serve->request_prefix), "r-%08x-", start);
    env_random(options->env, &seed, sizeof(seed));
    list_init(&serve->idle);
    buf_init(&serve->body, reply_max(options->reply_max_bytes));
    map_init(&serve->denials, seed);
    answers_init(&serve->answers, options->env);
    denied_init(&serve->denied, options->env, options->audit, seed);
    seen_init(&serve->seen, seed);
    observed_init(&serve->observed, options->env, options->audit, seed);
    observed_init(&serve->observed_paths, options->env, options->audit, seed);
    watches_init(&serve->watches, options->env, options->core, start);
    files_init(&serve->files, serve, options->files_record);
    serve_vault_roles_init(&serve->vault_roles, seed);
    units_init(&serve->units, serve);
    issuers_set(serve, options->issuers, options->issuer_count);
    containers_set(serve, options->containers, options->container_count);
    idempotency_init(&serve->idempotency, options->env, seed);
    blocks_init(&serve->blocks, serve);
    drills_init(&serve->drills, serve);
    r = drills_recover(&serve->drills, &serve->blocks, e);
    if (r != 0) {
        serve_free(serve);
        return r;
    }
    *ret_serve = serve;
    return 0;
}

void serve_free(struct serve *serve)
{
    struct list *node;
    struct map_entry *entry;

    if (serve == NULL) {
        return;
    }
    CHECK(serve->exchange_count == 0);
    access_issuers_free(serve->issuers);
    access_containers_free(serve->containers);
    files_fini(&serve->files);
    units_fini(&serve->units);
    watches_fini(&serve->watches);
    drills_fini(&serve->drills);
    blocks_fini(&serve->blocks);
    idempotency_fini(&serve->idempotency);
    while ((node = list_pop_front(&serve->idle)) != NULL) {
        mem_free(LIST_ENTRY(node, struct exchange, node));
    }
    while ((entry = map_first(&serve->denials)) != NULL) {
        map_remove(&serve->denials, entry);
        mem_free(MAP_ENTRY(entry, struct serve_denials, entry));
    }
    map_fini(&serve->denials);
    answers_clear(&serve->answers);
    serve_vault_roles_clear(&serve->vault_roles);
    denied_fini(&serve->denied);
    observed_fini(&serve->observed);
    observed_fini(&serve->observed_paths);
    seen_fini(&serve->seen);
    buf_fini(&serve->body);
    mem_free(serve);
}

void serve_set_policy(struct serve *serve, const struct access_policy *policy,
                      const struct access_policy *observed, const struct serve_policies *policies)
{
    answers_clear(&serve->answers);
    serve->options.policy = policy;
    serve->options.observed = observed;
    serve->options.policies = policies;
    if (serve->options.requests != NULL) {
        requests_set_policy(serve->options.requests, policy);
    }
    blocks_enforce(&serve->blocks); /* the policy says who is behind an identity */
}

void serve_set(struct serve *serve, const struct serve_settings *settings)
{
    watches_end(&serve->watches, "leased has other settings now: come again");
    serve_vault_roles_clear(&serve->vault_roles);
    serve_set_policy(serve, settings->policy, settings->observed, settings->policies);
    serve->options.backends = settings->backends;
    serve->options.clients = settings->clients;
    serve->options.backend_count = settings->backend_count;
    serve->options.exchanges_max =
        settings->exchanges_max != 0 ? settings->exchanges_max : EXCHANGES_DEFAULT;
    buf_fini(&serve->body);
    buf_init(&serve->body, reply_max(settings->reply_max_bytes));
    files_set(&serve->files, settings->files, settings->file_count);
    issuers_set(serve, settings->issuers, settings->issuer_count);
    containers_set(serve, settings->containers, settings->container_count);
}

void serve_files_start(struct serve *serve, struct str known)
{
    files_start(&serve->files, known);
    units_start(&serve->units);
}

void serve_files_stop(struct serve *serve, void (*stopped)(void *user), void *user)
{
    files_stop(&serve->files, stopped, user);
}

void serve_set_endpoints(struct serve *serve, const struct serve_endpoints *endpoints)
{
    serve->endpoints = *endpoints;
}

void serve_end_streams(struct serve *serve)
{
    watches_end(&serve->watches, "leased is stopping");
    drills_end_streams(&serve->drills);
}

void serve_set_ready(struct serve *serve, bool is_ready)
{
    serve->is_ready = is_ready;
}

static void count_status(struct serve *serve, enum serve_api api, uint32_t status)
{
    if (status < SERVE_STATUS_MAX) {
        serve->status_counts[serve_api_index(api)][status]++;
    }
}

/* Whose request it is until its route is known. */
static enum serve_api api_of(const struct serve_listener *listener,
                             const struct env_request *request)
{
    if ((listener->apis & SERVE_API_VAULT) != 0 && serve_vault_is_path(request->path)) {
        return SERVE_API_VAULT;
    }
    return (listener->apis & SERVE_API_NATIVE) != 0 ? SERVE_API_NATIVE : SERVE_API_METRICS;
}

static void request_id_make(struct serve *serve, char out[EXCHANGE_REQUEST_ID_MAX_BYTES])
{
    char *at = str_put(out, str_of(serve->request_prefix));

    *str_put_u64(at, ++serve->request_count) = '\0';
}

/* For when there is no memory for more; worded for all APIs, Vault's `errors` among them. */
static void reply_busy(struct env_request *request, const char *request_id, const char *detail)
{
    char text[320];
    int len = snprintf(text, sizeof(text),
                       "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\","
                       "\"status\":503,\"code\":\"busy\",\"detail\":\"%s\","
                       "\"request\":\"%s\",\"errors\":[\"%s\"]}\n",
                       detail, request_id, detail);

    CHECK(len > 0 && (size_t)len < sizeof(text));
    env_request_reply(request, &(struct env_reply){.status = 503,
                                                   .content_type = "application/problem+json",
                                                   .headers = {{STR("Retry-After"), STR("1")}},
                                                   .header_count = 1,
                                                   .body = {.ptr = text, .len = (size_t)len}});
}

static struct exchange *exchange_take(struct serve *serve)
{
    struct list *node = list_pop_front(&serve->idle);

    return node != NULL ? LIST_ENTRY(node, struct exchange, node)
                        : mem_calloc(1, sizeof(struct exchange));
}

struct exchange *exchange_new(const struct serve_listener *listener, struct env_request *request)
{
    struct serve *serve = listener->serve;
    char request_id[EXCHANGE_REQUEST_ID_MAX_BYTES];
    struct exchange *x =
        serve->exchange_count < serve->options.exchanges_max ? exchange_take(serve) : NULL;

    if (x == NULL) {
        request_id_make(serve, request_id);
        count_status(serve, api_of(listener, request), 503);
        reply_busy(request, request_id, "too many requests are under way");
        return NULL;
    }
    serve->exchange_count++;
    x->magic = EXCHANGE_MAGIC;
    x->serve = serve;
    x->listener = listener;
    x->request = request;
    x->started_us = env_stopwatch_us(serve->options.env);
    x->api = api_of(listener, request);
    x->form = x->api == SERVE_API_VAULT ? &serve_vault_form : &serve_native_form;
    x->named = NULL;
    x->apply = NULL;
    x->keyed = NULL;
    x->is_repeated = false;
    x->claims = NULL;
    x->token_wait = (struct access_issuer_wait){.fn = NULL};
    x->path_arg = (struct str){.ptr = NULL, .len = 0};
    x->admin = 0;
    x->is_acquiring = false;
    x->is_waiting = false;
    x->is_approved = x->is_approval_used = false;
    x->used_by[0] = '\0';
    x->is_deciding = false;
    x->decide_until_ms = 0;
    x->id[0] = '\0';
    params_init(&x->params);
    request_id_make(serve, x->request_id);
    return x;
}

void exchange_release(struct exchange *x)
{
    CHECK(!x->is_acquiring);
    CHECK(!x->is_waiting);
    CHECK(!x->is_deciding);
    idempotency_end(x);
    access_claims_free(x->claims);
    params_fini(&x->params);
    x->claims = NULL;
    x->identity.claims = NULL;
    x->request = NULL;
    x->serve->exchange_count--;
    list_push_front(&x->serve->idle, &x->node);
}

void exchange_keep(struct exchange *x,
                   void (*finished)(struct env_request *request, bool delivered))
{
    x->request->user = x;
    x->request->finished = finished;
}

void exchange_json(struct exchange *x, struct json_out *json)
{
    buf_reset(&x->serve->body);
    json_out_init(json, &x->serve->body);
}

void exchange_count(struct exchange *x, uint32_t status)
{
    count_status(x->serve, x->api, status);
    histogram_add(&x->serve->request_us, &metrics_request_bounds,
                  env_stopwatch_us(x->serve->options.env) - x->started_us);
}

void exchange_send(struct exchange *x, struct env_reply *reply)
{
    struct buf *body = &x->serve->body;
    int r = buf_status(body);

    exchange_count(x, r == 0 ? reply->status : 503);
    if (r == 0) {
        reply->body = buf_str(body);
        idempotency_note(x, reply, reply->body);
        env_request_reply(x->request, reply);
    } else {
        reply_busy(x->request, x->request_id,
                   r == ERR_TOO_LARGE ? "the answer is larger than limits.reply allows"
                                      : err_str(r));
    }
    buf_reset(body);
}

void exchange_reply(struct exchange *x, uint32_t status)
{
    struct env_reply reply = {.status = status, .content_type = "application/json"};

    buf_add_char(&x->serve->body, '\n');
    exchange_send(x, &reply);
    exchange_release(x);
}

void exchange_record(const struct exchange *x, const char *event, const char *outcome,
                     struct audit_record *ret_record)
{
    *ret_record = (struct audit_record){
        .event = event,
        .outcome = outcome,
        .listener = x->listener->name,
        .api = x->form->api,
        .request = x->request_id,
        .policy_digest = access_policy_digest(x->serve->options.policy),
    };
    access_identity_tell(&x->identity, ret_record);
}

static const char *status_title(uint32_t status)
{
    static const struct {
        uint32_t status;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {501, "Not Implemented"},
        {410, "Gone"},
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(titles); i++) {
        if (titles[i].status == status) {
            return titles[i].title;
        }
    }
    return "Error";
}

static void json_optional(struct json_out *json, const char *key, const char *value)
{
    if (value != NULL && value[0] != '\0') {
        json_out_string_c(json, key, value);
    }
}

/* One text a line. */
static void lines_write(struct json_out *json, const char *key, struct str lines)
{
    json_out_array_open(json, key);
    while (lines.len > 0) {
        json_out_string(json, NULL, str_cut(&lines, '\n'));
    }
    json_out_array_close(json);
}

void exchange_problem_write(struct exchange *x, const struct exchange_problem *problem,
                            struct env_reply *reply)
{
    struct json_out json;

    reply->content_type = "application/problem+json";
    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "type", "about:blank");
    json_out_string_c(&json, "title", status_title(problem->status));
    json_out_u64(&json, "status", problem->status);
    json_out_string_c(&json, "code", problem->code);
    json_optional(&json, "detail", problem->detail);
    json_optional(&json, "rule", problem->rule);
    json_optional(&json, "limit", problem->limit);
    json_optional(&json, "hint", problem->hint);
    if (problem->until_wall_ms != 0) {
        json_out_time(&json, "until", problem->until_wall_ms);
    }
    json_optional(&json, "approval", problem->approval);
    if (problem->errors.len > 0) {
        lines_write(&json, "errors", problem->errors);
    }
    json_out_string_c(&json, "request", x->request_id);
    json_out_object_close(&json);
    buf_add_char(&x->serve->body, '\n');
}

void exchange_fail(struct exchange *x, const struct exchange_problem *problem)
{
    struct env_reply reply = {.status = problem->status, .close = problem->close};
    char seconds[24];

    x->form->problem(x, problem, &reply);
    if (problem->allow.len > 0) {
        reply.headers[reply.header_count++] =
            (struct env_request_header){.name = STR("Allow"), .value = problem->allow};
    }
    if (problem->retry_after_ms > 0) {
        (void)snprintf(seconds, sizeof(seconds), "%llu",
                       (unsigned long long)((problem->retry_after_ms + 999) / 1000));
        reply.headers[reply.header_count++] =
            (struct env_request_header){.name = STR("Retry-After"), .value = str_of(seconds)};
    }
    exchange_send(x, &reply);
    exchange_release(x);
}

void exchange_fail_nomem(struct exchange *x)
{
    exchange_fail(x, &(struct exchange_problem){.status = 503,
                                                .code = "busy",
                                                .detail = err_str(ERR_NOMEM),
                                                .retry_after_ms = RETRY_DEFAULT_MS});
}

const struct exchange_failure exchange_rate_failures[] = {
    {0, 429, "limit_exceeded", "it fills up again with time: try again later"},
};

void exchange_fail_status(struct exchange *x, const struct exchange_failure *table, int status,
                          const struct err *why, uint64_t retry_after_ms)
{
    while (table->status != 0 && table->status != status) {
        table++;
    }
    if (retry_after_ms == 0 && (table->http_status == 503 || table->http_status == 429)) {
        retry_after_ms = RETRY_DEFAULT_MS;
    }
    exchange_fail(x,
                  &(struct exchange_problem){.status = table->http_status,
                                             .code = table->code,
                                             .detail = why->code != 0 ? why->text : err_str(status),
                                             .hint = table->hint,
                                             .retry_after_ms = retry_after_ms});
}
