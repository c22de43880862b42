/* Images of containers: out of which file, kept for how long, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "access/containers.h"
#include "base/mem.h"
#include "support/fake_env.h"

#define ID "4f2a000000000000000000000000000000000000000000000000000000000001"
#define OTHER "beef000000000000000000000000000000000000000000000000000000000002"
#define CRI "/run/cri/" ID "/config.json"
#define DOCKER "/lib/docker/" ID "/config.v2.json"

static const struct access_container_config configs[] = {
    {"/run/cri/${container}/config.json", "/annotations/io.kubernetes.cri.image-name"},
    {"/lib/docker/${container}/config.v2.json", "/Config/Image"},
};

static struct {
    struct fake_env fake;
    struct access_containers *containers;
    char image[ACCESS_IMAGE_MAX_BYTES];
} f;

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    json_set_alloc_funcs(mem_alloc, mem_free);
    fake_env_init(&f.fake, 100000, 1);
    return access_containers_new(&f.fake.env, configs, ARRAY_LEN(configs), &f.containers);
}

static int teardown(void **state)
{
    (void)state;
    access_containers_free(f.containers);
    fake_env_fini(&f.fake);
    assert_int_equal(mem_in_use_bytes(), 0);
    return 0;
}

static void file_is(const char *path, const char *text)
{
    f.fake.secrets[0] = (struct fake_secret){path, text};
    f.fake.secret_count = 1;
}

static const char *image_of(const char *id)
{
    memset(f.image, 0x5a, sizeof(f.image));
    access_containers_image(f.containers, id, f.image);
    return f.image;
}

static void test_the_first_file_that_names_an_image_gives_it(void **state)
{
    (void)state;
    file_is(DOCKER, "{\"Config\":{\"Image\":\"ghcr.io/acme/shop:1\"}}");
    assert_string_equal(image_of(ID), "ghcr.io/acme/shop:1");
    assert_int_equal(f.fake.file_read_count, 2);
}

static void test_what_is_known_is_not_read_again(void **state)
{
    (void)state;
    file_is(CRI, "{\"annotations\":{\"io.kubernetes.cri.image-name\":\"a\"}}");
    assert_string_equal(image_of(ID), "a");
    file_is(CRI, "{\"annotations\":{\"io.kubernetes.cri.image-name\":\"b\"}}");
    fake_env_advance(&f.fake, 24 * 3600 * 1000ULL);
    assert_string_equal(image_of(ID), "a");
    assert_int_equal(f.fake.file_read_count, 1);
}

static void test_what_is_not_known_is_asked_again_after_a_while(void **state)
{
    (void)state;
    assert_string_equal(image_of(ID), "");
    file_is(CRI, "{\"annotations\":{\"io.kubernetes.cri.image-name\":\"a\"}}");
    fake_env_advance(&f.fake, 4999);
    assert_string_equal(image_of(ID), "");
    assert_int_equal(f.fake.file_read_count, 2);
    fake_env_advance(&f.fake, 1);
    assert_string_equal(image_of(ID), "a");
}

static void test_each_container_has_its_own(void **state)
{
    (void)state;
    file_is(CRI, "{\"annotations\":{\"io.kubernetes.cri.image-name\":\"a\"}}");
    assert_string_equal(image_of(ID), "a");
    assert_string_equal(image_of(OTHER), "");
    assert_string_equal(image_of(ID), "a");
}

static void test_ids_that_no_runtime_gives_open_nothing(void **state)
{
    static const char *const odd[] = {"", "..", "../" ID, "ABCD", "4f2a/..", "4f2g", "4f 2a"};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(odd); i++) {
        assert_string_equal(image_of(odd[i]), "");
    }
    assert_int_equal(f.fake.file_read_count, 0);
    access_containers_image(NULL, ID, f.image);
    assert_string_equal(f.image, "");
}

static void test_what_is_no_image_is_none(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"annotations\":\"io.kubernetes.cri.image-name\"}",
        "{\"annotations\":{\"io.kubernetes.cri.image-name\":7}}",
        "{\"annotations\":{\"io.kubernetes.cri.image-name\":\"\"}}",
        "{\"annotations\":{\"io.kubernetes.cri.image-name\":\"a b\"}}",
        "{\"annotations\":{\"io.kubernetes.cri.image-name\":\"a\\nb\"}}",
        "{\"annotations\":{\"io.kubernetes.cri.image-name\":\"a\",\"io.kubernetes.cri.image-name\":"
        "\"b\"}}",
    };
    char longest[512];
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(texts); i++) {
        file_is(CRI, texts[i]);
        assert_string_equal(image_of(ID), "");
        fake_env_advance(&f.fake, 5000);
    }
    (void)snprintf(longest, sizeof(longest),
                   "{\"annotations\":{\"io.kubernetes.cri.image-name\":\"%0*d\"}}",
                   ACCESS_IMAGE_MAX_BYTES, 0);
    file_is(CRI, longest);
    assert_string_equal(image_of(ID), "");
}

static void test_the_way_to_the_image_has_escapes(void **state)
{
    static const struct access_container_config escaped = {"/run/${container}.json", "/a~1b/c~0d"};

    (void)state;
    access_containers_free(f.containers);
    assert_int_equal(access_containers_new(&f.fake.env, &escaped, 1, &f.containers), 0);
    file_is("/run/" ID ".json", "{\"a/b\":{\"c~d\":\"image\"}}");
    assert_string_equal(image_of(ID), "image");
}

static void test_mistakes_are_told(void **state)
{
    (void)state;
    assert_null(access_container_file_problem("/run/${container}/config.json"));
    assert_null(access_container_file_problem("/${container}"));
    assert_non_null(access_container_file_problem("run/${container}"));
    assert_non_null(access_container_file_problem("/run/config.json"));
    assert_non_null(access_container_file_problem("/run/${container}/${container}"));
    assert_non_null(access_container_file_problem("/run/${container}/${other}"));
    assert_non_null(access_container_file_problem("/run/../${container}"));
    assert_null(access_container_image_problem("/Config/Image"));
    assert_non_null(access_container_image_problem("Config.Image"));
    assert_non_null(access_container_image_problem("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_file_that_names_an_image_gives_it),
        TEST(test_what_is_known_is_not_read_again),
        TEST(test_what_is_not_known_is_asked_again_after_a_while),
        TEST(test_each_container_has_its_own),
        TEST(test_ids_that_no_runtime_gives_open_nothing),
        TEST(test_what_is_no_image_is_none),
        TEST(test_the_way_to_the_image_has_escapes),
        TEST(test_mistakes_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
