/* An instance, its operations, and how it asks GitHub: as the app, by a JWT, or with a token. */
#ifndef GITHUB_APP_H
#define GITHUB_APP_H

#include "config.h"
#include "params.h"
#include "common/work.h"

#define GITHUB_INSTALLATIONS_MAX 64
#define GITHUB_KEY_BYTES 32

/* An owner's installation, as it was looked up. */
struct github_installation {
    char owner[GITHUB_OWNER_MAX_BYTES]; /* empty: a free place */
    char id[GITHUB_ID_MAX_BYTES];
};

struct leased_instance {
    struct plugin_works works;
    struct github_config config;
    int64_t skew_s; /* GitHub's clock minus ours, since it refused a JWT that was off */
    struct github_installation installations[GITHUB_INSTALLATIONS_MAX];
    size_t installation_next; /* the place that is used next */
    unsigned char *key;       /* owned: what tokens in references are sealed with (ref.h) */
};

struct github_work;

typedef void (*github_step_fn)(struct github_work *work);
typedef void (*github_heard_fn)(struct github_work *work, const struct leased_http_reply *reply);

struct github_work {
    struct plugin_work work; /* first */
    struct leased_instance *github;
    struct github_params params;
    char installation[GITHUB_ID_MAX_BYTES];
    bool is_remembered; /* the installation is one that was looked up earlier */
    bool is_corrected;  /* the clock was corrected for this operation already */
    int64_t skew_s;     /* what its JWT was made by */
    github_step_fn again;
    github_heard_fn heard;
    char *token; /* owned: what is to be revoked */
};

struct github_request {
    const char *method;
    const char *path;
    const json_t *body;   /* NULL: none */
    const char *token;    /* NULL: as the app */
    github_step_fn again; /* sends the same again, after the clock was corrected */
    github_heard_fn heard;
    bool is_creating;
};

/* A work of this instance; NULL when out of memory. */
struct github_work *github_work_new(struct leased_instance *github, leased_op *op);

/* Sends it; `heard` has the answer, whatever it says; what has none ends the work. 0, or a LEASED_*
 * status with the reason: it couldn't be sent. */
int32_t github_send(struct github_work *work, const struct github_request *request,
                    struct plugin_text *ret_detail);

/* The same; what can't be sent ends the work. Never inside a start function. */
void github_ask(struct github_work *work, const struct github_request *request);

#endif
