/* Trying credentials out over TCP and HTTP; by a program: verifier_exec.c.
 *
 * Happy path: start parses the role's JSON, fills the fields in and starts an exchange → replied:
 * connected, or answered with 2xx → the lease layer's callback.
 *
 * Failures. A field isn't there or doesn't fit: the try isn't started. No connection, no answer, or
 * an answer that says nothing about the credential: ERR_UNAVAILABLE; 401 and 403: ERR_DENIED. A try
 * that is cancelled lives on until its exchange has ended, because that borrows its texts. */
#include "backend/verifier.h"

#include "backend/host.h"
#include "backend/verifier_trial.h"
#include "base/buf.h"
#include "base/host.h"
#include "base/mem.h"
#include "env/http.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX_BYTES (16U * 1024U)
#define HEADERS_MAX 16U
#define HEADER_MAX_BYTES 4096U
#define TRY_MAGIC 0x76747279U
#define BASIC_AUTH_HEADER "Authorization"

struct http_trial {
    uint32_t magic;
    struct trial trial;
    json_t *settings; /* owns url, header names and ca_file */
    struct env_http http;
    struct env_http_tls tls;
    struct env_http_header headers[HEADERS_MAX + 1];
    char *values[HEADERS_MAX + 1]; /* of the headers; owned */
    char *url;                     /* owned */
};

/* --- what is asked for ------------------------------------------------------------------------ */

static const char *text_of(const json_t *settings, const char *key)
{
    return json_string_value(json_object_get(settings, key));
}

static int check_tcp(const char *address, struct err *e)
{
    struct str host;
    uint16_t port;

    if (host_parse(str_of(address), &host, &port) != 0 || port == 0) {
        return err_set(e, ERR_INVALID, "tcp: expected HOST:PORT, found \"%.200s\"", address);
    }
    return 0;
}

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* https://host[:port][/path], or http:// to this machine. */
static bool is_url(const char *url)
{
    bool is_tls = str_starts_with(str_of(url), "https://");
    const char *at = url + strlen(is_tls ? "https://" : "http://");
    struct str host;
    uint16_t port;

    return (is_tls || str_starts_with(str_of(url), "http://")) && is_printable(url) &&
           strchr(url, '#') == NULL &&
           host_parse((struct str){.ptr = at, .len = strcspn(at, "/?")}, &host, &port) == 0 &&
           (is_tls || host_is_loopback(host));
}

static int check_url(const char *url, struct err *e)
{
    if (strchr(url, '?') != NULL || strstr(url, "${") != NULL) {
        return err_set(e, ERR_INVALID,
                       "http: a query or a credential has no place in an address, which is logged "
                       "on its way; what is secret goes into `headers` or `basic_auth`");
    }
    if (!is_url(url)) {
        return err_set(e, ERR_INVALID,
                       "http: expected https://host/path (or http:// to this machine), found "
                       "\"%.200s\"",
                       url);
    }
    return 0;
}

/* Each "${" is closed, and has a name in it. */
static int check_template(const char *key, const char *text, struct err *e)
{
    const char *at;

    for (at = strstr(text, "${"); at != NULL; at = strstr(at + 2, "${")) {
        size_t len = strcspn(at + 2, "}$");

        if (at[2 + len] != '}' || len == 0) {
            return err_set(e, ERR_INVALID, "%s: \"${\" is not followed by a field and \"}\"", key);
        }
    }
    return 0;
}

/* Names differ in more than case, and Authorization is given once. */
static int check_header_name(const json_t *settings, const char *name, struct err *e)
{
    const char *other;
    json_t *value;

    json_object_foreach (json_object_get(settings, "headers"), other, value) {
        if (strcmp(name, other) != 0 && strcasecmp(name, other) == 0) {
            return err_set(e, ERR_INVALID, "headers: `%.64s` is given twice", name);
        }
    }
    if (strcasecmp(name, BASIC_AUTH_HEADER) == 0 && text_of(settings, "basic_auth") != NULL) {
        return err_set(e, ERR_INVALID, "basic_auth: there is an %s among the headers, too",
                       BASIC_AUTH_HEADER);
    }
    return 0;
}

static int check_header(const char *name, const char *value, struct err *e)
{
    const struct leased_http_header header = {host_leased_str(str_of(name)),
                                              host_leased_str(str_of(value))};

    if (!host_is_header(&header)) {
        return err_set(e, ERR_INVALID, "headers: `%.64s` can't be sent", name);
    }
    if (strlen(value) > HEADER_MAX_BYTES) {
        return err_set(e, ERR_INVALID, "headers: `%.64s` is longer than %u bytes", name,
                       HEADER_MAX_BYTES);
    }
    return check_template("headers", value, e);
}

static int check_headers(const json_t *settings, struct err *e)
{
    json_t *headers = json_object_get(settings, "headers");
    const char *name;
    json_t *value;
    int r = 0;

    if (json_object_size(headers) > HEADERS_MAX) {
        return err_set(e, ERR_INVALID, "headers: there are more than %u", HEADERS_MAX);
    }
    json_object_foreach (headers, name, value) {
        if (r == 0) {
            r = check_header_name(settings, name, e);
        }
        if (r == 0) {
            r = check_header(name, json_string_value(value), e);
        }
    }
    return r;
}

static int check_http(const json_t *settings, struct err *e)
{
    const char *basic_auth = text_of(settings, "basic_auth");
    int r = check_url(text_of(settings, "http"), e);

    if (r == 0 && basic_auth != NULL) {
        r = strchr(basic_auth, ':') != NULL
                ? check_template("basic_auth", basic_auth, e)
                : err_set(e, ERR_INVALID, "basic_auth: expected \"${username}:${password}\"");
    }
    return r == 0 ? check_headers(settings, e) : r;
}

/* What goes with one way to try it out only. */
static int check_company(const json_t *settings, struct err *e)
{
    static const struct {
        const char *key;
        const char *way;
    } companies[] = {
        {"headers", "http"}, {"basic_auth", "http"}, {"ca_file", "http"}, {"user", "exec"}};

    for (size_t i = 0; i < ARRAY_LEN(companies); i++) {
        if (json_object_get(settings, companies[i].key) != NULL &&
            json_object_get(settings, companies[i].way) == NULL) {
            return err_set(e, ERR_INVALID, "%s: is for `%s` only", companies[i].key,
                           companies[i].way);
        }
    }
    return 0;
}

static int check_settings(const json_t *settings, struct err *e)
{
    const char *tcp = text_of(settings, "tcp");
    const char *http = text_of(settings, "http");
    bool is_exec = json_object_get(settings, "exec") != NULL;
    int r = check_company(settings, e);

    if (r != 0) {
        return r;
    }
    if ((tcp != NULL) + (http != NULL) + is_exec != 1) {
        return err_set(e, ERR_INVALID, "expected one of `tcp`, `http` and `exec`");
    }
    if (tcp != NULL) {
        return check_tcp(tcp, e);
    }
    return http != NULL ? check_http(settings, e) : verifier_exec_check(settings, e);
}

int backend_verify_check(const char *verify_json, struct err *e)
{
    json_t *settings = json_loads(verify_json, 0, NULL);
    int r = settings != NULL ? check_settings(settings, e) : err_set(e, ERR_NOMEM, "out of memory");

    json_decref(settings);
    return r;
}

/* --- one try ---------------------------------------------------------------------------------- */

static void trial_free(struct http_trial *trial)
{
    for (size_t i = 0; i < ARRAY_LEN(trial->values); i++) {
        mem_free(trial->values[i]);
    }
    mem_free(trial->url);
    json_decref(trial->settings);
    mem_free(trial);
}

static const struct lease_field *field_of(const struct lease_trial *asked, struct str name)
{
    for (size_t i = 0; i < asked->field_count; i++) {
        if (str_eq(asked->fields[i].name, name)) {
            return &asked->fields[i];
        }
    }
    return NULL;
}

/* The text with its fields filled in. */
static int fill(const struct lease_trial *asked, struct str text, struct buf *out, struct err *e)
{
    while (text.len > 0) {
        const struct lease_field *field;
        struct str name;

        if (!str_starts_with(text, "${")) {
            buf_add_char(out, text.ptr[0]);
            text = (struct str){.ptr = text.ptr + 1, .len = text.len - 1};
            continue;
        }
        text = (struct str){.ptr = text.ptr + 2, .len = text.len - 2};
        name = str_cut(&text, '}');
        field = field_of(asked, name);
        if (field == NULL) {
            return err_set(e, ERR_INVALID, "the credential has no field `%.*s`", STR_ARG(name));
        }
        buf_add_str(out, field->value);
    }
    return buf_status(out);
}

static int add_header(struct http_trial *trial, const char *name, struct buf *value)
{
    size_t i = trial->http.header_count;
    size_t len = value->len;

    trial->values[i] = buf_steal(value);
    if (trial->values[i] == NULL) {
        return ERR_NOMEM;
    }
    trial->headers[i] = (struct env_http_header){.name = str_of(name),
                                                 .value = {.ptr = trial->values[i], .len = len}};
    trial->http.header_count++;
    return 0;
}

/* RFC 7617: the name has no colon, and what isn't ASCII is UTF-8. */
static int add_basic_auth(struct http_trial *trial, const struct lease_trial *asked,
                          const char *text, struct err *e)
{
    struct str rest = str_of(text);
    struct str name = str_cut(&rest, ':');
    BUF_AUTO plain;
    BUF_AUTO value;
    int r;

    buf_init(&plain, VALUE_MAX_BYTES / 2);
    buf_init(&value, VALUE_MAX_BYTES);
    r = fill(asked, name, &plain, e);
    if (r == 0 && plain.len > 0 && memchr(plain.bytes, ':', plain.len) != NULL) {
        return err_set(e, ERR_INVALID, "a user's name with a colon can't go into basic_auth");
    }
    if (r == 0) {
        buf_add_char(&plain, ':');
        r = fill(asked, rest, &plain, e);
    }
    if (r != 0) {
        return r;
    }
    buf_add_c(&value, "Basic ");
    if (!buf_reserve(&value, (plain.len + 2) / 3 * 4)) {
        return buf_status(&value);
    }
    value.len += (size_t)EVP_EncodeBlock((unsigned char *)value.bytes + value.len,
                                         (const unsigned char *)plain.bytes, (int)plain.len);
    return add_header(trial, BASIC_AUTH_HEADER, &value);
}

static int add_headers(struct http_trial *trial, const struct lease_trial *asked, struct err *e)
{
    const char *basic_auth = text_of(trial->settings, "basic_auth");
    const char *name;
    json_t *text;
    int r = basic_auth != NULL ? add_basic_auth(trial, asked, basic_auth, e) : 0;

    json_object_foreach (json_object_get(trial->settings, "headers"), name, text) {
        BUF_AUTO value;

        buf_init(&value, VALUE_MAX_BYTES);
        if (r == 0) {
            r = fill(asked, str_of(json_string_value(text)), &value, e);
        }
        if (r == 0) {
            r = add_header(trial, name, &value);
        }
    }
    return r;
}

static int prepare(struct http_trial *trial, const struct lease_trial *asked, struct err *e)
{
    const char *tcp = text_of(trial->settings, "tcp");
    const char *ca_file = text_of(trial->settings, "ca_file");
    size_t size = tcp != NULL ? strlen(tcp) + sizeof("http:///") : 0;

    trial->http.method = "GET";
    trial->http.headers = trial->headers;
    trial->http.timeout_ms = asked->timeout_ms;
    trial->http.connect_timeout_ms = asked->timeout_ms;
    trial->http.reply_max_bytes = ENV_HTTP_REPLY_HARD_MAX_BYTES;
    if (tcp == NULL) {
        trial->http.url = text_of(trial->settings, "http");
        trial->tls.ca_file = ca_file != NULL ? ca_file : "";
        trial->http.tls = &trial->tls;
        return add_headers(trial, asked, e);
    }
    trial->url = mem_alloc(size);
    if (trial->url == NULL) {
        return ERR_NOMEM;
    }
    (void)snprintf(trial->url, size, "http://%s/", tcp);
    trial->http.url = trial->url;
    trial->http.flags = ENV_HTTP_CONNECT_ONLY;
    return 0;
}

/* --- what became of it ------------------------------------------------------------------------ */

static int verdict_of(uint32_t http_status)
{
    if (http_status >= 200 && http_status < 300) {
        return 0;
    }
    return http_status == 401 || http_status == 403 ? ERR_DENIED : ERR_UNAVAILABLE;
}

/* As the configuration names it. */
static const char *target_of(const struct http_trial *trial)
{
    const char *tcp = text_of(trial->settings, "tcp");

    return tcp != NULL ? tcp : trial->http.url;
}

static void replied(struct env_http *http, int status, const struct env_http_reply *reply,
                    const char *detail)
{
    struct http_trial *trial = OBJ_CAST(http->user, struct http_trial, TRY_MAGIC);
    void (*fn)(void *user, int status, const char *detail) = trial->trial.fn;
    void *user = trial->trial.user;
    char text[512];

    if (status == 0 && (http->flags & ENV_HTTP_CONNECT_ONLY) == 0) {
        status = verdict_of(reply->status);
        (void)snprintf(text, sizeof(text), "%.120s answered %" PRIu32, http->url, reply->status);
    } else if (status != 0) {
        status = ERR_UNAVAILABLE;
        (void)snprintf(text, sizeof(text), "%.120s: %s", target_of(trial), detail);
    }
    trial_free(trial);
    if (fn != NULL) {
        fn(user, status, status != 0 ? text : "");
    }
}

static void cancel(struct trial *trial)
{
    struct http_trial *http = CONTAINER_OF(trial, struct http_trial, trial);

    trial->fn = NULL;
    env_http_cancel(trial->env, &http->http);
}

/* Takes `settings`, also on error. */
static int http_start(struct env *env, json_t *settings, const struct lease_trial *asked,
                      struct trial **ret_trial, struct err *e)
{
    struct http_trial *trial = mem_calloc(1, sizeof(*trial));
    int r;

    if (trial == NULL) {
        json_decref(settings);
        return ERR_NOMEM;
    }
    trial->magic = TRY_MAGIC;
    trial->trial =
        (struct trial){.env = env, .cancel = cancel, .fn = asked->fn, .user = asked->user};
    trial->http.fn = replied;
    trial->http.user = trial;
    trial->settings = settings;
    r = prepare(trial, asked, e);
    if (r == 0) {
        r = env_http_start(env, &trial->http, e);
    }
    if (r != 0) {
        trial_free(trial);
        return r;
    }
    *ret_trial = &trial->trial;
    return 0;
}

static int verifier_start(struct lease_verifier *verifier, const struct lease_trial *asked,
                          void **ret_running, struct err *e)
{
    struct env *env = CONTAINER_OF(verifier, struct backend_verifier, verifier)->env;
    json_t *settings = json_loads(asked->verify_json, 0, NULL);
    struct trial *trial = NULL;
    int r;

    if (settings == NULL) {
        return ERR_NOMEM;
    }
    if (json_object_get(settings, "exec") != NULL) {
        r = verifier_exec_start(env, settings, asked, &trial, e);
        json_decref(settings);
    } else {
        r = http_start(env, settings, asked, &trial, e);
    }
    *ret_running = trial;
    return r;
}

static void verifier_cancel(struct lease_verifier *verifier, void *running)
{
    struct trial *trial = running;

    (void)verifier;
    trial->cancel(trial);
}

void backend_verifier_init(struct backend_verifier *verifier, struct env *env)
{
    static const struct lease_verifier_ops ops = {.start = verifier_start,
                                                  .cancel = verifier_cancel};

    verifier->verifier.ops = &ops;
    verifier->env = env;
}
