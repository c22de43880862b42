/* Objects for people. */
#include "cli/show.h"

#include "base/units.h"
#include "cli/clock.h"
#include "wire/format.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define SHOW_DEPTH_MAX 4
#define SHOW_NAME_MAX_BYTES 256
#define SHOW_VALUE_MAX_BYTES 65536U

/* A duration in at most two units: people compare hours with hours, not milliseconds. */
static uint64_t coarsen_ms(uint64_t ms)
{
    static const uint64_t day_ms = 86400000;
    static const uint64_t hour_ms = 3600000;
    static const uint64_t minute_ms = 60000;

    if (ms >= day_ms) {
        return ms - ms % hour_ms;
    }
    if (ms >= hour_ms) {
        return ms - ms % minute_ms;
    }
    return ms - ms % 1000;
}

const char *show_time(const char *rfc3339, int64_t now_wall_ms, char out[SHOW_TIME_MAX_BYTES])
{
    char text[UNITS_DURATION_MAX_BYTES];
    int64_t wall_ms;

    if (rfc3339 == NULL || units_parse_time(str_of(rfc3339), &wall_ms) != 0) {
        (void)snprintf(out, SHOW_TIME_MAX_BYTES, "-");
    } else if (wall_ms >= now_wall_ms) {
        (void)units_format_duration(coarsen_ms((uint64_t)(wall_ms - now_wall_ms)), text);
        (void)snprintf(out, SHOW_TIME_MAX_BYTES, "in %s", text);
    } else {
        (void)units_format_duration(coarsen_ms((uint64_t)(now_wall_ms - wall_ms)), text);
        (void)snprintf(out, SHOW_TIME_MAX_BYTES, "%s ago", text);
    }
    return out;
}

const char *show_member(const struct json_t *object, const char *key,
                        char out[SHOW_NUMBER_MAX_BYTES])
{
    struct str rest = str_of(key);
    const json_t *value = object;

    while (rest.ptr != NULL) {
        struct str part = str_cut(&rest, '.');
        char name[64];

        (void)snprintf(name, sizeof(name), "%.*s", STR_ARG(part));
        value = json_object_get(value, name);
    }
    if (json_is_string(value)) {
        return json_string_length(value) > 0 ? json_string_value(value) : "-";
    }
    if (json_is_integer(value)) {
        (void)snprintf(out, SHOW_NUMBER_MAX_BYTES, "%lld", (long long)json_integer_value(value));
        return out;
    }
    if (json_is_boolean(value)) {
        return json_is_true(value) ? "yes" : "no";
    }
    if (json_is_array(value)) {
        (void)snprintf(out, SHOW_NUMBER_MAX_BYTES, "%zu", json_array_size(value));
        return out;
    }
    return "-";
}

enum table_color show_state_color(const char *state)
{
    static const struct {
        const char *state;
        enum table_color color;
    } colors[] = {
        {"active", TABLE_GREEN},    {"held", TABLE_GREEN},        {"ok", TABLE_GREEN},
        {"up", TABLE_GREEN},        {"requested", TABLE_YELLOW},  {"pending", TABLE_YELLOW},
        {"renewing", TABLE_YELLOW}, {"superseded", TABLE_YELLOW}, {"revoking", TABLE_YELLOW},
        {"stopping", TABLE_YELLOW}, {"degraded", TABLE_RED},      {"failed", TABLE_RED},
        {"down", TABLE_RED},
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(colors); i++) {
        if (strcmp(state, colors[i].state) == 0) {
            return colors[i].color;
        }
    }
    return TABLE_PLAIN;
}

static int finish_table(struct cli *cli, struct table *table)
{
    int status = table_print(table, &cli->out);

    table_fini(table);
    if (status != 0) {
        cli_message(cli, "could not show it: %s", err_str(status));
        return CLI_FAILED;
    }
    return CLI_OK;
}

static void add_column(struct table *table, const json_t *item, const struct show_column *column)
{
    char number[SHOW_NUMBER_MAX_BYTES];
    char time[SHOW_TIME_MAX_BYTES];
    const char *text = show_member(item, column->key, number);
    enum table_color color = TABLE_PLAIN;

    if (column->kind == SHOW_TIME) {
        text = show_time(text, clock_wall_ms(), time);
    } else if (column->kind == SHOW_UP) {
        text = strcmp(text, "yes") == 0 ? "up" : "down";
        color = show_state_color(text);
    } else if (column->kind == SHOW_STATE) {
        color = show_state_color(text);
    }
    table_add(table, text, color);
}

int show_list(struct cli *cli, const struct json_t *items, const struct show_column *columns,
              size_t column_count)
{
    struct table table;
    const json_t *item;
    size_t row;
    size_t i;

    table_init(&table, column_count, NULL, cli->has_color);
    for (i = 0; i < column_count; i++) {
        table_add(&table, columns[i].header, TABLE_PLAIN);
    }
    json_array_foreach (items, row, item) {
        for (i = 0; i < column_count; i++) {
            add_column(&table, item, &columns[i]);
        }
    }
    return finish_table(cli, &table);
}

/* Strings joined by commas; anything else in a list as JSON. */
static void add_joined(struct table *table, const json_t *list)
{
    const json_t *item;
    BUF_AUTO text;
    size_t i;

    buf_init(&text, SHOW_VALUE_MAX_BYTES);
    json_array_foreach (list, i, item) {
        buf_add_c(&text, i > 0 ? ", " : "");
        if (json_is_string(item)) {
            buf_add_c(&text, json_string_value(item));
        } else if (format_add_json(&text, item, JSON_COMPACT | JSON_ENCODE_ANY) != 0) {
            break;
        }
    }
    table_add(table, text.len > 0 ? text.bytes : "-", TABLE_PLAIN);
}

static void add_value(struct table *table, const char *key, json_t *object)
{
    char number[SHOW_NUMBER_MAX_BYTES];
    char relative[SHOW_TIME_MAX_BYTES];
    char both[SHOW_TIME_MAX_BYTES + UNITS_TIME_MAX_BYTES + 8];
    const char *text = show_member(object, key, number);
    int64_t wall_ms;

    if (json_is_array(json_object_get(object, key))) {
        add_joined(table, json_object_get(object, key));
    } else if (json_is_string(json_object_get(object, key)) &&
               units_parse_time(str_of(text), &wall_ms) == 0) {
        (void)snprintf(both, sizeof(both), "%.*s (%s)", UNITS_TIME_MAX_BYTES, text,
                       show_time(text, clock_wall_ms(), relative));
        table_add(table, both, TABLE_PLAIN);
    } else {
        table_add(table, text,
                  strcmp(key, "state") == 0 || strcmp(key, "status") == 0 ? show_state_color(text)
                                                                          : TABLE_PLAIN);
    }
}

static void add_members(struct table *table, const char *prefix, json_t *object, int depth)
{
    const char *key;
    json_t *value;

    json_object_foreach (object, key, value) {
        char name[SHOW_NAME_MAX_BYTES];

        (void)snprintf(name, sizeof(name), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", key);
        if (json_is_object(value) && depth < SHOW_DEPTH_MAX) {
            add_members(table, name, value, depth + 1);
        } else {
            table_add(table, name, TABLE_PLAIN);
            add_value(table, key, object);
        }
    }
}

int show_object(struct cli *cli, struct json_t *object)
{
    struct table table;

    table_init(&table, 2, NULL, cli->has_color);
    add_members(&table, "", object, 0);
    return finish_table(cli, &table);
}

int show_json(struct cli *cli, const struct json_t *document)
{
    int status = format_add_json(&cli->out, document, JSON_INDENT(2));

    if (status != 0) {
        cli_message(cli, "could not show it: %s", err_str(status));
        return CLI_FAILED;
    }
    buf_add_char(&cli->out, '\n');
    return CLI_OK;
}
