/* What STS and IAM answer. */
#ifndef AWS_ANSWER_H
#define AWS_ANSWER_H

#include "keys.h"

#define AWS_ANSWER_CODE_BYTES 64
#define AWS_ANSWER_LINE_BYTES 201

struct aws_answer {
    uint32_t status;
    char code[AWS_ANSWER_CODE_BYTES];    /* of an error; "": it isn't one that AWS made */
    char message[AWS_ANSWER_LINE_BYTES]; /* of an error; never holds what was sent as a secret */
    int64_t date_s;                      /* issuer's clock; -1: it doesn't say */
    uint64_t retry_after_ms;             /* 0: it doesn't say */
    struct leased_str body;              /* the reply's */
};

/* `secret`: what an error must not repeat (a session token, a web identity token). */
void aws_answer_read(const struct leased_http_reply *reply, struct leased_str secret,
                     struct aws_answer *ret_answer);

bool aws_answer_is_ok(const struct aws_answer *answer);

/* Does AWS say that it hasn't done what was asked for? */
bool aws_answer_is_refusal(const struct aws_answer *answer);

/* Does it refuse what was sent for the credential's age? Does it not know the credential? */
bool aws_answer_is_expired(const struct aws_answer *answer);
bool aws_answer_is_unknown(const struct aws_answer *answer);

/* Does it refuse a signature, which may be because of its time? */
bool aws_answer_may_be_skewed(const struct aws_answer *answer);

/* LEASED_RETRY, LEASED_RETRY_AFTER, LEASED_DENIED or LEASED_INVALID. */
int32_t aws_answer_class(const struct aws_answer *answer);

/* A line for people: what refused, its code and message. */
void aws_answer_explain(const struct aws_answer *answer, const char *what,
                        struct plugin_text *text);

/* The credentials of `<action>Response`. NULL with the reason (static). */
struct aws_keys *aws_answer_keys(const struct leased_host *host, const struct aws_answer *answer,
                                 const char *action, const char **ret_problem);

/* The text of an element into `out`; false: it isn't there, or too long. */
bool aws_answer_text(const struct aws_answer *answer, const char *path, char *out, size_t out_size);

#endif
