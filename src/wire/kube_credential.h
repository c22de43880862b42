/* Kubernetes' exec plugins: client.authentication.k8s.io. */
#ifndef LEASED_WIRE_KUBE_CREDENTIAL_H
#define LEASED_WIRE_KUBE_CREDENTIAL_H

#include "base/err.h"
#include "wire/format.h"

#define KUBE_EXEC_INFO_MAX_BYTES (1024U * 1024U) /* it may have the cluster's CA certificates */
#define KUBE_API_DEFAULT "client.authentication.k8s.io/v1"

/* The version that KUBERNETES_EXEC_INFO (NULL or empty: not set, then it is v1) asks for; static.
 * 0; ERR_INVALID with a text: no JSON, another version than v1 and v1beta1. */
int kube_exec_info_parse(const char *text, const char **ret_version, struct err *e) ATTR_MUST_USE;

/* Appends the ExecCredential: a token (the fields token, access_token or service_account_token), a
 * client certificate (certificate and private_key) or both.
 * 0; ERR_INVALID with a text: it has neither. */
int kube_answer_write(const struct format_credential *credential, const char *version,
                      struct buf *out, struct err *e) ATTR_MUST_USE;

#endif
