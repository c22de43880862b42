#include "ledger_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

void ledger_disk_init(struct ledger_disk *disk)
{
    assert_int_equal(io_new(&disk->io, NULL), 0);
    (void)snprintf(disk->dir, sizeof(disk->dir), "/tmp/leased-ledger-XXXXXX");
    assert_non_null(mkdtemp(disk->dir));
    (void)snprintf(disk->path, sizeof(disk->path), "%s/ledger.db", disk->dir);
}

int ledger_disk_open(struct ledger_disk *disk)
{
    const struct env_ledger_options options = {.path = disk->path, .key_source = disk->key_source};

    return env_ledger_open(io_env(disk->io), &options, &disk->ledger, &disk->e);
}

static void on_closed(void *user)
{
    ((struct ledger_disk *)user)->is_closed = true;
}

void ledger_disk_close(struct ledger_disk *disk)
{
    disk->is_closed = false;
    env_ledger_close(disk->ledger, on_closed, disk);
    while (!disk->is_closed) {
        io_run_once(disk->io, true);
    }
    disk->ledger = NULL;
}

void ledger_disk_fini(struct ledger_disk *disk)
{
    char command[128];

    if (disk->ledger != NULL) {
        ledger_disk_close(disk);
    }
    assert_int_equal(io_close(disk->io), 0);
    (void)snprintf(command, sizeof(command), "rm -rf %s", disk->dir);
    assert_int_equal(system(command), 0);
}
