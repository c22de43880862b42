/* leased-plugin-check: the examples and the built-in plugins pass, and each mistake that it is made
 * for is found in an example that was given it. */
#include "base/check.h"
#include "base/str.h"
#include "support/slowdown.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXAMPLE "plugins/example_backend/example_backend.c"
#define SOURCE_MAX_BYTES 16384
#define OUTPUT_MAX_BYTES 8192
#define COMMAND_MAX_BYTES 4096

static char output[OUTPUT_MAX_BYTES];
static char folder[64];

/* What was built beside this test: …/tests/abi/test_conformance. */
static void build_folder(char *out, size_t out_size)
{
    ssize_t len = readlink("/proc/self/exe", out, out_size - 1);
    char *end;

    assert_true(len > 0);
    out[len] = '\0';
    end = strstr(out, "/tests/abi/");
    assert_non_null(end);
    *end = '\0';
}

/* Runs it; the exit code, and what it says in `output`. */
static int plugin_check(const char *arguments)
{
    static char build[2048];
    static char command[COMMAND_MAX_BYTES];
    size_t used;
    FILE *pipe;
    int status;

    build_folder(build, sizeof(build));
    (void)snprintf(command, sizeof(command), "cd %s && ./leased-plugin-check %s 2>&1", build,
                   arguments);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    used = fread(output, 1, sizeof(output) - 1, pipe);
    output[used] = '\0';
    status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* `name` is also that of the file with its server's answers, where there is one. */
static void expect_clean(const char *name, const char *plugin, const char *keys)
{
    char answers[2048];
    char all[COMMAND_MAX_BYTES];
    char root[1024];

    assert_non_null(getcwd(root, sizeof(root)));
    (void)snprintf(answers, sizeof(answers), "%s/tests/conformance/answers/%s.json", root, name);
    (void)snprintf(all, sizeof(all), "--slowdown %u %s%s %s %s", slowdown(),
                   access(answers, R_OK) == 0 ? "--answers " : "",
                   access(answers, R_OK) == 0 ? answers : "", keys, plugin);
    if (plugin_check(all) != 0) {
        fail_msg("leased-plugin-check %s\n%s", all, output);
    }
    assert_non_null(strstr(output, " passed, 0 failed\n"));
    assert_int_equal(strstr(output, "with the answers that were given") != NULL,
                     access(answers, R_OK) == 0);
}

static void test_the_examples_pass(void **state)
{
    (void)state;
    expect_clean("example-backend", "plugins/example-backend.so", "");
    expect_clean("example-sink", "plugins/example-sink.so",
                 "--config '{\"address\":\"https://x.invalid\"}'");
}

/* --- what is built in ------------------------------------------------------------------------- */

/* Every built-in plugin stands here, with the keys that it can't do without. */
static const struct {
    const char *name;
    const char *keys;
} builtins[] = {
    {"aws",
     "--config '{\"region\":\"eu-central-1\",\"source\":{\"type\":\"file\",\"credentials_file\":"
     "\"/run/aws\"}}' --params '{\"role_arn\":\"arn:aws:iam::123456789012:role/r\"}' "
     "--secret file:/run/aws=[default]"},
    {"entra", "--config '{\"tenant\":\"t.example\",\"client_id\":\"c\",\"auth\":{\"method\":"
              "\"secret\",\"client_secret_file\":\"/run/cs\"}}' --params "
              "'{\"scope\":\"https://a.example/.default\"}' --secret file:/run/cs=hidden"},
    {"exec", "--config '{\"command\":[\"/bin/true\"]}'"},
    {"gcp",
     "--config '{\"auth\":{\"method\":\"federated\",\"token_file\":\"/run/t\",\"audience\":"
     "\"//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x\"}"
     "}' --params '{\"scopes\":[\"https://www.googleapis.com/auth/cloud-platform\"]}' "
     "--secret file:/run/t=hidden --secret shared-file:/run/t=hidden"},
    {"github", "--config '{\"app_id\":\"1\",\"private_key_file\":\"/run/k\"}' --params "
               "'{\"installation_id\":1}'"},
    {"kubernetes", "--config '{\"token_file\":\"/run/t\"}' --params "
                   "'{\"namespace\":\"a\",\"service_account\":\"b\"}' --secret file:/run/t=hidden"},
    {"localca", "--config '{\"ca_key_file\":\"/run/k\",\"ca_cert_file\":\"/run/c\"}' --params "
                "'{\"type\":\"x509\",\"common_name\":\"a\"}'"},
    {"vault", "--config '{\"auth\":{\"method\":\"approle\",\"role_id\":\"r\",\"secret_id_file\":"
              "\"/run/sid\"}}' --params '{\"path\":\"database/creds/x\"}' "
              "--secret file:/run/sid=hidden"},
};

static void test_every_plugin_that_is_built_in_passes(void **state)
{
    static char names[OUTPUT_MAX_BYTES];
    struct str rest;

    (void)state;
    assert_int_equal(plugin_check("--builtin"), 0);
    (void)snprintf(names, sizeof(names), "%s", output);
    for (rest = str_of(names); rest.len > 0;) {
        struct str name = str_cut(&rest, '\n');
        size_t i = 0;

        while (i < ARRAY_LEN(builtins) && !str_eq_c(name, builtins[i].name)) {
            i++;
        }
        if (i == ARRAY_LEN(builtins)) {
            fail_msg("%.*s has no line in the table `builtins`", STR_ARG(name));
        }
        expect_clean(builtins[i].name, builtins[i].name, builtins[i].keys);
    }
}

static void test_one_that_borrows_passes(void **state)
{
    (void)state;
    expect_clean("aws", "aws",
                 "--config '{\"region\":\"eu-central-1\",\"source\":{\"type\":\"role\",\"role\":"
                 "\"keys\"}}' --params '{\"role_arn\":\"arn:aws:iam::123456789012:role/r\","
                 "\"revoke\":\"deny-older\"}' --lend access_key=AKIAEXAMPLE "
                 "--lend secret_key=hidden");
}

/* --- mistakes --------------------------------------------------------------------------------- */

static const struct mistake {
    const char *from; /* in the example … */
    const char *to;   /* … becomes this */
    const char *found;
} mistakes[] = {
    {"    instance->op = op;\n    return 0;\n}\n\nstatic void end",
     "    instance->op = op;\n    instance->host->timer_stop(instance->context, instance->timer);\n"
     "    answer(instance);\n    return 0;\n}\n\nstatic void end",
     "issue was ended from inside its own start function"},
    {"host->op_done(instance->context, op, LEASED_OK, &result);",
     "host->op_done(instance->context, op, LEASED_OK, &result);"
     "host->op_done(instance->context, op, LEASED_OK, &result);",
     "issue was ended a second time"},
    {".size = sizeof(result), ", "", "issue was ended with a result whose size is 0"},
    {".field_count = 1", ".field_count = 0", "without a lifetime or a field"},
    {"json.len == 2 && ", "json.len >= 2 && ",
     "a key that nobody knows (leased_conformance) is accepted"},
    {"    host->secret_free(password);\n", "", "bytes of the host's memory were left behind"},
    {"instance->host->op_done(instance->context, instance->op, LEASED_CANCELED, NULL);", ";",
     "close ended before issue, which was under way"},
    {"timer_start(instance->context, 0, answer, instance)",
     "timer_start(instance->context, 36000000, answer, instance)", "and hasn't ended"},
    {"timer_start(instance->context, 0, end, instance) == NULL", "size == 0", "close hasn't ended"},
    {"if (password == NULL) {", "if (0) {", "memory: the process has crashed"},
    {"    (void)request;\n",
     "    (void)request;\n"
     "    for (clock_t t = clock(); clock() - t < CLOCKS_PER_SEC / 50;) {}\n",
     "issue takes more than 5 ms"},
    {"if (!LEASED_HAS(host, alloc)) {", "if (0) {",
     "a function was called that the host's size doesn't reach"},
    {"    gone.host->op_done(gone.context, gone.op, LEASED_OK, NULL);\n",
     "    gone.host->op_done(gone.context, gone.op, LEASED_OK, NULL);\n"
     "    gone.host->timer_start(gone.context, 0, end, NULL);\n",
     "timer_start was called after close had ended"},
    {".lifetime_ms = 60000,", ".lifetime_ms = 60000, .flags = LEASED_RESULT_REVOCABLE,",
     "said to be revocable, and the plugin has no revoke"},
    {".abi_major = LEASED_ABI_MAJOR,", ".abi_major = 9,",
     "the plugin was built for major version 9 of the interface"},
    {"leased_plugin_entry(", "leased_plugin_begin(", "no leased_plugin_entry"},
    {".issue = issue", ".reserved = 0", "the plugin lacks open, close or issue"},
};

/* All of them: an entry is declared before it is defined. */
static void replace_all(const char *source, const struct mistake *mistake, FILE *out)
{
    const char *at;

    assert_non_null(strstr(source, mistake->from));
    while ((at = strstr(source, mistake->from)) != NULL) {
        (void)fwrite(source, 1, (size_t)(at - source), out);
        (void)fputs(mistake->to, out);
        source = at + strlen(mistake->from);
    }
    (void)fputs(source, out);
}

static void compile_with(const struct mistake *mistake)
{
    static char source[SOURCE_MAX_BYTES];
    const char *compiler = getenv("CC") != NULL ? getenv("CC") : "cc";
    char command[512];
    char path[128];
    FILE *file = fopen(EXAMPLE, "r");
    size_t size;

    assert_non_null(file);
    size = fread(source, 1, sizeof(source) - 1, file);
    source[size] = '\0';
    assert_int_equal(fclose(file), 0);
    (void)snprintf(path, sizeof(path), "%s/broken.c", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("#include <time.h>\n", file);
    replace_all(source, mistake, file);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(command, sizeof(command),
                   "%s -std=c99 -shared -fPIC -Iinclude -o %s/broken.so %s", compiler, folder,
                   path);
    assert_int_equal(system(command), 0);
}

static void test_each_mistake_is_found(void **state)
{
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/broken.so", folder);
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        compile_with(&mistakes[i]);
        if (plugin_check(path) == 0) {
            fail_msg("not found: %s\n%s", mistakes[i].found, output);
        }
        /* A sanitizer says it in its own words, too. */
        if (strstr(output, mistakes[i].found) == NULL && strstr(output, "Sanitizer") == NULL) {
            fail_msg("expected: %s\n%s", mistakes[i].found, output);
        }
    }
}

static void test_what_cannot_be_run_says_why(void **state)
{
    (void)state;
    assert_int_equal(plugin_check(""), 2);
    assert_int_equal(plugin_check("--slowdown 0 vault"), 2);
    assert_int_equal(plugin_check("--secret x vault"), 2);
    assert_int_equal(plugin_check("no-such-plugin"), 1);
    assert_non_null(strstr(output, "neither a file NAME.so nor built in"));
    assert_int_equal(plugin_check("./no-such-plugin.so"), 1);
    assert_non_null(strstr(output, "does not exist"));
    assert_int_equal(plugin_check("--config '{\"x\":1}' plugins/example-backend.so"), 1);
    assert_non_null(strstr(output, "FAIL  config"));
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/leased-broken-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_examples_pass),
        cmocka_unit_test(test_every_plugin_that_is_built_in_passes),
        cmocka_unit_test(test_one_that_borrows_passes),
        cmocka_unit_test(test_each_mistake_is_found),
        cmocka_unit_test(test_what_cannot_be_run_says_why),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
