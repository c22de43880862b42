/* The helper's loop. */
#ifndef LEASED_HELPER_SERVE_H
#define LEASED_HELPER_SERVE_H

#include "helper/programs.h"

/* Serves the daemon at the other end of `fd` (SOCK_SEQPACKET) until it is gone or breaks the rules
 * of wire/run_message.h; then everything that runs is killed. */
void helper_serve(const struct helper_programs *programs, int fd);

#endif
