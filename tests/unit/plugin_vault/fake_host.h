/* A host for the plugin alone: a virtual clock, timers, exchanges that the test answers, and a
 * record of how each operation ended. Checks what the ABI demands of a plugin: one end for each
 * operation, never from inside a start function, nothing left behind. */
#ifndef TESTS_UNIT_PLUGIN_VAULT_FAKE_HOST_H
#define TESTS_UNIT_PLUGIN_VAULT_FAKE_HOST_H

#include "leased/plugin.h"

#include <stdbool.h>

#define HOST_TIMERS_MAX 512
#define HOST_HTTPS_MAX 512
#define HOST_OPS_MAX 512
#define HOST_ANCHORS_MAX 64
#define HOST_SECRETS_MAX 4
#define HOST_GENERATIONS_MAX 256
#define HOST_STATE_MAX 65536

struct fake_timer {
    bool is_armed;
    uint64_t when_ms;
    leased_timer_fn fn;
    void *user;
};

struct fake_http {
    bool is_open;
    bool is_canceled;
    uint32_t flags;
    char method[8];
    char path[1024];
    char body[4096];
    char token[256];
    char name_space[256];
    bool has_guard;      /* X-Vault-Request: true */
    bool is_unforwarded; /* X-Vault-No-Request-Forwarding: true */
    char others[256];    /* the other headers: name=value, one a line */
    leased_http_fn fn;
    void *user;
};

struct fake_op {
    bool is_open;
    size_t done_count;
    int32_t status;
    uint32_t flags;
    uint64_t lifetime_ms;
    uint64_t retry_after_ms;
    uint64_t anchor;
    uint64_t asked_ms;
    uint64_t refresh_ms;
    char ref[1100];
    char detail[512];
    char fields[4096]; /* name=value or name*=value (secret), one a line */
    char warnings[512];
    uint32_t reply_status; /* of a call; 0: it had no answer */
    char reply[1024];      /* its headers, name=value one a line, and its body */
};

/* What the host was asked to put on durable record; the test decides when it is. */
struct fake_intent {
    struct fake_op *op;
    char ref[1100];
    bool is_open;
    leased_intent_fn fn;
    void *user;
};

struct fake_anchor {
    uint64_t anchor;
    uint64_t when_ms;
    char reason[256];
};

struct fake_secret {
    const char *source;
    const char *value; /* NULL: can't be read */
    size_t len;        /* 0: that of the text */
};

/* The host context that the plugin gets. */
struct leased_host_context {
    uint64_t now_ms;
    int64_t wall_ms;
    uint64_t random_state;
    struct fake_timer timers[HOST_TIMERS_MAX];
    size_t timer_count;
    struct fake_http https[HOST_HTTPS_MAX];
    size_t http_count;
    struct fake_op ops[HOST_OPS_MAX];
    size_t op_count;
    struct fake_op *starting; /* its start function runs: it must not end */
    struct fake_anchor anchors[HOST_ANCHORS_MAX];
    size_t anchor_count;
    uint64_t login_expires_ms;
    struct fake_secret secrets[HOST_SECRETS_MAX];
    bool http_fails; /* http_start returns NULL */
    /* Asking for the own token's rights is kept apart from the other exchanges. */
    struct fake_http rights;
    size_t rights_count;
    /* Intents are granted as soon as the plugin has returned, unless they are held. */
    struct fake_intent intents[HOST_OPS_MAX];
    size_t intent_count;
    bool holds_intents;
    bool intents_fail;          /* they can't be started */
    bool is_isolating;          /* issues go without `isolate: false` */
    char state[HOST_STATE_MAX]; /* what the plugin keeps */
    size_t state_count;         /* how often it did */
    char warnings[8][512];      /* key=text of those that stand */
    /* Anchors are drawn at random: told as numbers in the order in which they appeared. */
    uint64_t generations[HOST_GENERATIONS_MAX];
    size_t generation_count;
    size_t warn_count;
    char last_warning[64]; /* its event */
    char last_detail[512];
    const struct leased_backend_ops *plugin;
    leased_instance *vault;
};

#define TOKEN_CONFIG "{\"auth\":{\"method\":\"token\",\"token_file\":\"/token\"}}"
#define APPROLE_CONFIG                                                                             \
    "{\"auth\":{\"method\":\"approle\",\"role_id\":\"the-role\",\"secret_id_file\":\"/sid\"}}"

extern const struct leased_host fake_host;

/* Opens an instance; its login is the first exchange. The clock stands at 1 000 000 ms. */
struct leased_host_context *host_open(const char *config);

/* The same with one more secret; `value` NULL: it can't be read yet. Secret number 2 from then on.
 */
struct leased_host_context *host_open_with(const char *config, const char *source,
                                           const char *value);

/* Opens one and answers its login: a configured root token, or an AppRole token with this life. */
struct leased_host_context *host_open_root(void);
struct leased_host_context *host_open_approle(unsigned ttl_s);

/* Closes, answers what is still open, and checks that nothing is left. Frees the context. */
void host_close(struct leased_host_context *host, uint32_t flags);

/* Opens with what an earlier run kept (host->state). */
struct leased_host_context *host_open_kept(const char *config, const char *state);

/* Answers the question for the own token's rights, which must be open. */
void host_answer_rights(struct leased_host_context *host, uint32_t status, const char *body);

/* Lets the last intent, which must be open, end with this status. */
void host_intended(struct leased_host_context *host, int32_t status);

/* The text of a standing warning; NULL: there is none. */
const char *host_warning(const struct leased_host_context *host, const char *key);

/* Moves the clock; timers run at their time. */
void host_advance(struct leased_host_context *host, uint64_t ms);

/* Moves it to the next timer. */
void host_advance_to_timer(struct leased_host_context *host);

/* Runs timers that are due now. */
void host_run(struct leased_host_context *host);

/* The last exchange that was started; it must be open. */
struct fake_http *host_last(struct leased_host_context *host);
size_t host_open_https(const struct leased_host_context *host);

/* Answers an exchange. */
void host_answer(struct leased_host_context *host, struct fake_http *http, uint32_t status,
                 const char *body);
/* The same with one header. */
void host_answer_header(struct leased_host_context *host, struct fake_http *http, uint32_t status,
                        const struct leased_http_header *header, const char *body);
void host_answer_retry_after(struct leased_host_context *host, struct fake_http *http,
                             const char *seconds);
void host_fail(struct leased_host_context *host, struct fake_http *http, uint32_t transport);

/* Starts operations; each must be accepted. */
struct fake_op *host_issue(struct leased_host_context *host, const char *params, uint64_t ttl_ms);
struct fake_op *host_renew(struct leased_host_context *host, const char *ref, uint64_t ttl_ms);
struct fake_op *host_revoke(struct leased_host_context *host, const char *ref);
struct fake_op *host_pass(struct leased_host_context *host, const struct leased_call *request);
struct fake_op *host_health(struct leased_host_context *host);
void host_cancel(struct leased_host_context *host, struct fake_op *op);

/* Blocks of secret memory that are allocated; and: let the n-th allocation from now fail (0: none).
 */
size_t host_block_count(void);

/* A test that failed leaves some. */
void host_forget_blocks(void);

/* The allocator behind secret_alloc, for a library to be counted as well. Never fails by order. */
void *host_malloc(size_t size);
void host_free(void *block);

void host_fail_alloc(size_t nth);

/* Did that one come, and fail? */
bool host_alloc_failed(void);

const struct fake_anchor *host_last_anchor(const struct leased_host_context *host);

#endif
