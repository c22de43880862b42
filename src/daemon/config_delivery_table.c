/* Every key of an entry of `files`; see config_tables.c. */
#include "daemon/config_fields.h"
#include "wire/file_record.h"

#define HOUR_MS (3600ULL * 1000ULL)
#define UNIT_PATTERN "^[A-Za-z0-9:_.@\\\\-]+\\.(service|scope)$"

static const struct schema_field holder_fields[] = {
    {FIELD(config_holder, "user", SCHEMA_STRING, user), .flags = SCHEMA_REQUIRED,
     .doc = "whose credential it is; what rules judge"},
    {FIELD(config_holder, "unit", SCHEMA_STRING, unit), .pattern = UNIT_PATTERN,
     .doc = "the file is there while it has processes; without one as long as it is configured"},
    {FIELD(config_holder, "group", SCHEMA_STRING, group),
     .doc = "instead of the user's primary one"},
    {0},
};
static const struct schema_object holder_table =
    TABLE("a holder", config_holder, holder_fields, false);

static const struct schema_field signal_fields[] = {
    {FIELD(config_signal, "unit", SCHEMA_STRING, unit), .flags = SCHEMA_REQUIRED,
     .pattern = UNIT_PATTERN, .doc = "whose main process gets it"},
    {FIELD(config_signal, "signal", SCHEMA_STRING, signal), .flags = SCHEMA_REQUIRED,
     .doc = "its name: HUP, USR1, …"},
    {0},
};
static const struct schema_object signal_table =
    TABLE("a signal", config_signal, signal_fields, false);

static const struct schema_field on_change_fields[] = {
    {FIELD(config_on_change, "reload", SCHEMA_STRING, reload), .pattern = UNIT_PATTERN,
     .doc = "a unit that is reloaded"},
    {FIELD(config_on_change, "restart", SCHEMA_STRING, restart), .pattern = UNIT_PATTERN,
     .doc = "a unit that is restarted"},
    {FIELD(config_on_change, "signal", SCHEMA_OBJECT, signal), .object = &signal_table, .min = 1,
     .doc = "a unit that is signaled"},
    {FIELD(config_on_change, "exec", SCHEMA_STRINGS, exec), .min = 1,
     .doc = "program and arguments; must exit with 0"},
    {FIELD(config_on_change, "settle", SCHEMA_DURATION, settle_ms), .max = HOUR_MS,
     .default_text = "0s", .doc = "how long after that the credential before is still needed"},
    {0},
};
static const struct schema_object on_change_table =
    TABLE_WITH("on_change", config_on_change, on_change_fields, false,
               "\"oneOf\":[{\"required\":[\"reload\"]},{\"required\":[\"restart\"]},{\"required\":["
               "\"signal\"]},{\"required\":[\"exec\"]}]");

static const struct schema_field file_fields[] = {
    {FIELD(config_file, "role", SCHEMA_NAME, role), .flags = SCHEMA_REQUIRED,
     .doc = "whose credential it shows"},
    {FIELD(config_file, "holder", SCHEMA_OBJECT, holder), .flags = SCHEMA_REQUIRED,
     .object = &holder_table, .doc = "for whom"},
    {FIELD(config_file, "path", SCHEMA_STRING, path), .flags = SCHEMA_REQUIRED,
     .max = FILE_RECORD_PATH_MAX_BYTES, ABSOLUTE, .doc = "in a folder that is there"},
    {FIELD(config_file, "format", SCHEMA_STRING, format), .default_text = "dotenv",
     .doc = "as for `lease get -o`"},
    {FIELD(config_file, "mode", SCHEMA_MODE, mode), .min = 0400, .max = 0777,
     .doc = "0400, or 0440 where a group is given"},
    {FIELD(config_file, "user", SCHEMA_STRING, user),
     .doc = "its owner; that of leased by default"},
    {FIELD(config_file, "group", SCHEMA_STRING, group),
     .doc = "its group; that of leased by default"},
    {FIELD(config_file, "on_change", SCHEMA_OBJECT, on_change), .object = &on_change_table,
     .min = 1, .doc = "who is told of a new credential; that moves the holder over to it"},
    {FIELD(config_file, "required", SCHEMA_BOOL, is_required), .default_text = "true",
     .doc = "leased isn't ready before it is written, unless its holder's unit doesn't run"},
    {0},
};
const struct schema_object config_file_table = TABLE("a file", config_file, file_fields, false);
