/* Formats of one line a field: NAME=value, quoted as the reader of each wants it. What a reader
 * can't be told is refused: a credential that arrives changed is worse than none. */
#include "wire/format_internal.h"

#include <string.h>

/* docker reads lines of at most 64 KiB. */
#define FORMAT_DOCKER_LINE_MAX_BYTES 65535U

bool format_has(struct str text, char c)
{
    return text.len > 0 && memchr(text.ptr, c, text.len) != NULL;
}

static bool format_has_any(struct str text, const char *characters)
{
    for (; *characters != '\0'; characters++) {
        if (format_has(text, *characters)) {
            return true;
        }
    }
    return false;
}

int format_refuse(const struct format_field *field, const char *reason, struct err *e)
{
    return err_set(e, ERR_INVALID, "the value of '%s' %s", field->name, reason);
}

static int format_env_line(const struct format_field *field, struct buf *out, struct err *e)
{
    struct str value = secret_view(&field->value);

    if (format_has_any(value, "\n\r")) {
        return format_refuse(field,
                             "has a line break, which an env file can't hold; "
                             "use -o dotenv, shell or json",
                             e);
    }
    buf_printf(out, "%s=", field->variable);
    buf_add_str(out, value);
    buf_add_char(out, '\n');
    return 0;
}

/* Between = and the line's end docker takes everything as it stands. */
static int format_docker_line(const struct format_field *field, struct buf *out, struct err *e)
{
    struct str value = secret_view(&field->value);

    if (format_has_any(value, "\n\r")) {
        return format_refuse(field,
                             "has a line break, which docker's --env-file can't hold; mount it as "
                             "a file",
                             e);
    }
    if (strlen(field->variable) + 1 + value.len >= FORMAT_DOCKER_LINE_MAX_BYTES) {
        return format_refuse(field, "is longer than a line that docker's --env-file takes", e);
    }
    buf_printf(out, "%s=", field->variable);
    buf_add_str(out, value);
    buf_add_char(out, '\n');
    return 0;
}

void format_add_shell_word(struct buf *out, struct str text)
{
    size_t i;

    buf_add_char(out, '\'');
    for (i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'') {
            buf_add_c(out, "'\\''");
        } else {
            buf_add_char(out, text.ptr[i]);
        }
    }
    buf_add_char(out, '\'');
}

static int format_shell_line(const struct format_field *field, struct buf *out, struct err *e)
{
    (void)e;
    buf_printf(out, "export %s=", field->variable);
    format_add_shell_word(out, secret_view(&field->value));
    buf_add_char(out, '\n');
    return 0;
}

/* systemd takes back \ " ` $ behind a backslash, and everything else, line breaks too, as it is. */
static int format_systemd_line(const struct format_field *field, struct buf *out, struct err *e)
{
    struct str value = secret_view(&field->value);
    size_t i;

    (void)e;
    buf_printf(out, "%s=\"", field->variable);
    for (i = 0; i < value.len; i++) {
        if (strchr("\\\"`$", value.ptr[i]) != NULL) {
            buf_add_char(out, '\\');
        }
        buf_add_char(out, value.ptr[i]);
    }
    buf_add_c(out, "\"\n");
    return 0;
}

/* Between single quotes every dialect takes everything as it is, but python-dotenv, which takes \\
 * and \' as one character, and all of them where a backslash seems to escape the closing quote. */
static bool dotenv_fits_single(struct str value)
{
    size_t i;

    for (i = 0; i < value.len; i++) {
        bool is_doubtful =
            value.ptr[i] == '\\' && (i + 1 == value.len || strchr("\\'", value.ptr[i + 1]) != NULL);

        if (is_doubtful || value.ptr[i] == '\'') {
            return false;
        }
    }
    return !format_has(value, '\r');
}

static void dotenv_add_escaped(struct buf *out, struct str value)
{
    size_t i;

    for (i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c == '\n' || c == '\r') {
            buf_add_c(out, c == '\n' ? "\\n" : "\\r");
        } else {
            if (c == '"' || c == '\\') {
                buf_add_char(out, '\\');
            }
            buf_add_char(out, c);
        }
    }
}

/* In this order: single quotes, which all dialects read alike; double quotes around what has single
 * ones (compose expands $ there); bare, for backslashes at odd places; and escaped, as
 * python-dotenv and compose read it. python-dotenv expands ${…} in all of them. */
static int format_dotenv_line(const struct format_field *field, struct buf *out, struct err *e)
{
    struct str value = secret_view(&field->value);
    size_t i;

    for (i = 0; i + 1 < value.len; i++) {
        if (value.ptr[i] == '$' && value.ptr[i + 1] == '{') {
            return format_refuse(field, "has ${ in it, which readers of dotenv files expand", e);
        }
    }
    buf_printf(out, "%s=", field->variable);
    if (dotenv_fits_single(value)) {
        buf_add_char(out, '\'');
        buf_add_str(out, value);
        buf_add_char(out, '\'');
    } else if (!format_has_any(value, "\"\\\r")) {
        buf_add_char(out, '"');
        buf_add_str(out, value);
        buf_add_char(out, '"');
    } else if (!format_has_any(value, " \t\v\f\n\r#$'\"`")) {
        buf_add_str(out, value);
    } else if (value.ptr[value.len - 1] == '\\') {
        return format_refuse(
            field, "ends with a backslash, beside characters that have to be quoted in dotenv", e);
    } else {
        buf_add_char(out, '"');
        dotenv_add_escaped(out, value);
        buf_add_char(out, '"');
    }
    buf_add_char(out, '\n');
    return 0;
}

typedef int (*format_line_fn)(const struct format_field *field, struct buf *out, struct err *e);

int format_lines(const struct format_credential *credential, enum format_kind kind, struct buf *out,
                 struct err *e)
{
    static const format_line_fn writers[] = {
        [FORMAT_ENV] = format_env_line,       [FORMAT_SHELL] = format_shell_line,
        [FORMAT_DOTENV] = format_dotenv_line, [FORMAT_SYSTEMD] = format_systemd_line,
        [FORMAT_DOCKER] = format_docker_line,
    };
    size_t i;
    int status;

    CHECK(kind < ARRAY_LEN(writers));
    CHECK(writers[kind] != NULL);
    for (i = 0; i < credential->field_count; i++) {
        const struct format_field *field = &credential->fields[i];

        if (!format_variable_is_valid(str_of(field->variable))) {
            return err_set(e, ERR_INVALID,
                           "'%.64s' is no name for a variable; choose one for field '%.64s' with "
                           "--map or the role's `env`",
                           field->variable, field->name);
        }
        status = writers[kind](field, out, e);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}
