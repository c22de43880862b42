/* How the tables of the configuration are written. Only the files that hold them include this. */
#ifndef LEASED_DAEMON_CONFIG_FIELDS_H
#define LEASED_DAEMON_CONFIG_FIELDS_H

#include "daemon/config_internal.h"

#define FIELD(owner, word, kind, member)                                                           \
    .key = (word), .type = (kind), .offset = offsetof(struct owner, member)
#define LATER(word, why)                                                                           \
    {                                                                                              \
        .key = (word), .flags = SCHEMA_UNSUPPORTED, .doc = (why)                                   \
    }
#define TABLE(name, owner, fields, is_open) TABLE_WITH(name, owner, fields, is_open, NULL)
#define TABLE_WITH(name, owner, fields, is_open, relations)                                        \
    {                                                                                              \
        name, sizeof(struct owner), fields, is_open, relations                                     \
    }
#define ABSOLUTE .pattern = "^/"

#endif
