/* Reads the API's credential object. The document is parsed once; the values are copied into
 * secrets, and every format (format_render.c) is a function over those fields. */
#include "wire/format.h"

#include "base/mem.h"

#include <jansson.h>

#include <string.h>

#define FORMAT_VARIABLE_MAX_BYTES 256

static bool format_is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool format_variable_is_valid(struct str name)
{
    size_t i;

    if (name.len == 0 || name.len > FORMAT_VARIABLE_MAX_BYTES ||
        (name.ptr[0] >= '0' && name.ptr[0] <= '9')) {
        return false;
    }
    for (i = 0; i < name.len; i++) {
        if (name.ptr[i] != '_' && !format_is_alnum(name.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* ROLE_FIELD in capitals; whatever can't stand in a name becomes an underscore. */
static char *format_default_variable(const char *role, const char *field)
{
    BUF_AUTO name;
    size_t i;

    buf_init(&name, FORMAT_DOCUMENT_MAX_BYTES);
    buf_printf(&name, "%s_%s", role, field);
    for (i = 0; i < name.len; i++) {
        char c = name.bytes[i];

        if (c >= 'a' && c <= 'z') {
            name.bytes[i] = (char)(c - 'a' + 'A');
        } else if (!format_is_alnum(c)) {
            name.bytes[i] = '_';
        }
    }
    return buf_steal(&name);
}

/* What AWS's programs read; only together do these fields mean that. */
static const char *format_aws_variable(const json_t *fields, const char *field)
{
    static const struct {
        const char *field;
        const char *variable;
    } known[] = {
        {"access_key_id", "AWS_ACCESS_KEY_ID"},
        {"secret_access_key", "AWS_SECRET_ACCESS_KEY"},
        {"session_token", "AWS_SESSION_TOKEN"},
        {"expiration", "AWS_CREDENTIAL_EXPIRATION"},
        {"region", "AWS_REGION"},
    };
    size_t i;

    if (json_object_get(fields, "access_key_id") == NULL ||
        json_object_get(fields, "secret_access_key") == NULL) {
        return NULL;
    }
    for (i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(field, known[i].field) == 0) {
            return known[i].variable;
        }
    }
    return NULL;
}

static const char *format_text(const json_t *document, const char *key)
{
    const char *text = json_string_value(json_object_get(document, key));

    return text != NULL ? text : "";
}

static int format_json_part(const char *bytes, size_t size, void *user)
{
    struct buf *out = user;

    buf_add(out, bytes, size);
    return buf_status(out);
}

int format_add_json(struct buf *out, const struct json_t *value, size_t flags)
{
    if (json_dump_callback(value, format_json_part, out, flags) != 0 && buf_status(out) == 0) {
        return ERR_NOMEM;
    }
    return buf_status(out);
}

static int format_set_value(struct secret *secret, const json_t *value)
{
    BUF_AUTO text;
    int status;

    buf_init(&text, FORMAT_DOCUMENT_MAX_BYTES);
    if (json_is_null(value)) {
        return secret_set(secret, STR(""));
    }
    if (json_is_string(value)) {
        return secret_set(secret, (struct str){.ptr = json_string_value(value),
                                               .len = json_string_length(value)});
    }
    status = format_add_json(&text, value, JSON_ENCODE_ANY | JSON_COMPACT);
    return status != 0 ? status : secret_set(secret, buf_str(&text));
}

static int format_add_field(struct format_credential *credential, const char *name,
                            const json_t *value)
{
    const char *variable =
        json_string_value(json_object_get(json_object_get(credential->document, "env"), name));
    struct format_field *field = &credential->fields[credential->field_count];

    if (variable == NULL) {
        variable = format_aws_variable(json_object_get(credential->document, "credential"), name);
    }
    if (credential->field_count == FORMAT_FIELDS_MAX) {
        return ERR_TOO_LARGE;
    }
    credential->field_count++;
    field->name = name;
    secret_init(&field->value);
    field->variable =
        variable != NULL ? mem_strdup(variable) : format_default_variable(credential->role, name);
    return field->variable != NULL ? format_set_value(&field->value, value) : ERR_NOMEM;
}

static int format_add_fields(struct format_credential *credential, struct err *e)
{
    json_t *fields = json_object_get(credential->document, "credential");
    const char *name;
    json_t *value;
    int status;

    if (!json_is_object(fields) || credential->role[0] == '\0') {
        return err_set(e, ERR_INVALID, "the answer is no credential");
    }
    json_object_foreach (fields, name, value) {
        status = format_add_field(credential, name, value);
        if (status != 0) {
            return err_set(e, status, "could not read the credential: %s", err_str(status));
        }
    }
    return 0;
}

/* jansson's own depth limit is far above what a credential needs, and writing walks the tree
 * recursively. */
static bool format_is_too_deep(json_t *value, int depth)
{
    const char *key;
    json_t *item;
    size_t i;

    if (depth > FORMAT_DEPTH_MAX) {
        return true;
    }
    json_object_foreach (value, key, item) {
        if (format_is_too_deep(item, depth + 1)) {
            return true;
        }
    }
    json_array_foreach (value, i, item) {
        if (format_is_too_deep(item, depth + 1)) {
            return true;
        }
    }
    return false;
}

static int format_fill(struct format_credential *credential, struct str text, struct err *e)
{
    json_error_t error;

    credential->document =
        json_loadb(text.len > 0 ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &error);
    if (credential->document == NULL) {
        /* jansson's message may quote the text, which holds secrets: only the place is told. */
        return err_set(e, ERR_INVALID, "the answer is no JSON (line %d, column %d)", error.line,
                       error.column);
    }
    if (format_is_too_deep(credential->document, 0)) {
        return err_set(e, ERR_INVALID, "the answer is nested too deeply");
    }
    credential->role = format_text(credential->document, "role");
    credential->lease = format_text(credential->document, "lease");
    credential->grant = format_text(credential->document, "grant");
    credential->expires_at = format_text(credential->document, "expires_at");
    return format_add_fields(credential, e);
}

int format_credential_parse(struct str text, struct format_credential *ret_credential,
                            struct err *e)
{
    struct format_credential *credential;
    int status;

    if (text.len > FORMAT_DOCUMENT_MAX_BYTES) {
        return err_set(e, ERR_TOO_LARGE, "the answer is too large");
    }
    credential = mem_calloc(1, sizeof(*credential));
    if (credential == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    status = format_fill(credential, text, e);
    if (status == 0) {
        *ret_credential = *credential;
    } else {
        format_credential_fini(credential);
    }
    mem_free(credential);
    return status;
}

void format_credential_fini(struct format_credential *credential)
{
    size_t i;

    for (i = 0; i < credential->field_count; i++) {
        secret_fini(&credential->fields[i].value);
        mem_free(credential->fields[i].variable);
    }
    json_decref(credential->document);
    *credential = (struct format_credential){0};
}

static size_t format_index(const struct format_credential *credential, struct str name)
{
    size_t i;

    for (i = 0; i < credential->field_count; i++) {
        if (str_eq_c(name, credential->fields[i].name)) {
            break;
        }
    }
    return i;
}

const struct format_field *format_credential_field(const struct format_credential *credential,
                                                   struct str name)
{
    size_t i = format_index(credential, name);

    return i < credential->field_count ? &credential->fields[i] : NULL;
}

int format_credential_map(struct format_credential *credential, struct str field,
                          struct str variable)
{
    size_t i = format_index(credential, field);
    char *copy;

    if (i == credential->field_count) {
        return ERR_NOT_FOUND;
    }
    if (!format_variable_is_valid(variable)) {
        return ERR_INVALID;
    }
    copy = mem_strndup(variable.ptr, variable.len);
    if (copy == NULL) {
        return ERR_NOMEM;
    }
    mem_free(credential->fields[i].variable);
    credential->fields[i].variable = copy;
    return 0;
}
