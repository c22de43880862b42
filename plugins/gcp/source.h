/* The source's own token: of a federation, of a key, of this machine. */
#ifndef PLUGIN_GCP_SOURCE_H
#define PLUGIN_GCP_SOURCE_H

#include "instance.h"

/* Asks for what the params want; when somebody is to be impersonated, for a token that may do that.
 * `replied` gets the answer. 0, or -1 with why it wasn't sent. */
int gcp_source_ask(struct gcp_work *asked, plugin_replied_fn replied, struct gcp_failure *failure);

/* Is the answer the token itself instead of JSON? */
bool gcp_source_is_bare(const struct gcp_work *asked);

/* The member of the answer that is the token. */
const char *gcp_source_member(const struct gcp_work *asked);

/* What plugin_work_send's callers say when it fails. */
int gcp_sent(int rc, struct gcp_failure *failure);

#endif
