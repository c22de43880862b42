/* The model Vault: tokens, leases and a database engine, with the answers of OpenBao 2.7 (and what
 * is the same in HashiCorp Vault 1.20). test_model.py runs one script against this model and a real
 * server, so that it can't drift.
 *
 * sim_vault.c: state and time. sim_vault_api.c, sim_vault_token.c: requests and answers. */
#ifndef LEASED_TESTS_SIM_VAULT_H
#define LEASED_TESTS_SIM_VAULT_H

#include "sim_issuer.h"

#define SIM_VAULT_MARK SIM_MARK
#define SIM_VAULT_ROLE_ID "role-id-of-leased"
#define SIM_VAULT_SECRET_ID "CANARY-secret-id"
#define SIM_VAULT_ROOT "CANARY-root"
#define SIM_VAULT_ID_MAX_BYTES 96
#define SIM_VAULT_ROLES_MAX 16
#define SIM_VAULT_NEVER SIM_NEVER

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

struct sim_vault_lease {
    struct sim_credential credential; /* first; its secret is the password */
    struct map_entry by_id;
    char username[64];
    struct sim_vault_role *role;
    struct sim_vault_token *token;
};

struct sim_vault {
    struct sim_issuer issuer; /* first */
    struct sim_random *random;
    uint64_t now_ms; /* of the request under way */
    struct map tokens;
    struct map accessors;
    struct map leases_by_id;
    struct sim_vault_role roles[SIM_VAULT_ROLES_MAX];
    size_t role_count;
    struct sim_vault_token_options login; /* what a login gives */
    bool is_sealed;
    bool denies_renew;
    bool denies_child;   /* nor may it make tokens, or look after them */
    char token_role[32]; /* makes orphans; "": there is none */
    uint64_t renew_total;
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

/* Its table, for worlds. */
extern const struct sim_issuer_kind sim_vault_kind;

/* --- the truth ---------------------------------------------------------------------------------
 */

/* sim_issuer_kind.valid_until_ms of a lease. */
uint64_t sim_vault_valid_until_ms(const struct sim_credential *credential, uint64_t now_ms);
struct sim_vault_lease *sim_vault_find_password(struct sim_vault *vault, struct str password);
struct sim_vault_lease *sim_vault_find_lease(struct sim_vault *vault, struct str id);

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
                                            struct sim_vault_token *token,
                                            const struct sim_call *call);

#endif
