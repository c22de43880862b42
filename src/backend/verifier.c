/* Trying credentials out over TCP and HTTP.
 *
 * Happy path: start parses the role's JSON, fills the fields in and starts an exchange → replied:
 * connected, or answered with 2xx → the lease layer's callback.
 *
 * Failures. A field isn't there or doesn't fit: the try isn't started. No connection, no answer, or
 * an answer that says nothing about the credential: ERR_UNAVAILABLE; 401 and 403: ERR_DENIED. A try
 * that is cancelled lives on until its exchange has ended, because that borrows its texts. */
#include "backend/verifier.h"

#include "base/buf.h"
#include "base/mem.h"
#include "env/http.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX_BYTES (16U * 1024U)
#define HEADERS_MAX 16U
#define REPLY_MAX_BYTES (64U * 1024U)
#define TRY_MAGIC 0x76747279U
#define BASIC_AUTH_HEADER "Authorization"

struct trial {
    uint32_t magic;
    json_t *settings; /* owns url, header names and ca_file */
    struct env_http http;
    struct env_http_tls tls;
    struct env_http_header headers[HEADERS_MAX + 1];
    char *values[HEADERS_MAX + 1];                          /* of the headers; owned */
    char *url;                                              /* owned */
    void (*fn)(void *user, int status, const char *detail); /* NULL: cancelled */
    void *user;
};

/* --- what is asked for ------------------------------------------------------------------------ */

static const char *text_of(const json_t *settings, const char *key)
{
    return json_string_value(json_object_get(settings, key));
}

static bool is_port(const char *text)
{
    uint64_t port = 0;

    return str_parse_u64(str_of(text), &port) == 0 && port > 0 && port <= UINT16_MAX;
}

/* HOST:PORT, the host perhaps in brackets. */
static int check_tcp(const char *address, struct err *e)
{
    const char *colon = strrchr(address, ':');
    bool has_brackets = address[0] == '[';

    if (colon == NULL || colon == address || !is_port(colon + 1) ||
        strcspn(address, "/?#@ \\") != strlen(address) || has_brackets != (colon[-1] == ']') ||
        (!has_brackets && strchr(address, ':') != colon)) {
        return err_set(e, ERR_INVALID, "tcp: expected HOST:PORT, found \"%s\"", address);
    }
    return 0;
}

static bool is_loopback_http(const char *url)
{
    static const char *const starts[] = {"http://127.", "http://localhost", "http://[::1]"};

    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        if (str_starts_with(str_of(url), starts[i])) {
            return true;
        }
    }
    return false;
}

static int check_url(const char *url, struct err *e)
{
    if (!str_starts_with(str_of(url), "https://") && !is_loopback_http(url)) {
        return err_set(e, ERR_INVALID,
                       "http: expected https://… (or http:// to this machine), found \"%s\"", url);
    }
    if (strstr(url, "${") != NULL) {
        return err_set(e, ERR_INVALID,
                       "http: a credential has no place in an address, which is logged on its way; "
                       "it goes into `headers` or `basic_auth`");
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

static int check_headers(const json_t *settings, struct err *e)
{
    json_t *headers = json_object_get(settings, "headers");
    const char *name;
    json_t *value;

    if (json_object_size(headers) > HEADERS_MAX) {
        return err_set(e, ERR_INVALID, "headers: there are more than %u", HEADERS_MAX);
    }
    json_object_foreach (headers, name, value) {
        int r = check_template("headers", json_string_value(value), e);

        if (r != 0) {
            return r;
        }
        if (strcasecmp(name, BASIC_AUTH_HEADER) == 0 && text_of(settings, "basic_auth") != NULL) {
            return err_set(e, ERR_INVALID, "basic_auth: there is an %s among the headers, too",
                           BASIC_AUTH_HEADER);
        }
    }
    return 0;
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

int backend_verify_check(const char *verify_json, struct err *e)
{
    static const char *const http_keys[] = {"headers", "basic_auth", "ca_file"};
    json_t *settings = json_loads(verify_json, 0, NULL);
    const char *tcp = text_of(settings, "tcp");
    const char *http = text_of(settings, "http");
    int r = 0;

    if (settings == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    if ((tcp != NULL) == (http != NULL)) {
        r = err_set(e, ERR_INVALID, "expected one of `tcp` and `http`");
    }
    for (size_t i = 0; r == 0 && tcp != NULL && i < ARRAY_LEN(http_keys); i++) {
        if (json_object_get(settings, http_keys[i]) != NULL) {
            r = err_set(e, ERR_INVALID, "%s: is for `http` only", http_keys[i]);
        }
    }
    if (r == 0) {
        r = tcp != NULL ? check_tcp(tcp, e) : check_http(settings, e);
    }
    json_decref(settings);
    return r;
}

/* --- one try ---------------------------------------------------------------------------------- */

static void trial_free(struct trial *trial)
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

static int add_header(struct trial *trial, const char *name, struct buf *value)
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
static int add_basic_auth(struct trial *trial, const struct lease_trial *asked, const char *text,
                          struct err *e)
{
    struct str rest = str_of(text);
    struct str name = str_cut(&rest, ':');
    BUF_AUTO plain;
    BUF_AUTO value;
    int r;

    buf_init(&plain, VALUE_MAX_BYTES / 2);
    buf_init(&value, VALUE_MAX_BYTES);
    r = fill(asked, name, &plain, e);
    if (r == 0 && memchr(plain.bytes, ':', plain.len) != NULL) {
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

static int add_headers(struct trial *trial, const struct lease_trial *asked, struct err *e)
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

static int prepare(struct trial *trial, const struct lease_trial *asked, struct err *e)
{
    const char *tcp = text_of(trial->settings, "tcp");
    const char *ca_file = text_of(trial->settings, "ca_file");
    size_t size = tcp != NULL ? strlen(tcp) + sizeof("http:///") : 0;

    trial->http.method = "GET";
    trial->http.headers = trial->headers;
    trial->http.timeout_ms = asked->timeout_ms;
    trial->http.connect_timeout_ms = asked->timeout_ms;
    trial->http.reply_max_bytes = REPLY_MAX_BYTES;
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

static void replied(struct env_http *http, int status, const struct env_http_reply *reply,
                    const char *detail)
{
    struct trial *trial = OBJ_CAST(http->user, struct trial, TRY_MAGIC);
    void (*fn)(void *user, int status, const char *detail) = trial->fn;
    void *user = trial->user;
    char text[512];

    if (status == 0 && (http->flags & ENV_HTTP_CONNECT_ONLY) == 0) {
        status = verdict_of(reply->status);
        (void)snprintf(text, sizeof(text), "%s answered %" PRIu32, http->url, reply->status);
    } else if (status != 0) {
        status = ERR_UNAVAILABLE;
        (void)snprintf(text, sizeof(text), "%s: %s", http->url, detail);
    }
    trial_free(trial);
    if (fn != NULL) {
        fn(user, status, status != 0 ? text : "");
    }
}

static int verifier_start(struct lease_verifier *verifier, const struct lease_trial *asked,
                          void **ret_running, struct err *e)
{
    const struct backend_verifier *self = CONTAINER_OF(verifier, struct backend_verifier, verifier);
    struct trial *trial = mem_calloc(1, sizeof(*trial));
    int r = ERR_NOMEM;

    if (trial == NULL) {
        return ERR_NOMEM;
    }
    trial->magic = TRY_MAGIC;
    trial->fn = asked->fn;
    trial->user = asked->user;
    trial->http.fn = replied;
    trial->http.user = trial;
    trial->settings = json_loads(asked->verify_json, 0, NULL);
    if (trial->settings != NULL) {
        r = prepare(trial, asked, e);
    }
    if (r == 0) {
        r = env_http_start(self->env, &trial->http, e);
    }
    if (r != 0) {
        trial_free(trial);
        return r;
    }
    *ret_running = trial;
    return 0;
}

static void verifier_cancel(struct lease_verifier *verifier, void *running)
{
    struct trial *trial = OBJ_CAST(running, struct trial, TRY_MAGIC);

    trial->fn = NULL;
    env_http_cancel(CONTAINER_OF(verifier, struct backend_verifier, verifier)->env, &trial->http);
}

void backend_verifier_init(struct backend_verifier *verifier, struct env *env)
{
    static const struct lease_verifier_ops ops = {.start = verifier_start,
                                                  .cancel = verifier_cancel};

    verifier->verifier.ops = &ops;
    verifier->env = env;
}
