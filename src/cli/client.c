/* HTTP with libcurl's easy interface, over the unix socket, loopback TCP or TLS. Each call has a
 * handle of its own: curl resends silently on a kept connection that died, and the daemon judges
 * the process that connected. */
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
#define CLIENT_LAST_ID_MAX_BYTES 256
#define CLIENT_TOKEN_MAX_BYTES (17U * 1024U)
#define CLIENT_GRANT_MAX_BYTES 256

int client_global_init(void)
{
    json_set_alloc_funcs(mem_alloc, mem_free);
    return curl_global_init_mem(CURL_GLOBAL_SSL, mem_alloc, mem_free, mem_realloc, mem_strdup,
                                mem_calloc) == CURLE_OK
               ? 0
               : ERR_UNAVAILABLE;
}

void client_global_fini(void)
{
    curl_global_cleanup();
}

static int client_take_path(struct client *client, const char *path, struct err *e)
{
    if (path[0] != '/') {
        return err_set(e, ERR_INVALID, "the socket's path must be absolute: '%s'", path);
    }
    if (strlen(path) >= sizeof(client->socket_path)) {
        return err_set(e, ERR_INVALID, "the socket's path is longer than %zu bytes",
                       sizeof(client->socket_path) - 1);
    }
    (void)snprintf(client->socket_path, sizeof(client->socket_path), "%s", path);
    (void)snprintf(client->origin, sizeof(client->origin), "http://localhost");
    return 0;
}

bool client_is_loopback(struct str host)
{
    size_t i;

    if (str_eq_c(host, "localhost") || str_eq_c(host, "[::1]")) {
        return true;
    }
    for (i = 0; i < host.len; i++) {
        if (host.ptr[i] != '.' && (host.ptr[i] < '0' || host.ptr[i] > '9')) {
            return false;
        }
    }
    return str_starts_with(host, "127.");
}

/* Takes host and port, and nothing that could make a URL mean something else. */
static int client_take_origin(struct client *client, const char *address, struct err *e)
{
    struct str host = str_of(strchr(address, ':') + strlen("://"));
    size_t i;

    host.len -= str_ends_with(host, "/") ? 1 : 0;
    for (i = 0; i < host.len; i++) {
        char c = host.ptr[i];

        if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') &&
            strchr("-.:[]_", c) == NULL) {
            return err_set(e, ERR_INVALID, "the address '%s' is not a host and a port", address);
        }
    }
    if (host.len == 0 || host.len + sizeof("https://") > sizeof(client->origin)) {
        return err_set(e, ERR_INVALID, "the address '%s' is not a host and a port", address);
    }
    (void)snprintf(client->origin, sizeof(client->origin), "%s://%.*s",
                   client->is_tls ? "https" : "http", STR_ARG(host));
    if (!str_starts_with(host, "[")) {
        host = str_cut(&host, ':');
    } else if (str_starts_with(host, "[::1]")) {
        host.len = strlen("[::1]");
    }
    if (!client->is_tls && !client_is_loopback(host)) {
        return err_set(e, ERR_INVALID, "plain http goes to loopback only: use https:// for '%s'",
                       address);
    }
    return 0;
}

int client_init(struct client *client, const struct client_options *options, struct err *e)
{
    const char *address = options->address;

    *client = (struct client){.options = *options};
    client->options.address = NULL;
    if (address == NULL) {
        return client_take_path(client, CLIENT_DEFAULT_SOCKET, e);
    }
    if (str_starts_with(str_of(address), "unix://")) {
        return client_take_path(client, address + strlen("unix://"), e);
    }
    client->is_tls = str_starts_with(str_of(address), "https://");
    if (!client->is_tls && !str_starts_with(str_of(address), "http://")) {
        return err_set(e, ERR_INVALID,
                       "the address '%s' is none of unix:///PATH, https://HOST:PORT and "
                       "http://127.0.0.1:PORT",
                       address);
    }
    if (client->is_tls && options->cert_file == NULL) {
        return err_set(e, ERR_INVALID,
                       "https needs a client certificate: LEASED_CLIENT_CERT and "
                       "LEASED_CLIENT_KEY name its files");
    }
    return client_take_origin(client, address, e);
}

bool client_is_remote(const struct client *client)
{
    return client->socket_path[0] == '\0';
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

#define SET(option, value) is_bad = curl_easy_setopt(easy, option, value) != CURLE_OK || is_bad

/* What gets us to leased. False when out of memory. */
static bool client_set_way(CURL *easy, const struct client *client)
{
    const struct client_options *options = &client->options;
    bool is_bad = false;

    SET(CURLOPT_PROTOCOLS_STR, client->is_tls ? "https" : "http");
    SET(CURLOPT_PROXY, "");
    if (!client_is_remote(client)) {
        SET(CURLOPT_UNIX_SOCKET_PATH, client->socket_path);
    }
    if (client->is_tls) {
        SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_SSLCERT, options->cert_file);
        SET(CURLOPT_SSLKEY, options->key_file != NULL ? options->key_file : options->cert_file);
        if (options->ca_file != NULL) {
            SET(CURLOPT_CAINFO, options->ca_file);
            SET(CURLOPT_CAPATH, NULL);
        }
    }
    return !is_bad;
}

static int client_set_options(CURL *easy, const struct client *client,
                              const struct client_request *request, struct client_reply *reply)
{
    char url[CLIENT_URL_MAX_BYTES];
    bool is_bad = !client_set_way(easy, client);
    int len = snprintf(url, sizeof(url), "%s%s", client->origin, request->path);

    if (len < 0 || (size_t)len >= sizeof(url)) {
        return ERR_TOO_LARGE;
    }
    SET(CURLOPT_URL, url);
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
    return is_bad ? ERR_NOMEM : 0;
}

/* The stream under way, for curl's callbacks. */
struct client_streaming {
    const struct client_stream *stream;
    struct client_reply *reply;
    CURL *easy;
};

static size_t client_take_stream(char *bytes, size_t size, size_t count, void *user)
{
    const struct client_streaming *it = user;
    struct str piece = {.ptr = bytes, .len = size * count};
    long status = 0;

    (void)curl_easy_getinfo(it->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        return client_take_body(bytes, size, count, it->reply);
    }
    return it->stream->take(it->stream->user, piece) ? piece.len : 0;
}

static int client_watch_stream(void *user, curl_off_t down_total, curl_off_t down,
                               curl_off_t up_total, curl_off_t up)
{
    const struct client_streaming *it = user;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return it->stream->is_over(it->stream->user) ? 1 : 0;
}

static int client_set_stream(CURL *easy, struct client_streaming *it)
{
    bool is_bad = false;

    SET(CURLOPT_TIMEOUT_MS, 0L);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, (long)(it->stream->silent_max_ms / 1000));
    SET(CURLOPT_WRITEFUNCTION, client_take_stream);
    SET(CURLOPT_WRITEDATA, it);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, client_watch_stream);
    SET(CURLOPT_XFERINFODATA, it);
    return is_bad ? ERR_NOMEM : 0;
}
#undef SET

/* Of a large body libcurl would ask first whether to send it, which leased doesn't answer. */
static struct curl_slist *client_headers(void)
{
    static const char *const lines[] = {"X-Leased-Request: 1", "Accept: application/json",
                                        "Content-Type: application/json", "Expect:"};
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
    return err_set(e, ERR_CONNECT, "leased can't be reached at %s: %s%s",
                   client_is_remote(client) ? client->origin : client->socket_path,
                   cause != 0 ? err_str((int)-cause) : "could not connect", hint);
}

static int client_error(const struct client *client, CURL *easy, CURLcode code,
                        const struct client_request *request, struct err *e)
{
    char limit[UNITS_DURATION_MAX_BYTES];

    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return client_connect_error(client, easy, e);
    case CURLE_PEER_FAILED_VERIFICATION:
        return err_set(e, ERR_CONNECT,
                       "what answers at %s is not leased as LEASED_CACERT knows it: %s",
                       client->origin, curl_easy_strerror(code));
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        return err_set(e, ERR_CONNECT,
                       "LEASED_CLIENT_CERT, LEASED_CLIENT_KEY or LEASED_CACERT can't be used: %s",
                       curl_easy_strerror(code));
    case CURLE_SSL_CONNECT_ERROR:
        return err_set(e, ERR_CONNECT, "leased at %s refuses TLS with us: %s", client->origin,
                       curl_easy_strerror(code));
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(e, ERR_TIMEOUT, "leased did not answer within %s",
                       units_format_duration(request->timeout_ms, limit));
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return err_set(e, ERR_LOST, "leased closed the connection before it had answered%s",
                       client->is_tls ? "; does it take our certificate?" : "");
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

static uint32_t client_status(CURL *easy)
{
    long status = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return (uint32_t)status;
}

static int client_unready(int status, struct err *e)
{
    status = status != 0 ? status : ERR_NOMEM;
    return err_set(e, status, "could not prepare the request: %s", err_str(status));
}

/* Adds the header to the list; false when out of memory. */
static bool client_add_last_id(struct curl_slist *headers, const char *id)
{
    char line[CLIENT_LAST_ID_MAX_BYTES];
    int len = snprintf(line, sizeof(line), "Last-Event-ID: %s", id);

    return id[0] == '\0' ||
           (len > 0 && (size_t)len < sizeof(line) && curl_slist_append(headers, line) != NULL);
}

/* The same for a grant's token. */
static bool client_add_grant(struct curl_slist *headers, const char *token)
{
    char line[CLIENT_GRANT_MAX_BYTES];
    int len = snprintf(line, sizeof(line), "X-Leased-Grant: %s", token != NULL ? token : "");
    bool is_added = token == NULL || (len > 0 && (size_t)len < sizeof(line) &&
                                      curl_slist_append(headers, line) != NULL);

    mem_wipe(line, sizeof(line));
    return is_added;
}

/* The same for the job's token. */
static bool client_add_token(struct curl_slist *headers, const struct secret *token)
{
    char line[CLIENT_TOKEN_MAX_BYTES];
    bool is_added;
    int len;

    if (token == NULL || secret_is_empty(token)) {
        return true;
    }
    len = snprintf(line, sizeof(line), "Authorization: Bearer %.*s", STR_ARG(secret_view(token)));
    is_added = len > 0 && (size_t)len < sizeof(line) && curl_slist_append(headers, line) != NULL;
    mem_wipe(line, sizeof(line));
    return is_added;
}

static int client_stream_error(const struct client *client, CURL *easy, CURLcode code,
                               const struct client_request *request, struct err *e)
{
    switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_WRITE_ERROR:
        return err_set(e, ERR_CANCELED, "%s", err_str(ERR_CANCELED));
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(e, ERR_TIMEOUT, "leased has been silent for too long");
    default:
        return client_error(client, easy, code, request, e);
    }
}

/* `it`: the answer goes on; NULL: it comes as a whole. */
static int client_do(const struct client *client, const struct client_request *request,
                     struct client_streaming *it, struct client_reply *reply, struct err *e)
{
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = client_headers();
    CURLcode code;
    int result = ERR_NOMEM;

    buf_reset(&reply->body);
    reply->retry_after_ms = 0;
    reply->status = 0;
    if (easy != NULL && headers != NULL && client_add_grant(headers, request->grant) &&
        client_add_token(headers, client->job_token) &&
        (it == NULL || client_add_last_id(headers, it->stream->last_id))) {
        result = client_set_options(easy, client, request, reply);
    }
    if (result == 0 && it != NULL) {
        it->easy = easy;
        result = client_set_stream(easy, it);
    }
    if (result != 0 || curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) != CURLE_OK) {
        result = client_unready(result, e);
    } else {
        code = client_perform(easy);
        result = it != NULL ? client_stream_error(client, easy, code, request, e)
                            : client_error(client, easy, code, request, e);
    }
    if (result == 0) {
        reply->status = client_status(easy);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    return result;
}

int client_call(const struct client *client, const struct client_request *request,
                struct client_reply *reply, struct err *e)
{
    return client_do(client, request, NULL, reply, e);
}

int client_stream(const struct client *client, const struct client_request *request,
                  const struct client_stream *stream, struct client_reply *reply, struct err *e)
{
    struct client_streaming it = {.stream = stream, .reply = reply};

    return client_do(client, request, &it, reply, e);
}
