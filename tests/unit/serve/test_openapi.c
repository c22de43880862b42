/* config/openapi.yaml says what router.c does: each route with its parameters, and no other. */
#include "serve/exchange.h"
#include "wire/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PARAMS_COUNT 18
#define REF "#/components/parameters/"

static char text[131072];
static struct yaml_document *document;
static struct yaml_errors errors;

static int setup(void **state)
{
    FILE *file = fopen("config/openapi.yaml", "re");
    size_t size;

    (void)state;
    if (file == NULL) {
        return 0; /* started from elsewhere than the tree's root */
    }
    size = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    assert_true(size < sizeof(text) - 1);
    yaml_errors_init(&errors);
    if (yaml_parse("openapi.yaml", (struct str){.ptr = text, .len = size}, &document, &errors) !=
        0) {
        fail_msg("%s", buf_str(&errors.text).ptr);
    }
    assert_int_equal(errors.count, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    yaml_free(document);
    yaml_errors_fini(&errors);
    return 0;
}

/* Is `described` ("/a/{id}") this route's path ("/a/{}")? */
static bool path_fits(struct str described, const char *path)
{
    struct str rest = str_of(path);

    while (described.ptr != NULL && rest.ptr != NULL) {
        struct str have = str_cut(&described, '/');
        struct str want = str_cut(&rest, '/');

        if (str_eq_c(want, "{}") ? !str_starts_with(have, "{") : !str_eq(have, want)) {
            return false;
        }
    }
    return described.ptr == rest.ptr || (described.ptr == NULL && rest.ptr == NULL);
}

/* GET → get. */
static const char *lower(const char *method, char out[16])
{
    size_t i;

    for (i = 0; method[i] != '\0' && i < 15; i++) {
        out[i] = (char)(method[i] | 0x20);
    }
    out[i] = '\0';
    return out;
}

static const struct yaml_node *operation_of(const struct serve_route *route)
{
    const struct yaml_node *paths = yaml_get(yaml_root(document), "paths");
    const struct yaml_node *path;
    char method[16];

    for (path = paths->first; path != NULL; path = path->next) {
        if (path_fits(path->key, route->path)) {
            return yaml_get(path, lower(route->method, method));
        }
    }
    return NULL;
}

static bool names_parameter(const struct yaml_node *operation, const char *name)
{
    const struct yaml_node *list = yaml_get(operation, "parameters");
    const struct yaml_node *item;
    char ref[64];

    (void)snprintf(ref, sizeof(ref), REF "%s", name);
    for (item = list != NULL ? list->first : NULL; item != NULL; item = item->next) {
        const struct yaml_node *node = yaml_get(item, "$ref");

        if (node != NULL && str_eq_c(node->text, ref)) {
            return true;
        }
    }
    return false;
}

static bool names_member(const struct yaml_node *operation, const char *name)
{
    static const char *const way[] = {"requestBody", "content", "application/json", "schema",
                                      "properties"};
    const struct yaml_node *node = operation;
    size_t i;

    for (i = 0; node != NULL && i < ARRAY_LEN(way); i++) {
        node = yaml_get(node, way[i]);
    }
    return node != NULL && yaml_get(node, name) != NULL;
}

static void test_each_route_is_described_with_its_parameters(void **state)
{
    struct serve_route route;
    size_t i;

    (void)state;
    if (document == NULL) {
        skip();
    }
    for (i = 0; serve_route_at(i, &route); i++) {
        const struct yaml_node *operation = operation_of(&route);
        uint32_t bit;

        if (operation == NULL) {
            fail_msg("%s %s isn't described", route.method, route.path);
        }
        for (bit = 1; bit < 1U << PARAMS_COUNT; bit <<= 1) {
            const char *name = params_name(bit);

            if (names_parameter(operation, name) != ((route.query & bit) != 0) ||
                names_member(operation, name) != ((route.body & bit) != 0)) {
                fail_msg("%s %s: %s is described otherwise", route.method, route.path, name);
            }
        }
        assert_int_equal(names_parameter(operation, "guard"),
                         str_starts_with(str_of(route.path), "/leased/"));
    }
}

static bool is_routed(struct str path, struct str method)
{
    struct serve_route route;
    char word[16];
    size_t i;

    for (i = 0; serve_route_at(i, &route); i++) {
        if (path_fits(path, route.path) && str_eq_c(method, lower(route.method, word))) {
            return true;
        }
    }
    return false;
}

static void test_each_description_is_of_a_route(void **state)
{
    const struct yaml_node *path;
    const struct yaml_node *method;

    (void)state;
    if (document == NULL) {
        skip();
    }
    for (path = yaml_get(yaml_root(document), "paths")->first; path != NULL; path = path->next) {
        for (method = path->first; method != NULL; method = method->next) {
            if (!str_eq_c(method->key, "parameters") && !is_routed(path->key, method->key)) {
                fail_msg("there is no %.*s %.*s", STR_ARG(method->key), STR_ARG(path->key));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_route_is_described_with_its_parameters),
        cmocka_unit_test(test_each_description_is_of_a_route),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
