/* The API's objects for people: times relative to now, states in colour, every member of an object
 * on a line. */
#ifndef LEASED_CLI_SHOW_H
#define LEASED_CLI_SHOW_H

#include "cli/cli.h"
#include "cli/table.h"

struct json_t;

#define SHOW_TIME_MAX_BYTES 48

/* "in 3h12m", "5m ago"; "-" where there is no time. Two units are enough for people. Returns `out`.
 */
const char *show_time(const char *rfc3339, int64_t now_wall_ms, char out[SHOW_TIME_MAX_BYTES]);

/* The text of a member, "-" where it is absent or null; numbers as text. Borrowed until the next
 * call with the same `out`. */
#define SHOW_NUMBER_MAX_BYTES 32
const char *show_member(const struct json_t *object, const char *key,
                        char out[SHOW_NUMBER_MAX_BYTES]);

enum table_color show_state_color(const char *state);

/* A column of a list of objects. */
enum show_kind {
    SHOW_TEXT,
    SHOW_TIME,
    SHOW_STATE,
    SHOW_UP, /* true: up, false: down */
};

struct show_column {
    const char *header;
    const char *key; /* "identity.user" for a member of a member */
    enum show_kind kind;
};

/* Appends a table of the objects in `items` to cli->out. CLI_OK, or CLI_FAILED after a message. */
int show_list(struct cli *cli, const struct json_t *items, const struct show_column *columns,
              size_t column_count) ATTR_MUST_USE;

/* Appends all members of an object as lines "name  value"; members of members as "name.member". */
int show_object(struct cli *cli, struct json_t *object) ATTR_MUST_USE;

/* Appends a document as indented JSON. */
int show_json(struct cli *cli, const struct json_t *document) ATTR_MUST_USE;

#endif
