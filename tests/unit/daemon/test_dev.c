/* leased --dev: the folder that it makes, and the CA in it. */
#include "daemon/dev.h"
#include "daemon/dev_ca.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY_S 86400

static char runtime_dir[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(runtime_dir, sizeof(runtime_dir), "/tmp/leased-dev-XXXXXX");
    return mkdtemp(runtime_dir) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    static const char *const names[] = {"ca.key", "ca.pem", "ssh_ca.key", "leased.yaml"};
    char path[160];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/leased/%s", runtime_dir, names[i]);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof(path), "%s/leased", runtime_dir);
    (void)rmdir(path);
    return rmdir(runtime_dir);
}

static void file_read(const char *name, char *out, size_t size)
{
    char path[160];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/leased/%s", runtime_dir, name);
    file = fopen(path, "r");
    assert_non_null(file);
    out[fread(out, 1, size - 1, file)] = '\0';
    (void)fclose(file);
}

static void test_the_folder_and_its_files_are_the_users_alone(void **state)
{
    static const char *const names[] = {"ca.key", "ca.pem", "ssh_ca.key", "leased.yaml"};
    struct dev dev;
    struct stat facts;
    struct err e = {0};
    char path[160];

    (void)state;
    assert_int_equal(dev_prepare(str_of(runtime_dir), &dev, &e), 0);
    (void)snprintf(path, sizeof(path), "%s/leased", runtime_dir);
    assert_string_equal(dev.folder, path);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0700);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/leased/%s", runtime_dir, names[i]);
        assert_int_equal(stat(path, &facts), 0);
        assert_int_equal(facts.st_mode & 07777, 0600);
    }
    assert_string_equal(dev.config_path, path);
    dev_release(&dev);
}

static void test_a_second_one_leaves_the_folder_alone(void **state)
{
    struct dev dev;
    struct dev other;
    struct err e = {0};
    char path[160];

    (void)state;
    assert_int_equal(dev_prepare(str_of(runtime_dir), &dev, NULL), 0);
    (void)snprintf(path, sizeof(path), "%s/leased/ca.pem", runtime_dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(dev_prepare(str_of(runtime_dir), &other, &e), ERR_BUSY);
    assert_non_null(strstr(e.text, "another leased --dev runs in "));
    assert_int_not_equal(access(path, F_OK), 0);
    dev_release(&dev);
    assert_int_equal(dev_prepare(str_of(runtime_dir), &other, NULL), 0);
    dev_release(&other);
}

static void test_a_folder_and_keys_that_were_open_are_closed(void **state)
{
    struct dev dev;
    struct stat facts;
    char path[160];

    (void)state;
    assert_int_equal(dev_prepare(str_of(runtime_dir), &dev, NULL), 0);
    dev_release(&dev);
    (void)snprintf(path, sizeof(path), "%s/leased/ca.key", runtime_dir);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chmod(dev.folder, 0755), 0);
    assert_int_equal(dev_prepare(str_of(runtime_dir), &dev, NULL), 0);
    dev_release(&dev);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0600);
    assert_int_equal(stat(dev.folder, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0700);
}

static void test_keys_are_kept_and_the_configuration_is_written_anew(void **state)
{
    struct dev dev;
    char before[2][4096];
    char after[2][4096];
    char config[4096];
    FILE *file;

    (void)state;
    assert_int_equal(dev_prepare(str_of(runtime_dir), &dev, NULL), 0);
    dev_release(&dev);
    file_read("ca.pem", before[0], sizeof(before[0]));
    file_read("ssh_ca.key", before[1], sizeof(before[1]));
    file = fopen(dev.config_path, "w");
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(dev_prepare(str_of(runtime_dir), &dev, NULL), 0);
    dev_release(&dev);
    file_read("ca.pem", after[0], sizeof(after[0]));
    file_read("ssh_ca.key", after[1], sizeof(after[1]));
    file_read("leased.yaml", config, sizeof(config));
    assert_string_equal(before[0], after[0]);
    assert_string_equal(before[1], after[1]);
    assert_non_null(strstr(config, "plugin: localca"));
}

static void test_what_is_no_ca_any_more_is_made_anew(void **state)
{
    struct dev dev;
    char before[4096];
    char after[4096];
    char path[160];
    FILE *file;

    (void)state;
    assert_int_equal(dev_prepare(str_of(runtime_dir), &dev, NULL), 0);
    dev_release(&dev);
    file_read("ca.pem", before, sizeof(before));
    (void)snprintf(path, sizeof(path), "%s/leased/ca.key", runtime_dir);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(dev_prepare(str_of(runtime_dir), &dev, NULL), 0);
    dev_release(&dev);
    file_read("ca.pem", after, sizeof(after));
    assert_string_not_equal(before, after);
}

static void test_a_ca_is_good_for_a_month_less_a_day(void **state)
{
    const int64_t now_s = 1767225600;
    BUF_AUTO key;
    BUF_AUTO other;
    BUF_AUTO certificate;

    (void)state;
    buf_init(&key, 4096);
    buf_init(&other, 4096);
    buf_init(&certificate, 4096);
    assert_int_equal(dev_ca_make(now_s, &key, &certificate), 0);
    assert_int_equal(dev_key_make(&other), 0);
    assert_true(dev_ca_is_good(buf_str(&key), buf_str(&certificate), now_s));
    assert_true(dev_ca_is_good(buf_str(&key), buf_str(&certificate), now_s + 28 * DAY_S));
    assert_false(dev_ca_is_good(buf_str(&key), buf_str(&certificate), now_s + 29 * DAY_S));
    assert_false(dev_ca_is_good(buf_str(&other), buf_str(&certificate), now_s));
    assert_false(dev_ca_is_good(buf_str(&key), STR(""), now_s));
    assert_true(dev_key_is_good(buf_str(&other)));
    assert_false(dev_key_is_good(STR("")));
}

/* One of a kind that certifies nothing, and one under a passphrase: nobody is asked for it. */
static void test_a_key_that_cannot_be_used_is_not_good(void **state)
{
    EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long len;

    (void)state;
    assert_int_equal(PEM_write_bio_PrivateKey(bio, other, NULL, NULL, 0, NULL, NULL), 1);
    len = BIO_get_mem_data(bio, &text);
    assert_false(dev_key_is_good((struct str){text, (size_t)len}));
    (void)BIO_reset(bio);
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, EVP_aes_128_cbc(),
                                              (const unsigned char *)"word", 4, NULL, NULL),
                     1);
    len = BIO_get_mem_data(bio, &text);
    assert_false(dev_key_is_good((struct str){text, (size_t)len}));
    BIO_free(bio);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

static void test_a_folder_that_strangers_can_change_is_refused(void **state)
{
    struct dev dev;
    struct err e = {0};

    (void)state;
    assert_int_equal(chmod(runtime_dir, 0777), 0);
    assert_int_equal(dev_prepare(str_of(runtime_dir), &dev, &e), ERR_DENIED);
    assert_non_null(strstr(e.text, runtime_dir));
    assert_int_equal(chmod(runtime_dir, 0700), 0);
}

static void test_a_path_that_cannot_stand_in_the_configuration_is_refused(void **state)
{
    char path[600];
    struct dev dev;

    (void)state;
    assert_int_equal(dev_prepare(STR("/tmp/a\"b"), &dev, NULL), ERR_INVALID);
    assert_int_equal(dev_prepare(STR("/tmp/a\nb"), &dev, NULL), ERR_INVALID);
    assert_int_equal(dev_prepare(STR("/tmp/a'b"), &dev, NULL), ERR_INVALID);
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    assert_int_equal(dev_prepare((struct str){path, sizeof(path)}, &dev, NULL), ERR_INVALID);
}

static void test_the_guide_names_the_socket(void **state)
{
    const struct dev dev = {.folder = "/run/user/7/leased"};
    const struct dev odd = {.folder = "/run/$a b/leased"};
    BUF_AUTO text;

    (void)state;
    buf_init(&text, 4096);
    dev_guide(&dev, &text);
    assert_int_equal(buf_status(&text), 0);
    assert_non_null(
        strstr(buf_str(&text).ptr, "export LEASED_ADDR=unix:///run/user/7/leased/leased.sock\n"));
    buf_reset(&text);
    dev_guide(&odd, &text);
    assert_non_null(
        strstr(buf_str(&text).ptr, "export LEASED_ADDR='unix:///run/$a b/leased/leased.sock'\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_the_folder_and_its_files_are_the_users_alone),
        TEST(test_a_second_one_leaves_the_folder_alone),
        TEST(test_a_folder_and_keys_that_were_open_are_closed),
        TEST(test_keys_are_kept_and_the_configuration_is_written_anew),
        TEST(test_what_is_no_ca_any_more_is_made_anew),
        TEST(test_a_ca_is_good_for_a_month_less_a_day),
        TEST(test_a_key_that_cannot_be_used_is_not_good),
        TEST(test_a_folder_that_strangers_can_change_is_refused),
        TEST(test_a_path_that_cannot_stand_in_the_configuration_is_refused),
        TEST(test_the_guide_names_the_socket),
#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
