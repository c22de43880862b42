/* What GitHub's errors mean. */
#ifndef GITHUB_EXPLAIN_H
#define GITHUB_EXPLAIN_H

#include "app.h"

/* Ends the work by an answer that isn't what was asked for. `creates`: the request may have been
 * executed all the same. */
void github_explain(struct github_work *work, const struct leased_http_reply *reply, bool creates);

/* Is it GitHub's own word (an object with a `message`), not that of something in between? */
bool github_is_word(const struct leased_http_reply *reply);

#endif
