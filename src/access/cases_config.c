/* The keys of files with tests. */
#include "access/cases_config.h"

#define LIMIT_MAX_MS (366ULL * 24 * 3600 * 1000)
#define LIVE_MAX 1000000U

const struct schema_enum_value access_outcome_words[] = {
    {"allow", ACCESS_ALLOW},
    {"deny", ACCESS_DENY},
    {"approval", ACCESS_APPROVAL_REQUIRED},
    {"reason_required", ACCESS_REASON_REQUIRED},
    {"limit_exceeded", ACCESS_LIMIT_EXCEEDED},
    {0},
};

#define ASK(key, type, member) key, type, offsetof(struct access_ask_config, member)

static const struct schema_field ask_fields[] = {
    {ASK("role", SCHEMA_STRING, role), .doc = "the role that is asked for"},
    {ASK("duration", SCHEMA_DURATION, duration_ms), .min = 1000, .max = LIMIT_MAX_MS,
     .doc = "the grant's life, if it is asked for"},
    {ASK("reason", SCHEMA_STRING, reason), .doc = "the reason that is given"},
    {ASK("ticket", SCHEMA_STRING, ticket), .doc = "the ticket that is given"},
    {ASK("binding", SCHEMA_STRINGS, binding), .doc = "the bindings that are asked for"},
    {ASK("break_glass", SCHEMA_BOOL, is_break_glass), .doc = "does the caller break the glass?"},
    {ASK("approved", SCHEMA_BOOL, is_approved),
     .doc = "does an approval of exactly this request stand?"},
    {ASK("live", SCHEMA_UINT, live), .max = LIVE_MAX,
     .doc = "grants for this role that the caller holds already"},
    {ASK("path", SCHEMA_STRING, path),
     .doc = "instead of a role: a path of an issuer's own API, without v1/"},
    {ASK("backend", SCHEMA_STRING, backend), .doc = "with a path: the backend"},
    {ASK("capabilities", SCHEMA_STRINGS, capabilities),
     .doc = "with a path: what is done with it; read by default"},
    {0},
};
static const struct schema_object ask_table = {
    .name = "request",
    .size = sizeof(struct access_ask_config),
    .fields = ask_fields,
};

#define EXPECT(key, type, member) key, type, offsetof(struct access_expect_config, member)

static const struct schema_field expect_fields[] = {
    {EXPECT("decision", SCHEMA_ENUM, outcome), .flags = SCHEMA_REQUIRED,
     .values = access_outcome_words, .doc = "what must come of it"},
    {EXPECT("rule", SCHEMA_STRING, rule),
     .doc = "the rule that decides; none: no rule is about this caller"},
    {EXPECT("limit", SCHEMA_STRING, limit),
     .doc = "what is exceeded or missing: duration, live, binding, ticket, window"},
    {EXPECT("duration", SCHEMA_DURATION, duration_ms), .doc = "the grant's life"},
    {EXPECT("ttl", SCHEMA_DURATION, ttl_ms), .doc = "the limit of the credential's ttl"},
    {EXPECT("min_remaining", SCHEMA_DURATION, min_remaining_ms),
     .doc = "what a credential must have left at least"},
    {EXPECT("until", SCHEMA_STRING, until), .doc = "when the grant ends with its window"},
    {EXPECT("opens", SCHEMA_STRING, opens), .doc = "when the window that is closed opens"},
    {EXPECT("approvals", SCHEMA_UINT, approvals), .min = 1, .max = LIVE_MAX,
     .doc = "how many must approve"},
    {EXPECT("binding", SCHEMA_STRINGS, binding), .doc = "what the grant is bound to"},
    {0},
};
static const struct schema_object expect_table = {
    .name = "expect",
    .size = sizeof(struct access_expect_config),
    .fields = expect_fields,
};

#define DEFAULTS(key, type, member) key, type, offsetof(struct access_defaults_config, member)

#define SUBJECT_DOC "who asks"
#define AS_DOC "who asks: names of `subjects`; the test is made with each"
#define TIME_DOC "when, as in 2026-11-30T10:00:00+01:00; Monday, 2026-01-05T12:00:00Z by default"

static const struct schema_field defaults_fields[] = {
    {DEFAULTS("subject", SCHEMA_OBJECT, subject), .object = &access_assumed_table,
     .doc = SUBJECT_DOC},
    {DEFAULTS("as", SCHEMA_STRINGS, as), .doc = AS_DOC},
    {DEFAULTS("request", SCHEMA_OBJECT, request), .object = &ask_table,
     .doc = "what is asked, key by key, where a test doesn't say it"},
    {DEFAULTS("time", SCHEMA_STRING, time), .doc = TIME_DOC},
    {0},
};
static const struct schema_object defaults_table = {
    .name = "defaults",
    .size = sizeof(struct access_defaults_config),
    .fields = defaults_fields,
};

#define TEST(key, type, member) key, type, offsetof(struct access_test_config, member)

static const struct schema_field test_fields[] = {
    {TEST("name", SCHEMA_STRING, name), .flags = SCHEMA_REQUIRED, .doc = "what the test says"},
    {TEST("subject", SCHEMA_OBJECT, subject), .object = &access_assumed_table, .doc = SUBJECT_DOC},
    {TEST("as", SCHEMA_STRINGS, as), .min = 1, .doc = AS_DOC},
    {TEST("roles", SCHEMA_STRINGS, roles), .min = 1,
     .doc = "instead of request.role: the test is made with each"},
    {TEST("request", SCHEMA_OBJECT, request), .object = &ask_table, .doc = "what is asked"},
    {TEST("time", SCHEMA_STRING, time), .doc = TIME_DOC},
    {TEST("expect", SCHEMA_OBJECT, expect), .flags = SCHEMA_REQUIRED, .min = 1,
     .object = &expect_table, .doc = "what must come of it; what isn't said may be anything"},
    {0},
};
static const struct schema_object test_table = {
    .name = "a test",
    .size = sizeof(struct access_test_config),
    .fields = test_fields,
};

#define TABLE(key, type, member) key, type, offsetof(struct access_table_config, member)

static const struct schema_field table_fields[] = {
    {TABLE("name", SCHEMA_STRING, name), .flags = SCHEMA_REQUIRED, .doc = "what the table says"},
    {TABLE("roles", SCHEMA_STRINGS, roles), .flags = SCHEMA_REQUIRED, .min = 1,
     .doc = "the columns"},
    {TABLE("request", SCHEMA_OBJECT, request), .object = &ask_table, .doc = "what else is asked"},
    {TABLE("time", SCHEMA_STRING, time), .doc = TIME_DOC},
    {TABLE("expect", SCHEMA_PAIRS, rows), .flags = SCHEMA_REQUIRED,
     .doc = "the rows: a name of `subjects`, and the decision for each of the roles, with blanks "
            "between them"},
    {0},
};
static const struct schema_object table_table = {
    .name = "a table",
    .size = sizeof(struct access_table_config),
    .fields = table_fields,
};

#define FILE_KEY(key, type, member) key, type, offsetof(struct access_cases_config, member)

static const struct schema_field file_fields[] = {
    {FILE_KEY("defaults", SCHEMA_OBJECT, defaults), .object = &defaults_table,
     .doc = "for each test and table of this file"},
    {FILE_KEY("subjects", SCHEMA_MAP, subjects), .object = &access_assumed_table,
     .doc = "callers by names that tests use"},
    {FILE_KEY("tests", SCHEMA_LIST, tests), .object = &test_table,
     .doc = "who asks for what, and what must come of it"},
    {FILE_KEY("tables", SCHEMA_LIST, tables), .object = &table_table,
     .doc = "many short tests: callers by roles"},
    {0},
};

const struct schema_object access_cases_table = {
    .name = "a file of tests",
    .size = sizeof(struct access_cases_config),
    .fields = file_fields,
};

const char *access_outcome_word(enum access_outcome outcome)
{
    const struct schema_enum_value *word = access_outcome_words;

    while (word->name != NULL && word->value != (int)outcome) {
        word++;
    }
    return word->name;
}
