/* The header is all that a plugin's author has: it must compile alone, in C99 and C++17, without a
 * warning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static const char use[] = "#include \"leased/plugin.h\"\n"
                          "int has(const struct leased_host *host);\n"
                          "int has(const struct leased_host *host) {\n"
                          "    struct leased_str s = {\"x\", 1};\n"
                          "    (void)s;\n"
                          "    return LEASED_HAS(host, post) && LEASED_ABI_MAJOR == 1;\n"
                          "}\n";

static int compile(const char *compiler, const char *options)
{
    char command[512];
    FILE *pipe;

    (void)snprintf(command, sizeof(command),
                   "%s %s -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -fsyntax-only "
                   "-Iinclude -",
                   compiler, options);
    pipe = popen(command, "w");
    assert_non_null(pipe);
    assert_true(fputs(use, pipe) >= 0);
    return pclose(pipe);
}

static const char *c_compiler(void)
{
    return getenv("CC") != NULL ? getenv("CC") : "cc";
}

static void test_the_header_compiles_alone_as_c99_and_c17(void **state)
{
    (void)state;
    assert_int_equal(compile(c_compiler(), "-xc -std=c99"), 0);
    assert_int_equal(compile(c_compiler(), "-xc -std=c17"), 0);
}

static void test_the_header_compiles_alone_as_cpp17(void **state)
{
    (void)state;
    if (system("command -v c++ >/dev/null 2>&1") != 0) {
        skip();
    }
    assert_int_equal(compile("c++", "-xc++ -std=c++17"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_header_compiles_alone_as_c99_and_c17),
        cmocka_unit_test(test_the_header_compiles_alone_as_cpp17),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
