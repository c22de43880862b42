/* Seeded consumers: each is a process under a parent, with a connection and a will of its own. It
 * asks for credentials, reads them again, gives them back, dies with them, hangs up on requests,
 * and looks around. */
#ifndef LEASED_TESTS_SIM_CLIENT_H
#define LEASED_TESTS_SIM_CLIENT_H

#include "sim_world.h"

#define SIM_HOLDINGS_MAX 8
#define SIM_ID_MAX_BYTES 40

/* What clients do; the weights of a seed. */
enum sim_act {
    SIM_ACT_READ,     /* GET /credentials/{role} */
    SIM_ACT_CREATE,   /* POST /leases */
    SIM_ACT_RELEASE,  /* DELETE /leases/{id} or /grants/{id} */
    SIM_ACT_LOOK,     /* lists, status, metrics */
    SIM_ACT_RENEW,    /* POST /leases/{id}/renew */
    SIM_ACT_ROTATE,   /* POST /leases/{id}/rotate */
    SIM_ACT_HANG_UP,  /* ends its connection, also under a request */
    SIM_ACT_DIE,      /* SIGKILL */
    SIM_ACT_ORPHAN,   /* its parent is killed */
    SIM_ACT_NONSENSE, /* unknown roles, ids and parameters */
    SIM_ACT_WATCH,    /* GET /watch on a connection of its own, or ends that */
    SIM_ACT_ACK,      /* POST /leases/{id}/ack */
};
#define SIM_ACT_COUNT (SIM_ACT_ACK + 1)

struct sim_crowd;

/* A credential that the client has read. */
struct sim_holding {
    size_t role;
    char lease[SIM_ID_MAX_BYTES];
    char grant[SIM_ID_MAX_BYTES];
};

struct sim_client {
    struct sim_crowd *crowd;
    uint32_t uid;
    uint32_t unit;
    int32_t pid;
    int32_t parent_pid;
    struct env_peer peer;
    struct env_connection *connection; /* NULL: none */
    uint64_t start_count;              /* of the daemon that this is to */
    struct sim_request *request;       /* the one that it waits for */
    struct env_connection *watch;      /* carries a stream; NULL: none */
    size_t role;                       /* that the request is about */
    uint32_t status;                   /* of the last answer that reached it; 0: none did */
    struct sim_event think;
    struct sim_holding holdings[SIM_HOLDINGS_MAX];
    size_t holding_count;
};

#define SIM_CLIENTS_MAX 128

struct sim_crowd {
    struct sim_world *world;
    struct sim_check *check;
    struct sim_client clients[SIM_CLIENTS_MAX];
    size_t count;
    uint32_t weights[SIM_ACT_COUNT];
    uint64_t think_max_ms;
    uint32_t uid_count;     /* clients share these many users */
    uint32_t bad_peers;     /* permille of connections whose peer can't be established */
    bool is_quiet;          /* nobody begins anything new */
    uint64_t answers_by[6]; /* by status / 100 */
};

/* `count` clients that do nothing by themselves. uid_count is set before. */
void sim_crowd_fill(struct sim_crowd *crowd, struct sim_world *world, struct sim_check *check,
                    size_t count);

/* From now on they act, first within think_max_ms. Weights and think_max_ms are set before. */
void sim_crowd_start(struct sim_crowd *crowd);

/* Nobody begins anything new; what is under way goes on. */
void sim_crowd_calm(struct sim_crowd *crowd);

/* All of them are killed. */
void sim_crowd_kill(struct sim_crowd *crowd);

/* Ends their events; after the world's connections are closed. */
void sim_crowd_stop(struct sim_crowd *crowd);

/* One request of one client; `body` may be NULL. Only when it waits for none. */
void sim_client_send(struct sim_client *client, const char *method, const char *target,
                     const char *body);

#endif
