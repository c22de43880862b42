/* The keys of a window. */
#include "access/window.h"

#define DAY "(mon|tue|wed|thu|fri|sat|sun)"
#define TIME "([01][0-9]|2[0-3]):[0-5][0-9]"
#define DATE "[0-9]{4}-[0-9]{2}-[0-9]{2}"
#define DATES "^" DATE "(/" DATE ")?$"

static const struct schema_field window_fields[] = {
    {"days", SCHEMA_STRINGS, offsetof(struct access_window_config, days), .min = 1,
     .pattern = "^" DAY "(-" DAY ")?$",
     .doc = "days of the week on which it begins: mon, mon-fri; every day when absent"},
    {"hours", SCHEMA_STRINGS, offsetof(struct access_window_config, hours), .min = 1,
     .pattern = "^" TIME "-(" TIME "|24:00)$",
     .doc = "\"08:00-19:00\"; \"22:00-06:00\" ends on the day after; the whole day when absent"},
    {"zone", SCHEMA_STRING, offsetof(struct access_window_config, zone),
     .max = ACCESS_ZONE_NAME_MAX_BYTES - 1,
     .doc = "the time zone whose clock counts, such as Europe/Berlin; UTC when absent"},
    {"dates", SCHEMA_STRINGS, offsetof(struct access_window_config, dates), .min = 1,
     .pattern = DATES, .doc = "only on these days: \"2026-12-24\", \"2026-12-24/2027-01-02\""},
    {"except", SCHEMA_STRINGS, offsetof(struct access_window_config, except), .min = 1,
     .pattern = DATES, .doc = "not on these days"},
    {0},
};

const struct schema_object access_window_table = {
    .name = "a window",
    .size = sizeof(struct access_window_config),
    .fields = window_fields,
};
