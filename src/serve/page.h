/* Pages of lists: ?limit= and ?cursor=, answered with {items, next}. Internal to serve/. */
#ifndef LEASED_SERVE_PAGE_H
#define LEASED_SERVE_PAGE_H

#include "serve/exchange.h"

/* Is this the end of the page? `count` items are on it. */
bool page_is_full(const struct exchange *x, uint32_t count);

/* Opens the page, and its list. */
void page_begin(struct exchange *x, struct json_out *json);

/* Closes both and replies; `next` is the id of the last item, or NULL: there are no more. */
void page_end(struct exchange *x, struct json_out *json, const char *next);

/* Replies that the cursor names nothing that the caller can see. */
void page_fail(struct exchange *x);

#endif
