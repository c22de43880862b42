/* HTTP with libcurl's easy interface, to a Vault. One handle for all requests: what is sent here
 * ends things, and may be sent twice. */
#include "cli/issuer.h"

#include "cli/client.h"
#include "cli/clock.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define ISSUER_CONNECT_TIMEOUT_MS 5000
/* A revocation waits for the engine, such as a database. */
#define ISSUER_TIMEOUT_MS 90000
#define ISSUER_ANSWER_MAX_BYTES (1024U * 1024U)
#define ISSUER_BODY_MAX_BYTES 8192U
#define ISSUER_PATH_MAX_BYTES 2048
#define ISSUER_BUSY_TRIES_MAX 10
#define ISSUER_BUSY_PAUSE_MS 1000U
#define ISSUER_HEADER_MAX_BYTES (ISSUER_TOKEN_MAX_BYTES + 64U)

/* --- opening ---------------------------------------------------------------------------------- */

static struct str part_of(CURLU *url, CURLUPart part, char **text)
{
    *text = NULL;
    return curl_url_get(url, part, text, 0) == CURLUE_OK ? str_of(*text)
                                                         : (struct str){.ptr = NULL, .len = 0};
}

static bool has_part(CURLU *url, CURLUPart part)
{
    char *text;
    bool has_it = part_of(url, part, &text).len > 0;

    curl_free(text);
    return has_it;
}

/* Is it an address that a token may be sent to? */
static bool is_safe(CURLU *url)
{
    char *scheme;
    char *host;
    struct str kind = part_of(url, CURLUPART_SCHEME, &scheme);
    struct str machine = part_of(url, CURLUPART_HOST, &host);
    bool is_safe =
        str_eq_c(kind, "https") || (str_eq_c(kind, "http") && client_is_loopback(machine));

    curl_free(host);
    curl_free(scheme);
    return is_safe;
}

static int take_address(struct issuer *issuer, const char *address, struct err *e)
{
    CURLU *url = curl_url();
    struct str text = str_of(address);
    int r = 0;

    while (str_ends_with(text, "/")) {
        text.len--;
    }
    if (url == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    if (text.len >= sizeof(issuer->address) ||
        curl_url_set(url, CURLUPART_URL, address, 0) != CURLUE_OK ||
        has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD) ||
        has_part(url, CURLUPART_QUERY) || has_part(url, CURLUPART_FRAGMENT)) {
        r = err_set(e, ERR_INVALID, "'%s' is no address; write https://HOST:PORT", address);
    } else if (!is_safe(url)) {
        r = err_set(e, ERR_INVALID,
                    "a token goes out over https only, or over http to loopback: '%s'", address);
    } else {
        (void)snprintf(issuer->address, sizeof(issuer->address), "%.*s", STR_ARG(text));
    }
    curl_url_cleanup(url);
    return r;
}

/* Adds "NAME: VALUE"; false when out of memory. The line is wiped. */
static bool add_header(struct issuer *issuer, const char *name, const char *value)
{
    struct curl_slist *longer;
    BUF_AUTO line;

    buf_init(&line, ISSUER_HEADER_MAX_BYTES);
    buf_printf(&line, "%s: %s", name, value);
    if (buf_status(&line) != 0) {
        return false;
    }
    longer = curl_slist_append(issuer->headers, line.bytes);
    issuer->headers = longer != NULL ? longer : issuer->headers;
    return longer != NULL;
}

static bool is_header_value(struct str text)
{
    size_t i;

    for (i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~') {
            return false;
        }
    }
    return text.len > 0;
}

static size_t take_answer(char *bytes, size_t size, size_t count, void *user)
{
    struct issuer *issuer = user;

    buf_add(&issuer->answer, bytes, size * count);
    return buf_status(&issuer->answer) == 0 ? size * count : 0;
}

#define SET(option, value)                                                                         \
    is_bad = curl_easy_setopt(issuer->easy, option, value) != CURLE_OK || is_bad

static int prepare(struct issuer *issuer, const struct issuer_options *options)
{
    bool is_bad = issuer->easy == NULL ||
                  !add_header(issuer, "X-Vault-Token", secret_view(options->token).ptr) ||
                  !add_header(issuer, "X-Vault-Request", "true") ||
                  !add_header(issuer, "Content-Type", "application/json") ||
                  (options->ns != NULL && !add_header(issuer, "X-Vault-Namespace", options->ns));

    if (is_bad) {
        return ERR_NOMEM;
    }
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (options->ca_file != NULL) {
        SET(CURLOPT_CAINFO, options->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_USERAGENT, "lease/" LEASED_VERSION);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)ISSUER_CONNECT_TIMEOUT_MS);
    SET(CURLOPT_TIMEOUT_MS, (long)ISSUER_TIMEOUT_MS);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_HTTPHEADER, issuer->headers);
    SET(CURLOPT_WRITEFUNCTION, take_answer);
    SET(CURLOPT_WRITEDATA, issuer);
    return is_bad ? ERR_NOMEM : 0;
}

int issuer_open(struct issuer *issuer, const struct issuer_options *options, struct err *e)
{
    int r;

    *issuer = (struct issuer){.easy = NULL};
    buf_init(&issuer->answer, ISSUER_ANSWER_MAX_BYTES);
    if (!is_header_value(secret_view(options->token))) {
        return err_set(e, ERR_INVALID, "what is given as a token is none");
    }
    if (options->ns != NULL && !is_header_value(str_of(options->ns))) {
        return err_set(e, ERR_INVALID, "'%s' is no namespace", options->ns);
    }
    r = take_address(issuer, options->address, e);
    if (r != 0) {
        return r;
    }
    issuer->easy = curl_easy_init();
    r = prepare(issuer, options);
    return r == 0 ? 0 : err_set(e, r, "%s", err_str(r));
}

void issuer_close(struct issuer *issuer)
{
    curl_easy_cleanup(issuer->easy);
    curl_slist_free_all(issuer->headers);
    buf_fini(&issuer->answer);
    *issuer = (struct issuer){.easy = NULL};
}

/* --- requests --------------------------------------------------------------------------------- */

static int call_error(const struct issuer *issuer, CURLcode code, struct err *e)
{
    int status = ERR_PROTOCOL;

    switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
        status = ERR_CONNECT;
        break;
    case CURLE_OPERATION_TIMEDOUT:
        status = ERR_TIMEOUT;
        break;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        status = ERR_LOST;
        break;
    case CURLE_WRITE_ERROR:
        status = ERR_TOO_LARGE;
        break;
    case CURLE_OUT_OF_MEMORY:
        status = ERR_NOMEM;
        break;
    default:
        break;
    }
    return err_set(e, status, "%s: %s", issuer->address, curl_easy_strerror(code));
}

/* Mounts may have names that a URL can't hold as they are. */
static void add_encoded(struct buf *url, const char *path)
{
    for (; *path != '\0'; path++) {
        char c = *path;

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~/", c) != NULL) {
            buf_add_char(url, c);
        } else {
            buf_printf(url, "%%%02X", (unsigned)(unsigned char)c);
        }
    }
}

/* 0, or an error; the answer is in issuer->answer. */
static int send_once(struct issuer *issuer, const char *path, const char *body,
                     uint32_t *ret_status, struct err *e)
{
    BUF_AUTO url;
    long status = 0;
    bool is_bad = false;
    CURLcode code;

    buf_init(&url, ISSUER_ADDRESS_MAX_BYTES + ISSUER_PATH_MAX_BYTES);
    buf_printf(&url, "%s/v1/", issuer->address);
    add_encoded(&url, path);
    if (buf_status(&url) != 0) {
        return err_set(e, buf_status(&url), "%s", err_str(buf_status(&url)));
    }
    buf_reset(&issuer->answer);
    SET(CURLOPT_URL, url.bytes);
    SET(CURLOPT_POSTFIELDS, body);
    SET(CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    if (is_bad) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    code = curl_easy_perform(issuer->easy);
    if (code != CURLE_OK) {
        return call_error(issuer, code, e);
    }
    (void)curl_easy_getinfo(issuer->easy, CURLINFO_RESPONSE_CODE, &status);
    *ret_status = (uint32_t)status;
    return 0;
}
#undef SET

static int add_piece(const char *bytes, size_t size, void *user)
{
    struct buf *out = user;

    buf_add(out, bytes, size);
    return buf_status(out);
}

int issuer_post(struct issuer *issuer, const char *path, json_t *body,
                struct issuer_reply *ret_reply, struct err *e)
{
    struct issuer_reply reply = {.status = 0};
    unsigned tries = 0;
    BUF_AUTO text;
    int r;

    buf_init(&text, ISSUER_BODY_MAX_BYTES);
    r = body != NULL ? json_dump_callback(body, add_piece, &text, JSON_COMPACT) : ERR_NOMEM;
    json_decref(body);
    if (r != 0) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    do {
        if (tries > 0) {
            clock_sleep_ms(ISSUER_BUSY_PAUSE_MS);
        }
        r = send_once(issuer, path, text.bytes, &reply.status, e);
    } while (r == 0 && reply.status == 429 && ++tries < ISSUER_BUSY_TRIES_MAX);
    if (r == 0) {
        struct str answer = buf_str(&issuer->answer);

        reply.document = json_loadb(answer.ptr != NULL ? answer.ptr : "", answer.len, 0, NULL);
        if (reply.document != NULL && !json_is_object(reply.document)) {
            json_decref(reply.document);
            reply.document = NULL;
        }
        *ret_reply = reply;
    }
    return r;
}

bool issuer_says(const struct issuer_reply *reply, const char *text)
{
    const json_t *errors = json_object_get(reply->document, "errors");
    const json_t *error;
    size_t index;

    if (reply->status < 400 || reply->status > 404) {
        return false;
    }
    json_array_foreach (errors, index, error) {
        if (json_is_string(error) && strstr(json_string_value(error), text) != NULL) {
            return true;
        }
    }
    return false;
}

int issuer_error(const struct issuer_reply *reply, int code, const char *what, struct err *e)
{
    const json_t *errors = json_object_get(reply->document, "errors");
    const char *text = json_string_value(json_array_get(errors, 0));

    if (reply->status >= 300 && reply->status < 400) {
        text = "it redirects: give the address of the active node";
    } else if (text == NULL) {
        text = errors != NULL ? "nothing more is said"
                              : "this isn't Vault's answer but that of something in between";
    }
    return err_set(e, code, "%s: %.300s (HTTP status %u)", what, text, reply->status);
}
