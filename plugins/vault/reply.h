/* What Vault answers: the envelope of a success, the list of errors otherwise. Read strictly,
 * because what answers may be anything. */
#ifndef VAULT_REPLY_H
#define VAULT_REPLY_H

#include "common/reply.h"

/* A hundred years; more is nonsense. */
#define VAULT_SECONDS_MAX INT64_C(3153600000)

/* One success, parsed. Pointers are into `root`. */
struct vault_reply {
    json_t *root; /* owned; NULL: an empty body */
    struct leased_str lease_id;
    int64_t lease_duration_s;
    bool is_renewable;
    json_t *data;     /* object, or NULL */
    json_t *auth;     /* object, or NULL */
    json_t *warnings; /* array of strings, or NULL */
};

/* Parses the body of a 2xx answer; an empty body is an empty reply. 0, or -1 with the reason (none
 * of the body's bytes) in `ret_detail`. */
int vault_reply_parse(const struct leased_http_reply *http, struct vault_reply *ret_reply,
                      struct plugin_text *ret_detail);

/* What vault_reply_parse refuses may still name the lease that was created. 0: only `root` and
 * `lease_id` are set. -1: it can't be known. */
int vault_reply_salvage(const struct leased_http_reply *http, struct vault_reply *ret_reply);
void vault_reply_fini(struct vault_reply *reply);

/* Is it Vault's envelope, rather than just any object? */
bool vault_reply_is_envelope(const struct vault_reply *reply);

/* A text in an object; empty: there is none. */
struct leased_str vault_reply_text(json_t *object, const char *key);

/* A whole number in an object, 0 <= n <= max. 1 if it is there, 0 if it is absent or null, -1 if it
 * is something else. */
int vault_reply_seconds(json_t *object, const char *key, int64_t *ret_value);

/* Did the issuer warn that it gave less than was asked? */
bool vault_reply_is_capped(const struct vault_reply *reply);

/* The errors of a 4xx or 5xx answer. */
struct vault_errors {
    bool is_vault;        /* the body is Vault's: an object with `errors`; or a 404's envelope */
    char text[300];       /* the messages in one line; empty: none */
    bool is_plain_denial; /* the one message "permission denied" and nothing else */
};

void vault_errors_parse(const struct leased_http_reply *http, struct vault_errors *ret_errors);

/* For how long a cache in between has kept the answer, in seconds; its lives began so long ago. */
int64_t vault_header_age_s(const struct leased_http_reply *http);

/* `life_s` less an answer's age, and never below zero. */
int64_t vault_aged_s(int64_t life_s, int64_t age_s);

#endif
