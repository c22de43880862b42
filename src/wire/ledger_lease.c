/* The codec of the ledger's leases, by a table: one place to read, one to extend. */
#include "wire/ledger_lease.h"

#include "base/str.h"

#include <stddef.h>

enum field_type {
    FIELD_TEXT,
    FIELD_REF,
    FIELD_BOOL,
    FIELD_TIME,
    FIELD_UID,
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
};

#define FIELD(name, type)                                                                          \
    {                                                                                              \
#name, type, offsetof(struct ledger_lease, name)                                           \
    }

static const struct field fields[] = {
    FIELD(role, FIELD_TEXT),
    FIELD(backend, FIELD_TEXT),
    FIELD(params_json, FIELD_TEXT),
    FIELD(issuer_ref, FIELD_REF),
    FIELD(is_renewable, FIELD_BOOL),
    FIELD(issued_wall_ms, FIELD_TIME),
    FIELD(expires_wall_ms, FIELD_TIME),
    FIELD(ends_wall_ms, FIELD_TIME),
    FIELD(caller, FIELD_TEXT),
    FIELD(uid, FIELD_UID),
    FIELD(user, FIELD_TEXT),
    FIELD(unit, FIELD_TEXT),
    FIELD(container, FIELD_TEXT),
    FIELD(listener, FIELD_TEXT),
    FIELD(sans, FIELD_TEXT),
    FIELD(is_foreign, FIELD_BOOL),
};

/* --- writing ---------------------------------------------------------------------------------- */

static json_t *value_of(const struct ledger_lease *lease, const struct field *field)
{
    const void *at = (const char *)lease + field->offset;
    const struct str *ref = at;

    switch (field->type) {
    case FIELD_TEXT:
        return json_string(*(const char *const *)at);
    case FIELD_REF:
        return json_stringn(ref->len > 0 ? ref->ptr : "", ref->len);
    case FIELD_BOOL:
        return json_boolean(*(const bool *)at);
    case FIELD_TIME:
        return json_integer(*(const int64_t *)at);
    case FIELD_UID:
        break;
    }
    return json_integer(*(const uint32_t *)at);
}

static int put(const char *bytes, size_t size, void *user)
{
    struct buf *out = user;

    buf_add(out, bytes, size);
    return 0;
}

int ledger_lease_write(const struct ledger_lease *lease, struct buf *out)
{
    json_t *root = json_object();
    int r = root == NULL ||
                    json_object_set_new(root, "version", json_integer(LEDGER_LEASE_VERSION)) != 0
                ? ERR_NOMEM
                : 0;
    size_t i;

    for (i = 0; r == 0 && i < ARRAY_LEN(fields); i++) {
        if (json_object_set_new(root, fields[i].name, value_of(lease, &fields[i])) != 0) {
            r = ERR_INVALID;
        }
    }
    if (r == 0 && json_dump_callback(root, put, out, JSON_COMPACT) != 0) {
        r = ERR_NOMEM;
    }
    json_decref(root);
    return r != 0 ? r : buf_status(out);
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool read_field(const json_t *value, enum field_type type, void *at)
{
    json_int_t number = json_integer_value(value);

    switch (type) {
    case FIELD_TEXT:
        *(const char **)at = json_string_value(value);
        return json_is_string(value);
    case FIELD_REF:
        *(struct str *)at =
            (struct str){.ptr = json_string_value(value), .len = json_string_length(value)};
        return json_is_string(value) && json_string_length(value) > 0;
    case FIELD_BOOL:
        *(bool *)at = json_is_true(value);
        return json_is_boolean(value);
    case FIELD_TIME:
        *(int64_t *)at = number;
        return json_is_integer(value) && number >= 0;
    case FIELD_UID:
        break;
    }
    *(uint32_t *)at = (uint32_t)number;
    return json_is_integer(value) && number >= 0 && number <= UINT32_MAX;
}

static int read_fields(json_t *root, struct ledger_lease *ret_lease, struct err *e)
{
    size_t i;

    if (json_integer_value(json_object_get(root, "version")) != LEDGER_LEASE_VERSION) {
        return err_set(e, ERR_INVALID, "it is of another version");
    }
    for (i = 0; i < ARRAY_LEN(fields); i++) {
        if (!read_field(json_object_get(root, fields[i].name), fields[i].type,
                        (char *)ret_lease + fields[i].offset)) {
            return err_set(e, ERR_INVALID, "`%s` is missing or wrong", fields[i].name);
        }
    }
    if (json_object_size(root) != ARRAY_LEN(fields) + 1) {
        return err_set(e, ERR_INVALID, "it has something that isn't known");
    }
    return 0;
}

int ledger_lease_read(struct str text, struct ledger_lease *ret_lease, json_t **ret_owner,
                      struct err *e)
{
    struct ledger_lease lease = {.role = NULL};
    json_error_t problem;
    json_t *root =
        json_loadb(text.len > 0 ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &problem);
    int r = root == NULL ? err_set(e, ERR_INVALID, "it is no JSON: %s", problem.text)
                         : read_fields(root, &lease, e);

    if (r != 0) {
        json_decref(root);
        return r;
    }
    *ret_lease = lease;
    *ret_owner = root;
    return 0;
}
