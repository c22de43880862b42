/* Credentials as the API hands them out, and the forms in which people and programs want them: a
 * table, the API's own JSON, lines for env files and shells, one bare field. */
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
    FORMAT_TABLE,  /* aligned, for people; control characters made visible */
    FORMAT_JSON,   /* the whole document, indented */
    FORMAT_ENV,    /* NAME=value, raw; an error where a value has a line break */
    FORMAT_SHELL,  /* export NAME='value', safe for eval */
    FORMAT_DOTENV, /* NAME="value" with escapes, as compose and python-dotenv read it */
    FORMAT_FIELD,  /* one value, without a line break behind it */
};

struct format_spec {
    enum format_kind kind;
    struct str field; /* FORMAT_FIELD; borrowed from the text that was parsed */
};

/* "table", "json", "env", "shell", "dotenv" or "field=NAME". 0 or ERR_INVALID with what is known.
 */
int format_spec_parse(struct str text, struct format_spec *ret_spec, struct err *e) ATTR_MUST_USE;

/* Appends the credential to `out`. 0; ERR_NOT_FOUND (no such field; the error names those there
 * are); ERR_INVALID (a value or name can't be written in this format); ERR_NOMEM or ERR_TOO_LARGE.
 * After a failure `out` may hold a part. */
int format_render(const struct format_credential *credential, const struct format_spec *spec,
                  struct buf *out, struct err *e) ATTR_MUST_USE;

/* Appends a JSON value as text; `flags` are jansson's. 0, ERR_NOMEM or ERR_TOO_LARGE. */
int format_add_json(struct buf *out, const struct json_t *value, size_t flags) ATTR_MUST_USE;

/* Appends text with its control characters made visible, so that it can't drive a terminal. */
void format_add_visible(struct buf *out, struct str text);

#endif
