/* Terraform's external data source: a JSON object of strings in, one out. */
#ifndef LEASED_WIRE_TERRAFORM_QUERY_H
#define LEASED_WIRE_TERRAFORM_QUERY_H

#include "base/err.h"
#include "wire/format.h"

#define TERRAFORM_QUERY_MAX_BYTES (64U * 1024U)
#define TERRAFORM_ROLE_MAX_BYTES 64

/* The role in the query, "" when it names none. 0; ERR_INVALID with a text: no JSON object, another
 * key, a role that is no string or too long; ERR_TOO_LARGE. */
int terraform_query_parse(struct str text, char ret_role[TERRAFORM_ROLE_MAX_BYTES + 1],
                          struct err *e) ATTR_MUST_USE;

/* Appends the credential's fields, each a string. */
void terraform_answer_write(const struct format_credential *credential, struct buf *out);

#endif
