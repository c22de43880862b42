/* The forms that are sent (AWS's query protocol). */
#ifndef AWS_QUERY_H
#define AWS_QUERY_H

#include "common/form.h"
#include "config.h"
#include "params.h"

#define AWS_STS_VERSION "2011-06-15"
#define AWS_IAM_VERSION "2010-05-08"

/* What a role's keys say; without DurationSeconds and WebIdentityToken. `default_name`: of the
 * session where the role gives none. */
void aws_query_begin(struct plugin_form *form, const struct aws_params *params,
                     struct leased_str default_name);

/* An assumed role on the way. */
void aws_query_role(struct plugin_form *form, const char *action, const struct aws_role *role);

/* The life to ask for: at least AWS's least, at most what this action gives; 0: AWS's default.
 * `is_chained`: a role's session assumes another. */
uint64_t aws_query_duration_s(enum aws_action action, uint64_t ttl_ms, bool is_chained);

void aws_query_number(struct plugin_form *form, const char *key, uint64_t value);

/* Denies whatever was issued before. `role_arn` as aws_arn_is_role. */
void aws_query_deny(struct plugin_form *form, const char *role_arn, int64_t before_s);

#endif
