/* HTTP over the unix socket with libcurl's easy interface. Each call has a handle of its own: curl
 * resends silently on a kept connection that died, and the daemon judges the process that
 * connected. */
#include "cli/client.h"

#include "base/mem.h"
#include "base/units.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>

#define CLIENT_QUEUE_TRIES_MAX 100
#define CLIENT_QUEUE_PAUSE_NS 20000000
#define CLIENT_CONNECT_TIMEOUT_MS 5000
#define CLIENT_RETRY_AFTER_MAX_S 86400U
#define CLIENT_URL_MAX_BYTES 8192

int client_global_init(void)
{
    json_set_alloc_funcs(mem_alloc, mem_free);
    /* No TLS over a unix socket: its start-up would take longer than most calls. */
    return curl_global_init_mem(CURL_GLOBAL_NOTHING, mem_alloc, mem_free, mem_realloc, mem_strdup,
                                mem_calloc) == CURLE_OK
               ? 0
               : ERR_UNAVAILABLE;
}

void client_global_fini(void)
{
    curl_global_cleanup();
}

int client_init(struct client *client, const char *address, struct err *e)
{
    const char *path = CLIENT_DEFAULT_SOCKET;

    if (address != NULL) {
        if (!str_starts_with(str_of(address), "unix://")) {
            return err_set(e, ERR_INVALID,
                           "the address '%s' is not supported: this version speaks to "
                           "unix:///PATH only",
                           address);
        }
        path = address + sizeof("unix://") - 1;
    }
    if (path[0] != '/') {
        return err_set(e, ERR_INVALID, "the socket's path must be absolute: '%s'", path);
    }
    if (strlen(path) >= sizeof(client->socket_path)) {
        return err_set(e, ERR_INVALID, "the socket's path is longer than %zu bytes",
                       sizeof(client->socket_path) - 1);
    }
    (void)snprintf(client->socket_path, sizeof(client->socket_path), "%s", path);
    return 0;
}

void client_reply_init(struct client_reply *reply)
{
    *reply = (struct client_reply){0};
    buf_init(&reply->body, CLIENT_ANSWER_MAX_BYTES);
}

void client_reply_fini(struct client_reply *reply)
{
    buf_fini(&reply->body);
}

static size_t client_take_body(char *bytes, size_t size, size_t count, void *user)
{
    struct client_reply *reply = user;

    buf_add(&reply->body, bytes, size * count);
    return buf_status(&reply->body) == 0 ? size * count : 0;
}

static size_t client_take_header(char *bytes, size_t size, size_t count, void *user)
{
    static const char name[] = "retry-after:";
    struct client_reply *reply = user;
    struct str line = {.ptr = bytes, .len = size * count};
    uint64_t seconds;

    if (line.len > sizeof(name) - 1 && strncasecmp(line.ptr, name, sizeof(name) - 1) == 0) {
        line.ptr += sizeof(name) - 1;
        line.len -= sizeof(name) - 1;
        if (str_parse_u64(str_trim(line), &seconds) == 0 && seconds <= CLIENT_RETRY_AFTER_MAX_S) {
            reply->retry_after_ms = seconds * 1000;
        }
    }
    return size * count;
}

/* curl's own sockets aren't close-on-exec here, and `lease exec` starts programs. */
static curl_socket_t client_open_socket(void *user, curlsocktype purpose,
                                        struct curl_sockaddr *address)
{
    (void)user;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int client_set_options(CURL *easy, const struct client *client,
                              const struct client_request *request, struct client_reply *reply)
{
    char url[CLIENT_URL_MAX_BYTES];
    bool is_bad = false;
    int len = snprintf(url, sizeof(url), "http://localhost%s", request->path);

    if (len < 0 || (size_t)len >= sizeof(url)) {
        return ERR_TOO_LARGE;
    }
#define SET(option, value) is_bad = curl_easy_setopt(easy, option, value) != CURLE_OK || is_bad
    SET(CURLOPT_URL, url);
    SET(CURLOPT_UNIX_SOCKET_PATH, client->socket_path);
    SET(CURLOPT_PROTOCOLS_STR, "http");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_USERAGENT, "lease/" LEASED_VERSION);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CLIENT_CONNECT_TIMEOUT_MS);
    SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    SET(CURLOPT_OPENSOCKETFUNCTION, client_open_socket);
    SET(CURLOPT_WRITEFUNCTION, client_take_body);
    SET(CURLOPT_WRITEDATA, reply);
    SET(CURLOPT_HEADERFUNCTION, client_take_header);
    SET(CURLOPT_HEADERDATA, reply);
    if (strcmp(request->method, "POST") == 0) {
        const char *body = request->body != NULL ? request->body : "";

        SET(CURLOPT_POSTFIELDS, body);
        SET(CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    } else if (strcmp(request->method, "GET") != 0) {
        SET(CURLOPT_CUSTOMREQUEST, request->method);
    }
#undef SET
    return is_bad ? ERR_NOMEM : 0;
}

static struct curl_slist *client_headers(void)
{
    static const char *const lines[] = {"X-Leased-Request: 1", "Accept: application/json",
                                        "Content-Type: application/json"};
    struct curl_slist *headers = NULL;
    size_t i;

    for (i = 0; i < ARRAY_LEN(lines); i++) {
        struct curl_slist *longer = curl_slist_append(headers, lines[i]);

        if (longer == NULL) {
            curl_slist_free_all(headers);
            return NULL;
        }
        headers = longer;
    }
    return headers;
}

static int client_connect_error(const struct client *client, CURL *easy, struct err *e)
{
    const char *hint = "";
    long cause = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &cause);
    if (cause == ENOENT || cause == ECONNREFUSED) {
        hint = "; is leased running?";
    } else if (cause == EACCES || cause == EPERM) {
        hint = "; the socket's group decides who may connect";
    }
    return err_set(e, ERR_CONNECT, "leased can't be reached at %s: %s%s", client->socket_path,
                   cause != 0 ? err_str((int)-cause) : "could not connect", hint);
}

static int client_error(const struct client *client, CURL *easy, CURLcode code,
                        const struct client_request *request, struct err *e)
{
    char limit[UNITS_DURATION_MAX_BYTES];

    switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return client_connect_error(client, easy, e);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(e, ERR_TIMEOUT, "leased did not answer within %s",
                       units_format_duration(request->timeout_ms, limit));
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return err_set(e, ERR_LOST, "leased closed the connection before it had answered");
    case CURLE_WRITE_ERROR:
        return err_set(e, ERR_TOO_LARGE, "the answer of leased is larger than %u bytes",
                       CLIENT_ANSWER_MAX_BYTES);
    case CURLE_OUT_OF_MEMORY:
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    default:
        return err_set(e, ERR_PROTOCOL, "leased can't be understood: %s", curl_easy_strerror(code));
    }
}

/* A unix socket whose queue of waiting connections is full refuses at once instead of letting us
 * wait, as it does when somebody floods it; curl takes that for a connection under way and finds no
 * cause when it comes to nothing. Nothing was sent yet, so it is tried again for a while. */
static CURLcode client_perform(CURL *easy)
{
    const struct timespec pause = {.tv_nsec = CLIENT_QUEUE_PAUSE_NS};
    CURLcode code;
    long cause;
    int try_count = 0;

    do {
        if (try_count > 0) {
            (void)nanosleep(&pause, NULL);
        }
        cause = 0;
        code = curl_easy_perform(easy);
        (void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &cause);
    } while (code == CURLE_COULDNT_CONNECT && (cause == EAGAIN || cause == 0) &&
             ++try_count < CLIENT_QUEUE_TRIES_MAX);
    return code;
}

int client_call(const struct client *client, const struct client_request *request,
                struct client_reply *reply, struct err *e)
{
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = client_headers();
    CURLcode code;
    long status = 0;
    int result;

    buf_reset(&reply->body);
    reply->retry_after_ms = 0;
    if (easy == NULL || headers == NULL) {
        result = err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
        goto out;
    }
    result = client_set_options(easy, client, request, reply);
    if (result != 0 || curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) != CURLE_OK) {
        result = err_set(e, result != 0 ? result : ERR_NOMEM, "could not prepare the request: %s",
                         err_str(result != 0 ? result : ERR_NOMEM));
        goto out;
    }
    code = client_perform(easy);
    if (code != CURLE_OK) {
        result = client_error(client, easy, code, request, e);
        goto out;
    }
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    reply->status = (uint32_t)status;
out:
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    return result;
}
