/* The whole daemon above env as one target: the API, policies, lease core, trail, backend and the
 * Vault plugin in the simulated world, with the model Vault behind the network. The input is a
 * script, one act a line, by the first character:
 *
 *   >0METHOD<tab>target[<tab>Name: value]…[<tab><tab>body]   client 0 … 3 sends; no header: ours
 *   x0      client 0 hangs up          k0      its process dies
 *   o0      it connects again as somebody who can't be established
 *   t0      it connects again over loopback TCP: its uid alone is known
 *   +3      10^3 ms pass (0 … 6)       f0      a fault comes, or goes (see `faults`)
 *
 * In targets and bodies $l and $g stand for the lease and the grant that were handed out last, to
 * whomever; a header's value $t for the last grant token. The simulator's checkers run along: what
 * is handed out is valid and on record, no secret goes anywhere else, each request is answered
 * once. In the end, with all faults gone and everybody dead, nothing is left at the issuer. */
#include "sim/sim_check.h"

#include "base/mem.h"
#include "fuzz/input.h"
#include "lease/token.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define ACTS_MAX 48
#define CLIENTS_MAX 4
#define WAIT_MAX 6 /* 10^6 ms: a quarter of an hour */
#define ID_MAX_BYTES 40
#define SETTLE_MS 120000U
#define DRAIN_MS 600000U
#define FAULT_PERMILLE 400

struct client {
    struct env_peer peer;
    struct env_connection *connection;
    bool is_waiting; /* for an answer on it */
};

struct stage {
    struct sim_world world;
    struct sim_check check;
    struct client clients[CLIENTS_MAX];
    char lease[ID_MAX_BYTES];
    char grant[ID_MAX_BYTES];
    char token[LEASE_TOKEN_BYTES + 1];
};

static const char policy[] =
    "rules:\n"
    "- {name: no-mallory, subjects: [{user: user3}], roles: [shared], effect: deny}\n"
    "- {name: everybody, subjects: [{user: '*'}], roles: [orders, shared, own],\n"
    "   limits: {duration: 2h, live: 4, binding: [connection, process, none, 'pid:*']}}\n"
    "- {name: why, subjects: [{user: user1}], roles: [reason], require: {reason: '^OPS-'}}\n"
    "admins:\n"
    "- {subjects: [{user: user0}]}\n";

/* --- the stage -------------------------------------------------------------------------------- */

static void pass(struct stage *stage, uint64_t ms)
{
    struct sim *sim = &stage->world.sim;
    uint64_t end_ms = sim->now_ms + ms;

    sim_run_deferred(sim);
    while (sim->heap_count > 0 && sim->heap[1]->when_ms <= end_ms) {
        (void)sim_step(sim);
        sim_check_step(&stage->check);
    }
    sim->now_ms = end_ms;
    lease_core_check(stage->world.core);
}

static void add_client(struct stage *stage, size_t index)
{
    struct sim *sim = &stage->world.sim;
    uint32_t uid = 1000 + (uint32_t)index;
    int32_t pid = sim_process_spawn(sim, uid, sim_process_spawn(sim, uid, 1));

    stage->clients[index].peer =
        (struct env_peer){.uid = uid,
                          .gid = uid,
                          .pid = pid,
                          .start_ticks = sim_process(sim, pid)->facts.start_ticks,
                          .cgroup = "/"};
}

static void stage_open(struct stage *stage)
{
    static const struct sim_role roles[] = {
        {.name = "orders",
         .issuer_ttl_ms = 3600000,
         .issuer_max_ttl_ms = 86400000,
         .is_renewable = true},
        {.name = "shared",
         .issuer_ttl_ms = 600000,
         .issuer_max_ttl_ms = 7200000,
         .is_renewable = true,
         .share = LEASE_SHARE_ROLE,
         .linger_ms = 60000},
        {.name = "own",
         .issuer_ttl_ms = 600000,
         .issuer_max_ttl_ms = 600000,
         .share = LEASE_SHARE_IDENTITY},
        {.name = "reason", .issuer_ttl_ms = 60000, .issuer_max_ttl_ms = 60000},
    };

    *stage = (struct stage){.lease = "none", .grant = "none"};
    sim_world_init(&stage->world, 1);
    sim_check_init(&stage->check, &stage->world);
    stage->world.vault.login = (struct sim_vault_token_options){.ttl_ms = 3600000,
                                                                .period_ms = 3600000,
                                                                .is_renewable = true};
    sim_world_start(&stage->world, &(struct sim_world_options){
                                       .roles = roles,
                                       .role_count = ARRAY_LEN(roles),
                                       .policy = policy,
                                       .in_flight = 4,
                                   });
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        add_client(stage, i);
    }
    stage->world.api.apis |= SERVE_API_AWS | SERVE_API_GCP | SERVE_API_AZURE;
    pass(stage, 1000);
}

static void end_faults(struct stage *stage)
{
    stage->world.sim.faults = (struct sim_faults){0};
    stage->world.vault.issuer.faults = (struct sim_issuer_faults){0};
    stage->world.vault.is_sealed = false;
    stage->world.sim.is_issuer_down = false;
    stage->world.sim.is_disk_full = false;
    stage->world.listener.undelivered = 0;
}

/* With faults gone everything ends in order, and nothing is left. */
static void stage_close(struct stage *stage)
{
    struct sim *sim = &stage->world.sim;

    end_faults(stage);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        sim_process_kill(sim, stage->clients[i].peer.pid);
    }
    sim_listener_close(&stage->world.listener);
    pass(stage, SETTLE_MS);
    (void)sim_world_drain(&stage->world, DRAIN_MS);
    sim_check_nothing_held(&stage->check);
    sim_world_stop(&stage->world, true);
    sim_check_ended(&stage->check);
    while (sim_step(sim)) {
        /* what is left belongs to the network */
    }
    sim_check_fini(&stage->check);
    sim_world_fini(&stage->world);
}

/* --- answers ---------------------------------------------------------------------------------- */

/* Every answer is JSON, but for /livez and /readyz, and every refusal a problem with a code. */
static void replied(struct sim_request *request)
{
    struct stage *stage = request->user;
    json_error_t why;
    json_t *answer;

    CHECK(request->status >= 200 && request->status < 600);
    sim_check_replied(&stage->check, request);
    if (request->answer.len == 0 || (request->status < 400 && request->answer.bytes[0] != '{')) {
        return;
    }
    answer = json_loadb(request->answer.bytes, request->answer.len, JSON_REJECT_DUPLICATES, &why);
    CHECK(json_is_object(answer) || request->answer.bytes[0] != '{');
    CHECK(request->answer.bytes[0] != '{' || request->status < 400 ||
          json_is_string(json_object_get(answer, "code")) ||
          json_is_string(json_object_get(answer, "error")));
    if (json_is_object(json_object_get(answer, "credential"))) {
        (void)snprintf(stage->lease, sizeof(stage->lease), "%s",
                       json_string_value(json_object_get(answer, "lease")));
        (void)snprintf(stage->grant, sizeof(stage->grant), "%s",
                       json_string_value(json_object_get(answer, "grant")));
    }
    if (json_is_string(json_object_get(answer, "token"))) {
        (void)snprintf(stage->token, sizeof(stage->token), "%s",
                       json_string_value(json_object_get(answer, "token")));
    }
    json_decref(answer);
}

static void over(struct sim_request *request, bool is_delivered)
{
    struct stage *stage = request->user;
    size_t index = request->connection->peer.uid - 1000U;
    struct client *client = &stage->clients[index];

    sim_check_answered(&stage->check, request, is_delivered);
    if (client->connection == request->connection) {
        client->is_waiting = false;
        client->connection = !is_delivered || request->will_close ? NULL : client->connection;
    }
}

/* --- acts ------------------------------------------------------------------------------------- */

static void hang_up(struct client *client)
{
    if (client->connection != NULL) {
        sim_connection_close(client->connection, 0);
        client->connection = NULL;
        client->is_waiting = false;
    }
}

/* The text with $l and $g filled in. */
static void expand(const struct stage *stage, struct str text, struct buf *out)
{
    buf_init(out, 64U * 1024U);
    while (text.len > 0) {
        struct str part = str_cut(&text, '$');

        buf_add_str(out, part);
        if (text.ptr == NULL) {
            break;
        }
        if (str_starts_with(text, "l") || str_starts_with(text, "g")) {
            buf_add_c(out, text.ptr[0] == 'l' ? stage->lease : stage->grant);
            text = (struct str){text.ptr + 1, text.len - 1};
        } else {
            buf_add_char(out, '$');
        }
    }
}

/* What io's server has made sure of before serve sees a header. */
static void add_header(const struct stage *stage, struct env_request *request, struct str line)
{
    struct str name = str_cut(&line, ':');
    struct str value = str_trim(line);

    if (request->header_count < ENV_REQUEST_HEADERS_MAX && name.len > 0) {
        request->headers[request->header_count++] =
            (struct env_request_header){name, str_eq_c(value, "$t") ? str_of(stage->token) : value};
    }
}

static void take_headers(const struct stage *stage, struct env_request *request, struct str *rest)
{
    bool has_own = false;

    while (rest->len > 0) {
        struct str line = str_cut(rest, '\t');

        if (line.len == 0) {
            break;
        }
        has_own = true;
        add_header(stage, request, line);
    }
    if (!has_own) {
        add_header(stage, request, STR("Host: localhost"));
        add_header(stage, request, STR("X-Leased-Request: 1"));
    }
}

static void send_raw(struct stage *stage, struct client *client, struct str line)
{
    struct env_request raw = {.method = str_cut(&line, '\t')};
    struct str target = str_cut(&line, '\t');
    struct str rest;
    BUF_AUTO target_text; /* style-ok: cleanup: expand() begins with it */
    BUF_AUTO body_text;   /* style-ok: cleanup: the same */

    take_headers(stage, &raw, &line);
    expand(stage, target, &target_text);
    expand(stage, line, &body_text);
    rest = buf_str(&target_text);
    raw.path = str_cut(&rest, '?');
    raw.query = rest;
    raw.body = buf_str(&body_text);
    if (client->connection == NULL) {
        client->connection = sim_connection_open(&stage->world.listener, &client->peer);
    }
    client->is_waiting = true;
    (void)sim_request_send(client->connection,
                           &(struct sim_request_options){
                               .raw = &raw, .replied = replied, .over = over, .user = stage});
}

static void toggle(uint32_t *permille)
{
    *permille = *permille == 0 ? FAULT_PERMILLE : 0;
}

static void toggle_fault(struct stage *stage, size_t index)
{
    struct sim_faults *net = &stage->world.sim.faults;
    struct sim_issuer_faults *vault = &stage->world.vault.issuer.faults;
    uint32_t *const faults[] = {
        &net->refused,       &net->lost_request,    &net->lost_answer,
        &net->garbage,       &net->bad_gateway,     &net->slow,
        &net->append_failed, &net->append_slow,     &vault->limited,
        &vault->failed,      &vault->revoke_failed, &stage->world.listener.undelivered,
    };

    if (index < ARRAY_LEN(faults)) {
        toggle(faults[index]);
    } else if (index == ARRAY_LEN(faults)) {
        stage->world.vault.is_sealed = !stage->world.vault.is_sealed;
    } else if (index == ARRAY_LEN(faults) + 1) {
        stage->world.sim.is_issuer_down = !stage->world.sim.is_issuer_down;
    } else {
        stage->world.sim.is_disk_full = !stage->world.sim.is_disk_full;
    }
}

static void connect_unknown(struct stage *stage, struct client *client)
{
    struct env_peer peer = client->peer;

    hang_up(client);
    peer.state = ENV_PEER_UNKNOWN;
    peer.problem = "the caller can't be established";
    client->connection = sim_connection_open(&stage->world.listener, &peer);
}

static void connect_loopback(struct stage *stage, struct client *client)
{
    struct env_peer peer = {.kind = ENV_PEER_LOOPBACK, .uid = client->peer.uid};

    hang_up(client);
    client->connection = sim_connection_open(&stage->world.listener, &peer);
}

static void wait(struct stage *stage, size_t digits)
{
    uint64_t ms = 1;

    for (; digits > 0; digits--) {
        ms *= 10;
    }
    pass(stage, ms);
}

static void act(struct stage *stage, struct str line)
{
    char verb = line.len > 1 ? line.ptr[0] : '\0';
    size_t number = line.len > 1 ? (unsigned char)line.ptr[1] - (size_t)'0' : 0;
    struct client *client = &stage->clients[number % CLIENTS_MAX];

    if (verb == '>' && !client->is_waiting) {
        send_raw(stage, client, (struct str){line.ptr + 2, line.len - 2});
    } else if (verb == 'x') {
        hang_up(client);
    } else if (verb == 'k') {
        sim_process_kill(&stage->world.sim, client->peer.pid);
    } else if (verb == 'o') {
        connect_unknown(stage, client);
    } else if (verb == 't') {
        connect_loopback(stage, client);
    } else if (verb == '+') {
        wait(stage, number % (WAIT_MAX + 1));
    } else if (verb == 'f') {
        toggle_fault(stage, number % 16);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    struct stage *stage;
    size_t i;

    /* A client that knows the word which stands for all secrets may have it shown to himself. */
    if (size > 0 && memmem(bytes, size, SIM_VAULT_MARK, strlen(SIM_VAULT_MARK)) != NULL) {
        return 0;
    }
    stage = mem_alloc(sizeof(*stage));
    CHECK(stage != NULL);
    stage_open(stage);
    for (i = 0; i < ACTS_MAX && input.size > 0; i++) {
        act(stage, input_line(&input));
        sim_run_deferred(&stage->world.sim);
        lease_core_check(stage->world.core);
    }
    pass(stage, 1000);
    stage_close(stage);
    mem_free(stage);
    return 0;
}
