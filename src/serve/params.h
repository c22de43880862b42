/* What a request says beyond its path: query parameters, or the JSON object of a POST. */
#ifndef LEASED_SERVE_PARAMS_H
#define LEASED_SERVE_PARAMS_H

#include "access/match.h"
#include "lease/core.h"
#include "request/request.h"
#include "wire/client_match.h"

#define PARAMS_ROLE_MAX_BYTES 64
#define PARAMS_STATE_MAX_BYTES 16
#define PARAMS_WAIT_MAX_MS (600U * 1000U)
#define PARAMS_EFFECT_WAIT_MS 30000U /* how long renew and rotate are waited for by default */
#define PARAMS_LIST_DEFAULT 100
#define PARAMS_LIST_MAX 1000

/* Names of parameters as bits: what a request may say is a set of them. */
enum serve_param {
    PARAM_ROLE = 1,
    PARAM_DURATION = 2,
    PARAM_REASON = 4,
    PARAM_TICKET = 8,
    PARAM_BINDING = 16,
    PARAM_MIN_REMAINING = 32,
    PARAM_WAIT = 64,
    PARAM_LIMIT = 128,
    PARAM_CURSOR = 256,
    PARAM_GRANT = 512,
    PARAM_TOKEN = 1024,
    PARAM_TARGET = 2048,
    PARAM_MATCH = 4096,
    PARAM_BLOCK = 8192,
    PARAM_BREAK_GLASS = 16384,
    PARAM_COMMENT = 32768,
    PARAM_STATE = 65536,
    PARAM_REVIEW = 131072,
    PARAM_DIGEST = 1U << 20,
    PARAM_MAX_ENDED = 1U << 21,
    PARAM_DRAIN = 1U << 22,
    PARAM_OBSERVE = 1U << 23,
    /* Of bodies alone; their handlers read them: see params_parse_object. */
    PARAM_FILES = 1U << 24,
    PARAM_REVISION = 1U << 25,
    PARAM_SUBJECT = 1U << 26,
    PARAM_MAIN = 1U << 27,
};
#define PARAMS_READ_BY_HANDLER (PARAM_FILES | PARAM_MAIN | PARAM_REVISION | PARAM_SUBJECT)
#define PARAMS_DIGEST_BYTES 64
#define PARAMS_DRAIN_MAX_MS (24U * 60U * 60U * 1000U)

struct serve_params {
    char role[PARAMS_ROLE_MAX_BYTES + 1];
    char reason[LEASE_REASON_MAX_BYTES + 1];
    char ticket[LEASE_TICKET_MAX_BYTES + 1];
    char cursor[LEASE_ID_BYTES + 1];
    char grant[LEASE_ID_BYTES + 1];
    char target[CLIENT_TARGET_MAX_BYTES + 1];
    char comment[REQUEST_COMMENT_MAX_BYTES + 1];
    char state[PARAMS_STATE_MAX_BYTES + 1]; /* of a request; "": any */
    uint64_t duration_ms;                   /* 0: not asked */
    uint64_t min_remaining_ms;              /* 0: not asked */
    uint64_t wait_ms;
    uint32_t limit;
    bool wants_token;
    struct access_match *match; /* owned; NULL: not said */
    uint64_t block_ms;          /* 0: not asked */
    bool is_break_glass;
    bool is_review; /* only what is to be reviewed */
    bool wants_observed;
    bool has_max_ended;
    uint64_t max_ended;
    uint64_t drain_ms;
    char digest[PARAMS_DIGEST_BYTES + 1];
    struct access_binding_spec bindings[ACCESS_BINDINGS_MAX];
    size_t binding_count;
};

/* The name of one PARAM_*. */
const char *params_name(uint32_t bit);

/* All zero but for the defaults. */
void params_init(struct serve_params *params);
void params_fini(struct serve_params *params);

/* Reads a query string. `allowed` is a set of PARAM_*; all others, and repeated ones (but for
 * `binding`), are errors: a mistyped limit must not be ignored. ERR_INVALID or ERR_NOMEM with a
 * text. */
int params_parse_query(struct str query, uint32_t allowed, struct serve_params *params,
                       struct err *e) ATTR_MUST_USE;

/* Reads a JSON object with the same names; `binding` may be a list. ERR_INVALID or ERR_NOMEM
 * with a text. What is nested or has many values is refused before it is parsed. */
int params_parse_json(struct str body, uint32_t allowed, struct serve_params *params,
                      struct err *e) ATTR_MUST_USE;

/* The same of an object that was read already, in which a handler has found what it reads itself.
 */
struct json_t;
int params_parse_object(const struct json_t *object, uint32_t allowed, struct serve_params *params,
                        struct err *e) ATTR_MUST_USE;

#endif
