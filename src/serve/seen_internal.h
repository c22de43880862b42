/* What seen.c and seen_asks.c share. */
#ifndef LEASED_SERVE_SEEN_INTERNAL_H
#define LEASED_SERVE_SEEN_INTERNAL_H

#include "serve/seen.h"

/* Forgets what the identity has asked for. */
void seen_asks_forget(struct seen *seen, struct seen_identity *identity);

#endif
