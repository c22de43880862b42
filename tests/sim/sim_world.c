/* Start: (ledger →) trail → core → plugin and backend → roles → what the ledger has → policy → API.
 * Stop: (drain →) connections → API → core → backend (with its logout) → trail → ledger, in the
 * daemon's own order. A crash is a stop without a drain, of which the disk sees nothing. */
#include "sim_world.h"

#include "sim_apply.h"
#include "sim_check.h"

#include "base/log.h"
#include "base/mem.h"
#include "wire/ledger_grant.h"
#include "wire/ledger_lease.h"
#include "wire/yaml.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define CLOSE_MAX_MS (10U * 60U * 1000U)
#define SKEW_MS 2000U
#define VERIFY "{\"http\":\"" SIM_TARGET "/who\",\"headers\":{\"X-Secret\":\"${password}\"}}"
#define POLICY_EVERYBODY                                                                           \
    "rules:\n"                                                                                     \
    "- name: everybody\n"                                                                          \
    "  subjects: [{user: \"*\"}]\n"                                                                \
    "  roles: [\"*\"]\n"                                                                           \
    "  limits: {binding: [process, parent, session, unit, connection, none, \"comm:consumer\"]}\n" \
    "admins:\n"                                                                                    \
    "- {subjects: [{user: user0}]}\n"

void sim_world_init(struct sim_world *world, uint64_t seed)
{
    json_set_alloc_funcs(mem_alloc, mem_free);
    json_object_seed(1);
    *world = (struct sim_world){.memory_before_bytes = mem_in_use_bytes()};
    sim_init(&world->sim, seed);
    sim_watch_aborts(&world->sim);
    sim_vault_init(&world->vault, &world->sim.random);
    sim_backends_init(world);
    sim_outside_listen(world);
    sim_ledger_init(world);
}

/* --- start ------------------------------------------------------------------------------------ */

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

const char *sim_world_issuer_role(const struct sim_world *world, size_t index)
{
    static char name[SIM_ISSUER_ROLE_MAX_BYTES];

    bool is_twin =
        world->is_twin[index] && !world->role_backends[index]->issuer->kind->knows_no_twins;

    (void)snprintf(name, sizeof(name), "%s%s", world->roles[index].name,
                   is_twin ? SIM_WORLD_TWIN : "");
    return name;
}

size_t sim_world_role_index(const struct sim_world *world, struct str name)
{
    size_t i;

    if (name.len > sizeof(SIM_WORLD_TWIN) - 1 &&
        str_eq_c((struct str){.ptr = name.ptr + name.len - (sizeof(SIM_WORLD_TWIN) - 1),
                              .len = sizeof(SIM_WORLD_TWIN) - 1},
                 SIM_WORLD_TWIN)) {
        name.len -= sizeof(SIM_WORLD_TWIN) - 1;
    }
    for (i = 0; i < world->role_count && !str_eq_c(name, world->roles[i].name); i++) {
    }
    return i;
}

void sim_world_set_path(struct sim_world *world, size_t index)
{
    const struct sim_issuer *issuer = world->role_backends[index]->issuer;

    issuer->kind->params(issuer, sim_world_issuer_role(world, index), world->params[index],
                         sizeof(world->params[0]));
    world->roles[index].params_json = world->params[index];
}

void sim_world_note_limits(struct sim_world *world, size_t index)
{
    const struct lease_role *role = &world->roles[index];
    uint64_t *least_ms = &world->life_least_ms[index];
    uint64_t limit_ms =
        role->ttl_ms != 0 && role->ttl_ms < role->max_ttl_ms ? role->ttl_ms : role->max_ttl_ms;

    if (*least_ms == 0 || limit_ms < *least_ms) {
        *least_ms = limit_ms;
    }
}

static void add_role(struct sim_world *world, const struct sim_role *role)
{
    size_t index = world->role_count++;
    struct lease_role *config = &world->roles[index];
    struct err e = {0};

    CHECK(world->role_count <= SIM_WORLD_ROLES_MAX);
    char twin[64];

    (void)snprintf(twin, sizeof(twin), "%s" SIM_WORLD_TWIN, role->name);
    if (sim_vault_find_role(&world->vault, str_of(role->name)) == NULL) {
        const char *const names[] = {role->name, twin};

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            sim_vault_add_role(&world->vault, names[i], role->issuer_ttl_ms,
                               role->issuer_max_ttl_ms, role->is_renewable)
                ->spread_ms = role->spread_ms;
        }
    }
    *config = (struct lease_role){
        .name = role->name,
        .issuer = sim_backends_named(world, world->role_backends[index]->issuer->kind->name),
        .ttl_ms = role->ttl_ms,
        .max_ttl_ms = or_default(role->max_ttl_ms, 86400000),
        .renew_at_percent = (uint32_t)or_default(role->renew_at_percent, 66),
        .min_remaining_ms = or_default(role->min_remaining_ms, 300000),
        .overlap_ms = or_default(role->overlap_ms, 600000),
        .share = role->share,
        .linger_ms = role->linger_ms,
        .binding = role->binding != ACCESS_BINDING_DEFAULT ? role->binding : ACCESS_BINDING_PROCESS,
        .live_max = role->live_max,
        /* What is tried out is a password, so it is Vault's. */
        .verify_json = role->verify_timeout_ms > 0 && role->kind == NULL ? VERIFY : NULL,
        .verify_timeout_ms = role->kind == NULL ? role->verify_timeout_ms : 0,
    };
    sim_world_set_path(world, index);
    sim_world_note_limits(world, index);
    sim_world_must(world, lease_core_set_role(world->core, config), &e, role->name);
}

struct access_policy *sim_world_parse_policy(struct sim_world *world, const char *text)
{
    struct access_policy *policy = NULL;
    const char *names[SIM_WORLD_ROLES_MAX + 1] = {NULL};
    struct yaml_document *document = NULL;
    const struct yaml_node *root;
    struct yaml_errors errors;
    int status = ERR_INVALID;

    for (size_t i = 0; i < world->role_count; i++) {
        names[i] = world->roles[i].name;
    }
    yaml_errors_init(&errors);
    if (yaml_parse("policy", str_of(text), &document, &errors) == 0) {
        root = yaml_root(document);
        status =
            access_policy_parse(&(struct access_nodes){.items = &root, .count = 1},
                                &(struct access_known){.roles = names}, NULL, &policy, &errors);
    }
    if (errors.count > 0 || status != 0) {
        sim_fail(&world->sim, "policy: %.*s", STR_ARG(buf_str(&errors.text)));
    }
    yaml_errors_fini(&errors);
    yaml_free(document);
    return policy;
}

static bool grant_lives(void *user, const char *id)
{
    const struct sim_world *world = user;
    const struct grant *grant = lease_core_find_grant(world->core, str_of(id));
    struct grant_view view = {.state = GRANT_STATE_ENDED};

    if (grant != NULL) {
        grant_view(grant, &view);
    }
    return view.state != GRANT_STATE_ENDED;
}

static void end_grant(void *user, const char *id)
{
    struct sim_world *world = user;
    struct grant *grant = lease_core_find_grant(world->core, str_of(id));

    if (grant != NULL) {
        lease_end_grant(world->core, grant, GRANT_END_REVOKED, NULL);
    }
}

static int recover_request(void *user, struct str id, struct str body)
{
    struct sim_world *world = user;
    struct err e = {0};

    sim_world_must(world, requests_recover(world->requests, id, body, &e), &e, "a request");
    return 0;
}

/* What the ledger has of them, and the policy that was applied last. */
static void start_guarded(struct sim_world *world)
{
    const struct requests_options options = {.env = &world->sim.env,
                                             .audit = world->audit,
                                             .ledger = world->limits.ledger,
                                             .policy = world->policies[world->policy_index],
                                             .grant_lives = grant_lives,
                                             .grant_end = end_grant,
                                             .user = world};
    struct err e = {0};

    sim_world_must(world, requests_new(&options, &world->requests, &e), &e, "requests");
    sim_world_must(world,
                   env_ledger_each(&world->ledger.ledger, ENV_LEDGER_REQUEST, recover_request,
                                   world, &e),
                   &e, "ledger");
    requests_recovered(world->requests, options.policy);
}

static void start_policies(struct sim_world *world, const struct sim_world_options *options)
{
    world->is_guarded = options->is_guarded;
    world->policies[0] =
        sim_world_parse_policy(world, options->policy != NULL ? options->policy : POLICY_EVERYBODY);
    if (options->other_policy != NULL) {
        world->policies[1] = sim_world_parse_policy(world, options->other_policy);
    }
    world->policy_index = options->is_guarded ? sim_apply_word(world) : 0;
}

static void start_serve(struct sim_world *world)
{
    struct err e = {0};
    struct serve_options options = {
        .env = &world->sim.env,
        .core = world->core,
        .audit = world->audit,
        .ledger = world->limits.ledger,
        .requests = world->requests,
        .policy = world->policies[world->policy_index],
        .backends = world->backend_list,
        .backend_count = world->backend_count,
        .own_cgroup = "/system.slice/leased.service",
        .node = "sim",
        .version = "sim",
        .policy_compile = sim_apply_compile,
        .policy_apply = sim_apply_start,
        .user = world,
    };

    sim_world_must(world, serve_new(&options, &world->serve, &e), &e, "serve");
    world->api =
        (struct serve_listener){.serve = world->serve, .name = "local", .apis = SERVE_API_NATIVE};
    world->metrics_api = (struct serve_listener){.serve = world->serve,
                                                 .name = "metrics",
                                                 .apis = SERVE_API_METRICS};
    sim_listener_init(&world->listener, &world->sim, "local");
    world->listener.handler = serve_request;
    world->listener.handler_user = &world->api;
    sim_listener_init(&world->metrics, &world->sim, "metrics");
    world->metrics.handler = serve_request;
    world->metrics.handler_user = &world->metrics_api;
    serve_set_ready(world->serve, true);
    world->is_up = true;
    world->started_ms = world->sim.now_ms;
    world->start_count++;
}

static int recover_lease(void *user, struct str id, struct str body)
{
    struct sim_world *world = user;
    struct ledger_lease lease;
    struct err e = {0};

    sim_world_must(world, ledger_lease_read(body, &lease, &e), &e, "a record of the ledger");
    sim_world_must(world,
                   lease_core_recover(world->core, id, &lease,
                                      sim_backends_named(world, lease.backend)),
                   &e, "recovery");
    return 0;
}

static int recover_read(void *user, struct str id, struct str body)
{
    struct sim_world *world = user;
    struct err e = {0};

    sim_world_must(world, lease_core_recover_read(world->core, id, body), &e, "a reader");
    return 0;
}

static int recover_rate(void *user, struct str id, struct str body)
{
    struct sim_world *world = user;
    struct err e = {0};

    sim_world_must(world, lease_core_recover_rate(world->core, id, body), &e, "a rate");
    return 0;
}

static int recover_grant(void *user, struct str id, struct str body)
{
    struct sim_world *world = user;
    struct ledger_grant grant;
    struct err e = {0};
    int r;

    sim_world_must(world, ledger_grant_read(body, &grant, &e), &e, "a grant of the ledger");
    r = lease_core_recover_grant(world->core, id, &grant);
    sim_world_must(world, r == ERR_NOT_FOUND ? 0 : r, &e, "recovery of a grant");
    return 0;
}

void sim_world_start(struct sim_world *world, const struct sim_world_options *options)
{
    const struct audit_sink_options sinks[] = {
        {.kind = "file", .path = SIM_AUDIT_PATH, .is_required = true}};
    struct env_ledger *ledger = options->has_ledger ? &world->ledger.ledger : NULL;
    struct err e = {0};

    sim_world_must(world,
                   audit_new(&(struct audit_options){.env = &world->sim.env,
                                                     .node = "sim",
                                                     .ledger = ledger,
                                                     .sinks = sinks,
                                                     .sink_count = ARRAY_LEN(sinks)},
                             &world->audit, &e),
                   &e, "audit");
    world->limits = options->limits;
    world->limits.env = &world->sim.env;
    world->limits.audit = world->audit;
    world->limits.ledger = ledger;
    backend_verifier_init(&world->verifier, &world->sim.env);
    world->limits.verifier = &world->verifier.verifier;
    if (world->check != NULL) {
        world->check->trail.ledger = ledger;
    }
    world->limits.skew_ms = SKEW_MS;
    world->in_flight = options->in_flight;
    sim_world_must(world, lease_core_new(&world->limits, &world->core, &e), &e, "core");
    sim_backends_start(world, options);
    world->role_count = 0;
    memset(world->is_removed, 0, sizeof(world->is_removed));
    for (size_t i = 0; i < options->role_count; i++) {
        add_role(world, &options->roles[i]);
    }
    sim_world_must(
        world, env_ledger_each(&world->ledger.ledger, ENV_LEDGER_LEASE, recover_lease, world, &e),
        &e, "ledger");
    sim_world_must(world,
                   env_ledger_each(&world->ledger.ledger, ENV_LEDGER_READ, recover_read, world, &e),
                   &e, "ledger");
    sim_world_must(
        world, env_ledger_each(&world->ledger.ledger, ENV_LEDGER_GRANT, recover_grant, world, &e),
        &e, "ledger");
    sim_world_must(world,
                   env_ledger_each(&world->ledger.ledger, ENV_LEDGER_RATE, recover_rate, world, &e),
                   &e, "ledger");
    start_policies(world, options);
    if (world->is_guarded) {
        sim_apply_recheck(world, &(struct lease_recheck){.drain_ms = 0});
    }
    lease_core_recovered(world->core, &world->recovery);
    if (world->is_guarded) {
        start_guarded(world);
    }
    start_serve(world);
    sim_run_deferred(&world->sim);
}

/* --- stop ------------------------------------------------------------------------------------- */

static void drained(struct lease_wait *wait, int status)
{
    struct sim_world *world = wait->user;

    world->drain_status = status;
    world->is_drained = true;
}

static void closed(void *user)
{
    ((struct sim_world *)user)->is_closed = true;
}

/* From here on the checkers must not look at it. */
static void core_closed(void *user)
{
    struct sim_world *world = user;

    world->core = NULL;
    world->is_closed = true;
}

/* Steps until `flag` is set. */
static void run_until(struct sim_world *world, const bool *flag, uint64_t limit_ms,
                      const char *what)
{
    uint64_t end_ms = sim_awake_ms(&world->sim) + limit_ms;

    while (!*flag) {
        if (!sim_step(&world->sim) || sim_awake_ms(&world->sim) > end_ms) {
            sim_fail(&world->sim, "I6: %s does not end", what);
        }
        if (world->check != NULL) {
            sim_check_step(world->check);
        }
    }
}

int sim_world_drain(struct sim_world *world, uint64_t patience_ms)
{
    serve_set_ready(world->serve, false);
    world->is_drained = false;
    world->drained = (struct lease_wait){.fn = drained, .user = world};
    lease_core_drain(world->core, world->sim.now_ms + patience_ms, false, &world->drained);
    run_until(world, &world->is_drained, patience_ms + CLOSE_MAX_MS, "drain");
    return world->drain_status;
}

static void stop_connections(struct sim_world *world)
{
    bool is_quiet = false;
    uint64_t end_ms = sim_awake_ms(&world->sim) + CLOSE_MAX_MS;

    sim_listener_close(&world->listener);
    sim_listener_close(&world->metrics);
    while (!is_quiet) {
        if (!sim_step(&world->sim) || sim_awake_ms(&world->sim) > end_ms) {
            sim_fail(&world->sim, "S3: %llu requests never end",
                     (unsigned long long)(world->listener.request_count +
                                          world->metrics.request_count));
        }
        is_quiet = list_is_empty(&world->listener.connections) &&
                   list_is_empty(&world->metrics.connections);
    }
}

void sim_world_stop(struct sim_world *world, bool logout)
{
    world->ledger_was_failing = sim_ledger_is_failing(world);
    world->is_up = false;
    if (!list_is_empty(&world->listener.connections) ||
        !list_is_empty(&world->metrics.connections)) {
        stop_connections(world);
    }
    sim_apply_stop(world);
    serve_free(world->serve);
    requests_free(world->requests);
    world->requests = NULL;
    world->is_closed = false;
    lease_core_close(world->core, core_closed, world);
    run_until(world, &world->is_closed, CLOSE_MAX_MS, "closing the core");
    for (size_t i = 0; i < world->backend_count; i++) {
        world->is_closed = false;
        backend_close(world->backend_list[i], logout, closed, world);
        run_until(world, &world->is_closed, CLOSE_MAX_MS, "closing a backend");
    }
    world->is_closed = false;
    audit_close(world->audit, closed, world);
    run_until(world, &world->is_closed, CLOSE_MAX_MS, "closing the trail");
    world->is_closed = false;
    env_ledger_close(&world->ledger.ledger, closed, world);
    sim_unschedule(&world->sim, &world->committing);
    sim_run_deferred(&world->sim);
    CHECK(world->is_closed);
    /* The last commit may have been the first to fail. */
    world->ledger_was_failing = world->ledger_was_failing || world->ledger.failure != 0;
    access_policy_free(world->policies[0]);
    access_policy_free(world->policies[1]);
    world->policies[1] = NULL;
    backend_registry_free(world->registry);
}

void sim_world_crash(struct sim_world *world)
{
    bool was_failing = sim_ledger_is_failing(world);

    sim_trace(&world->sim, "SIGKILL");
    fake_ledger_crash(&world->ledger);
    sim_files_crash(&world->sim);
    world->sim.is_dead = true;
    sim_world_stop(world, false);
    world->sim.is_dead = false;
    world->ledger_was_failing = was_failing;
    fake_ledger_restart(&world->ledger);
}

void sim_world_fini(struct sim_world *world)
{
    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
    fake_ledger_fini(&world->ledger);
    sim_vault_fini(&world->vault);
    sim_backends_fini(world);
    sim_fini(&world->sim);
    sim_watch_aborts(NULL);
    if (mem_in_use_bytes() != world->memory_before_bytes) {
        sim_fail(&world->sim, "I6: %zu leaked", mem_in_use_bytes() - world->memory_before_bytes);
    }
}
