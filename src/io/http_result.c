/* What became of an exchange, in the words of env/http.h. The line that matters runs between
 * "nothing was sent" and "it may have been executed": a call that creates something is only
 * repeated on this side of it. is_sent is set when the connection is ready for the request and
 * never taken back, also when curl tries again on another connection, so the answer errs towards
 * "may have been executed". */
#include "io/http_internal.h"

#include <string.h>

/* The clocks of curl and of the loop are read at different moments. */
#define CLOCK_SLACK_MS 10U

/* The handshake failed because the peer or the network went away, not because somebody was refused.
 * curl has one code for both and tells them apart in its text only. */
static bool is_broken_handshake(const char *text)
{
    return strstr(text, "SSL_ERROR_SYSCALL") != NULL || strstr(text, "unexpected eof") != NULL ||
           strstr(text, "reset by peer") != NULL || strstr(text, "Broken pipe") != NULL;
}

static int unsent_status(const struct exchange *exchange, CURLcode result, uint64_t elapsed_ms)
{
    switch (result) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_USE_SSL_FAILED:
        return ERR_TLS;
    case CURLE_SSL_CONNECT_ERROR:
        return is_broken_handshake(exchange->error_text) ? ERR_CONNECT : ERR_TLS;
    case CURLE_OPERATION_TIMEDOUT:
        return elapsed_ms + CLOCK_SLACK_MS < exchange->owner->timeout_ms ? ERR_CONNECT
                                                                         : ERR_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        return ERR_NOMEM;
    default:
        return ERR_CONNECT;
    }
}

static int sent_status(CURLcode result)
{
    switch (result) {
    case CURLE_FILESIZE_EXCEEDED:
        return ERR_TOO_LARGE;
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
        return ERR_PROTOCOL;
    default:
        return ERR_LOST;
    }
}

int http_result_status(struct exchange *exchange, CURLcode result, uint64_t elapsed_ms,
                       const char **ret_detail)
{
    /* Before the verdict: a whole answer that arrives after a cancel may be a credential to be
     * revoked. */
    if (result == CURLE_OK &&
        (exchange->reply.is_complete || (exchange->owner->flags & ENV_HTTP_CONNECT_ONLY) != 0)) {
        *ret_detail = "";
        return 0;
    }
    if (exchange->verdict != 0) {
        *ret_detail = exchange->verdict_text;
        return exchange->verdict;
    }
    if (result == CURLE_OK) {
        *ret_detail = "the connection ended before the reply";
        return ERR_LOST;
    }
    *ret_detail =
        exchange->error_text[0] != '\0' ? exchange->error_text : curl_easy_strerror(result);
    return exchange->is_sent ? sent_status(result) : unsent_status(exchange, result, elapsed_ms);
}
