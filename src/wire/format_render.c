/* Writes credentials in the formats. Nothing here prints: the caller gets bytes in a buffer that is
 * wiped. */
#include "wire/format.h"

#include <jansson.h>

#include <string.h>

void format_add_visible(struct buf *out, struct str text)
{
    size_t i;

    for (i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        /* C1 controls come as 0xC2 0x80..0x9F in UTF-8; some terminals obey them. */
        bool is_c1 = c == 0xC2 && i + 1 < text.len && (unsigned char)text.ptr[i + 1] >= 0x80 &&
                     (unsigned char)text.ptr[i + 1] <= 0x9F;

        if (is_c1) {
            buf_printf(out, "\\x%02x", (unsigned char)text.ptr[++i]);
        } else if (c < 0x20 || c == 0x7F) {
            buf_printf(out, "\\x%02x", c);
        } else {
            buf_add_char(out, (char)c);
        }
    }
}

static void format_add_padding(struct buf *out, size_t used, size_t width)
{
    buf_printf(out, "%*s  ", (int)(used < width ? width - used : 0), "");
}

/* Values of several lines (certificates) keep their lines, below each other. */
static void format_add_row(struct buf *out, const char *name, struct str value, size_t width)
{
    struct str rest = value;
    struct str line = str_cut(&rest, '\n');

    format_add_visible(out, str_of(name));
    format_add_padding(out, strlen(name), width);
    format_add_visible(out, line);
    while (rest.ptr != NULL && rest.len > 0) {
        buf_add_char(out, '\n');
        format_add_padding(out, 0, width);
        line = str_cut(&rest, '\n');
        format_add_visible(out, line);
    }
    buf_add_char(out, '\n');
}

static int format_table(const struct format_credential *credential, struct buf *out)
{
    const struct {
        const char *name;
        const char *value;
    } heads[] = {
        {"role", credential->role},
        {"lease", credential->lease},
        {"grant", credential->grant},
        {"expires", credential->expires_at},
    };
    size_t width = sizeof("expires") - 1;
    size_t i;

    for (i = 0; i < credential->field_count; i++) {
        size_t len = strlen(credential->fields[i].name);

        width = len > width ? len : width;
    }
    for (i = 0; i < ARRAY_LEN(heads); i++) {
        if (heads[i].value[0] != '\0') {
            format_add_row(out, heads[i].name, str_of(heads[i].value), width);
        }
    }
    buf_add_char(out, '\n');
    for (i = 0; i < credential->field_count; i++) {
        format_add_row(out, credential->fields[i].name, secret_view(&credential->fields[i].value),
                       width);
    }
    return 0;
}

static int format_json(const struct format_credential *credential, struct buf *out, struct err *e)
{
    int status = format_add_json(out, credential->document, JSON_INDENT(2));

    if (status != 0) {
        return err_set(e, status, "%s", err_str(status));
    }
    buf_add_char(out, '\n');
    return 0;
}

static bool format_has(struct str text, char c)
{
    return text.len > 0 && memchr(text.ptr, c, text.len) != NULL;
}

static int format_env_line(const struct format_field *field, struct buf *out, struct err *e)
{
    struct str value = secret_view(&field->value);

    if (format_has(value, '\n') || format_has(value, '\r')) {
        return err_set(e, ERR_INVALID,
                       "the value of '%s' has a line break, which an env file can't hold; "
                       "use -o dotenv, shell or json",
                       field->name);
    }
    buf_printf(out, "%s=", field->variable);
    buf_add_str(out, value);
    buf_add_char(out, '\n');
    return 0;
}

static int format_shell_line(const struct format_field *field, struct buf *out, struct err *e)
{
    struct str value = secret_view(&field->value);
    size_t i;

    (void)e;
    buf_printf(out, "export %s='", field->variable);
    for (i = 0; i < value.len; i++) {
        if (value.ptr[i] == '\'') {
            buf_add_c(out, "'\\''");
        } else {
            buf_add_char(out, value.ptr[i]);
        }
    }
    buf_add_c(out, "'\n");
    return 0;
}

/* compose expands $ between double quotes unless it is written \$, which python-dotenv leaves as it
 * stands; between single quotes both take everything but quotes and backslashes literally. So
 * values with $ go there where they can. */
static int format_dotenv_line(const struct format_field *field, struct buf *out, struct err *e)
{
    struct str value = secret_view(&field->value);
    bool is_single = format_has(value, '$') && !format_has(value, '\'') &&
                     !format_has(value, '\\') && !format_has(value, '\n') &&
                     !format_has(value, '\r');
    size_t i;

    (void)e;
    buf_printf(out, "%s=%c", field->variable, is_single ? '\'' : '"');
    for (i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (is_single) {
            buf_add_char(out, c);
        } else if (c == '\n' || c == '\r') {
            buf_add_c(out, c == '\n' ? "\\n" : "\\r");
        } else {
            if (c == '"' || c == '\\' || c == '$') {
                buf_add_char(out, '\\');
            }
            buf_add_char(out, c);
        }
    }
    buf_printf(out, "%c\n", is_single ? '\'' : '"');
    return 0;
}

typedef int (*format_line_fn)(const struct format_field *field, struct buf *out, struct err *e);

static int format_lines(const struct format_credential *credential, format_line_fn line,
                        struct buf *out, struct err *e)
{
    size_t i;
    int status;

    for (i = 0; i < credential->field_count; i++) {
        const struct format_field *field = &credential->fields[i];

        if (!format_variable_is_valid(str_of(field->variable))) {
            return err_set(e, ERR_INVALID,
                           "'%.64s' is no name for a variable; choose one for field '%.64s' with "
                           "--map or the role's `env`",
                           field->variable, field->name);
        }
        status = line(field, out, e);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static int format_one(const struct format_credential *credential, struct str name, struct buf *out,
                      struct err *e)
{
    const struct format_field *field = format_credential_field(credential, name);
    BUF_AUTO known;
    size_t i;

    buf_init(&known, FORMAT_OUTPUT_MAX_BYTES);
    if (field != NULL) {
        buf_add_str(out, secret_view(&field->value));
        return 0;
    }
    for (i = 0; i < credential->field_count; i++) {
        buf_printf(&known, "%s%s", i > 0 ? ", " : "", credential->fields[i].name);
    }
    return err_set(e, ERR_NOT_FOUND, "there is no field '%.*s'; there are: %.*s", STR_ARG(name),
                   STR_ARG(buf_str(&known)));
}

/* The names; and for formats of one line a field, how that line is written. */
static const struct {
    const char *name;
    format_line_fn line;
} format_kinds[] = {
    [FORMAT_TABLE] = {"table", NULL},
    [FORMAT_JSON] = {"json", NULL},
    [FORMAT_ENV] = {"env", format_env_line},
    [FORMAT_SHELL] = {"shell", format_shell_line},
    [FORMAT_DOTENV] = {"dotenv", format_dotenv_line},
};

int format_spec_parse(struct str text, struct format_spec *ret_spec, struct err *e)
{
    struct str field = text;
    size_t i;

    if (str_eq_c(str_cut(&field, '='), "field") && field.len > 0) {
        *ret_spec = (struct format_spec){.kind = FORMAT_FIELD, .field = field};
        return 0;
    }
    for (i = 0; i < ARRAY_LEN(format_kinds); i++) {
        if (str_eq_c(text, format_kinds[i].name)) {
            *ret_spec = (struct format_spec){.kind = (enum format_kind)i};
            return 0;
        }
    }
    return err_set(e, ERR_INVALID,
                   "unknown format '%.*s'; known: table, json, env, shell, dotenv, field=NAME",
                   STR_ARG(text));
}

int format_render(const struct format_credential *credential, const struct format_spec *spec,
                  struct buf *out, struct err *e)
{
    int status;

    switch (spec->kind) {
    case FORMAT_TABLE:
        status = format_table(credential, out);
        break;
    case FORMAT_JSON:
        status = format_json(credential, out, e);
        break;
    case FORMAT_FIELD:
        status = format_one(credential, spec->field, out, e);
        break;
    default:
        status = format_lines(credential, format_kinds[spec->kind].line, out, e);
        break;
    }
    if (status == 0 && buf_status(out) != 0) {
        status = err_set(e, buf_status(out), "%s", err_str(buf_status(out)));
    }
    return status;
}
