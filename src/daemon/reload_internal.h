/* What the files of a reload share: reload.c (the way through it), reload_listeners.c. */
#ifndef LEASED_DAEMON_RELOAD_INTERNAL_H
#define LEASED_DAEMON_RELOAD_INTERNAL_H

#include "daemon/daemon_internal.h"

struct reload {
    struct daemon *daemon;
    struct serve_reload *asked; /* NULL: a signal */
    struct yaml_errors *mistakes;
    struct config *before;
    struct config *after;
    /* For each of `after`, in its order: those that stay, and fresh ones. */
    struct daemon_backend **backends;
    struct daemon_listener **listeners;
    struct daemon_listener **predecessors; /* of fresh listeners; NULL: none */
    struct serve_file *files;              /* of it */
    bool *has_new_tls;                     /* other bytes behind the same paths, too */
    struct backend **served;
    struct reload_report report;
    char digest[CONFIG_DIGEST_BYTES + 1];
};

/* --- reload_listeners.c --- */

/* For each listener of `after`: the one that is open already, made ready for its new settings, or a
 * fresh one. What failed is among the mistakes. */
int reload_listeners_prepare(struct reload *reload) ATTR_MUST_USE;

/* Undoes it, as far as it has come. */
void reload_listeners_give_up(struct reload *reload);

/* The new settings count, and those that aren't of `after` are retired. */
void reload_listeners_take_over(struct reload *reload);

#endif
