/* Credentials as the API hands them out, and the forms in which people and programs want them: a
 * table, the API's own JSON, lines for env files and shells, PostgreSQL's and AWS's files, one bare
 * field, a text of one's own. */
#ifndef LEASED_WIRE_FORMAT_H
#define LEASED_WIRE_FORMAT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

#define FORMAT_FIELDS_MAX 64
#define FORMAT_DEPTH_MAX 32
#define FORMAT_DOCUMENT_MAX_BYTES (1024U * 1024U)
#define FORMAT_OUTPUT_MAX_BYTES (4U * 1024U * 1024U)

struct json_t;

struct format_field {
    const char *name; /* in the document */
    /* owned: what the role's `env` says, AWS_… of AWS's credentials, or ROLE_FIELD */
    char *variable;
    struct secret value;
};

struct format_credential {
    struct json_t *document; /* owned; the rest points into it */
    const char *role;
    const char *lease; /* "" when the answer has none; so for the next two */
    const char *grant;
    const char *expires_at;
    struct format_field fields[FORMAT_FIELDS_MAX];
    size_t field_count;
};

/* Reads the API's credential object. Numbers and booleans in it become their text, null becomes
 * empty, lists and objects compact JSON. 0, ERR_NOMEM, ERR_TOO_LARGE, or ERR_INVALID. On success
 * free with format_credential_fini. */
int format_credential_parse(struct str text, struct format_credential *ret_credential,
                            struct err *e) ATTR_MUST_USE;
void format_credential_fini(struct format_credential *credential);

/* The field, or NULL. */
const struct format_field *format_credential_field(const struct format_credential *credential,
                                                   struct str name);

/* Gives a field another variable. 0, ERR_NOT_FOUND (no such field), ERR_INVALID (no name for a
 * variable), ERR_NOMEM. */
int format_credential_map(struct format_credential *credential, struct str field,
                          struct str variable) ATTR_MUST_USE;

/* [A-Za-z_][A-Za-z0-9_]*: what shells and env files take. */
bool format_variable_is_valid(struct str name);

enum format_kind {
    FORMAT_TABLE,     /* aligned, for people; control characters made visible */
    FORMAT_JSON,      /* the whole document, indented */
    FORMAT_ENV,       /* NAME=value, raw; an error where a value has a line break */
    FORMAT_SHELL,     /* export NAME='value', safe for eval */
    FORMAT_DOTENV,    /* quoted so that python-dotenv reads it back, and where a form exists that
                         node, dotenv and compose read alike, in that form */
    FORMAT_SYSTEMD,   /* NAME="value" as EnvironmentFile= reads it */
    FORMAT_DOCKER,    /* NAME=value for --env-file, which knows no quoting */
    FORMAT_PGPASS,    /* host:port:dbname:user:password */
    FORMAT_PGSERVICE, /* libpq's service of the role's name */
    FORMAT_AWS,       /* a profile for the shared credentials file */
    FORMAT_RAW,       /* the secret alone, without a line break behind it */
    FORMAT_FIELD,     /* one value, without a line break behind it */
    FORMAT_TEMPLATE,  /* a text with ${field}; see wire/format_template.h */
};

struct format_spec {
    enum format_kind kind;
    struct str
        argument;    /* the field, or the template's file; borrowed from the text that was parsed */
    struct str text; /* FORMAT_TEMPLATE: what is in the file; borrowed, for the caller to set */
};

/* A format's name, "field=NAME" or "template=FILE". 0 or ERR_INVALID with what is known. */
int format_spec_parse(struct str text, struct format_spec *ret_spec, struct err *e) ATTR_MUST_USE;

/* Does a terminal need a line break behind this format's output? */
bool format_is_bare(enum format_kind kind);

/* Appends the credential to `out`. 0; ERR_NOT_FOUND (no such field; the error names those there
 * are); ERR_INVALID (a value or name can't be written in this format; the error names the field,
 * never its value); ERR_NOMEM or ERR_TOO_LARGE. After a failure `out` may hold a part. */
int format_render(const struct format_credential *credential, const struct format_spec *spec,
                  struct buf *out, struct err *e) ATTR_MUST_USE;

/* Appends a JSON value as text; `flags` are jansson's. 0, ERR_NOMEM or ERR_TOO_LARGE. */
int format_add_json(struct buf *out, const struct json_t *value, size_t flags) ATTR_MUST_USE;

/* Appends text with what would mislead its reader (utf8.h), and bytes that are no UTF-8, made
 * visible, so that it neither drives a terminal nor shows in another order than it has. */
void format_add_visible(struct buf *out, struct str text);

#endif
