/* A file has a block with numbers of 32 bits, and from version 2 on the same again with 64 bits and
 * a footer behind it; the first block is passed over then. Everything is checked here, so that
 * looking up needs no more than a search. */
#include "wire/tzif.h"

#include "base/mem.h"
#include "wire/tz_rule.h"

#include <stdio.h>

#define MAGIC "TZif"
#define HEADER_BYTES 44U
#define TYPE_BYTES 6U
#define TRANSITIONS_MAX 4096U
#define TYPES_MAX 256U
#define CHARS_MAX 1024U
#define FOOTER_MAX_BYTES 256U

struct local_type {
    int32_t offset_s;
    bool is_dst;
    char abbreviation[TZIF_ABBREVIATION_MAX_BYTES];
};

struct transition {
    int64_t at_s;
    uint8_t type;
};

struct tzif {
    struct transition *transitions; /* ascending */
    size_t transition_count;
    struct local_type *types; /* the first holds before all transitions */
    size_t type_count;
    bool has_rule; /* for what is at or after the last transition */
    struct tz_rule rule;
};

struct counts {
    uint32_t utc_flags;
    uint32_t standard_flags;
    uint32_t leaps;
    uint32_t transitions;
    uint32_t types;
    uint32_t chars;
};

struct reader {
    struct str rest;
    struct err *e;
};

static int bad(struct reader *reader, const char *what)
{
    return err_set(reader->e, ERR_INVALID, "it is no time zone file: %s", what);
}

static uint32_t be32(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int64_t be_signed(const char *bytes, size_t size)
{
    if (size == 4) {
        return (int32_t)be32(bytes);
    }
    return (int64_t)((uint64_t)be32(bytes) << 32 | be32(bytes + 4));
}

static const char *bytes_take(struct reader *reader, size_t size)
{
    const char *at = reader->rest.ptr;

    if (reader->rest.len < size) {
        return NULL;
    }
    reader->rest.ptr += size;
    reader->rest.len -= size;
    return at;
}

static int header_take(struct reader *reader, char *ret_version, struct counts *ret_counts)
{
    const char *at = bytes_take(reader, HEADER_BYTES);
    struct counts counts;

    if (at == NULL || memcmp(at, MAGIC, 4) != 0) {
        return bad(reader, "its header is missing");
    }
    if (at[4] != '\0' && (at[4] < '2' || at[4] > '9')) {
        return bad(reader, "its version is unknown");
    }
    counts = (struct counts){be32(at + 20), be32(at + 24), be32(at + 28),
                             be32(at + 32), be32(at + 36), be32(at + 40)};
    if (counts.types == 0 || counts.types > TYPES_MAX || counts.transitions > TRANSITIONS_MAX ||
        counts.chars == 0 || counts.chars > CHARS_MAX || counts.leaps > TRANSITIONS_MAX ||
        (counts.utc_flags != 0 && counts.utc_flags != counts.types) ||
        (counts.standard_flags != 0 && counts.standard_flags != counts.types)) {
        return bad(reader, "its header is wrong");
    }
    *ret_version = at[4];
    *ret_counts = counts;
    return 0;
}

static int transitions_take(struct reader *reader, struct tzif *zone, const struct counts *counts,
                            size_t time_bytes)
{
    const char *times = bytes_take(reader, counts->transitions * time_bytes);
    const char *indexes = times != NULL ? bytes_take(reader, counts->transitions) : NULL;
    size_t i;

    if (indexes == NULL) {
        return bad(reader, "it is cut off");
    }
    zone->transitions = mem_calloc(counts->transitions + 1, sizeof(*zone->transitions));
    if (zone->transitions == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i < counts->transitions; i++) {
        struct transition *transition = &zone->transitions[i];

        transition->at_s = be_signed(times + i * time_bytes, time_bytes);
        transition->type = (uint8_t)indexes[i];
        if (transition->type >= counts->types ||
            (i > 0 && transition->at_s <= zone->transitions[i - 1].at_s)) {
            return bad(reader, "its transitions are wrong");
        }
    }
    zone->transition_count = counts->transitions;
    return 0;
}

static int types_take(struct reader *reader, struct tzif *zone, const struct counts *counts)
{
    const char *types = bytes_take(reader, counts->types * TYPE_BYTES);
    const char *chars = types != NULL ? bytes_take(reader, counts->chars) : NULL;
    size_t i;

    if (chars == NULL) {
        return bad(reader, "it is cut off");
    }
    zone->types = mem_calloc(counts->types, sizeof(*zone->types));
    if (zone->types == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i < counts->types; i++) {
        const char *at = types + i * TYPE_BYTES;
        int64_t offset_s = be_signed(at, 4);
        size_t index = (uint8_t)at[5];

        if (offset_s < TZIF_OFFSET_MIN_S || offset_s > TZIF_OFFSET_MAX_S ||
            (at[4] != 0 && at[4] != 1) || index >= counts->chars ||
            memchr(chars + index, '\0', counts->chars - index) == NULL) {
            return bad(reader, "its local times are wrong");
        }
        zone->types[i].offset_s = (int32_t)offset_s;
        zone->types[i].is_dst = at[4] == 1;
        (void)snprintf(zone->types[i].abbreviation, TZIF_ABBREVIATION_MAX_BYTES, "%s",
                       chars + index);
    }
    zone->type_count = counts->types;
    return 0;
}

static int block_skip(struct reader *reader, const struct counts *counts)
{
    size_t size = counts->transitions * 5U + counts->types * TYPE_BYTES + counts->chars +
                  counts->leaps * 8U + counts->standard_flags + counts->utc_flags;

    return bytes_take(reader, size) != NULL ? 0 : bad(reader, "it is cut off");
}

static int block_take(struct reader *reader, struct tzif *zone, const struct counts *counts,
                      size_t time_bytes)
{
    int r;

    if (counts->leaps > 0) {
        return err_set(reader->e, ERR_UNSUPPORTED,
                       "it counts leap seconds, which the system's clock doesn't");
    }
    r = transitions_take(reader, zone, counts, time_bytes);
    if (r == 0) {
        r = types_take(reader, zone, counts);
    }
    /* Which of the times were meant as standard time or UTC matters to nobody here. */
    if (r == 0 && bytes_take(reader, counts->standard_flags + counts->utc_flags) == NULL) {
        r = bad(reader, "it is cut off");
    }
    return r;
}

/* An empty rule means that the last transition's local time goes on. */
static int footer_take(struct reader *reader, struct tzif *zone)
{
    const char *at = bytes_take(reader, 1);
    const char *end;
    struct str text;

    if (at == NULL || *at != '\n') {
        return bad(reader, "its footer is missing");
    }
    end = memchr(reader->rest.ptr, '\n', reader->rest.len);
    if (end == NULL || end - reader->rest.ptr > (ptrdiff_t)FOOTER_MAX_BYTES) {
        return bad(reader, "its footer is cut off");
    }
    text = (struct str){reader->rest.ptr, (size_t)(end - reader->rest.ptr)};
    if (text.len == 0) {
        return 0;
    }
    zone->has_rule = true;
    return tz_rule_parse(text, &zone->rule) == 0 ? 0
                                                 : bad(reader, "the rule in its footer is none");
}

static int file_take(struct reader *reader, struct tzif *zone)
{
    struct counts counts = {0};
    char version = '\0';
    int r = header_take(reader, &version, &counts);

    if (r != 0 || version == '\0') {
        return r != 0 ? r : block_take(reader, zone, &counts, 4);
    }
    r = block_skip(reader, &counts);
    if (r == 0) {
        r = header_take(reader, &version, &counts);
    }
    if (r == 0) {
        r = block_take(reader, zone, &counts, 8);
    }
    if (r == 0) {
        r = footer_take(reader, zone);
    }
    return r;
}

int tzif_parse(struct str bytes, struct tzif **ret_zone, struct err *e)
{
    struct reader reader = {.rest = bytes, .e = e};
    struct tzif *zone;
    int r;

    if (bytes.len > TZIF_MAX_BYTES) {
        return err_set(e, ERR_TOO_LARGE, "it is no time zone file: over %u bytes", TZIF_MAX_BYTES);
    }
    zone = mem_calloc(1, sizeof(*zone));
    if (zone == NULL) {
        return ERR_NOMEM;
    }
    r = file_take(&reader, zone);
    if (r != 0) {
        tzif_free(zone);
        return r;
    }
    *ret_zone = zone;
    return 0;
}

void tzif_free(struct tzif *zone)
{
    if (zone != NULL) {
        mem_free(zone->transitions);
        mem_free(zone->types);
        mem_free(zone);
    }
}

/* How many transitions are at or before a moment. */
static size_t transitions_before(const struct tzif *zone, int64_t unix_s)
{
    size_t low = 0;
    size_t high = zone->transition_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (zone->transitions[middle].at_s <= unix_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void tzif_at(const struct tzif *zone, int64_t unix_s, struct tzif_span *ret_span)
{
    const struct local_type *type;
    size_t before;

    if (zone == NULL) {
        *ret_span = (struct tzif_span){.until_s = INT64_MAX, .abbreviation = "UTC"};
        return;
    }
    unix_s = unix_s > TZIF_MOMENT_MAX_S ? TZIF_MOMENT_MAX_S : unix_s;
    unix_s = unix_s < -TZIF_MOMENT_MAX_S ? -TZIF_MOMENT_MAX_S : unix_s;
    before = transitions_before(zone, unix_s);
    if (before == zone->transition_count && zone->has_rule) {
        tz_rule_at(&zone->rule, unix_s, ret_span);
        return;
    }
    type = &zone->types[before > 0 ? zone->transitions[before - 1].type : 0];
    *ret_span = (struct tzif_span){
        .until_s = before < zone->transition_count ? zone->transitions[before].at_s : INT64_MAX,
        .offset_s = type->offset_s,
        .is_dst = type->is_dst,
    };
    memcpy(ret_span->abbreviation, type->abbreviation, sizeof(type->abbreviation));
}
