/* Reads what docker asks its helpers, writes what it expects. */
#include "wire/docker_credential.h"

#include "wire/json_bounds.h"
#include "wire/json_out.h"

#include <jansson.h>

#define DOCKER_DEPTH_MAX 4
#define DOCKER_VALUES_MAX 32

static bool is_clean(struct str text)
{
    size_t i;

    for (i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= 0x20 || text.ptr[i] == 0x7F) {
            return false;
        }
    }
    return text.len > 0;
}

/* Behind one of the names of Docker Hub is the same registry. */
static struct str hub_name(struct str host)
{
    bool is_hub = str_eq_c(host, "index.docker.io") || str_eq_c(host, "registry-1.docker.io") ||
                  str_eq_c(host, "registry.hub.docker.com");

    return is_hub ? STR("docker.io") : host;
}

int docker_server_parse(struct str text, struct docker_server *ret_server, struct err *e)
{
    struct str url = str_trim(text);
    struct str rest = url;
    struct str host;
    size_t i;

    if (!is_clean(url)) {
        return err_set(e, ERR_INVALID, "no server: stdin has no URL, or one with blanks");
    }
    if (str_starts_with(rest, "http://")) {
        return err_set(e, ERR_INVALID, "no credential goes to a registry over plain http");
    }
    if (str_starts_with(rest, "https://")) {
        rest.ptr += sizeof("https://") - 1;
        rest.len -= sizeof("https://") - 1;
    }
    host = str_cut(&rest, '/');
    if (host.len == 0 || host.len > CLIENT_TARGET_MAX_BYTES) {
        return err_set(e, ERR_INVALID, "no server: the URL on stdin has no host");
    }
    ret_server->url = url;
    for (i = 0; i < host.len; i++) {
        char c = host.ptr[i];

        ret_server->target[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    ret_server->target[i] = '\0';
    host = hub_name(str_of(ret_server->target));
    memmove(ret_server->target, host.ptr, host.len);
    ret_server->target[host.len] = '\0';
    return 0;
}

int docker_store_parse(struct str text, struct buf *ret_url, struct err *e)
{
    json_t *root = NULL;
    const char *url;
    int status = 0;

    if (text.len > DOCKER_INPUT_MAX_BYTES) {
        return err_set(e, ERR_TOO_LARGE, "more than %u bytes on stdin", DOCKER_INPUT_MAX_BYTES);
    }
    if (json_bounds_hold(text, DOCKER_DEPTH_MAX, DOCKER_VALUES_MAX)) {
        root = json_loadb(text.len > 0 ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, NULL);
    }
    url = json_string_value(json_object_get(root, "ServerURL"));
    if (url == NULL) {
        /* The text holds a secret, so nothing of it is told. */
        status = err_set(e, ERR_INVALID, "stdin is no JSON object with a ServerURL");
    } else {
        buf_add_c(ret_url, url);
        status = buf_status(ret_url);
    }
    json_decref(root);
    return status;
}

void docker_answer_write(struct buf *out, struct str url, const struct login *login)
{
    struct json_out json;

    json_out_init(&json, out);
    json_out_object_open(&json, NULL);
    json_out_string(&json, "ServerURL", url);
    json_out_string(&json, "Username", login->user);
    json_out_string(&json, "Secret", login->password);
    json_out_object_close(&json);
    buf_add_char(out, '\n');
}
