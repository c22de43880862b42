/* A ledger on a real disk, in a folder of its own, for the tests of io. */
#ifndef LEASED_TESTS_IO_LEDGER_DISK_H
#define LEASED_TESTS_IO_LEDGER_DISK_H

#include "loop_fixture.h"

#include "env/ledger.h"

struct ledger_disk {
    struct io *io;
    struct env_ledger *ledger; /* NULL: closed */
    char dir[64];
    char path[96];
    const char *key_source; /* NULL: the ledger's own; for the test to set before it opens */
    struct err e;
    bool is_closed;
};

/* The loop and the folder; no ledger yet. */
void ledger_disk_init(struct ledger_disk *disk);
/* Closes what is open, and removes the folder. */
void ledger_disk_fini(struct ledger_disk *disk);

/* As env_ledger_open, with its text in disk->e. */
int ledger_disk_open(struct ledger_disk *disk);
void ledger_disk_close(struct ledger_disk *disk);

#endif
