/* Token services: OAuth 2 (RFC 6749, 7523, 8693) and what speaks like it. A request with a form or
 * a header; an answer with a token and its end; or a refusal with a code and a sentence. */
#ifndef PLUGIN_COMMON_OAUTH_H
#define PLUGIN_COMMON_OAUTH_H

#include "config.h"
#include "work.h"

#include <jansson.h>

/* --- requests --------------------------------------------------------------------------------- */

/* One request; what is NULL or empty is left out. */
struct plugin_oauth_request {
    const char *method;
    const char *address; /* scheme://host[:port] */
    struct leased_str path;
    const char *content_type;
    struct leased_str body;
    struct leased_http_header header; /* one more, such as Authorization */
    struct leased_http_header other;  /* and another one */
    bool is_metadata;                 /* of the machine itself: LEASED_HTTP_METADATA */
};

/* As plugin_work_send. A token whose answer is lost ends by itself and is nobody's, so that nothing
 * here counts as created: it may be sent again. */
int plugin_oauth_send(struct plugin_work *work, const struct plugin_oauth_request *request,
                      plugin_replied_fn replied);

/* --- answers ---------------------------------------------------------------------------------- */

struct plugin_token {
    json_t *root;           /* owns `text` (plugin_token_fini) */
    struct leased_str text; /* printable, no blanks */
    int64_t life_s;         /* > 0, from the answer on */
    int64_t ends_s;         /* unix time */
};

/* The token under `key` of an answer, with the earliest of the ends that it gives: expires_in
 * (seconds, as a number or a text), expires_on (unix time, likewise), expireTime (RFC 3339); where
 * it gives none, the `exp` of the token, which is a JWT then. NULL, or what is wrong with the
 * answer (static). */
const char *plugin_oauth_token(struct plugin_work *work, const struct leased_http_reply *http,
                               const char *key, struct plugin_token *ret_token);

/* The same of an answer that is a JWT and nothing else. */
const char *plugin_oauth_bare_token(struct plugin_work *work, const struct leased_http_reply *http,
                                    struct plugin_token *ret_token);

void plugin_token_fini(struct plugin_token *token);

/* Ends an issue well: the token as the secret field `name`, then `more` (an empty key: none), then
 * expires_on (unix time); token_type Bearer goes with an access_token. */
void plugin_oauth_end(struct plugin_work *work, const char *name, const struct plugin_token *token,
                      const struct leased_kv *more);

/* --- refusals --------------------------------------------------------------------------------- */

struct plugin_refusal {
    int32_t status;          /* LEASED_* */
    uint64_t retry_after_ms; /* with LEASED_RETRY_AFTER */
    int64_t code;            /* the issuer's number (AADSTS…); 0: it gave none */
    struct plugin_text detail;
};

/* Reads any answer that isn't 2xx: {"error": "code", "error_description"}, {"error": {"status",
 * "message"}} or {"message"}. `who` stands at the beginning of the text. Should the issuer echo
 * `secret`, what it says is left out. */
void plugin_oauth_refused(const struct leased_http_reply *http, const char *who,
                          struct leased_str secret, struct plugin_refusal *ret);

/* Ends the work by it. */
void plugin_oauth_fail(struct plugin_work *work, const struct plugin_refusal *refusal);

/* --- clocks ----------------------------------------------------------------------------------- */

/* Was a signed time refused because our clock is wrong? Then `skew_s` (what to add to our clock) is
 * set right by the answer's Date, and trying again once makes sense. */
bool plugin_oauth_corrects_clock(const struct plugin_work *work,
                                 const struct leased_http_reply *http, int64_t *skew_s);

/* --- secrets ---------------------------------------------------------------------------------- */

/* What a source holds, as text (host->secret_free); NULL with the reason. */
char *plugin_oauth_secret(const struct plugin_works *works, const struct plugin_source *source,
                          struct plugin_text *detail);

/* backend_ops.health where the service has nothing to ask that tells whether it will give: can all
 * of these be read? Sources that aren't given count as read. */
int32_t plugin_oauth_health(struct plugin_works *works, const struct plugin_source *sources,
                            size_t count, leased_op *op);

#endif
