/* Happy path: parse, walk, replace each string value that holds "${", dump. Where parameters hold
 * no template the text is copied as it is. Failures leave nothing behind. */
#include "backend/template.h"

#include "base/buf.h"
#include "base/mem.h"

#include <jansson.h>
#include <string.h>

#define TEMPLATE_STRING_MAX_BYTES 4096U

static const struct {
    const char *name;
    size_t offset;
    bool is_one; /* names one thing, and never a list of them */
} names[] = {
    {"identity.user", offsetof(struct template_values, user), true},
    {"identity.uid", offsetof(struct template_values, uid), true},
    {"identity.unit", offsetof(struct template_values, unit), true},
    {"role", offsetof(struct template_values, role), true},
    {"reason", offsetof(struct template_values, reason), false},
};

struct filling {
    const struct template_values *values;
    struct err *e;
};

static bool fits_path(struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        bool is_fit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '.' || c == '@' || c == '-';

        if (!is_fit || (c == '.' && i + 1 < value.len && value.ptr[i + 1] == '.')) {
            return false;
        }
    }
    /* A lone dot is a path segment of its own. */
    return value.len > 0 && !str_eq_c(value, ".");
}

static bool separates(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f || c == ',';
}

/* Issuers take lists as one text with commas (principals, alternative names): a user who is called
 * "joe,root" must not get two of them. */
static bool is_one_name(struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (separates(value.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* The same goes for a reason, which is free text: what separates becomes a blank. */
static void add_as_one(struct buf *out, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        buf_add_char(out, separates(value.ptr[i]) ? ' ' : value.ptr[i]);
    }
}

static int value_of(const struct filling *filling, struct str name, struct str *ret_value)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *base = (const char *)filling->values;
        struct str value;

        if (!str_eq_c(name, names[i].name)) {
            continue;
        }
        value = *(const struct str *)(const void *)(base + names[i].offset);
        if (value.len == 0) {
            return err_set(filling->e, ERR_INVALID, "${%s} is not known for this caller",
                           names[i].name);
        }
        if (names[i].is_one && !is_one_name(value)) {
            return err_set(filling->e, ERR_INVALID,
                           "the value of ${%s} holds a comma or a control byte", names[i].name);
        }
        *ret_value = value;
        return 0;
    }
    return err_set(filling->e, ERR_INVALID,
                   "unknown template name ${%.*s}; there are ${identity.user}, ${identity.uid}, "
                   "${identity.unit}, ${role} and ${reason}",
                   (int)(name.len < 64 ? name.len : 64), name.ptr);
}

/* Replaces the templates of one string. `is_strict`: values must be fit for a path or a policy. */
static int fill_text(const struct filling *filling, struct str text, bool is_strict,
                     struct buf *out)
{
    while (text.len > 0) {
        struct str name;
        struct str value = {0};
        const char *end;
        int rc;

        if (!str_starts_with(text, "${")) {
            buf_add_char(out, text.ptr[0]);
            text = (struct str){text.ptr + 1, text.len - 1};
            continue;
        }
        end = memchr(text.ptr, '}', text.len);
        if (end == NULL) {
            return err_set(filling->e, ERR_INVALID, "a template is not closed by '}'");
        }
        name = (struct str){text.ptr + 2, (size_t)(end - text.ptr) - 2};
        rc = value_of(filling, name, &value);
        if (rc != 0) {
            return rc;
        }
        if (is_strict && !fits_path(value)) {
            return err_set(filling->e, ERR_INVALID,
                           "the value of ${%.*s} is not fit for a path or a policy: only letters, "
                           "digits and _.@- are, without \"..\"",
                           STR_ARG(name));
        }
        add_as_one(out, value);
        text = (struct str){end + 1, (size_t)(text.ptr + text.len - end) - 1};
    }
    return buf_status(out);
}

static int fill_string(const struct filling *filling, json_t *string, bool is_strict,
                       json_t **ret_filled)
{
    struct str text = {json_string_value(string), json_string_length(string)};
    BUF_AUTO out;
    int rc;

    buf_init(&out, TEMPLATE_STRING_MAX_BYTES);
    rc = fill_text(filling, text, is_strict, &out);
    if (rc == ERR_TOO_LARGE) {
        return err_set(filling->e, ERR_INVALID, "a parameter is longer than %u bytes",
                       TEMPLATE_STRING_MAX_BYTES);
    }
    if (rc != 0) {
        return rc;
    }
    *ret_filled = json_stringn(out.len > 0 ? out.bytes : "", out.len);
    if (*ret_filled == NULL) {
        /* jansson refuses bytes that aren't UTF-8 in the same way as it runs out of memory. */
        return err_set(filling->e, ERR_INVALID, "a template's value is not UTF-8");
    }
    return 0;
}

/* Paths and names of roles lead to what is issued, policies say what that may do: there a value
 * must not have a meaning of its own (a slash, a wildcard, a quote). */
static bool is_strict_key(const char *key)
{
    static const char *const strict[] = {"path", "policy", "policy_arns", "role_arn"};

    for (size_t i = 0; i < ARRAY_LEN(strict); i++) {
        if (str_eq_c(str_of(key), strict[i])) {
            return true;
        }
    }
    return false;
}

/* A new reference to `value` with its strings filled in. */
/* NOLINTNEXTLINE(misc-no-recursion): depth is limited by TEMPLATE_PARAMS_MAX_DEPTH */
static int fill_value(const struct filling *filling, json_t *value, bool is_strict, unsigned depth,
                      json_t **ret_filled)
{
    json_t *copy;
    json_t *child;
    json_t *filled = NULL;
    const char *key;
    size_t index;
    int rc = 0;

    if (depth > TEMPLATE_PARAMS_MAX_DEPTH) {
        return err_set(filling->e, ERR_INVALID, "parameters are nested too deeply");
    }
    if (json_is_string(value)) {
        return fill_string(filling, value, is_strict, ret_filled);
    }
    if (!json_is_object(value) && !json_is_array(value)) {
        *ret_filled = json_incref(value);
        return 0;
    }
    copy = json_is_object(value) ? json_object() : json_array();
    if (copy == NULL) {
        return ERR_NOMEM;
    }
    json_object_foreach (value, key, child) {
        rc = fill_value(filling, child, is_strict || (depth == 0 && is_strict_key(key)), depth + 1,
                        &filled);
        if (rc == 0 && json_object_set_new(copy, key, filled) != 0) {
            rc = ERR_NOMEM;
        }
        if (rc != 0) {
            break;
        }
    }
    json_array_foreach (value, index, child) {
        rc = fill_value(filling, child, is_strict, depth + 1, &filled);
        if (rc == 0 && json_array_append_new(copy, filled) != 0) {
            rc = ERR_NOMEM;
        }
        if (rc != 0) {
            break;
        }
    }
    if (rc != 0) {
        json_decref(copy);
        return rc;
    }
    *ret_filled = copy;
    return 0;
}

static int parse(struct str params_json, json_t **ret_params, struct err *e)
{
    json_error_t problem = {0}; /* without memory jansson may leave it as it was */
    json_t *params;

    if (params_json.len > TEMPLATE_PARAMS_MAX_BYTES) {
        return err_set(e, ERR_INVALID, "parameters are longer than %u bytes",
                       TEMPLATE_PARAMS_MAX_BYTES);
    }
    params = json_loadb(params_json.ptr, params_json.len, JSON_REJECT_DUPLICATES, &problem);
    if (!json_is_object(params)) {
        bool is_oom = params == NULL && (problem.text[0] == '\0' ||
                                         json_error_code(&problem) == json_error_out_of_memory);
        int code = is_oom ? ERR_NOMEM : ERR_INVALID;

        json_decref(params);
        return err_set(e, code, "parameters are not a JSON object");
    }
    *ret_params = params;
    return 0;
}

static int dump_chunk(const char *bytes, size_t size, void *user)
{
    struct buf *out = user;

    buf_add(out, bytes, size);
    return buf_status(out) == 0 ? 0 : -1;
}

static int dump(const json_t *value, char **ret_json)
{
    BUF_AUTO out;
    char *text;

    /* Filled in, every string may grow to its limit; the plugin's limit for a whole request is
     * stricter. */
    buf_init(&out, 16U * TEMPLATE_PARAMS_MAX_BYTES);
    if (json_dump_callback(value, dump_chunk, &out, JSON_COMPACT) != 0) {
        return buf_status(&out) != 0 ? buf_status(&out) : ERR_NOMEM;
    }
    text = buf_steal(&out);
    if (text == NULL) {
        return ERR_NOMEM;
    }
    *ret_json = text;
    return 0;
}

/* A backslash may hide "${" as an escape. */
static bool has_no_template(struct str json)
{
    return json.len > 0 && memmem(json.ptr, json.len, "${", 2) == NULL &&
           memchr(json.ptr, '\\', json.len) == NULL;
}

int template_fill(struct str params_json, const struct template_values *values, char **ret_json,
                  struct err *e)
{
    struct filling filling = {.values = values, .e = e};
    json_t *params = NULL;
    json_t *filled = NULL;
    char *text;
    int rc;

    if (has_no_template(params_json)) {
        text = mem_strndup(params_json.ptr, params_json.len);
        if (text == NULL) {
            return err_set(e, ERR_NOMEM, "out of memory");
        }
        *ret_json = text;
        return 0;
    }
    rc = parse(params_json, &params, e);
    if (rc != 0) {
        return rc;
    }
    rc = fill_value(&filling, params, false, 0, &filled);
    json_decref(params);
    if (rc != 0) {
        return rc == ERR_NOMEM ? err_set(e, rc, "out of memory") : rc;
    }
    rc = dump(filled, ret_json);
    json_decref(filled);
    return rc == 0 ? 0 : err_set(e, rc, "%s", err_str(rc));
}

int template_fill_example(struct str params_json, char **ret_json, struct err *e)
{
    static const struct template_values example = {
        .user = {"user", 4},
        .uid = {"1000", 4},
        .unit = {"unit.service", 12},
        .role = {"role", 4},
        .reason = {"reason", 6},
    };

    return template_fill(params_json, &example, ret_json, e);
}
