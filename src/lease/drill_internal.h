/* Drills from within, for drill.c, drill_find.c and what they are told. */
#ifndef LEASED_LEASE_DRILL_INTERNAL_H
#define LEASED_LEASE_DRILL_INTERNAL_H

#include "lease/core_internal.h"
#include "lease/drill.h"

#define DRILL_MAGIC 0x6472696cU

/* One lease. */
struct drill_item {
    struct index_entry entry; /* by the lease's id */
    struct list node;         /* queued or waiting; else in none */
    struct list fresh;        /* there is something to tell */
    struct lease *lease;      /* NULL: it is over */
    uint64_t patience_ms;     /* waiting: when it is revoked without a successor */
    int64_t expires_wall_ms;
    enum lease_drill_kind kind;
    bool is_read; /* the lease was read by who is meant: it ends. Else only grants on it do */
    bool is_over;
    char id[LEASE_ID_BYTES + 1];
    const char *role; /* these stand behind it */
    const char *backend;
    char texts[];
};

struct lease_drill {
    uint32_t magic;
    struct lease_core *core;
    struct lease_drill_options options;
    struct list node;
    struct index items;
    struct list queued;  /* nothing is done yet */
    struct list waiting; /* for a successor */
    struct list fresh;
    struct list begun; /* all others */
    struct durable_wait *durable;
    struct wheel_entry due;
    struct lease_drill_counts counts;
    int64_t begun_wall_ms;
    bool has_news;
};

/* Makes the items, all of them queued but for leases that are over. ERR_NOMEM. */
int drill_find(struct lease_drill *drill) ATTR_MUST_USE;

bool drill_grant_is_meant(const struct lease_drill *drill, const struct grant *grant);

/* The hash by which a drill's index knows an item. */
uint64_t drill_item_hash(const struct index *index, struct index_entry *entry);

/* NULL: the lease isn't one of them. */
struct drill_item *drill_item_find(const struct lease_drill *drill, const char *id);

/* There is something to tell of it. */
void drill_item_tell(struct lease_drill *drill, struct drill_item *item);

/* Its lease is over, or there is nothing more to be done about it. */
void drill_item_end(struct lease_drill *drill, struct drill_item *item);

#endif
