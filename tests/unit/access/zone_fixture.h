/* A small time zone database in memory, for tests of windows. */
#ifndef LEASED_TESTS_UNIT_ACCESS_ZONE_FIXTURE_H
#define LEASED_TESTS_UNIT_ACCESS_ZONE_FIXTURE_H

#include "base/buf.h"

/* An access_zone_read_fn: has Europe/Berlin, America/New_York, America/Havana (changes at
 * midnight), Australia/Lord_Howe (half an hour), Africa/Cairo (the footer's times are over 24 h),
 * Asia/Kolkata, and tzdata.zi with their names; Broken/File is no such file, and Broken/Disk can't
 * be read. */
int zone_fixture_read(void *user, const char *name, struct buf *out);

/* Appends a file without transitions, whose footer has this rule. */
void zone_fixture_file(const char *rule, struct buf *out);

#endif
