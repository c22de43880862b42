/* Listeners: what they may say, and what contradicts itself. */
#include "config_fixture.h"

#include <stdio.h>
#include <string.h>

#define AUDIT "audit: [{sink: stdout}]\n"

static void expect_valid(struct config_fixture *f, const char *text)
{
    config_fixture_write(f, "c.yaml", text);
    if (config_fixture_load(f, "c.yaml") != 0) {
        fail_msg("%s", config_fixture_errors(f));
    }
}

static void test_a_listener_is_one_socket_and_callers_from_elsewhere_show_a_certificate(
    void **state)
{
    static const struct {
        const char *text;
        const char *errors;
    } mistakes[] = {
        {AUDIT, "c.yaml:1:1: `listeners` is missing in the configuration\n"},
        {AUDIT "listeners: []\n", "c.yaml:2:1: `listeners` is empty\n"},
        {AUDIT "listeners: [{unix: /a, serve: []}]\n", "c.yaml:2:24: `serve` is empty\n"},
        {AUDIT "listeners: [{}]\n", "c.yaml:2:13: `unix` or `tcp` is missing in a listener\n"},
        {AUDIT "listeners: [{unix: /a, tcp: '127.0.0.1:1'}]\n",
         "c.yaml:2:13: give `unix` or `tcp`, not both\n"},
        {AUDIT "listeners: [{unix: a.sock}]\n",
         "c.yaml:2:20: expected an absolute path, found `a.sock`\n"},
        {AUDIT "listeners: [{tcp: 0.0.0.0:9912}]\n",
         "c.yaml:2:19: `0.0.0.0:9912` is no loopback address: callers from elsewhere need `tls`, "
         "unless only metrics are served\n"},
        {AUDIT "listeners: [{tcp: '[::]:9912', serve: [metrics, native]}]\n",
         "c.yaml:2:19: `[::]:9912` is no loopback address: callers from elsewhere need `tls`, "
         "unless only metrics are served\n"},
        {AUDIT "listeners: [{tcp: 127.0.0.1}]\n",
         "c.yaml:2:19: expected an address and a port such as 127.0.0.1:9911, found `127.0.0.1`\n"},
        {AUDIT "listeners: [{tcp: '::1:80'}]\n",
         "c.yaml:2:19: an IPv6 address stands in brackets: write `[::1]:80`\n"},
        {AUDIT "listeners: [{tcp: '127.0.0.1:99999'}]\n",
         "c.yaml:2:19: expected an address and a port such as 127.0.0.1:9911, found "
         "`127.0.0.1:99999`\n"},
        {AUDIT "listeners: [{tcp: '127.0.0.1:1', mode: '0660'}]\n",
         "c.yaml:2:34: `mode` is for unix sockets only\n"},
        {AUDIT "listeners: [{tcp: 127.0.0.1:9911, peers: foreign}]\n",
         "c.yaml:2:35: `peers` is for unix sockets only\n"},
        {AUDIT "listeners: [{name: a, unix: /a}, {name: a, unix: /a}]\n",
         "c.yaml:2:41: another listener is called `a`\n"
         "c.yaml:2:50: another listener is there already\n"},
        {AUDIT "listeners: [{name: listener-2, unix: /a}, {unix: /b}]\n",
         "c.yaml:2:43: another listener is called `listener-2`: give this one a `name`\n"},
        {AUDIT "listeners: [{unix: /a}, {name: listener-1, unix: /b}]\n",
         "c.yaml:2:32: another listener is called `listener-1`\n"},
        {AUDIT "listeners: [{unix: /a, tls: {cert_file: /c, key_file: /k, client_ca_file: /a}}]\n",
         "c.yaml:2:24: `tls` is for tcp only\n"},
        {AUDIT "listeners: [{tcp: 0.0.0.0:1, tls: {cert_file: c, client_ca_file: /a}}]\n",
         "c.yaml:2:30: `key_file` is missing in tls\n"
         "c.yaml:2:47: expected an absolute path, found `c`\n"},
        {AUDIT "listeners: [{tcp: 127.0.0.1:1, serve: [gcp], gcp: {role: none}}]\n",
         "c.yaml:2:58: there is no role `none`\n"},
        {AUDIT "listeners: [{tcp: 127.0.0.1:1, azure: {}}]\n",
         "c.yaml:2:32: `azure` is for listeners that serve it: add it to `serve`\n"},
        {AUDIT "listeners: [{tcp: 127.0.0.1:1, reconnect: 60s}]\n",
         "c.yaml:2:32: `reconnect` is not supported by this version: a grant bound to a connection "
         "ends with it\n"},
    };

    size_t i;

    for (i = 0; i < ARRAY_LEN(mistakes); i++) {
        config_fixture_expect(*state, mistakes[i].text, mistakes[i].errors);
    }
}

static void test_a_socket_path_that_the_kernel_would_cut_is_refused(void **state)
{
    char text[512];
    char path[128];

    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[CONFIG_UNIX_PATH_MAX_BYTES + 1] = '\0';
    (void)snprintf(text, sizeof(text), AUDIT "listeners: [{unix: %s}]\n", path);
    config_fixture_expect(*state, text,
                          "c.yaml:2:20: the path has 108 bytes; a socket's can have 107\n");
    path[CONFIG_UNIX_PATH_MAX_BYTES] = '\0';
    (void)snprintf(text, sizeof(text), AUDIT "listeners: [{unix: %s}]\n", path);
    expect_valid(*state, text);
}

static void test_tls_and_metrics_go_beyond_loopback(void **state)
{
    struct config_fixture *f = *state;
    const struct config_listener *listener;

    expect_valid(f, AUDIT "listeners:\n"
                          "  - tcp: 0.0.0.0:9912\n"
                          "    tls: {cert_file: /c.pem, key_file: /k.pem, client_ca_file: /a.pem}\n"
                          "  - {tcp: '[::]:9100', serve: [metrics]}\n"
                          "  - {tcp: '[::1]:9911'}\n");
    listener = f->config->settings.listeners.items;
    assert_non_null(listener[0].tls.node);
    assert_string_equal(listener[0].tls.cert_file, "/c.pem");
    assert_string_equal(listener[0].tls.key_file, "/k.pem");
    assert_string_equal(listener[0].tls.client_ca_file, "/a.pem");
    assert_null(listener[1].tls.node);
    assert_null(listener[2].tls.node);
    assert_int_equal(f->config->settings.limits.clients_per_address, 256);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, config_fixture_setup, config_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_listener_is_one_socket_and_callers_from_elsewhere_show_a_certificate),
        TEST(test_a_socket_path_that_the_kernel_would_cut_is_refused),
        TEST(test_tls_and_metrics_go_beyond_loopback),
    };

    return cmocka_run_group_tests_name("config listeners", tests, NULL, NULL);
}
