/* What a hostile or careless environment can't do. The test starts itself anew with such an
 * environment; the child does what the daemon does first, makes a call over TLS to the parent's
 * server, and reports by its exit code. */
#include "io/http_call.h"

#include "base/mem.h"
#include "base/secret.h"
#include "io/alloc.h"
#include "io/http_ca.h"
#include "io/scrub.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/ssl.h>

#define MARKER "marker-5f2c"

struct scene {
    char folder[64];
    struct http_ca *ca;
    struct peer *server;
    struct peer *proxy;
};

static struct scene scene;

static void write_file(const char *name, const char *text)
{
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", scene.folder, name);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static int scene_setup(void **state)
{
    struct peer_options options = {.script = peer_script_ok};

    (void)state;
    /* The child may be gone before the server has said goodbye. */
    (void)signal(SIGPIPE, SIG_IGN);
    scene = (struct scene){.folder = "/tmp/leased-env-XXXXXX"};
    assert_non_null(mkdtemp(scene.folder));
    scene.ca = http_ca_new();
    scene.proxy = peer_new(&options);
    options.tls = http_ca_server(scene.ca, "localhost", 0);
    /* What the configuration file below doesn't offer. */
    assert_int_equal(SSL_CTX_set1_groups_list(options.tls, "X25519"), 1);
    scene.server = peer_new(&options);
    write_file(".netrc", "machine localhost login eve password " MARKER "\n");
    write_file("openssl.cnf", "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n"
                              "[c]\nGroups = P-521\n");
    return 0;
}

static int scene_teardown(void **state)
{
    static const char *const names[] = {".netrc", "openssl.cnf", "keys"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", scene.folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(scene.folder);
    peer_free(scene.server);
    peer_free(scene.proxy);
    http_ca_free(scene.ca);
    return 0;
}

/* Runs the child with the environment that the test is about. Returns its exit code. */
static int run_child(const char *mode)
{
    static char values[20][256];
    char self[PATH_MAX];
    char url[256];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    const char *proxy = peer_url(scene.proxy, "", url);
    char port[8];
    char *environment[ARRAY_LEN(values) + 1];
    char *arguments[] = {self, (char *)(uintptr_t)mode, port,
                         (char *)(uintptr_t)http_ca_client(scene.ca)->ca_file, NULL};
    size_t n = 0;
    int status;
    pid_t pid;

    assert_true(len > 0);
    self[len] = '\0';
    (void)snprintf(port, sizeof(port), "%u", (unsigned)peer_port(scene.server));
    (void)snprintf(values[n++], sizeof(values[0]), "http_proxy=%s", proxy);
    (void)snprintf(values[n++], sizeof(values[0]), "https_proxy=%s", proxy);
    (void)snprintf(values[n++], sizeof(values[0]), "HTTPS_PROXY=%s", proxy);
    (void)snprintf(values[n++], sizeof(values[0]), "ALL_PROXY=%s", proxy);
    (void)snprintf(values[n++], sizeof(values[0]), "HOME=%s", scene.folder);
    (void)snprintf(values[n++], sizeof(values[0]), "SSLKEYLOGFILE=%s/keys", scene.folder);
    (void)snprintf(values[n++], sizeof(values[0]), "OPENSSL_CONF=%s/openssl.cnf", scene.folder);
    (void)snprintf(values[n++], sizeof(values[0]), "SSL_CERT_FILE=%s",
                   http_ca_client(scene.ca)->ca_file);
    (void)snprintf(values[n++], sizeof(values[0]), "SSL_CERT_DIR=%s", scene.folder);
    (void)snprintf(values[n++], sizeof(values[0]), "VAULT_TOKEN=" MARKER);
    (void)snprintf(values[n++], sizeof(values[0]), "LEASED_ISSUER_TOKEN=" MARKER);
    (void)snprintf(values[n++], sizeof(values[0]), "LISTEN_TOKEN=" MARKER);
    (void)snprintf(values[n++], sizeof(values[0]), "EMPTY=");
    (void)snprintf(values[n++], sizeof(values[0]), "PATH=/usr/bin:/bin");
    (void)snprintf(values[n++], sizeof(values[0]), "LC_ALL=C");
    (void)snprintf(values[n++], sizeof(values[0]), "LEASED_CONFIG=x=y");
    (void)snprintf(values[n++], sizeof(values[0]), "ASAN_OPTIONS=detect_leaks=0");
    for (size_t i = 0; i < n; i++) {
        environment[i] = values[i];
    }
    environment[n] = NULL;
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execve(self, arguments, environment);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_nothing_was_honoured(void)
{
    char request[PEER_REQUEST_MAX_BYTES];

    assert_int_equal(peer_connection_count(scene.proxy), 0);
    assert_int_equal(peer_request_count(scene.server), 1);
    peer_last_request(scene.server, request);
    assert_null(strcasestr(request, "authorization"));
}

static void test_proxies_netrc_and_openssl_conf_are_not_honoured_even_unscrubbed(void **state)
{
    (void)state;
    assert_int_equal(run_child("--call"), 0);
    assert_nothing_was_honoured();
}

static void test_a_ca_of_the_environment_is_not_believed(void **state)
{
    (void)state;
    assert_int_equal(run_child("--own-ca"), 0);
    assert_int_equal(peer_connection_count(scene.proxy), 0);
    assert_int_equal(peer_request_count(scene.server), 0);
}

static void test_a_scrubbed_daemon_logs_no_tls_keys(void **state)
{
    char path[128];

    (void)state;
    assert_int_equal(run_child("--scrub"), 0);
    assert_nothing_was_honoured();
    (void)snprintf(path, sizeof(path), "%s/keys", scene.folder);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* --- the child: exit codes say what failed ------------------------------------------------- */

static bool proc_environ_contains(const char *text)
{
    char bytes[8192];
    int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, bytes, sizeof(bytes)) : -1;

    if (fd >= 0) {
        (void)close(fd);
    }
    return size <= 0 || memmem(bytes, (size_t)size, text, strlen(text)) != NULL;
}

static bool has_value(const char *name, const char *value)
{
    const char *found = getenv(name);

    return value == NULL ? found == NULL : found != NULL && strcmp(found, value) == 0;
}

static int check_scrubbed(const struct io_environment *environment)
{
    static const char *const names[] = {"VAULT_TOKEN", "LEASED_ISSUER_TOKEN", "LISTEN_TOKEN"};
    size_t i;

    /* Whatever its name begins with. */
    for (i = 0; i < ARRAY_LEN(names); i++) {
        const struct secret *token = io_environment_find(environment, str_of(names[i]));

        if (token == NULL || !str_eq_c(secret_view(token), MARKER) || getenv(names[i]) != NULL) {
            return 10;
        }
    }
    if (proc_environ_contains(MARKER) || proc_environ_contains("SSLKEYLOGFILE")) {
        return 11;
    }
    if (!has_value("https_proxy", NULL) || !has_value("OPENSSL_CONF", NULL) ||
        !has_value("EMPTY", NULL)) {
        return 12;
    }
    if (!has_value("PATH", "/usr/bin:/bin") || !has_value("LC_ALL", "C") ||
        !has_value("LEASED_CONFIG", "x=y") || getenv("HOME") == NULL) {
        return 13;
    }
    if (io_environment_find(environment, STR("PATH")) != NULL ||
        io_environment_find(environment, STR("NONE")) != NULL) {
        return 14;
    }
    return 0;
}

/* Only what the configuration names is kept, and read as a secret. */
static int check_kept(struct io *io, struct io_environment *environment)
{
    const char *const names[] = {"VAULT_TOKEN", "EMPTY", "NONE"};
    struct secret secret;
    struct err e;
    int code = 0;

    if (io_environment_keep(environment, names, ARRAY_LEN(names)) != 0) {
        return 22;
    }
    io_set_environment(io, environment);
    secret_init(&secret);
    if (io_environment_find(environment, STR("https_proxy")) != NULL ||
        env_secret_read(io_env(io), STR("env:VAULT_TOKEN"), &secret, &e) != 0 ||
        !secret_eq(&secret, STR(MARKER))) {
        code = 20;
    }
    if (env_secret_read(io_env(io), STR("env:EMPTY"), &secret, &e) != ERR_INVALID ||
        env_secret_read(io_env(io), STR("env:NONE"), &secret, &e) != ERR_NOT_FOUND ||
        env_secret_read(io_env(io), STR("env:https_proxy"), &secret, &e) != ERR_NOT_FOUND) {
        code = 21;
    }
    secret_fini(&secret);
    return code;
}

struct child_call {
    struct env_http http;
    bool is_done;
    int status;
};

static void on_child_done(struct env_http *http, int status, const struct env_http_reply *reply,
                          const char *detail)
{
    struct child_call *call = http->user;

    (void)reply;
    if (status != 0 && status != ERR_TLS) {
        (void)fprintf(stderr, "%s\n", detail);
    }
    call->status = status;
    call->is_done = true;
}

/* `expected`: how the call must end. */
static int child_call(struct io *io, const char *port, const char *ca_file, int expected)
{
    const struct env_http_tls tls = {.ca_file = ca_file};
    struct child_call call = {.status = 1};
    char url[128];

    (void)snprintf(url, sizeof(url), "https://localhost:%s/", port);
    call.http = (struct env_http){.method = "GET",
                                  .url = url,
                                  .tls = &tls,
                                  .timeout_ms = 20000,
                                  .fn = on_child_done,
                                  .user = &call};
    if (env_http_start(io_env(io), &call.http, NULL) != 0) {
        return 30;
    }
    while (!call.is_done) {
        io_run_once(io, true);
    }
    return call.status == expected ? 0 : 31;
}

static int child_main(char **argv, char **envp)
{
    struct io_environment *environment = NULL;
    struct io *io = NULL;
    int code = 0;

    if (strcmp(argv[1], "--scrub") == 0) {
        if (io_scrub_environment(envp, &environment) != 0) {
            return 40;
        }
        code = check_scrubbed(environment);
    }
    if (code != 0 || io_use_allocator() != 0 || io_new(&io, NULL) != 0) {
        return code != 0 ? code : 41;
    }
    if (environment != NULL) {
        code = check_kept(io, environment);
    }
    if (code == 0 && strcmp(argv[1], "--own-ca") == 0) {
        code = child_call(io, argv[2], NULL, ERR_TLS);
    } else if (code == 0) {
        code = child_call(io, argv[2], argv[3], 0);
    }
    if (io_close(io) != 0 && code == 0) {
        code = 42;
    }
    io_environment_free(environment);
    return code;
}

int main(int argc, char **argv, char **envp)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_proxies_netrc_and_openssl_conf_are_not_honoured_even_unscrubbed, scene_setup,
            scene_teardown),
        cmocka_unit_test_setup_teardown(test_a_ca_of_the_environment_is_not_believed, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(test_a_scrubbed_daemon_logs_no_tls_keys, scene_setup,
                                        scene_teardown),
    };

    if (argc == 4) {
        return child_main(argv, envp);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
