/* AWS Signature Version 4, for the one shape of request that STS and IAM take: a POST of a form to
 * "/". */
#ifndef AWS_SIGV4_H
#define AWS_SIGV4_H

#include "keys.h"
#include "moment.h"

#define AWS_SIGV4_MAX_BYTES 512

#define AWS_CONTENT_TYPE "application/x-www-form-urlencoded; charset=utf-8"

struct aws_to_sign {
    const struct aws_keys *keys;
    const char *host; /* as the Host header has it: with its port unless that is the scheme's */
    const char *region;
    const char *service;
    struct leased_str body;
    int64_t when_s;
};

/* The headers that make it a signed one, beside Content-Type and, with a token,
 * X-Amz-Security-Token. */
struct aws_signature {
    char date[AWS_MOMENT_BASIC_BYTES];       /* X-Amz-Date */
    char authorization[AWS_SIGV4_MAX_BYTES]; /* Authorization */
};

/* 0, or -1: out of memory. */
int aws_sign(const struct aws_to_sign *request, struct aws_signature *ret_signature);

#endif
