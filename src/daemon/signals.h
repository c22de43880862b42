/* Signals by their names. */
#ifndef LEASED_DAEMON_SIGNALS_H
#define LEASED_DAEMON_SIGNALS_H

/* "HUP" and "SIGHUP" are SIGHUP; 0: there is none of this name that somebody could be told by. */
int signal_number(const char *name);

#endif
