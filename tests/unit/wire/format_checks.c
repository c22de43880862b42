#include "format_checks.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct format_credential format_parsed(const char *text)
{
    struct format_credential credential;
    struct err e = {0};

    assert_int_equal(format_credential_parse(str_of(text), &credential, &e), 0);
    return credential;
}

struct format_credential format_with_password(const char *json)
{
    char text[1024];

    (void)snprintf(text, sizeof(text), DOCUMENT, json);
    return format_parsed(text);
}

void format_assert_renders(struct format_credential credential, const char *format,
                           const char *wanted)
{
    struct format_spec spec;
    struct err e = {0};
    BUF_AUTO out;

    buf_init(&out, FORMAT_OUTPUT_MAX_BYTES);
    assert_int_equal(format_spec_parse(str_of(format), &spec, &e), 0);
    assert_int_equal(format_render(&credential, &spec, &out, &e), 0);
    assert_string_equal(buf_str(&out).ptr, wanted);
    format_credential_fini(&credential);
    buf_fini(&out);
    assert_int_equal(mem_in_use_bytes(), 0);
}

void format_assert_refused(struct format_credential credential, const char *format, int code,
                           const char *part)
{
    struct format_spec spec;
    struct err e = {0};
    BUF_AUTO out;

    buf_init(&out, FORMAT_OUTPUT_MAX_BYTES);
    assert_int_equal(format_spec_parse(str_of(format), &spec, &e), 0);
    assert_int_equal(format_render(&credential, &spec, &out, &e), code);
    assert_non_null(strstr(e.text, part));
    format_credential_fini(&credential);
}
