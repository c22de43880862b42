/* The credentials that requests are signed with. */
#ifndef AWS_SOURCE_H
#define AWS_SOURCE_H

#include "instance.h"

/* Gets them, from where the configuration says, into op->keys, then goes on with `got`. Where they
 * can't be got the operation ends. Called from the loop. */
void aws_source_get(struct aws_op *op, aws_step_fn got);

/* Reads the web identity token into op->token. False: the operation has ended. */
bool aws_source_read_token(struct aws_op *op);

/* Everything that was kept is got anew. */
void aws_source_forget(struct leased_instance *aws);

/* --- for source_metadata.c -------------------------------------------------------------------- */

/* The source's own credentials have come: op->keys is replaced by them (taken). They are kept where
 * they say when they end; then a role is assumed with them, if one is to be. */
void aws_source_came(struct aws_op *op, struct aws_keys *keys);

/* Asks the container's endpoint, or the instance's. */
void aws_source_ask_container(struct aws_op *op);
void aws_source_ask_instance(struct aws_op *op);

#endif
