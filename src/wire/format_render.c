/* Writes credentials in the formats. Nothing here prints: the caller gets bytes in a buffer that is
 * wiped. */
#include "wire/format_internal.h"
#include "wire/format_template.h"
#include "wire/utf8.h"

#include <jansson.h>

#include <string.h>

/* Adds the first character of `text`; how many bytes it took. */
static size_t add_visible_character(struct buf *out, struct str text)
{
    uint32_t code_point = 0;
    size_t len = utf8_decode(text, &code_point);

    if (len == 0) {
        buf_printf(out, "\\x%02x", (unsigned char)text.ptr[0]);
        return 1;
    }
    if (utf8_misleads(code_point)) {
        buf_printf(out, code_point <= 0xff ? "\\x%02x" : "\\u%04x", (unsigned)code_point);
    } else {
        buf_add(out, text.ptr, len);
    }
    return len;
}

void format_add_visible(struct buf *out, struct str text)
{
    size_t at;

    for (at = 0; at < text.len;) {
        at += add_visible_character(out, (struct str){.ptr = text.ptr + at, .len = text.len - at});
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

/* Which secret a credential of several fields is about: never a guess between two. */
static int format_raw(const struct format_credential *credential, struct buf *out, struct err *e)
{
    static const char *const names[] = {"password", "token", "access_token"};
    const struct format_field *found = NULL;
    size_t i;

    if (credential->field_count == 1) {
        found = &credential->fields[0];
    }
    for (i = 0; i < ARRAY_LEN(names) && credential->field_count > 1; i++) {
        const struct format_field *field = format_credential_field(credential, str_of(names[i]));

        if (field != NULL && found != NULL) {
            return err_set(e, ERR_INVALID, "it has both '%s' and '%s'; choose with -o field=NAME",
                           found->name, field->name);
        }
        found = field != NULL ? field : found;
    }
    if (found == NULL) {
        return err_set(e, ERR_INVALID,
                       "it has several fields and none of password, token, access_token; choose "
                       "with -o field=NAME");
    }
    buf_add_str(out, secret_view(&found->value));
    return 0;
}

static const struct {
    const char *name;
    bool takes_argument; /* behind a = */
} format_kinds[] = {
    [FORMAT_TABLE] = {"table", false},
    [FORMAT_JSON] = {"json", false},
    [FORMAT_ENV] = {"env", false},
    [FORMAT_SHELL] = {"shell", false},
    [FORMAT_DOTENV] = {"dotenv", false},
    [FORMAT_SYSTEMD] = {"systemd", false},
    [FORMAT_DOCKER] = {"docker", false},
    [FORMAT_PGPASS] = {"pgpass", false},
    [FORMAT_PGSERVICE] = {"pgservice", false},
    [FORMAT_AWS] = {"aws", false},
    [FORMAT_RAW] = {"raw", false},
    [FORMAT_FIELD] = {"field", true},
    [FORMAT_TEMPLATE] = {"template", true},
};

int format_spec_parse(struct str text, struct format_spec *ret_spec, struct err *e)
{
    struct str argument = text;
    struct str name = str_cut(&argument, '=');
    size_t i;

    for (i = 0; i < ARRAY_LEN(format_kinds); i++) {
        if (str_eq_c(name, format_kinds[i].name) &&
            (format_kinds[i].takes_argument ? argument.len > 0 : argument.ptr == NULL)) {
            *ret_spec = (struct format_spec){.kind = (enum format_kind)i, .argument = argument};
            return 0;
        }
    }
    return err_set(e, ERR_INVALID,
                   "unknown format '%.*s'; known: table, json, env, shell, dotenv, systemd, "
                   "docker, pgpass, pgservice, aws, raw, field=NAME, template=FILE",
                   STR_ARG(text));
}

bool format_is_bare(enum format_kind kind)
{
    return kind == FORMAT_FIELD || kind == FORMAT_RAW;
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
    case FORMAT_PGPASS:
        status = format_pgpass(credential, out, e);
        break;
    case FORMAT_PGSERVICE:
        status = format_pgservice(credential, out, e);
        break;
    case FORMAT_AWS:
        status = format_aws(credential, out, e);
        break;
    case FORMAT_RAW:
        status = format_raw(credential, out, e);
        break;
    case FORMAT_FIELD:
        status = format_one(credential, spec->argument, out, e);
        break;
    case FORMAT_TEMPLATE:
        status = format_template_render(spec->text, credential, 1, out, e);
        break;
    default:
        status = format_lines(credential, spec->kind, out, e);
        break;
    }
    if (status == 0 && buf_status(out) != 0) {
        status = err_set(e, buf_status(out), "%s", err_str(buf_status(out)));
    }
    return status;
}
