/* The backend's own keys: region, fips, endpoint, iam_endpoint, source, assume_role. */
#ifndef AWS_CONFIG_H
#define AWS_CONFIG_H

#include "common/config.h"
#include "place.h"

#define AWS_ARN_MAX_BYTES 2049
#define AWS_NAME_MAX_BYTES 65          /* of a session; 64 at AWS */
#define AWS_EXTERNAL_ID_MAX_BYTES 1225 /* 1224 at AWS */
#define AWS_URI_MAX_BYTES 1025

/* Where the credentials come from that requests are signed with. */
enum aws_source {
    AWS_SOURCE_FILE,              /* a profile of a credentials file */
    AWS_SOURCE_ENVIRONMENT,       /* the daemon's own */
    AWS_SOURCE_WEB_IDENTITY,      /* a token, and the role that it is exchanged for */
    AWS_SOURCE_CONTAINER,         /* the endpoint that ECS and EKS have */
    AWS_SOURCE_INSTANCE_METADATA, /* version 2 of EC2's */
    AWS_SOURCE_ROLE,              /* another role of this daemon, which the host borrows from */
};

/* A role that is assumed on the way. */
struct aws_role {
    char arn[AWS_ARN_MAX_BYTES]; /* empty: none */
    char session_name[AWS_NAME_MAX_BYTES];
    char external_id[AWS_EXTERNAL_ID_MAX_BYTES]; /* may be empty */
};

struct aws_config {
    struct aws_place sts;
    struct aws_place iam;
    enum aws_source source;
    struct plugin_source credentials; /* AWS_SOURCE_FILE */
    char profile[AWS_NAME_MAX_BYTES];
    struct plugin_source token;  /* AWS_SOURCE_WEB_IDENTITY; AWS_SOURCE_CONTAINER: may be empty */
    char uri[AWS_URI_MAX_BYTES]; /* AWS_SOURCE_CONTAINER; empty: as the environment says */
    char metadata[AWS_ADDRESS_MAX_BYTES]; /* AWS_SOURCE_INSTANCE_METADATA */
    struct aws_role web_role;             /* AWS_SOURCE_WEB_IDENTITY */
    struct aws_role chain;                /* `assume_role`: on top of any source */
};

/* 0, or -1 with the reason in `ret_detail`. */
int aws_config_parse(struct leased_str json, struct aws_config *ret_config,
                     struct plugin_text *ret_detail);

/* "arn:PARTITION:iam::ACCOUNT:role/PATH/NAME". */
bool aws_arn_is_role(struct leased_str arn);

#endif
