/* Files that programs have for their own credentials: libpq's password and service files, AWS's
 * shared credentials. None of them has quoting for everything, so what can't stand there is
 * refused. */
#include "wire/format_internal.h"

#include <string.h>

/* libpq reads service files into a buffer of 1 KiB. */
#define FORMAT_PGSERVICE_LINE_MAX_BYTES 1000U

const struct format_field *format_first_field(const struct format_credential *credential,
                                              const char *const *names)
{
    const struct format_field *field = NULL;

    for (; field == NULL && *names != NULL; names++) {
        field = format_credential_field(credential, str_of(*names));
    }
    return field;
}

/* libpq's names for them, and what issuers and people call them. */
static const struct {
    const char *keyword;
    const char *names[4]; /* NULL-ended */
} libpq_fields[] = {
    {"host", {"host"}},
    {"hostaddr", {"hostaddr"}},
    {"port", {"port"}},
    {"dbname", {"dbname", "database"}},
    {"user", {"username", "user"}},
    {"password", {"password"}},
    {"sslmode", {"sslmode"}},
    {"sslrootcert", {"sslrootcert"}},
    {"options", {"options"}},
    {"application_name", {"application_name"}},
};

static const struct format_field *libpq_field(const struct format_credential *credential,
                                              const char *keyword)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(libpq_fields); i++) {
        if (strcmp(libpq_fields[i].keyword, keyword) == 0) {
            return format_first_field(credential, libpq_fields[i].names);
        }
    }
    return NULL;
}

static int require_login(const struct format_credential *credential, struct err *e)
{
    if (libpq_field(credential, "user") == NULL || libpq_field(credential, "password") == NULL) {
        return err_set(e, ERR_INVALID,
                       "it is no login of PostgreSQL: it has no 'username' or no 'password'");
    }
    return 0;
}

static bool has_line_break(struct str value)
{
    return format_has(value, '\n') || format_has(value, '\r');
}

/* What isn't known stands for anything. */
static int pgpass_add(const struct format_field *field, struct buf *out, struct err *e)
{
    struct str value = field != NULL ? secret_view(&field->value) : STR("*");
    size_t i;

    if (has_line_break(value)) {
        return format_refuse(field, "has a line break, which a password file can't hold", e);
    }
    for (i = 0; i < value.len; i++) {
        if (value.ptr[i] == ':' || value.ptr[i] == '\\') {
            buf_add_char(out, '\\');
        }
        buf_add_char(out, value.ptr[i]);
    }
    return 0;
}

/* `host`: a text to stand there instead of the field. */
static int pgpass_line(const struct format_credential *credential, const char *host,
                       struct buf *out, struct err *e)
{
    static const char *const keywords[] = {"host", "port", "dbname", "user", "password"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(keywords); i++) {
        int status = 0;

        buf_add_c(out, i > 0 ? ":" : "");
        if (i == 0 && host != NULL) {
            buf_add_c(out, host);
        } else {
            status = pgpass_add(libpq_field(credential, keywords[i]), out, e);
        }
        if (status != 0) {
            return status;
        }
    }
    buf_add_char(out, '\n');
    return 0;
}

/* Of the directory of its own socket libpq looks for "localhost", of another one for its name. */
int format_pgpass(const struct format_credential *credential, struct buf *out, struct err *e)
{
    const struct format_field *host = libpq_field(credential, "host");
    struct str place = host != NULL ? secret_view(&host->value) : STR("");
    int status = require_login(credential, e);

    if (status == 0 && str_starts_with(place, "#")) {
        status = format_refuse(host, "begins with #, which makes a comment of the line", e);
    }
    if (status == 0) {
        status = pgpass_line(credential, NULL, out, e);
    }
    if (status == 0 && str_starts_with(place, "/")) {
        status = pgpass_line(credential, "localhost", out, e);
    }
    return status;
}

static int pgservice_line(const char *keyword, const struct format_field *field, struct buf *out,
                          struct err *e)
{
    struct str value = secret_view(&field->value);

    if (has_line_break(value)) {
        return format_refuse(field, "has a line break, which a service file can't hold", e);
    }
    if (value.len > 0 && strchr(" \t\v\f", value.ptr[value.len - 1]) != NULL) {
        return format_refuse(field, "ends with a blank, which a service file loses", e);
    }
    if (value.len > FORMAT_PGSERVICE_LINE_MAX_BYTES) {
        return format_refuse(field, "is longer than a line that a service file may have", e);
    }
    buf_printf(out, "%s=", keyword);
    buf_add_str(out, value);
    buf_add_char(out, '\n');
    return 0;
}

static int check_section(const struct format_credential *credential, struct err *e)
{
    const char *at;

    for (at = credential->role; *at != '\0'; at++) {
        if (*at == ']' || (unsigned char)*at < 0x20) {
            return err_set(e, ERR_INVALID, "the role's name can't stand between [ and ]");
        }
    }
    return 0;
}

int format_pgservice(const struct format_credential *credential, struct buf *out, struct err *e)
{
    int status = require_login(credential, e);
    size_t i;

    if (status == 0) {
        status = check_section(credential, e);
    }
    buf_printf(out, "[%s]\n", credential->role);
    for (i = 0; status == 0 && i < ARRAY_LEN(libpq_fields); i++) {
        const struct format_field *field = format_first_field(credential, libpq_fields[i].names);

        if (field != NULL && !secret_is_empty(&field->value)) {
            status = pgservice_line(libpq_fields[i].keyword, field, out, e);
        }
    }
    return status;
}

static const struct {
    const char *name;
    const char *key;
    bool is_required;
} aws_fields[] = {
    {"access_key_id", "aws_access_key_id", true},
    {"secret_access_key", "aws_secret_access_key", true},
    {"session_token", "aws_session_token", false},
    {"region", "region", false},
};

static int aws_check(const struct format_credential *credential, struct err *e)
{
    size_t i;
    size_t j;

    for (i = 0; i < ARRAY_LEN(aws_fields); i++) {
        const struct format_field *field =
            format_credential_field(credential, str_of(aws_fields[i].name));
        struct str value = field != NULL ? secret_view(&field->value) : STR("");

        if (aws_fields[i].is_required && value.len == 0) {
            return err_set(e, ERR_INVALID, "it is no credential of AWS: it has no '%s'",
                           aws_fields[i].name);
        }
        /* Readers differ in blanks and comments; AWS's own values have neither. */
        for (j = 0; j < value.len; j++) {
            if ((unsigned char)value.ptr[j] <= 0x20 || strchr("#;\x7f", value.ptr[j]) != NULL) {
                return format_refuse(field,
                                     "has a blank, a control character, # or ;, which AWS's "
                                     "credentials file can't hold",
                                     e);
            }
        }
    }
    return check_section(credential, e);
}

static void aws_profile(const struct format_credential *credential, const char *profile,
                        struct buf *out)
{
    size_t i;

    buf_printf(out, "[%s]\n", profile);
    for (i = 0; i < ARRAY_LEN(aws_fields); i++) {
        const struct format_field *field =
            format_credential_field(credential, str_of(aws_fields[i].name));

        if (field != NULL && !secret_is_empty(&field->value)) {
            buf_printf(out, "%s = ", aws_fields[i].key);
            buf_add_str(out, secret_view(&field->value));
            buf_add_char(out, '\n');
        }
    }
}

/* For programs that name the role as their profile, and for those that name none. */
int format_aws(const struct format_credential *credential, struct buf *out, struct err *e)
{
    int status = aws_check(credential, e);

    if (status == 0) {
        aws_profile(credential, "default", out);
        if (strcmp(credential->role, "default") != 0) {
            buf_add_char(out, '\n');
            aws_profile(credential, credential->role, out);
        }
    }
    return status;
}
