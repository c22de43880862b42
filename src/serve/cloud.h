/* What the clouds' credential APIs (aws.c, gcp.c, azure.c) have in common. Internal to serve/. */
#ifndef LEASED_SERVE_CLOUD_H
#define LEASED_SERVE_CLOUD_H

#include "serve/acquire.h"

#define CLOUD_TEXT_MAX_BYTES 512 /* of a query's value, or of a role's parameter */

/* NULL: what the API's own clients always send, and pages and forwarded requests don't, is there.
 * Else what isn't. */
const struct serve_guard *cloud_guard_broken(const struct exchange *x);

/* --- what was asked for --- */

/* The value of a query's parameter. False: it isn't there, can't be read, or is too long. */
bool cloud_query(const struct exchange *x, const char *name, char out[CLOUD_TEXT_MAX_BYTES]);

/* A text among the role's own parameters (the plugin's). False: there is none. */
bool cloud_role_text(const struct lease_role *role, const char *name,
                     char out[CLOUD_TEXT_MAX_BYTES]);

/* Which role answers where the request names none. */
struct cloud_pick {
    const char *plugin;     /* of its backend */
    const char *configured; /* by the listener; NULL: whatever policy allows */
    /* May it be this one? `user` is below. NULL: any. */
    bool (*fits)(const struct lease_role *role, const void *user);
    const void *user;
};

/* The configured one, else the first in the configuration's order that fits and that policy allows
 * the caller. NULL: there is none, and the exchange has been answered. */
const struct lease_role *cloud_pick_role(struct exchange *x, const struct cloud_pick *pick);

/* The role of this name; NULL: there is none, and the exchange has been answered. */
const struct lease_role *cloud_role(struct exchange *x, struct str name);

/* `token` is what the API's clients send as a secret: if it is a grant token it names a grant,
 * anything else says nothing. Then asks for the role's credential, good for `min_remaining_ms`. */
void cloud_ask(struct exchange *x, const struct lease_role *role, struct str token,
               uint64_t min_remaining_ms);

/* --- what is answered --- */

/* A credential on its way out, for the send of a struct serve_form. */
struct cloud_credential {
    struct lease_credential opened;
    int64_t expires_wall_ms; /* when its holder needs another: its own end, or its grant's */
    uint64_t left_s;         /* until then */
};

/* As lease_credential_open; given back by cloud_close. */
int cloud_open(struct exchange *x, const struct grant *grant,
               struct cloud_credential *ret_credential) ATTR_MUST_USE;
void cloud_close(struct cloud_credential *credential);

/* The first of these fields (ended by NULL) that it has; the empty slice if none. */
struct str cloud_field(const struct cloud_credential *credential, const char *const *names);

/* Detail and hint of a problem, as one sentence for one member. */
void cloud_problem_text(struct json_out *json, const char *key,
                        const struct exchange_problem *problem);

extern const struct serve_form serve_aws_form;
extern const struct serve_form serve_gcp_form;
extern const struct serve_form serve_azure_form;

#endif
