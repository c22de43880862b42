/* Each number below `limits` and below a backend's `limits`, out of the tables themselves: at its
 * least and its most it is taken, one beyond it is refused, and the message names it. */
#include "unit/daemon/config_fixture.h"

#include "daemon/config_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BACKEND                                                                                    \
    "backends: {v: {plugin: vault, address: 'https://v', auth: {method: token, token_env: T}, "    \
    "limits: {%s}}}\n"

static const struct schema_object *table_below(const struct schema_object *table, const char *key)
{
    const struct schema_field *field;

    for (field = table->fields; strcmp(field->key, key) != 0; field++) {
        assert_non_null(field[1].key);
    }
    return field->object;
}

static bool is_number(const struct schema_field *field)
{
    return field->type == SCHEMA_UINT || field->type == SCHEMA_DURATION ||
           field->type == SCHEMA_SIZE;
}

static int load(struct config_fixture *f, const char *format, const struct schema_field *field,
                uint64_t value)
{
    const char *gap = strstr(format, "%s");
    char text[1024];

    (void)snprintf(text, sizeof(text), CONFIG_FIXTURE_LEAST "%.*s%s: %" PRIu64 "%s%s",
                   (int)(gap - format), format, field->key, value,
                   field->type == SCHEMA_DURATION ? "ms" : "", gap + 2);
    config_fixture_write(f, "c.yaml", text);
    return config_fixture_load(f, "c.yaml");
}

static void expect_taken(struct config_fixture *f, const char *format,
                         const struct schema_field *field, uint64_t value)
{
    if (load(f, format, field, value) != 0) {
        fail_msg("%s: %" PRIu64 ": %s", field->key, value, config_fixture_errors(f));
    }
}

static void expect_refused(struct config_fixture *f, const char *format,
                           const struct schema_field *field, uint64_t value)
{
    int r = load(f, format, field, value);

    if (r != ERR_INVALID || strstr(config_fixture_errors(f), field->key) == NULL) {
        fail_msg("%s: %" PRIu64 ": taken, or \"%s\"", field->key, value, config_fixture_errors(f));
    }
}

/* Returns how many numbers the table has. */
static size_t check_table(struct config_fixture *f, const struct schema_object *table,
                          const char *format)
{
    const struct schema_field *field;
    size_t count = 0;

    for (field = table->fields; field->key != NULL; field++) {
        if (!is_number(field)) {
            continue;
        }
        if (field->max == 0 || field->default_text == NULL) {
            fail_msg("%s: a limit has a default and a hard maximum", field->key);
        }
        if (field->min > 0) {
            expect_refused(f, format, field, field->min - 1);
        }
        expect_taken(f, format, field, field->min);
        expect_taken(f, format, field, field->max);
        expect_refused(f, format, field, field->max + 1);
        expect_refused(f, format, field, field->max * 10);
        count++;
    }
    return count;
}

static void test_each_limit_is_taken_from_its_least_to_its_most(void **state)
{
    const struct schema_object *table = table_below(&config_settings_table, "limits");

    assert_true(check_table(*state, table, "limits: {%s}\n") >= 20);
}

static void test_each_limit_of_a_backend_is_taken_from_its_least_to_its_most(void **state)
{
    const struct schema_object *backends = table_below(&config_settings_table, "backends");

    assert_true(check_table(*state, table_below(backends, "limits"), BACKEND) >= 7);
}

/* What was researched for this product stands in its tables: default and hard maximum. */
static void test_the_limits_have_the_defaults_and_maxima_that_were_decided(void **state)
{
    static const struct {
        const char *key;
        const char *default_text;
        uint64_t max;
        bool is_backend;
    } decided[] = {
        {"clients_per_uid", "256", 16000, false},
        {"streams", "256", 4096, false},
        {"streams_per_caller", "64", 4096, false},
        {"request_head", "8KiB", 16384, false},
        {"request_headers", "32", 64, false},
        {"request_target", "1KiB", 4096, false},
        {"request_body", "64KiB", 1048576, false},
        {"head_timeout", "5s", 3600000, false},
        {"body_timeout", "10s", 3600000, false},
        {"idle_timeout", "60s", 3600000, false},
        {"write_timeout", "10s", 3600000, false},
        {"reply", "1MiB", 4194304, false},
        {"leases", "100000", 2000000, false},
        {"waiting", "256", 65536, false},
        {"clock_skew", "2s", 60000, false},
        {"audit_confirm", "2s", 30000, false},
        {"audit_reserve", "16MiB", 268435456, false},
        {"in_flight", "32", 256, true},
        {"timeout", "10s", 60000, true},
        {"connect_timeout", "5s", 60000, true},
        {"answer", "256KiB", 1048576, true},
        {"answer_depth", "32", 64, true},
        {"answer_memory", "8MiB", 33554432, true},
        {"max_lifetime", "768h", 31536000000, true},
    };
    const struct schema_object *own = table_below(&config_settings_table, "limits");
    const struct schema_object *backends = table_below(&config_settings_table, "backends");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(decided); i++) {
        const struct schema_object *table =
            decided[i].is_backend ? table_below(backends, "limits") : own;
        const struct schema_field *field = table->fields;

        while (strcmp(field->key, decided[i].key) != 0) {
            field++;
            assert_non_null(field->key);
        }
        assert_string_equal(field->default_text, decided[i].default_text);
        assert_int_equal(field->max, decided[i].max);
    }
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, config_fixture_setup, config_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_limit_is_taken_from_its_least_to_its_most),
        TEST(test_each_limit_of_a_backend_is_taken_from_its_least_to_its_most),
        TEST(test_the_limits_have_the_defaults_and_maxima_that_were_decided),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
