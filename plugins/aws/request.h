/* Sending a query to STS or IAM. */
#ifndef AWS_REQUEST_H
#define AWS_REQUEST_H

#include "instance.h"

/* An empty op->form, to be filled. */
struct plugin_form *aws_request_form(struct aws_op *op);

/* Sends op->form, signed with op->keys (NULL: unsigned). `answered` runs with the answer, unless
 * none came, or it refused the request for a clock or an expired credential and that can be mended
 * once: then it is sent, or the operation begun, again. */
void aws_request_send(struct aws_op *op, enum aws_service service, const char *what,
                      aws_answered_fn answered);

/* Ends the operation with the answer's class and words. */
void aws_request_refused(struct aws_op *op, const struct aws_answer *answer);

#endif
