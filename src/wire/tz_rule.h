/* The rule by which a zone's clock is put forward and back year after year, as POSIX writes it in
 * TZ: "CET-1CEST,M3.5.0,M10.5.0/3". Internal to tzif.c. */
#ifndef LEASED_WIRE_TZ_RULE_H
#define LEASED_WIRE_TZ_RULE_H

#include "wire/tzif.h"

enum tz_rule_form {
    TZ_RULE_JULIAN,  /* Jn: the n-th day of the year, 1 to 365, without leap days */
    TZ_RULE_ORDINAL, /* n: the n-th day, 0 to 365, with leap days */
    TZ_RULE_WEEKDAY, /* Mm.w.d: the w-th weekday d of the month; 5: the last */
};

struct tz_rule_change {
    enum tz_rule_form form;
    unsigned month;
    unsigned week;
    unsigned day;
    int32_t time_s; /* by the clock before the change; RFC 8536 has it from -167 to 167 hours */
};

struct tz_rule_type {
    char abbreviation[TZIF_ABBREVIATION_MAX_BYTES];
    int32_t offset_s;
};

struct tz_rule {
    struct tz_rule_type standard;
    bool has_dst;
    struct tz_rule_type dst;
    struct tz_rule_change start; /* of dst */
    struct tz_rule_change end;
};

/* All of `text`. 0 or ERR_INVALID. */
int tz_rule_parse(struct str text, struct tz_rule *ret_rule) ATTR_MUST_USE;

/* As tzif_at. */
void tz_rule_at(const struct tz_rule *rule, int64_t unix_s, struct tzif_span *ret_span);

#endif
