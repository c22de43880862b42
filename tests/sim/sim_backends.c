/* The backends of a world: Vault's, and one for each kind of issuer that its roles name. The models
 * at their other ends outlive the daemon. */
#include "sim_world.h"

#include "backend/kept.h"

#include <stdio.h>
#include <string.h>

#define HOUR_MS 3600000U
#define HEALTH_VAULT_MS 30000U
#define HEALTH_OTHERS_MS 300000U

void sim_world_must(struct sim_world *world, int status, const struct err *e, const char *what)
{
    if (status != 0) {
        sim_fail(&world->sim, "%s: %s", what, e->text[0] != '\0' ? e->text : err_str(status));
    }
}

void sim_backends_init(struct sim_world *world)
{
    world->vault.issuer.kind = &sim_vault_kind;
    world->vault.issuer.sim = &world->sim;
    world->vault.issuer.is_on_record = true;
    world->backends[0] = (struct sim_backend){.world = world, .issuer = &world->vault.issuer};
    world->backend_count = 1;
}

void sim_backends_fini(struct sim_world *world)
{
    for (size_t i = 1; i < world->backend_count; i++) {
        world->backends[i].issuer->kind->destroy(world->backends[i].issuer);
    }
}

/* --- start ------------------------------------------------------------------------------------ */

static void anchor_ends(void *user, struct backend *backend, uint64_t anchor, uint64_t when_ms,
                        const char *reason)
{
    const struct sim_backend *it = user;

    lease_core_anchor_ends(it->world->core, backend_issuer(backend), anchor, when_ms, reason);
}

static int keep_state(void *user, struct backend *backend, struct str state)
{
    const struct sim_backend *it = user;

    (void)backend;
    return kept_put(&it->world->ledger.ledger, it->issuer->kind->name, state);
}

#define TOKEN_ROLE "leased"
#define CONFIG_MAX_BYTES 1024

/* The backend's own keys. What it may do at the issuer is set here, too. */
static void vault_config(struct sim_world *world, const struct sim_world_options *options,
                         char *out, size_t out_size)
{
    const char *auth = options->uses_token
                           ? "{\"method\":\"token\",\"token_file\":\"" SIM_VAULT_MARK "-token\"}"
                           : "{\"method\":\"approle\",\"role_id\":\"" SIM_VAULT_ROLE_ID
                             "\",\"secret_id_file\":\"" SIM_VAULT_SECRET_ID "\"}";

    world->vault.denies_child = !options->isolates;
    (void)snprintf(world->vault.token_role, sizeof(world->vault.token_role), "%s",
                   options->has_token_role ? TOKEN_ROLE : "");
    (void)snprintf(out, out_size, "{\"auth\":%s%s}", auth,
                   options->has_token_role ? ",\"token_role\":\"" TOKEN_ROLE "\"" : "");
    if (options->uses_token &&
        map_find(&world->vault.tokens, STR(SIM_VAULT_MARK "-token")) == NULL) {
        (void)sim_vault_add_token(&world->vault, &(struct sim_vault_token_options){
                                                     .id = SIM_VAULT_MARK "-token",
                                                     .period_ms = options->token_period_ms > 0
                                                                      ? options->token_period_ms
                                                                      : HOUR_MS,
                                                     .is_renewable = true});
    }
}

static void start_backend(struct sim_backend *it, const struct sim_world_options *options)
{
    static const char *const addresses[] = {SIM_WORLD_ADDRESS, "https://vault-2.example:8200"};
    struct sim_world *world = it->world;
    const struct sim_issuer_kind *kind = it->issuer->kind;
    bool is_vault = it->issuer == &world->vault.issuer;
    char config[CONFIG_MAX_BYTES];
    struct err e = {0};
    struct backend_options backend = {
        .env = &world->sim.env,
        .name = kind->name,
        .addresses = addresses,
        .address_count = is_vault ? ARRAY_LEN(addresses) : 0,
        .config_json = config,
        .limits = {.in_flight = options->in_flight},
        .health_interval_ms = is_vault ? HEALTH_VAULT_MS : HEALTH_OTHERS_MS,
        .keep_state = options->has_ledger ? keep_state : NULL,
        .anchor_ends = anchor_ends,
        .user = it,
    };
    struct secret state;

    secret_init(&state);
    if (is_vault) {
        vault_config(world, options, config, sizeof(config));
    } else {
        kind->config(it->issuer, config, sizeof(config));
    }
    sim_world_must(world, backend_registry_add_builtin(world->registry, kind->entry, &e), &e,
                   "plugin");
    backend.plugin = backend_registry_find(world->registry, str_of(kind->name));
    if (options->has_ledger) {
        sim_world_must(world, kept_read(&world->ledger.ledger, kind->name, &state, &e), &e,
                       "the kept login");
        backend.state = secret_view(&state);
    }
    sim_world_must(world, backend_open(&backend, &world->backend_list[it - world->backends], &e),
                   &e, kind->name);
    secret_fini(&state);
}

/* The one of this kind, made when it is the first time. */
static struct sim_backend *find_backend(struct sim_world *world, const struct sim_issuer_kind *kind,
                                        uint32_t variant)
{
    struct sim_backend *it = world->backends;

    if (kind == NULL) {
        return it;
    }
    while (it < world->backends + world->backend_count && it->issuer->kind != kind) {
        it++;
    }
    if (it == world->backends + world->backend_count) {
        CHECK(++world->backend_count <= SIM_WORLD_BACKENDS_MAX);
        *it = (struct sim_backend){.world = world, .issuer = kind->create(&world->sim, variant)};
    }
    return it;
}

void sim_backends_start(struct sim_world *world, const struct sim_world_options *options)
{
    struct err e = {0};

    for (size_t i = 0; i < options->role_count; i++) {
        world->role_backends[i] = find_backend(world, options->roles[i].kind, options->variant);
    }
    sim_world_must(world, backend_registry_new(&world->registry), &e, "registry");
    for (size_t i = 0; i < world->backend_count; i++) {
        start_backend(&world->backends[i], options);
    }
}

/* --- who is who ------------------------------------------------------------------------------- */

struct lease_issuer *sim_backends_named(struct sim_world *world, const char *name)
{
    size_t i = 0;

    while (i < world->backend_count && strcmp(world->backends[i].issuer->kind->name, name) != 0) {
        i++;
    }
    CHECK(i < world->backend_count);
    return backend_issuer(world->backend_list[i]);
}

struct sim_issuer *sim_world_issuer_at(const struct sim_world *world, const struct sim_call *call)
{
    for (size_t i = 0; i < world->backend_count; i++) {
        if (sim_issuer_is_at(world->backends[i].issuer->kind, call->url)) {
            return world->backends[i].issuer;
        }
    }
    return NULL;
}
