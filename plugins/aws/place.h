/* Where AWS's services are: partitions, regions, FIPS, and addresses that the configuration names.
 */
#ifndef AWS_PLACE_H
#define AWS_PLACE_H

#include "common/text.h"

#define AWS_REGION_MAX_BYTES 33
#define AWS_ADDRESS_MAX_BYTES 272

struct aws_place {
    char address[AWS_ADDRESS_MAX_BYTES]; /* "https://sts.eu-west-1.amazonaws.com" */
    const char *host;                    /* in `address`: what the Host header says */
    char region[AWS_REGION_MAX_BYTES];   /* that requests are signed for */
};

/* Of `region`, which is [a-z0-9-]+. 0, or -1: there is no such endpoint with FIPS. */
int aws_place_sts(const char *region, bool is_fips, struct aws_place *ret_place);
int aws_place_iam(const char *region, bool is_fips, struct aws_place *ret_place);

/* An address of the configuration's: https://HOST[:PORT], or http:// to this machine. In lower
 * case, and without the scheme's own port, as it will be sent. 0, or -1 with the reason (static).
 */
int aws_place_named(const char *address, const char *region, struct aws_place *ret_place,
                    const char **ret_problem);

/* "http://…" of a name or number of this machine itself. */
bool aws_place_is_loopback(struct leased_str address);

#endif
