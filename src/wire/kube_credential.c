/* Reads what kubectl says of itself, writes what it expects. */
#include "wire/kube_credential.h"

#include "wire/format_internal.h"
#include "wire/json_bounds.h"
#include "wire/json_out.h"

#include <jansson.h>
#include <string.h>

#define KUBE_DEPTH_MAX 16
#define KUBE_VALUES_MAX 1024

int kube_exec_info_parse(const char *text, const char **ret_version, struct err *e)
{
    static const char *const versions[] = {KUBE_API_DEFAULT,
                                           "client.authentication.k8s.io/v1beta1"};
    struct str bytes = str_of(text);
    const char *asked;
    json_t *root = NULL;
    int status = ERR_INVALID;
    size_t i;

    if (bytes.len == 0) {
        *ret_version = versions[0];
        return 0;
    }
    if (bytes.len <= KUBE_EXEC_INFO_MAX_BYTES &&
        json_bounds_hold(bytes, KUBE_DEPTH_MAX, KUBE_VALUES_MAX)) {
        root = json_loadb(bytes.ptr, bytes.len, JSON_REJECT_DUPLICATES, NULL);
    }
    asked = json_string_value(json_object_get(root, "apiVersion"));
    for (i = 0; asked != NULL && i < ARRAY_LEN(versions); i++) {
        if (strcmp(asked, versions[i]) == 0) {
            *ret_version = versions[i];
            status = 0;
        }
    }
    if (asked == NULL) {
        (void)err_set(e, status, "KUBERNETES_EXEC_INFO is no JSON object with an apiVersion");
    } else if (status != 0) {
        (void)err_set(e, status,
                      "KUBERNETES_EXEC_INFO asks for %.64s; known: " KUBE_API_DEFAULT
                      " and v1beta1",
                      asked);
    }
    json_decref(root);
    return status;
}

static void kube_field(struct json_out *json, const char *key, const struct format_field *field)
{
    if (field != NULL) {
        json_out_string(json, key, secret_view(&field->value));
    }
}

int kube_answer_write(const struct format_credential *credential, const char *version,
                      struct buf *out, struct err *e)
{
    static const char *const tokens[] = {"token", "access_token", "service_account_token", NULL};
    static const char *const certificates[] = {"certificate", NULL};
    static const char *const keys[] = {"private_key", NULL};
    const struct format_field *token = format_first_field(credential, tokens);
    const struct format_field *certificate = format_first_field(credential, certificates);
    const struct format_field *key = format_first_field(credential, keys);
    struct json_out json;

    if (certificate == NULL || key == NULL) {
        certificate = key = NULL; /* kubectl takes both or none */
    }
    if (token == NULL && certificate == NULL) {
        return err_set(e, ERR_INVALID,
                       "%s has neither a token nor a certificate with its private_key",
                       credential->role);
    }
    json_out_init(&json, out);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "apiVersion", version);
    json_out_string_c(&json, "kind", "ExecCredential");
    json_out_object_open(&json, "status");
    kube_field(&json, "token", token);
    kube_field(&json, "clientCertificateData", certificate);
    kube_field(&json, "clientKeyData", key);
    if (credential->expires_at[0] != '\0') {
        json_out_string_c(&json, "expirationTimestamp", credential->expires_at);
    }
    json_out_object_close(&json);
    json_out_object_close(&json);
    buf_add_char(out, '\n');
    return buf_status(out);
}
