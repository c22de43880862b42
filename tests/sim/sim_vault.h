/* The model Vault: tokens, leases and a database engine, with the answers of OpenBao 2.7 (and what
 * is the same in HashiCorp Vault 1.20). test_model.py runs one script against this model and a real
 * server, so that it can't drift.
 *
 * It keeps the truth, which the checkers look at: which credentials are valid now, and whether the
 * answer that held them reached anybody. Everything secret that it makes holds SIM_VAULT_MARK, so
 * that a leak is found by looking for that word.
 *
 * sim_vault.c: state and time. sim_vault_api.c, sim_vault_token.c: requests and answers. */
#ifndef LEASED_TESTS_SIM_VAULT_H
#define LEASED_TESTS_SIM_VAULT_H

#include "sim.h"

#include "base/map.h"

#include <jansson.h>

#define SIM_VAULT_MARK "CANARY"
#define SIM_VAULT_ROLE_ID "role-id-of-leased"
#define SIM_VAULT_SECRET_ID "CANARY-secret-id"
#define SIM_VAULT_ROOT "CANARY-root"
#define SIM_VAULT_ID_MAX_BYTES 96
#define SIM_VAULT_ROLES_MAX 16
#define SIM_VAULT_NEVER UINT64_MAX

/* A role of the database engine. */
struct sim_vault_role {
    char name[32];
    uint64_t default_ttl_ms;
    uint64_t max_ttl_ms;
    bool is_renewable;
    uint64_t issue_count;
    uint64_t spread_ms; /* until what its credentials are for knows a new one, at most */
};

struct sim_vault_token_options {
    const char *id;      /* NULL: drawn */
    uint64_t ttl_ms;     /* 0: never ends */
    uint64_t max_ttl_ms; /* 0: no bound */
    uint64_t period_ms;  /* 0: not periodic */
    bool is_renewable;
    bool is_root;
    uint64_t uses; /* 0: any number */
    /* NULL: it is nobody's child, and dies with nobody. */
    struct sim_vault_token *parent;
};

struct sim_vault_token {
    struct map_entry entry;
    struct map_entry by_accessor;
    char id[SIM_VAULT_ID_MAX_BYTES];
    char accessor[32];
    uint64_t issued_ms;
    uint64_t renewed_ms; /* 0: never */
    uint64_t expires_ms;
    uint64_t max_expires_ms;
    struct sim_vault_token_options options;
    bool is_login;      /* by AppRole */
    bool is_child;      /* made by another one, be it an orphan */
    uint64_t uses_left; /* 0: any number */
    const char *role;   /* the token role that has made it; NULL: none */
    json_t *meta;       /* owned; NULL: none */
    bool is_revoked;
    bool is_capped;  /* a renewal's answer said that its maximum is reached */
    bool was_told;   /* that it is: kept by the checkers */
    bool was_killed; /* by sim_vault_kill_tokens: nobody told its user */
};

/* What became of the answer that held a credential. */
enum sim_vault_fate {
    SIM_VAULT_UNANSWERED,
    SIM_VAULT_DELIVERED,
    SIM_VAULT_LOST,
};

struct sim_vault_lease {
    struct map_entry by_id;
    struct map_entry by_password;
    struct list node;       /* in vault->leases, or ->past */
    struct list unanswered; /* in vault->unanswered */
    char id[SIM_VAULT_ID_MAX_BYTES];
    char username[64];
    char password[48];
    struct sim_vault_role *role;
    struct sim_vault_token *token;
    uint64_t exchange;
    uint64_t issued_ms;
    uint64_t known_ms;   /* from then on it works */
    uint64_t renewed_ms; /* 0: never */
    uint64_t expires_ms;
    uint64_t granted_ms; /* the life that its issue's answer told of, its token's end counted */
    bool is_revoked;
    enum sim_vault_fate fate;
    bool was_forgotten;           /* the issuer came back without it: nobody told its user */
    bool is_revoke_sent;          /* this and the next are kept by the checkers */
    uint64_t revoke_confirmed_to; /* the daemon with this number; 0: to none */
    uint64_t handed_out_count;
};

/* How badly it behaves; in permille of the requests. */
struct sim_vault_faults {
    uint32_t limited;       /* 429 with Retry-After */
    uint32_t failed;        /* 500, nothing done */
    uint32_t revoke_failed; /* the database refuses to drop the user */
};

struct sim_vault {
    struct sim_random *random;
    uint64_t now_ms; /* of the request under way */
    struct map tokens;
    struct map accessors;
    struct map leases_by_id;
    struct map leases_by_password;
    struct list leases;     /* those that may be valid still, oldest first */
    struct list past;       /* the others */
    struct list unanswered; /* issued, and the exchange isn't over */
    struct sim_vault_role roles[SIM_VAULT_ROLES_MAX];
    size_t role_count;
    struct sim_vault_token_options login; /* what a login gives */
    struct sim_vault_faults faults;
    bool is_sealed;
    bool denies_issue; /* the policy of every token but root's was changed */
    bool denies_renew;
    bool denies_login;
    bool denies_child;   /* nor may it make tokens, or look after them */
    char token_role[32]; /* makes orphans; "": there is none */
    uint64_t issue_total;
    uint64_t renew_total;
    uint64_t revoke_total;
    uint64_t login_total;
};

/* `random` is borrowed. A root token, SIM_VAULT_ROOT, is there. */
void sim_vault_init(struct sim_vault *vault, struct sim_random *random);
void sim_vault_fini(struct sim_vault *vault);

struct sim_vault_role *sim_vault_add_role(struct sim_vault *vault, const char *name,
                                          uint64_t default_ttl_ms, uint64_t max_ttl_ms,
                                          bool is_renewable);
struct sim_vault_role *sim_vault_find_role(struct sim_vault *vault, struct str name);

/* --- the network's side: struct sim_server, `user` is the vault --------------------------------
 */

void sim_vault_answer(void *user, const struct sim_call *call, struct sim_answer *answer);
void sim_vault_ended(void *user, uint64_t exchange, bool is_delivered);

/* --- the truth ---------------------------------------------------------------------------------
 */

/* Until when this credential is valid at `now_ms` if nothing happens; 0: it isn't any more. */
uint64_t sim_vault_valid_until_ms(const struct sim_vault_lease *lease, uint64_t now_ms);
struct sim_vault_lease *sim_vault_find_password(struct sim_vault *vault, struct str password);
struct sim_vault_lease *sim_vault_find_lease(struct sim_vault *vault, struct str id);

/* Walks the credentials that are valid at `now_ms`, oldest first; NULL starts. */
struct sim_vault_lease *sim_vault_next_valid(struct sim_vault *vault, uint64_t now_ms,
                                             const struct sim_vault_lease *after);

/* Did somebody revoke it, or what it hangs on, without telling its user? */
bool sim_vault_was_killed(const struct sim_vault_token *token);

/* Is it expected to live on for as long as it is renewed? */
bool sim_vault_lives_on(const struct sim_vault_token *token);
size_t sim_vault_valid_count(struct sim_vault *vault, uint64_t now_ms);

/* --- operators ---------------------------------------------------------------------------------
 */

/* Somebody revokes all tokens that logins gave: their leases die with them. */
void sim_vault_kill_tokens(struct sim_vault *vault);

/* --- between the files -------------------------------------------------------------------------
 */

struct sim_vault_token *sim_vault_add_token(struct sim_vault *vault,
                                            const struct sim_vault_token_options *options);
/* After each request: some may be used a few times only. */
void sim_vault_token_used(struct sim_vault *vault, struct sim_vault_token *token);
struct sim_vault_token *sim_vault_find_accessor(struct sim_vault *vault, struct str accessor);
/* NULL when there is none, or it isn't valid now. */
struct sim_vault_token *sim_vault_find_token(struct sim_vault *vault, struct str id);
struct sim_vault_lease *sim_vault_add_lease(struct sim_vault *vault, struct sim_vault_role *role,
                                            struct sim_vault_token *token, uint64_t exchange);
/* An id of `count` letters and digits behind `prefix`. */
void sim_vault_draw_id(struct sim_vault *vault, const char *prefix, size_t count, char *out,
                       size_t out_size);

#endif
