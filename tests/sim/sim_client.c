/* What consumers do. Each thinks, does one thing, and thinks again; what it knows of its
 * credentials comes from the answers that reached it. */
#include "sim_client.h"

#include "sim_check.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define UNIT_COUNT 3U
#define HANG_UP_NOTICE_MS 5
#define TARGET_MAX_BYTES 200
#define BODY_MAX_BYTES 300

static uint64_t below(struct sim_client *client, uint64_t bound)
{
    return sim_random_below(&client->crowd->world->sim.random, bound);
}

static bool chance(struct sim_client *client, uint32_t permille)
{
    return sim_random_chance(&client->crowd->world->sim.random, permille);
}

/* --- a client's life -------------------------------------------------------------------------- */

static void client_born(struct sim_client *client)
{
    struct sim *sim = &client->crowd->world->sim;
    struct sim_process *process;
    struct env_peer *peer = &client->peer;

    client->uid = SIM_UID_FIRST + (uint32_t)below(client, client->crowd->uid_count);
    client->unit = (uint32_t)below(client, UNIT_COUNT);
    client->parent_pid = sim_process_spawn(sim, client->uid, 1);
    client->pid = sim_process_spawn(sim, client->uid, client->parent_pid);
    process = sim_process(sim, client->pid);
    process->facts.is_fork_no_exec = chance(client, 100);
    client->holding_count = 0;
    *peer = (struct env_peer){.uid = client->uid,
                              .gid = client->uid,
                              .groups = {client->uid, 50},
                              .group_count = 2,
                              .pid = client->pid,
                              .start_ticks = process->facts.start_ticks};
    if (client->unit > 0) {
        (void)snprintf(peer->cgroup, sizeof(peer->cgroup), "/system.slice/app-%u.service",
                       client->unit);
    } else {
        (void)snprintf(peer->cgroup, sizeof(peer->cgroup), "/");
    }
}

/* A daemon that stops ends its connections. */
static void forget_broken(struct sim_client *client)
{
    if (client->start_count != client->crowd->world->start_count || !client->crowd->world->is_up) {
        client->start_count = client->crowd->world->start_count;
        client->connection = NULL;
    }
}

static void hang_up(struct sim_client *client)
{
    forget_broken(client);
    if (client->connection != NULL) {
        sim_trace(&client->crowd->world->sim, "pid %d hangs up", client->pid);
        sim_connection_close(client->connection, HANG_UP_NOTICE_MS);
        client->connection = NULL;
        client->request = NULL;
    }
}

static void watch_end(struct sim_client *client)
{
    if (client->watch != NULL && !client->watch->is_closing) {
        sim_connection_close(client->watch, HANG_UP_NOTICE_MS);
    }
}

static void die(struct sim_client *client)
{
    sim_process_kill(&client->crowd->world->sim, client->pid);
    hang_up(client);
    watch_end(client);
    if (chance(client, 500)) {
        sim_process_kill(&client->crowd->world->sim, client->parent_pid);
    }
}

static void connect_anew(struct sim_client *client)
{
    static const enum env_peer_state states[] = {ENV_PEER_UNKNOWN, ENV_PEER_GONE, ENV_PEER_CHANGED};
    struct env_peer peer = client->peer;

    forget_broken(client);
    if (client->connection != NULL && !client->connection->is_closing) {
        return;
    }
    if (chance(client, client->crowd->bad_peers)) {
        peer.state = states[below(client, ARRAY_LEN(states))];
        peer.problem = "the caller can't be established";
    }
    client->connection = sim_connection_open(&client->crowd->world->listener, &peer);
}

/* --- requests and answers --------------------------------------------------------------------- */

static void holding_drop(struct sim_client *client, size_t index)
{
    client->holdings[index] = client->holdings[--client->holding_count];
}

static void holding_add(struct sim_client *client, const json_t *answer)
{
    struct sim_holding *holding;
    const char *grant = json_string_value(json_object_get(answer, "grant"));

    for (size_t i = 0; i < client->holding_count; i++) {
        if (strcmp(client->holdings[i].grant, grant) == 0) {
            holding_drop(client, i);
            break;
        }
    }
    if (client->holding_count == SIM_HOLDINGS_MAX) {
        holding_drop(client, 0);
    }
    holding = &client->holdings[client->holding_count++];
    *holding = (struct sim_holding){.role = client->role};
    (void)snprintf(holding->grant, sizeof(holding->grant), "%s", grant);
    (void)snprintf(holding->lease, sizeof(holding->lease), "%s",
                   json_string_value(json_object_get(answer, "lease")));
}

static void client_replied(struct sim_request *request)
{
    struct sim_client *client = request->user;

    if (client->crowd->check != NULL) {
        sim_check_replied(client->crowd->check, request);
    }
    client->crowd->answers_by[request->status / 100]++;
}

static void client_answered(struct sim_request *request, bool is_delivered)
{
    struct sim_client *client = request->user;
    json_t *answer;

    if (client->crowd->check != NULL) {
        sim_check_answered(client->crowd->check, request, is_delivered);
    }
    if (client->request != request) {
        return; /* the client that sent it has gone */
    }
    client->request = NULL;
    client->status = is_delivered ? request->status : 0;
    if (client->connection == request->connection && request->connection->is_closing) {
        client->connection = NULL;
    }
    answer = is_delivered ? sim_request_credential(request) : NULL;
    if (answer != NULL) {
        holding_add(client, answer);
    }
    json_decref(answer);
}

void sim_client_send(struct sim_client *client, const char *method, const char *target,
                     const char *body)
{
    connect_anew(client);
    client->request = sim_request_send(client->connection,
                                       &(struct sim_request_options){.method = method,
                                                                     .target = target,
                                                                     .body = body,
                                                                     .replied = client_replied,
                                                                     .over = client_answered,
                                                                     .user = client});
}

/* --- acts ------------------------------------------------------------------------------------- */

static const char *draw_role(struct sim_client *client)
{
    client->role = below(client, client->crowd->world->role_count);
    return client->crowd->world->roles[client->role].name;
}

/* What the credential shall be bound to; "" for the role's own. */
static const char *draw_binding(struct sim_client *client)
{
    static const char *const bindings[] = {"",     "session",    "process",       "parent",
                                           "none", "connection", "comm:consumer", "unit"};

    return bindings[below(client, ARRAY_LEN(bindings))];
}

static void act_read(struct sim_client *client)
{
    char target[TARGET_MAX_BYTES];
    const char *role = client->holding_count > 0 && chance(client, 600) ? NULL : draw_role(client);
    const char *binding = draw_binding(client);
    int len;

    if (role == NULL) {
        client->role = client->holdings[below(client, client->holding_count)].role;
        role = client->crowd->world->roles[client->role].name;
        binding = "";
    }
    len = snprintf(target, sizeof(target), "/leased/v1/credentials/%s?reason=OPS-%u", role,
                   (unsigned)below(client, 100));
    if (binding[0] != '\0') {
        len += snprintf(target + len, sizeof(target) - (size_t)len, "&binding=%s", binding);
    }
    if (binding[0] != '\0' && chance(client, 200)) {
        len += snprintf(target + len, sizeof(target) - (size_t)len, "&binding=process");
    }
    if (chance(client, 300)) {
        (void)snprintf(target + len, sizeof(target) - (size_t)len, "&duration=%u",
                       1 + (unsigned)below(client, 900));
    }
    sim_client_send(client, "GET", target, NULL);
}

static void act_create(struct sim_client *client)
{
    char body[BODY_MAX_BYTES];
    const char *role = draw_role(client);
    const char *binding = draw_binding(client);
    char bindings[64] = "";

    if (binding[0] != '\0') {
        (void)snprintf(bindings, sizeof(bindings), ",\"binding\":[\"%s\",\"process\"]", binding);
    }
    (void)snprintf(body, sizeof(body), "{\"role\":\"%s\",\"duration\":%u%s}", role,
                   1 + (unsigned)below(client, 900), bindings);
    sim_client_send(client, "POST", "/leased/v1/leases", body);
}

/* DELETE of a holding, or POST to one of its verbs. */
static void act_on_holding(struct sim_client *client, const char *method, const char *verb)
{
    size_t index = below(client, client->holding_count);
    struct sim_holding *holding = &client->holdings[index];
    bool is_delete = strcmp(method, "DELETE") == 0;
    bool names_grant = is_delete && chance(client, 500);
    char target[TARGET_MAX_BYTES];

    (void)snprintf(target, sizeof(target), "/leased/v1/%s/%s%s%s",
                   names_grant ? "grants" : "leases", names_grant ? holding->grant : holding->lease,
                   verb, chance(client, 500) ? "?wait=20" : "");
    if (is_delete) {
        holding_drop(client, index);
    }
    sim_client_send(client, method, target, NULL);
}

static void metrics_replied(struct sim_request *request)
{
    struct sim_crowd *crowd = request->user;

    if (crowd->check != NULL) {
        sim_check_replied(crowd->check, request);
    }
    if (request->status != 200) {
        sim_fail(&crowd->world->sim, "S3: /metrics answers %u", request->status);
    }
}

static void metrics_over(struct sim_request *request, bool is_delivered)
{
    (void)is_delivered;
    sim_connection_close(request->connection, 0);
}

static void scrape_metrics(struct sim_client *client)
{
    struct env_connection *connection =
        sim_connection_open(&client->crowd->world->metrics, &client->peer);

    (void)sim_request_send(connection, &(struct sim_request_options){.method = "GET",
                                                                     .target = "/metrics",
                                                                     .replied = metrics_replied,
                                                                     .over = metrics_over,
                                                                     .user = client->crowd});
}

static void act_look(struct sim_client *client)
{
    static const char *const targets[] = {"/leased/v1/leases?limit=10", "/leased/v1/grants",
                                          "/leased/v1/status", "/readyz", "/livez"};
    size_t which = below(client, ARRAY_LEN(targets) + 1);

    if (which == ARRAY_LEN(targets)) {
        scrape_metrics(client);
    } else {
        sim_client_send(client, "GET", targets[which], NULL);
    }
}

static void watch_replied(struct sim_request *request)
{
    struct sim_client *client = request->user;

    if (client->crowd->check != NULL) {
        sim_check_replied(client->crowd->check, request);
    }
}

static void watch_over(struct sim_request *request, bool is_delivered)
{
    struct sim_client *client = request->user;

    (void)is_delivered;
    if (client->watch == request->connection) {
        client->watch = NULL;
    }
    sim_connection_close(request->connection, 0);
}

static void act_watch(struct sim_client *client)
{
    static const char *const targets[] = {"/leased/v1/watch", "/leased/v1/watch?role=none"};

    if (client->watch != NULL) {
        watch_end(client);
        return;
    }
    client->watch = sim_connection_open(&client->crowd->world->listener, &client->peer);
    (void)sim_request_send(client->watch,
                           &(struct sim_request_options){.method = "GET",
                                                         .target = targets[below(client, 2)],
                                                         .replied = watch_replied,
                                                         .over = watch_over,
                                                         .user = client});
}

static void act_ack(struct sim_client *client)
{
    const struct sim_holding *holding = &client->holdings[below(client, client->holding_count)];
    char target[TARGET_MAX_BYTES];

    bool names_grant = chance(client, 500);

    (void)snprintf(target, sizeof(target), "/leased/v1/leases/%s/ack%s%s", holding->lease,
                   names_grant ? "?grant=" : "", names_grant ? holding->grant : "");
    sim_client_send(client, "POST", target, NULL);
}

static void act_nonsense(struct sim_client *client)
{
    static const struct {
        const char *method;
        const char *target;
        const char *body;
    } nonsense[] = {
        {"GET", "/leased/v1/credentials/nobody", NULL},
        {"GET", "/leased/v1/credentials/none?durration=5", NULL},
        {"GET", "/leased/v1/leases/l-00000000000000000000000000000000", NULL},
        {"DELETE", "/leased/v1/grants/g-00000000000000000000000000000000", NULL},
        {"POST", "/leased/v1/leases", "{\"role\":"},
        {"POST", "/leased/v1/leases", "{\"role\":\"nobody\"}"},
        {"PATCH", "/leased/v1/leases", NULL},
        {"GET", "/leased/v2/", NULL},
    };
    size_t which = below(client, ARRAY_LEN(nonsense));

    sim_client_send(client, nonsense[which].method, nonsense[which].target, nonsense[which].body);
}

static enum sim_act draw_act(struct sim_client *client)
{
    const struct sim_crowd *crowd = client->crowd;
    uint64_t sum = 0;
    uint64_t drawn;
    size_t act = 0;

    for (size_t i = 0; i < SIM_ACT_COUNT; i++) {
        sum += crowd->weights[i];
    }
    for (drawn = below(client, sum); drawn >= crowd->weights[act]; act++) {
        drawn -= crowd->weights[act];
    }
    return (enum sim_act)act;
}

static void act(struct sim_client *client, enum sim_act what)
{
    if (what == SIM_ACT_DIE) {
        die(client);
    } else if (what == SIM_ACT_ORPHAN) {
        sim_process_kill(&client->crowd->world->sim, client->parent_pid);
    } else if (what == SIM_ACT_HANG_UP) {
        hang_up(client);
    } else if (what == SIM_ACT_WATCH) {
        act_watch(client);
    } else if (client->request != NULL) {
        return; /* one thing at a time */
    } else if (what == SIM_ACT_CREATE) {
        act_create(client);
    } else if (what == SIM_ACT_LOOK) {
        act_look(client);
    } else if (what == SIM_ACT_NONSENSE) {
        act_nonsense(client);
    } else if (what == SIM_ACT_READ || client->holding_count == 0) {
        act_read(client);
    } else if (what == SIM_ACT_ACK) {
        act_ack(client);
    } else if (what == SIM_ACT_RELEASE) {
        act_on_holding(client, "DELETE", "");
    } else {
        act_on_holding(client, "POST", what == SIM_ACT_RENEW ? "/renew" : "/rotate");
    }
}

static void client_thinks(struct sim_event *event)
{
    struct sim_client *client = CONTAINER_OF(event, struct sim_client, think);
    struct sim *sim = &client->crowd->world->sim;

    if (client->crowd->is_quiet) {
        return;
    }
    if (!sim_process(sim, client->pid)->is_alive ||
        sim_process(sim, client->pid)->facts.start_ticks != client->peer.start_ticks) {
        hang_up(client);
        client_born(client);
    }
    if (client->crowd->world->is_up) {
        act(client, draw_act(client));
    } else if (chance(client, 100)) {
        die(client); /* while no daemon sees it */
    }
    sim_schedule_in(sim, &client->think, 1 + below(client, client->crowd->think_max_ms));
}

/* --- the crowd -------------------------------------------------------------------------------- */

void sim_crowd_fill(struct sim_crowd *crowd, struct sim_world *world, struct sim_check *check,
                    size_t count)
{
    CHECK(count <= SIM_CLIENTS_MAX);
    crowd->world = world;
    crowd->check = check;
    crowd->count = count;
    for (size_t i = 0; i < count; i++) {
        struct sim_client *client = &crowd->clients[i];

        client->crowd = crowd;
        client->think.fn = client_thinks;
        client_born(client);
    }
}

void sim_crowd_start(struct sim_crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) {
        struct sim_client *client = &crowd->clients[i];

        sim_schedule_in(&crowd->world->sim, &client->think, below(client, crowd->think_max_ms));
    }
}

void sim_crowd_calm(struct sim_crowd *crowd)
{
    crowd->is_quiet = true;
}

void sim_crowd_kill(struct sim_crowd *crowd)
{
    crowd->is_quiet = true;
    for (size_t i = 0; i < crowd->count; i++) {
        die(&crowd->clients[i]);
        sim_process_kill(&crowd->world->sim, crowd->clients[i].parent_pid);
    }
}

void sim_crowd_stop(struct sim_crowd *crowd)
{
    crowd->is_quiet = true;
    for (size_t i = 0; i < crowd->count; i++) {
        sim_unschedule(&crowd->world->sim, &crowd->clients[i].think);
        crowd->clients[i].connection = NULL;
    }
}
