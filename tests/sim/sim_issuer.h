/* A model of an issuer, and the truth about its credentials, which the checkers look at: which are
 * valid now, and whether the answer that held one reached anybody. Everything secret that a model
 * makes holds SIM_MARK, so that a leak is found by looking for that word; keys say what they are.
 *
 * A model is a table of functions (struct sim_issuer_kind), found by the address of a request, and
 * embeds a struct sim_issuer. sim_vault.h is the largest one; the others have a file each. */
#ifndef LEASED_TESTS_SIM_ISSUER_H
#define LEASED_TESTS_SIM_ISSUER_H

#include "sim.h"

#include "base/map.h"
#include "leased/plugin.h"

#include <jansson.h>

#define SIM_MARK "CANARY"
#define SIM_NEVER UINT64_MAX
/* Consumers are these users, and are called user1000 and so on. */
#define SIM_UID_FIRST 1000U
#define SIM_UID_COUNT 6U
#define SIM_ISSUER_ROLE_MAX_BYTES 64 /* of a role's name at an issuer */

/* What became of the answer that held a credential. */
enum sim_fate {
    SIM_UNANSWERED,
    SIM_DELIVERED,
    SIM_LOST,
};

struct sim_credential {
    struct map_entry by_secret;
    struct list node;       /* in issuer->living, or ->past */
    struct list unanswered; /* in issuer->unanswered */
    struct sim_issuer *issuer;
    char id[96];     /* for reports */
    char secret[96]; /* the field that it is known by */
    char role[SIM_ISSUER_ROLE_MAX_BYTES];
    uint64_t exchange;
    uint64_t issued_ms;
    uint64_t known_ms;   /* from then on it works */
    uint64_t renewed_ms; /* 0: never */
    uint64_t expires_ms;
    uint64_t granted_ms; /* the life that its issue's answer told of */
    bool is_revocable;
    bool is_findable; /* what asked for it is on record, so that a lost one is revoked as well */
    bool is_revoked;
    enum sim_fate fate;
    bool was_forgotten;           /* it ended, and nobody told its user */
    bool is_revoke_sent;          /* this and the next are kept by the checkers */
    uint64_t revoke_confirmed_to; /* the daemon with this number; 0: to none */
    uint64_t handed_out_count;
    uint64_t read_ms[SIM_UID_COUNT]; /* by user: when it was handed out to him first; 0: never */
};

/* How badly a model behaves; in permille of the requests. */
struct sim_issuer_faults {
    uint32_t limited; /* asks for fewer requests */
    uint32_t failed;  /* 500, nothing done */
    uint32_t revoke_failed;
};

struct sim_issuer {
    const struct sim_issuer_kind *kind; /* this and the next: NULL where it is no part of a world */
    struct sim *sim;
    struct sim_random *random;
    uint32_t variant; /* which of the kind's ways, where it has several */
    struct sim_issuer_faults faults;
    bool is_on_record; /* what is asked of it is on record before, so that it can be found */
    bool denies_issue; /* its policy was changed */
    bool denies_login; /* what the daemon shows isn't taken any more */
    struct map by_secret;
    struct list living;     /* those that may be valid still, oldest first */
    struct list past;       /* the others */
    struct list unanswered; /* issued, and the exchange isn't over */
    uint64_t issue_total;
    uint64_t revoke_total;
};

struct sim_issuer_kind {
    const char *name;          /* of the plugin, and of its backend */
    const char *const *places; /* what the URLs of its requests begin with; NULL at the end */
    leased_plugin_entry_fn entry;
    bool knows_no_twins; /* its roles have no keys that could lead elsewhere */

    /* A model of this kind, and its end. Vault's is a part of the world. */
    struct sim_issuer *(*create)(struct sim *sim, uint32_t variant);
    void (*destroy)(struct sim_issuer *issuer);

    /* JSON: the backend's own keys, and the keys of a role that is called so at the issuer. */
    void (*config)(const struct sim_issuer *issuer, char *out, size_t out_size);
    void (*params)(const struct sim_issuer *issuer, const char *role, char *out, size_t out_size);

    void (*answer)(struct sim_issuer *issuer, const struct sim_call *call,
                   struct sim_answer *answer);
    /* An exchange is over; NULL: the credential's fate is all. */
    void (*ended)(struct sim_issuer *issuer, uint64_t exchange);

    /* Until when it is valid at `now_ms` if nothing happens; 0: it isn't any more. */
    uint64_t (*valid_until_ms)(const struct sim_credential *credential, uint64_t now_ms);
    /* … and until when the daemon may take it to be, by what it was told. NULL: the same. */
    uint64_t (*due_until_ms)(const struct sim_credential *credential, uint64_t now_ms);

    /* Does this request ask for a credential? Then of which role. */
    bool (*asks)(struct sim_issuer *issuer, const struct sim_call *call,
                 char ret_role[SIM_ISSUER_ROLE_MAX_BYTES]);
    /* The one credential that this request is to end; NULL: it isn't about one. */
    struct sim_credential *(*ends)(struct sim_issuer *issuer, const struct sim_call *call);
    /* The one that it is to renew. May be NULL: nothing is renewed here. */
    struct sim_credential *(*renews)(struct sim_issuer *issuer, const struct sim_call *call);
    /* Is it revoked with something else, so that it may be revoked again? NULL: no. */
    bool (*may_end_twice)(const struct sim_credential *credential);
    /* What a consumer got, by its fields; NULL: the issuer never made that. */
    struct sim_credential *(*find)(struct sim_issuer *issuer, const json_t *fields);
};

extern const struct sim_issuer_kind sim_aws_kind;
extern const struct sim_issuer_kind sim_entra_kind;
extern const struct sim_issuer_kind sim_github_kind;
extern const struct sim_issuer_kind sim_google_kind;
extern const struct sim_issuer_kind sim_kube_kind;
extern const struct sim_issuer_kind sim_localca_kind;
extern const struct sim_issuer_kind sim_program_kind;

/* Of one that was zeroed; `random` is borrowed. */
void sim_issuer_init(struct sim_issuer *issuer, const struct sim_issuer_kind *kind,
                     struct sim_random *random);
/* Frees its credentials: each was allocated by itself, as a struct that begins with one. */
void sim_issuer_fini(struct sim_issuer *issuer);

/* Does this URL lead there? */
bool sim_issuer_is_at(const struct sim_issuer_kind *kind, struct str url);

/* Takes `credential` (zeroed, but for what the caller sets) over: issued by this call, now. `role`,
 * `secret`, and `expires_ms` are set by the caller. */
void sim_issuer_add(struct sim_issuer *issuer, struct sim_credential *credential,
                    const struct sim_call *call);
/* The same for one with a secret that is drawn, and a life from now. */
void sim_issuer_issue(struct sim_issuer *issuer, struct sim_credential *credential,
                      const struct sim_call *call, const char *role, uint64_t life_ms);
/* … and that has nothing of the model's own. */
struct sim_credential *sim_issuer_issue_plain(struct sim_issuer *issuer,
                                              const struct sim_call *call, const char *role,
                                              uint64_t life_ms);

/* Does it hold something secret? */
bool sim_is_leak(struct str text);

uint64_t sim_credential_until_ms(const struct sim_credential *credential, uint64_t now_ms);
struct sim_credential *sim_issuer_find(struct sim_issuer *issuer, struct str secret);

/* Walks the credentials that are valid at `now_ms`, oldest first; NULL starts. */
struct sim_credential *sim_issuer_next_valid(struct sim_issuer *issuer, uint64_t now_ms,
                                             const struct sim_credential *after);

/* The exchange is over: did the answers that it made reach the daemon whole? */
void sim_issuer_ended(struct sim_issuer *issuer, uint64_t exchange, bool is_delivered);

/* An id of `count` letters and digits behind `prefix`. */
void sim_draw_id(struct sim_random *random, const char *prefix, size_t count, char *out,
                 size_t out_size);

/* --- what models have in common ----------------------------------------------------------------
 */

/* By the issuer's clock, which is always right; in seconds. */
int64_t sim_issuer_now_s(const struct sim_call *call);
/* When that is, by the simulation's clock. */
uint64_t sim_issuer_moment_ms(int64_t unix_s);
/* "2026-01-01T00:00:00Z" */
void sim_issuer_rfc3339(int64_t unix_s, char out[24]);

/* The status of a refusal by its faults (429, 500), or 0. With 429 it sets retry_after_s. */
uint32_t sim_issuer_ill_status(struct sim_issuer *issuer, struct sim_answer *answer);
/* The field is the secret: sim_issuer_kind.find for who has nothing else to compare. */
struct sim_credential *sim_issuer_find_field(struct sim_issuer *issuer, const json_t *fields,
                                             const char *name);
/* sim_issuer_kind.valid_until_ms for who has nothing but its end and is_revoked. */
uint64_t sim_issuer_until_ms(const struct sim_credential *credential, uint64_t now_ms);
/* sim_issuer_kind.ends for who can't. */
struct sim_credential *sim_issuer_ends_none(struct sim_issuer *issuer, const struct sim_call *call);
/* sim_issuer_kind.destroy for who is nothing but a struct sim_issuer. */
void sim_issuer_destroy(struct sim_issuer *issuer);

/* `root` is taken. */
void sim_answer_json(struct sim_answer *answer, uint32_t status, json_t *root);
/* Says the issuer's time, as most do. */
void sim_answer_date(struct sim_answer *answer, const struct sim_call *call);

#endif
