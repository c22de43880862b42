/* Reads the query of a data source, writes its result. */
#include "wire/terraform_query.h"

#include "wire/json_bounds.h"
#include "wire/json_out.h"

#include <jansson.h>
#include <string.h>

#define TERRAFORM_DEPTH_MAX 4
#define TERRAFORM_VALUES_MAX 64

static int query_read(json_t *root, char ret_role[TERRAFORM_ROLE_MAX_BYTES + 1], struct err *e)
{
    const char *role = "";
    const char *key;
    json_t *value;

    if (!json_is_object(root)) {
        return err_set(e, ERR_INVALID, "the query on stdin is no JSON object");
    }
    json_object_foreach (root, key, value) {
        if (strcmp(key, "role") != 0) {
            return err_set(e, ERR_INVALID,
                           "the query has a key that isn't known: '%.64s'; it may "
                           "have `role`",
                           key);
        }
        role = json_string_value(value);
        if (role == NULL || strlen(role) > TERRAFORM_ROLE_MAX_BYTES) {
            return err_set(e, ERR_INVALID, "the query's role is no string, or too long");
        }
    }
    memcpy(ret_role, role, strlen(role) + 1);
    return 0;
}

int terraform_query_parse(struct str text, char ret_role[TERRAFORM_ROLE_MAX_BYTES + 1],
                          struct err *e)
{
    json_t *root = NULL;
    int status;

    if (text.len > TERRAFORM_QUERY_MAX_BYTES) {
        return err_set(e, ERR_TOO_LARGE, "the query has more than %u bytes",
                       TERRAFORM_QUERY_MAX_BYTES);
    }
    if (str_trim(text).len == 0) {
        ret_role[0] = '\0';
        return 0;
    }
    if (json_bounds_hold(text, TERRAFORM_DEPTH_MAX, TERRAFORM_VALUES_MAX)) {
        root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    }
    status = query_read(root, ret_role, e);
    json_decref(root);
    return status;
}

void terraform_answer_write(const struct format_credential *credential, struct buf *out)
{
    struct json_out json;
    size_t i;

    json_out_init(&json, out);
    json_out_object_open(&json, NULL);
    for (i = 0; i < credential->field_count; i++) {
        json_out_member(&json, str_of(credential->fields[i].name),
                        secret_view(&credential->fields[i].value));
    }
    json_out_object_close(&json);
    buf_add_char(out, '\n');
}
