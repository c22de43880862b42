#include "zone_fixture.h"

#include "base/err.h"

#include <string.h>

static const struct {
    const char *name;
    const char *rule;
} zones[] = {
    {"Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"},
    {"America/New_York", "EST5EDT,M3.2.0,M11.1.0"},
    {"America/Havana", "CST5CDT,M3.2.0/0,M11.1.0/1"},
    {"Australia/Lord_Howe", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"},
    {"Africa/Cairo", "EET-2EEST,M4.5.5/0,M10.5.4/24"},
    {"Asia/Kolkata", "IST-5:30"},
};

/* Big endian. */
static void number_add(struct buf *out, uint32_t value)
{
    int shift;

    for (shift = 24; shift >= 0; shift -= 8) {
        buf_add_char(out, (char)(value >> shift & 0xff));
    }
}

static void block_add(struct buf *out)
{
    static const char nothing[15] = {0};

    buf_add_c(out, "TZif2");
    buf_add(out, nothing, sizeof(nothing));
    number_add(out, 0);
    number_add(out, 0);
    number_add(out, 0);
    number_add(out, 0);
    number_add(out, 1);
    number_add(out, 4);
    number_add(out, 0);
    buf_add(out, "\0\0LMT\0", 6);
}

void zone_fixture_file(const char *rule, struct buf *out)
{
    block_add(out);
    block_add(out);
    buf_printf(out, "\n%s\n", rule);
}

int zone_fixture_read(void *user, const char *name, struct buf *out)
{
    size_t i;

    (void)user;
    for (i = 0; i < ARRAY_LEN(zones); i++) {
        if (strcmp(name, zones[i].name) == 0) {
            zone_fixture_file(zones[i].rule, out);
            return buf_status(out);
        }
        if (strcmp(name, "tzdata.zi") == 0) {
            buf_printf(out, "%s%s 1 - LMT 1890\n", i % 2 == 0 ? "Z " : "L Etc/UTC ", zones[i].name);
        }
    }
    if (strcmp(name, "Broken/File") == 0) {
        buf_add_c(out, "TZif2 no more");
        return 0;
    }
    if (strcmp(name, "Broken/Disk") == 0) {
        return ERR_IO;
    }
    return strcmp(name, "tzdata.zi") == 0 ? 0 : ERR_NOT_FOUND;
}
