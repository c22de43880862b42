/* Every key of the configuration, one by one: misspelt it is recognised, with a wrong type it says
 * what it expects, and the example names it. */
#include "unit/daemon/config_fixture.h"

#include "daemon/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a table's keys stand: %s is the key and its value. */
struct place {
    const char *keys[2]; /* from the top: list, map or object, then an object in it */
    const char *text;
    bool is_shared; /* with a plugin */
};

#define ROLE_HEAD "roles: {r: {backend: v, path: a/b, "
#define VAULT                                                                                      \
    "backends: {v: {plugin: vault, address: 'https://v', auth: {method: token, token_env: T}"
#define REST "audit: [{sink: stdout}]\n"

static const struct place places[] = {
    {{NULL, NULL}, CONFIG_FIXTURE_LEAST "%s\n", false},
    {{"listeners", NULL}, REST "listeners: [{unix: /a, %s}]\n", false},
    {{"backends", NULL}, CONFIG_FIXTURE_LEAST VAULT ", %s}}\n", true},
    {{"backends", "limits"}, CONFIG_FIXTURE_LEAST VAULT ", limits: {%s}}}\n", false},
    {{"roles", NULL}, CONFIG_FIXTURE_LEAST VAULT "}}\n" ROLE_HEAD "%s}}\n", true},
    {{"roles", "budget"}, CONFIG_FIXTURE_LEAST VAULT "}}\n" ROLE_HEAD "budget: {%s}}}\n", false},
    {{"audit", NULL}, "listeners: [{unix: /a}]\naudit: [{sink: stdout}, {%s}]\n", false},
    {{"notify", NULL}, CONFIG_FIXTURE_LEAST "notify: [{%s}]\n", false},
    {{"policies", NULL}, CONFIG_FIXTURE_LEAST "policies: {%s}\n", false},
    {{"plugins", NULL}, CONFIG_FIXTURE_LEAST "plugins: {%s}\n", false},
    {{"limits", NULL}, CONFIG_FIXTURE_LEAST "limits: {%s}\n", false},
    {{"log", NULL}, CONFIG_FIXTURE_LEAST "log: {%s}\n", false},
};

static const struct schema_object *table_of(const struct place *place)
{
    const struct schema_object *table = &config_settings_table;
    size_t i;

    for (i = 0; i < ARRAY_LEN(place->keys) && place->keys[i] != NULL; i++) {
        const struct schema_field *field = table->fields;

        while (strcmp(field->key, place->keys[i]) != 0) {
            field++;
            assert_non_null(field->key);
        }
        table = field->object;
    }
    return table;
}

/* Loads the place's text with `entry` in it. */
static int load_with(struct config_fixture *f, const struct place *place, const char *entry)
{
    const char *gap = strstr(place->text, "%s");
    char text[1024];

    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(gap - place->text), place->text, entry,
                   gap + 2);
    config_fixture_write(f, "c.yaml", text);
    return config_fixture_load(f, "c.yaml");
}

typedef void (*check_fn)(struct config_fixture *f, const struct place *place,
                         const struct schema_field *field);

static void each_field(struct config_fixture *f, check_fn check)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(places); i++) {
        const struct schema_field *field;

        for (field = table_of(&places[i])->fields; field->key != NULL; field++) {
            check(f, &places[i], field);
        }
    }
}

static void expect_error(struct config_fixture *f, int r, const char *entry, const char *part)
{
    if (r != ERR_INVALID || strstr(config_fixture_errors(f), part) == NULL) {
        fail_msg("%s: expected \"%s\", got \"%s\"", entry, part, config_fixture_errors(f));
    }
}

static void misspelt_check(struct config_fixture *f, const struct place *place,
                           const struct schema_field *field)
{
    char entry[64];
    char part[64];

    (void)snprintf(entry, sizeof(entry), "%sx: 1", field->key);
    (void)snprintf(part, sizeof(part), "did you mean `%s`?", field->key);
    expect_error(f, load_with(f, place, entry), entry, part);
}

static void test_each_key_misspelt_is_recognised(void **state)
{
    each_field(*state, misspelt_check);
}

static bool is_in_text(const struct place *place, const char *key)
{
    char entry[64];

    (void)snprintf(entry, sizeof(entry), "%s: ", key);
    return strstr(place->text, entry) != NULL;
}

static void wrong_type_check(struct config_fixture *f, const struct place *place,
                             const struct schema_field *field)
{
    bool is_any = field->type == SCHEMA_JSON && (field->flags & SCHEMA_UNSUPPORTED) == 0;
    char entry[64];

    /* rules and admins are judged by the policy's own tables. */
    if (is_any || is_in_text(place, field->key)) {
        return;
    }
    (void)snprintf(entry, sizeof(entry), "%s: [[]]", field->key);
    expect_error(f, load_with(f, place, entry), entry,
                 (field->flags & SCHEMA_UNSUPPORTED) != 0 ? "is not supported by this version"
                                                          : "expected ");
}

static void test_each_key_of_a_wrong_type_says_what_it_expects(void **state)
{
    each_field(*state, wrong_type_check);
}

static char example[65536];

static void example_check(struct config_fixture *f, const struct place *place,
                          const struct schema_field *field)
{
    char entry[64];

    (void)f;
    (void)place;
    if ((field->flags & SCHEMA_UNSUPPORTED) != 0) {
        return;
    }
    (void)snprintf(entry, sizeof(entry), "%s:", field->key);
    if (strstr(example, entry) == NULL) {
        fail_msg("config/leased.yaml doesn't name `%s`", field->key);
    }
    /* Numbers and durations stand there as they are; words stand in their comments. */
    if (field->default_text != NULL && field->type != SCHEMA_STRINGS &&
        field->type != SCHEMA_STRING) {
        (void)snprintf(entry, sizeof(entry), "%s: %s", field->key, field->default_text);
        if (strstr(example, entry) == NULL) {
            fail_msg("config/leased.yaml doesn't say that the default is `%s`", entry);
        }
    }
}

static void test_an_item_of_a_list_or_map_that_is_nothing_is_a_mistake(void **state)
{
    static const struct {
        const char *text;
        const char *error;
    } items[] = {
        {CONFIG_FIXTURE_LEAST "roles: {r: }\n",
         "c.yaml:3:9: r: expected a mapping with the keys of a role, found nothing\n"},
        {CONFIG_FIXTURE_LEAST "roles:\n  r: null\n",
         "c.yaml:4:6: r: expected a mapping with the keys of a role, found nothing\n"},
        {CONFIG_FIXTURE_LEAST "backends: {v: }\n",
         "c.yaml:3:12: v: expected a mapping with the keys of a backend, found nothing\n"},
        {"listeners: [~]\naudit: [{sink: stdout}]\n",
         "c.yaml:1:13: expected a mapping with the keys of a listener, found nothing\n"},
        {"listeners: [{unix: /a}]\naudit: [~]\n",
         "c.yaml:2:9: expected a mapping with the keys of an audit sink, found nothing\n"},
        {CONFIG_FIXTURE_LEAST "policies: {rules: [~]}\n",
         "c.yaml:3:20: expected a mapping with the keys of a rule, found nothing\n"},
        {CONFIG_FIXTURE_LEAST "policies: {rules: [{subjects: [~], roles: []}]}\n",
         "c.yaml:3:32: expected a mapping with the keys of a subject, found nothing\n"
         "c.yaml:3:36: `roles` is empty\n"},
        {CONFIG_FIXTURE_LEAST "policies: {admins: [~]}\n",
         "c.yaml:3:21: expected a mapping with the keys of admins or of a subject, found "
         "nothing\n"},
        {CONFIG_FIXTURE_LEAST "policies: {admins: [{subjects: [~]}]}\n",
         "c.yaml:3:33: expected a mapping with the keys of a subject, found nothing\n"},
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(items); i++) {
        config_fixture_expect(*state, items[i].text, items[i].error);
    }
}

static void test_the_example_is_valid_and_names_each_key_with_its_default(void **state)
{
    struct config_fixture *f = *state;
    FILE *file = fopen("config/leased.yaml", "re");
    size_t size;

    if (file == NULL) {
        skip(); /* Started from elsewhere than the tree's root. */
    }
    size = fread(example, 1, sizeof(example) - 1, file);
    example[size] = '\0';
    (void)fclose(file);
    config_fixture_write(f, "c.yaml", example);
    if (config_fixture_load(f, "c.yaml") != 0) {
        fail_msg("%s", config_fixture_errors(f));
    }
    each_field(f, example_check);
    assert_non_null(strstr(example, " gid\n"));
}

/* Between the quotes and macros of the page. */
static bool page_names(const char *section, const char *key)
{
    size_t length = strlen(key);
    const char *at = section;

    while ((at = strstr(at, key)) != NULL) {
        char before = at[-1];

        if ((before == ' ' || before == '.') && (at[length] == ' ' || at[length] == '\n')) {
            return true;
        }
        at += length;
    }
    return false;
}

/* Who may connect to the socket because of a group must not read what the group may read. */
static void test_no_text_lets_a_group_read_secrets(void **state)
{
    static const char *const paths[] = {"README.md", "config/leased.yaml", "config/leased.socket",
                                        "man/leased.8", "man/leased.yaml.5"};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(paths); i++) {
        FILE *file = fopen(paths[i], "re");
        size_t size;

        if (file == NULL) {
            skip(); /* Started from elsewhere than the tree's root. */
        }
        size = fread(example, 1, sizeof(example) - 1, file);
        example[size] = '\0';
        (void)fclose(file);
        assert_null(strstr(example, "0640"));
        assert_null(strstr(example, "group: leased\n"));
        assert_null(strstr(example, "SocketGroup=leased\n"));
    }
}

static void test_the_manual_names_each_limit_that_needs_a_restart(void **state)
{
    const struct schema_field *field = config_settings_table.fields;
    FILE *file = fopen("man/leased.8", "re");
    const char *section;
    size_t size;

    (void)state;
    if (file == NULL) {
        skip(); /* Started from elsewhere than the tree's root. */
    }
    size = fread(example, 1, sizeof(example) - 1, file);
    example[size] = '\0';
    (void)fclose(file);
    section = strstr(example, ".B SIGHUP\n");
    assert_non_null(section);
    *strstr(section, "need a restart") = '\0';
    while (strcmp(field->key, "limits") != 0) {
        field++;
    }
    for (field = field->object->fields; field->key != NULL; field++) {
        if ((field->flags & SCHEMA_RESTART) != 0 && !page_names(section, field->key)) {
            fail_msg("leased.8 doesn't say under SIGHUP that `%s` needs a restart", field->key);
        }
    }
}

/* The words that people know from elsewhere. */
static void test_no_key_switches_the_verification_of_issuers_off(void **state)
{
    static const char *const words[] = {"verify",
                                        "ssl_verify",
                                        "tls_verify",
                                        "verify_peer",
                                        "insecure",
                                        "skip_verify",
                                        "tls_skip_verify",
                                        "insecure_skip_verify",
                                        "tls_insecure",
                                        "disable_verification",
                                        "no_verify",
                                        "allow_http",
                                        "allow_http_loopback",
                                        "tls_disable",
                                        "tls_min_version",
                                        "ciphers"};
    static const char *const values[] = {"true", "false", "none", "0", "tls10"};
    struct config_fixture *f = *state;
    char entry[64];

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        for (size_t j = 0; j < ARRAY_LEN(values); j++) {
            (void)snprintf(entry, sizeof(entry), "%s: %s", words[i], values[j]);
            expect_error(f, load_with(f, &places[2], entry), entry, "unknown key");
            (void)snprintf(entry, sizeof(entry), "ca_file: %s, %s: %s", "/x", words[i], values[j]);
            expect_error(f, load_with(f, &places[2], entry), entry, "unknown key");
        }
    }
}

static void test_plain_http_is_for_loopback_addresses_only(void **state)
{
    static const char *const addresses[] = {"http://vault.example:8200", "http://192.0.2.1",
                                            "http://127.0.0.1.example",  "http://0.0.0.0:8200",
                                            "HTTP://vault.example",      "http://[2001:db8::1]"};
    struct config_fixture *f = *state;
    char text[512];

    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        (void)snprintf(text, sizeof(text),
                       CONFIG_FIXTURE_LEAST "backends: {v: {plugin: vault, address: '%s', "
                                            "auth: {method: token, token_env: T}}}\n",
                       addresses[i]);
        config_fixture_write(f, "c.yaml", text);
        if (config_fixture_load(f, "c.yaml") != ERR_INVALID) {
            fail_msg("taken: %s", addresses[i]);
        }
    }
}

static void doc_check(struct config_fixture *f, const struct place *place,
                      const struct schema_field *field)
{
    (void)f;
    if (field->doc == NULL && (field->flags & SCHEMA_UNSUPPORTED) == 0) {
        fail_msg("`%s` in %s has no explanation", field->key, table_of(place)->name);
    }
}

static void test_each_key_has_an_explanation(void **state)
{
    each_field(*state, doc_check);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, config_fixture_setup, config_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_key_misspelt_is_recognised),
        TEST(test_each_key_of_a_wrong_type_says_what_it_expects),
        TEST(test_each_key_has_an_explanation),
        TEST(test_no_key_switches_the_verification_of_issuers_off),
        TEST(test_plain_http_is_for_loopback_addresses_only),
        TEST(test_an_item_of_a_list_or_map_that_is_nothing_is_a_mistake),
        TEST(test_the_manual_names_each_limit_that_needs_a_restart),
        cmocka_unit_test(test_no_text_lets_a_group_read_secrets),
        TEST(test_the_example_is_valid_and_names_each_key_with_its_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
