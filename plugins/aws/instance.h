/* One backend instance, and its operations. */
#ifndef AWS_INSTANCE_H
#define AWS_INSTANCE_H

#include "answer.h"
#include "common/form.h"
#include "common/work.h"
#include "config.h"
#include "params.h"

#define AWS_DENIALS_MAX 64U

/* What was asked for with `revoke: deny-older`, of one role. */
struct aws_denial {
    uint64_t role;    /* aws_role_anchor; 0: a free place */
    int64_t wanted_s; /* sessions issued before this are dead, or may be */
    int64_t done_s;   /* sessions issued before this are dead */
    bool is_busy;     /* one is under way */
};

/* Credentials that were got from somewhere and are good for a while. */
enum aws_cached {
    AWS_CACHED_BASE,  /* of web identity, container, instance metadata */
    AWS_CACHED_CHAIN, /* of `assume_role` */
    AWS_CACHED_COUNT,
};

struct leased_instance {
    struct plugin_works works; /* first: see aws_free */
    struct aws_config config;
    struct aws_keys *cached[AWS_CACHED_COUNT]; /* owned; NULL: none */
    int64_t skew_s;                            /* the issuer's clock less ours */
    struct aws_denial denials[AWS_DENIALS_MAX];
};

struct aws_op;
typedef void (*aws_step_fn)(struct aws_op *op);
typedef void (*aws_answered_fn)(struct aws_op *op, const struct aws_answer *answer);

enum aws_service {
    AWS_SERVICE_STS,
    AWS_SERVICE_IAM,
};

struct aws_op {
    struct plugin_work work; /* first */
    struct leased_instance *aws;
    aws_step_fn begin;     /* its first step from the loop, which is taken again with fresh keys */
    bool is_resigned;      /* was sent again with the issuer's time */
    bool is_begun_again;   /* the source's credentials had expired */
    struct aws_keys *keys; /* owned: what signs; NULL: it isn't signed */
    struct plugin_form form; /* what is out */
    enum aws_service service;
    const char *what;         /* static: what is asked for, for errors */
    aws_answered_fn answered; /* of what is out */
    aws_step_fn got_keys;     /* of source.h */
    char *token;              /* owned: a web identity token, or of the metadata service */
    size_t token_len;

    /* issue */
    struct aws_params params;
    struct plugin_form query; /* what the role says */
    uint64_t ttl_ms;
    uint64_t duration_s; /* that was asked for */
    int64_t denied_s;    /* aws_denied_before_s, when it was asked */
    /* revoke */
    char *role_arn; /* owned */
    int64_t issued_s;
    struct aws_denial *denial; /* that it keeps busy */
    int64_t cutoff_s;
    bool may_be_put; /* the policy is at IAM, or on its way, or nobody knows */
};

/* An operation that begins with `begin`, from the loop; NULL when out of memory. */
struct aws_op *aws_op_new(struct leased_instance *aws, leased_op *op, aws_step_fn begin);

/* Begins it. Returns what a start function returns. */
int32_t aws_op_start(struct aws_op *op);

/* Now, by the issuer's clock, as far as it is known. */
int64_t aws_now_s(const struct leased_instance *aws);

/* What leases of a role hang on when it has `revoke: deny-older`. Never 0. */
uint64_t aws_role_anchor(struct leased_str role_arn);

#endif
