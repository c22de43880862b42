/* The one place that sets curl's options, so that the policy of env/http.h can be read in one
 * piece. Everything that curl would take from the environment, from files in the home directory or
 * from a server's wish is off. */
#include "io/http_internal.h"

#include <string.h>
#include <sys/socket.h>

struct long_option {
    CURLoption option;
    long value;
};

static const struct long_option long_options[] = {
    {CURLOPT_NOSIGNAL, 1},
    {CURLOPT_NOPROGRESS, 1},
    /* A redirect would carry X-Vault-Token to its target. Whoever wants one followed starts a new
       exchange. */
    {CURLOPT_FOLLOWLOCATION, 0},
    {CURLOPT_NETRC, CURL_NETRC_IGNORED},
    {CURLOPT_UNRESTRICTED_AUTH, 0},
    {CURLOPT_HTTP09_ALLOWED, 0},
    /* /v1/a/../../sys/raw would arrive as /sys/raw. */
    {CURLOPT_PATH_AS_IS, 1},
    {CURLOPT_SSL_VERIFYPEER, 1},
    {CURLOPT_SSL_VERIFYHOST, 2},
    {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
    {CURLOPT_PROXY_SSL_VERIFYPEER, 1},
    {CURLOPT_PROXY_SSL_VERIFYHOST, 2},
    {CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
    /* Our headers are for the issuer, not for the proxy; and its headers aren't the reply's. */
    {CURLOPT_HEADEROPT, CURLHEADER_SEPARATE},
    {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
    /* A bomb is small before it is unpacked. */
    {CURLOPT_HTTP_CONTENT_DECODING, 0},
    {CURLOPT_TRANSFER_ENCODING, 0},
    /* In seconds. New connections see a CA file that was replaced, a certificate that was revoked,
       an address that moved. */
    {CURLOPT_MAXAGE_CONN, 60},
    {CURLOPT_MAXLIFETIME_CONN, 300},
    {CURLOPT_CA_CACHE_TIMEOUT, 300},
};

/* curl 7.88 leaves its sockets open in the programs that we run. */
static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)user;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Runs before each look-up that curl would do by itself: refused, it would block the loop. */
static int refuse_resolving(void *resolver, void *reserved, void *user)
{
    (void)resolver;
    (void)reserved;
    (void)user;
    return 1;
}

static bool is_sent_once(const struct env_http *http)
{
    return (http->flags & (ENV_HTTP_CREATES | ENV_HTTP_REPEATABLE)) == ENV_HTTP_CREATES;
}

/* Runs when the connection is ready, before the first byte of the request, each time that curl
 * sends it. */
static int on_ready(void *user, char *peer, char *local, int peer_port, int local_port)
{
    struct exchange *exchange = OBJ_CAST(user, struct exchange, EXCHANGE_MAGIC);

    (void)peer;
    (void)local;
    (void)peer_port;
    (void)local_port;
    if (exchange->is_sent && is_sent_once(exchange->owner)) {
        exchange_judge(exchange, ERR_LOST, "the connection broke after the request was sent");
        return CURL_PREREQFUNC_ABORT;
    }
    exchange->is_sent = true;
    return CURL_PREREQFUNC_OK;
}

static bool has_text(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static CURLcode set_method(CURL *easy, const struct env_http *http)
{
    CURLcode code = CURLE_OK;
    bool has_body = http->body.len > 0 || strcmp(http->method, "POST") == 0 ||
                    strcmp(http->method, "PUT") == 0 || strcmp(http->method, "PATCH") == 0;

    if (strcmp(http->method, "HEAD") == 0) {
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    if (has_body) {
        code = curl_easy_setopt(easy, CURLOPT_POST, 1L);
        if (code == CURLE_OK) {
            code = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)http->body.len);
        }
        if (code == CURLE_OK) {
            code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                                    http->body.len > 0 ? http->body.ptr : "");
        }
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, http->method);
    }
    return code;
}

static CURLcode set_tls(CURL *easy, const struct env_http_tls *tls)
{
    CURLcode code = CURLE_OK;

    if (tls == NULL) {
        return CURLE_OK;
    }
    if (has_text(tls->ca_file)) {
        code = curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca_file);
        /* Else the system's directory of certificates would be trusted beside it. */
        if (code == CURLE_OK) {
            code = curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
        }
    }
    if (code == CURLE_OK && has_text(tls->cert_file)) {
        code = curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->cert_file);
    }
    if (code == CURLE_OK && has_text(tls->key_file)) {
        code = curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key_file);
    }
    return code;
}

static CURLcode set_route(CURL *easy, const struct exchange *exchange)
{
    const struct env_http *http = exchange->owner;
    const struct http_request *request = &exchange->request;
    /* "" switches off what the environment says; NULL wouldn't. */
    CURLcode code = curl_easy_setopt(easy, CURLOPT_PROXY, http->proxy != NULL ? http->proxy : "");

    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    }
    if (code == CURLE_OK && http->unix_socket != NULL) {
        code = curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, http->unix_socket);
    }
    if (code == CURLE_OK && request->connect_to != NULL) {
        code = curl_easy_setopt(easy, CURLOPT_CONNECT_TO, request->connect_to);
    }
    if (code == CURLE_OK && request->resolve != NULL) {
        code = curl_easy_setopt(easy, CURLOPT_RESOLVE, request->resolve);
        if (code == CURLE_OK) {
            code = curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION, refuse_resolving);
        }
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, request->is_tls ? "https" : "http");
    }
    return code;
}

/* curl sends a request again when a kept connection turns out to be dead, also a POST. A call that
 * creates something gets a connection of its own, which nobody else can share either (HTTP/1.1),
 * and on_ready refuses a second sending. Where its caller says that it may be sent twice it uses a
 * kept one, alone.
 *
 * The others may share a connection with HTTP/2. Where a server answers and resets the stream
 * before it has read the whole request, curl 7.88 loses the answer: ERR_LOST, and an idempotent
 * call is simply repeated.
 *
 * While such a connection is open, curl 7.88 keeps what it received last and nghttp2 its table of
 * headers, outside of secret memory: the token and references of leases can be found there. What a
 * call that creates brings can't, which is another reason for HTTP/1.1. */
static CURLcode set_connection(CURL *easy, const struct env_http *http)
{
    bool creates = (http->flags & ENV_HTTP_CREATES) != 0;
    bool connects = (http->flags & ENV_HTTP_CONNECT_ONLY) != 0;
    long is_alone = connects || is_sent_once(http) ? 1 : 0;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, is_alone);

    if (code == CURLE_OK && connects) {
        code = curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    }

    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, is_alone);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                                (long)(creates ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS));
    }
    return code;
}

static CURLcode set_callbacks(CURL *easy, struct exchange *exchange)
{
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error_text);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, http_reply_on_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_reply_on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    (void)curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange);
    /* The one that may be missing in an old libcurl, and that can't be done without. */
    return curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_ready);
}

int http_policy_apply(struct exchange *exchange, uint64_t timeout_ms, uint64_t connect_timeout_ms)
{
    CURL *easy = exchange->easy;
    const struct env_http *http = exchange->owner;
    CURLcode code = set_callbacks(easy, exchange);

    for (size_t i = 0; code == CURLE_OK && i < ARRAY_LEN(long_options); i++) {
        code = curl_easy_setopt(easy, long_options[i].option, long_options[i].value);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_CURLU, exchange->request.url);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->request.headers);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_USERAGENT, "leased");
    }
    if (code == CURLE_OK) {
        code = set_method(easy, http);
    }
    if (code == CURLE_OK) {
        code = set_tls(easy, http->tls);
    }
    if (code == CURLE_OK) {
        code = set_route(easy, exchange);
    }
    if (code == CURLE_OK) {
        code = set_connection(easy, http);
    }
    /* Refuses an announced length at once; what comes unannounced is counted as it arrives. */
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE,
                                (curl_off_t)exchange->reply.body.max_bytes);
    }
    /* No CURLOPT_LOW_SPEED_LIMIT: an issuer may think for as long as the time allows. What it sends
     * then must not trickle: on_pace in http.c. */
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_timeout_ms);
    }
    if (code == CURLE_OK) {
        return 0;
    }
    return code == CURLE_OUT_OF_MEMORY ? ERR_NOMEM : ERR_UNSUPPORTED;
}
