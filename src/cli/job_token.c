/* Where job tokens come from.
 *
 * What is asked for by name must be there: a job that went on without its token would be somebody
 * else to leased. */
#include "cli/job_token.h"

#include "base/mem.h"
#include "cli/api.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_MAX_BYTES (16U * 1024U) /* leased takes no more */
#define URL_MAX_BYTES 4096U
#define HEADER_MAX_BYTES (8U * 1024U)
#define TIMEOUT_MS 15000L

static int take(struct cli *cli, const char *place, struct str text, struct secret *ret_token)
{
    size_t i;

    text = str_trim(text);
    if (text.len == 0) {
        cli_message(cli, "there is no job token in %s", place);
        return CLI_FAILED;
    }
    for (i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= 0x20 || (unsigned char)text.ptr[i] >= 0x7f) {
            cli_message(cli, "what is in %s is no job token", place);
            return CLI_FAILED;
        }
    }
    if (text.len > TOKEN_MAX_BYTES || secret_set(ret_token, text) != 0) {
        cli_message(cli, "the job token in %s is too long", place);
        return CLI_FAILED;
    }
    return CLI_OK;
}

static int take_file(struct cli *cli, const char *path, struct secret *ret_token)
{
    char bytes[TOKEN_MAX_BYTES + 2];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    ssize_t got = fd >= 0 ? read(fd, bytes, sizeof(bytes)) : -1;
    int exit_code;

    if (got < 0) {
        cli_message(cli, "the job token in %s can't be read: %s", path, err_str(-errno));
        exit_code = CLI_FAILED;
    } else {
        exit_code = take(cli, path, (struct str){.ptr = bytes, .len = (size_t)got}, ret_token);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    mem_wipe(bytes, sizeof(bytes));
    return exit_code;
}

/* --- GitHub ----------------------------------------------------------------------------------- */

static size_t take_bytes(char *bytes, size_t size, size_t count, void *user)
{
    struct buf *out = user;

    buf_add(out, bytes, size * count);
    return buf_status(out) == 0 ? size * count : 0;
}

/* The address has a query already. */
static bool github_url(const char *base, char out[URL_MAX_BYTES])
{
    const char *audience = getenv("LEASED_TOKEN_AUDIENCE");
    BUF_AUTO url;

    buf_init(&url, URL_MAX_BYTES - 1);
    buf_add_c(&url, base);
    api_add_parameter(&url, "audience",
                      audience != NULL && audience[0] != '\0' ? audience : "leased");
    (void)snprintf(out, URL_MAX_BYTES, "%.*s", STR_ARG(buf_str(&url)));
    return buf_status(&url) == 0;
}

static bool is_loopback(const char *url)
{
    return str_starts_with(str_of(url), "http://127.0.0.1:") ||
           str_starts_with(str_of(url), "http://localhost:") ||
           str_starts_with(str_of(url), "http://[::1]:");
}

/* CURLE_OK with the answer in `out`; else why not in `why`. */
static CURLcode github_ask(const char *url, struct curl_slist *headers, struct buf *out,
                           char why[CURL_ERROR_SIZE])
{
    CURL *easy = curl_easy_init();
    CURLcode code = CURLE_OUT_OF_MEMORY;

    why[0] = '\0';
    if (easy != NULL && headers != NULL && curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) == CURLE_OK) {
        (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, is_loopback(url) ? "http" : "https");
        (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
        (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
        (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, out);
        (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, why);
        code = curl_easy_perform(easy);
    }
    if (why[0] == '\0') {
        (void)snprintf(why, CURL_ERROR_SIZE, "%s", curl_easy_strerror(code));
    }
    curl_easy_cleanup(easy);
    return code;
}

static int take_github(struct cli *cli, const char *base, const char *key, struct secret *ret_token)
{
    char url[URL_MAX_BYTES];
    char header[HEADER_MAX_BYTES];
    char why[CURL_ERROR_SIZE] = "its address or its key is too long";
    struct curl_slist *headers = NULL;
    json_t *answer = NULL;
    CURLcode code = CURLE_URL_MALFORMAT;
    int exit_code = CLI_FAILED;
    int len = snprintf(header, sizeof(header), "Authorization: Bearer %s", key);
    BUF_AUTO body;

    buf_init(&body, 4 * TOKEN_MAX_BYTES);
    if (len > 0 && (size_t)len < sizeof(header) && github_url(base, url)) {
        headers = curl_slist_append(NULL, header);
        code = github_ask(url, headers, &body, why);
    }
    curl_slist_free_all(headers);
    mem_wipe(header, sizeof(header));
    if (code == CURLE_UNSUPPORTED_PROTOCOL) {
        cli_message(cli, "ACTIONS_ID_TOKEN_REQUEST_URL must begin with https://");
    } else if (code != CURLE_OK) {
        cli_message(cli, "GitHub gives no token for this job: %s", why);
    } else {
        answer = json_loadb(buf_str(&body).ptr, buf_str(&body).len, 0, NULL);
        exit_code = take(cli, "GitHub's answer",
                         str_of(json_string_value(json_object_get(answer, "value"))), ret_token);
        json_decref(answer);
    }
    return exit_code;
}

/* --- all of them ------------------------------------------------------------------------------ */

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

int job_token_find(struct cli *cli, struct secret *ret_token)
{
    const char *name = options_get(&cli->options, OPTION_TOKEN_ENV);
    const char *said = getenv("LEASED_TOKEN");
    const char *file = variable("LEASED_TOKEN_FILE");
    const char *url = variable("ACTIONS_ID_TOKEN_REQUEST_URL");
    const char *key = variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN");

    if (name != NULL) {
        return take(cli, name, str_of(getenv(name)), ret_token);
    }
    if (said != NULL) {
        return said[0] == '\0' ? CLI_OK : take(cli, "LEASED_TOKEN", str_of(said), ret_token);
    }
    if (file != NULL) {
        return take_file(cli, file, ret_token);
    }
    return url != NULL && key != NULL ? take_github(cli, url, key, ret_token) : CLI_OK;
}
