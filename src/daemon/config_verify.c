/* A role's `verify`: it goes to the verifier as JSON, and what that complains about is shown at its
 * place. */
#include "backend/verifier.h"
#include "base/mem.h"
#include "daemon/config_internal.h"
#include "wire/json_out.h"

#include <string.h>

#define VERIFY_MAX_BYTES ((size_t)8 * YAML_INPUT_MAX_BYTES)

static void text_write(struct json_out *json, const char *key, const char *text)
{
    if (text != NULL) {
        json_out_string_c(json, key, text);
    }
}

static void verify_write(struct json_out *json, const struct config_verify *verify)
{
    size_t i;

    json_out_object_open(json, NULL);
    text_write(json, "tcp", verify->tcp);
    text_write(json, "http", verify->http);
    text_write(json, "basic_auth", verify->basic_auth);
    text_write(json, "ca_file", verify->ca_file);
    text_write(json, "user", verify->user);
    if (verify->exec.count > 0) {
        json_out_array_open(json, "exec");
        for (i = 0; i < verify->exec.count; i++) {
            json_out_string_c(json, NULL, verify->exec.items[i]);
        }
        json_out_array_close(json);
    }
    if (verify->headers.count > 0) {
        json_out_object_open(json, "headers");
        for (i = 0; i < verify->headers.count; i++) {
            json_out_string_c(json, verify->headers.items[i].name, verify->headers.items[i].value);
        }
        json_out_object_close(json);
    }
    json_out_object_close(json);
}

/* "http: …" is about that key. */
static void complain(const struct config_verify *verify, const char *text,
                     struct yaml_errors *errors)
{
    char key[32];
    size_t len = strcspn(text, ": ");
    const struct yaml_node *node = NULL;

    if (len < sizeof(key) && strncmp(text + len, ": ", 2) == 0) {
        memcpy(key, text, len);
        key[len] = '\0';
        node = yaml_get(verify->node, key);
    }
    if (node != NULL) {
        yaml_error_at(errors, node, "%s", text + len + 2);
    } else {
        yaml_error_at_key(errors, verify->node, "%s", text);
    }
}

static char *verify_json(const struct config_verify *verify)
{
    struct json_out json;
    BUF_AUTO text;

    buf_init(&text, VERIFY_MAX_BYTES);
    json_out_init(&json, &text);
    verify_write(&json, verify);
    return buf_steal(&text);
}

int config_check_verify(struct config_role *role, struct yaml_errors *errors)
{
    const struct config_verify *verify = &role->verify;
    struct err e = {0};

    if (verify->node == NULL || verify->node->type != YAML_MAPPING) {
        return 0; /* none, or something that has been reported */
    }
    role->verify_json = verify_json(verify);
    if (role->verify_json == NULL) {
        return ERR_NOMEM;
    }
    if (backend_verify_check(role->verify_json, &e) != 0) {
        complain(verify, e.text, errors);
    }
    return 0;
}
