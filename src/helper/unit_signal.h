/* Signals for the processes of a systemd unit, also where no systemd runs to be asked. */
#ifndef LEASED_HELPER_UNIT_SIGNAL_H
#define LEASED_HELPER_UNIT_SIGNAL_H

#include "base/err.h"

/* Sends it to the main processes of the unit: those whose parent isn't of it. ERR_NOT_FOUND: it has
 * none; a negated errno. With a text. */
int unit_signal(const char *unit, int number, struct err *e) ATTR_MUST_USE;

#endif
