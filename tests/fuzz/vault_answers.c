/* What an issuer answers, by script. */
#include "fuzz/vault_answers.h"

#include "base/mem.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

#define ANSWER_MAX_BYTES (64U * 1024U)

/* The next answer of the input, with its head line. */
static struct str next_answer(struct input *input)
{
    const char *start = (const char *)input->bytes;
    struct str answer = {.ptr = start, .len = 0};

    while (input->size > 0) {
        struct str line = input_line(input);

        if (str_eq_c(line, "--")) {
            break;
        }
        answer.len = (size_t)(line.ptr + line.len - start);
    }
    return answer;
}

/* --- the model's answers ---------------------------------------------------------------------- */

static struct str path_of(const char *url)
{
    const char *path = strstr(url, "://");
    struct str rest;

    path = path != NULL ? strchr(path + 3, '/') : NULL;
    rest = str_of(path != NULL ? path : "/");
    return str_cut(&rest, '?');
}

static struct str token_of(const struct env_http *http)
{
    size_t i;

    for (i = 0; i < http->header_count; i++) {
        struct str name = http->headers[i].name;

        if (name.len == 13 && strncasecmp(name.ptr, "X-Vault-Token", name.len) == 0) {
            return http->headers[i].value;
        }
    }
    return STR("");
}

/* Puts the object `patch` over the JSON of `body`. */
static void patch_body(struct buf *body, struct str patch)
{
    json_t *over = json_loadb(patch.ptr, patch.len, 0, NULL);
    json_t *root = json_loadb(buf_str(body).ptr, body->len, 0, NULL);
    char *text = NULL;

    if (json_is_object(over) && json_is_object(root) &&
        json_object_update_recursive(root, over) == 0) {
        text = json_dumps(root, JSON_COMPACT);
    }
    if (text != NULL) {
        buf_reset(body);
        buf_add_c(body, text);
        CHECK(buf_status(body) == 0);
        mem_free(text);
    }
    json_decref(root);
    json_decref(over);
}

static void finish_by_model(struct vault_answers *answers, struct env_http *http, struct str patch)
{
    struct sim_call call = {.id = ++answers->exchange_count,
                            .now_ms = answers->fake->now_ms,
                            .method = str_of(http->method),
                            .path = path_of(http->url),
                            .token = token_of(http),
                            .body = http->body};
    struct sim_answer answer = {0};
    struct env_http_reply reply = {.header_count = 1};

    buf_init(&answer.body, 2U * ANSWER_MAX_BYTES);
    sim_vault_answer(&answers->vault, &call, &answer);
    if (patch.len > 0) {
        patch_body(&answer.body, patch);
    }
    reply.status = answer.status;
    reply.headers[0] = (struct env_http_header){STR("content-type"), STR("application/json")};
    reply.body = buf_str(&answer.body);
    fake_env_http_finish(answers->fake, http, 0, &reply, NULL);
    sim_vault_ended(&answers->vault, call.id, true);
    buf_fini(&answer.body);
}

/* --- the input's answers ---------------------------------------------------------------------- */

/* As io does: names in lower case, values without blanks around them and control bytes. */
static bool header_of(struct str line, char lower[64], struct env_http_header *ret_header)
{
    struct str name = str_cut(&line, ':');
    size_t i;

    if (name.len == 0 || name.len > 64) {
        return false;
    }
    for (i = 0; i < name.len; i++) {
        lower[i] =
            name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? (char)(name.ptr[i] + 32) : name.ptr[i];
    }
    for (i = 0; i < line.len; i++) {
        if ((unsigned char)line.ptr[i] < 0x20 && line.ptr[i] != '\t') {
            return false;
        }
    }
    *ret_header = (struct env_http_header){{lower, name.len}, str_trim(line)};
    return true;
}

static void finish_by_text(struct vault_answers *answers, struct env_http *http, uint32_t status,
                           struct str rest)
{
    static char names[ENV_HTTP_HEADERS_MAX][64];
    struct env_http_reply reply = {.status = status};

    while (rest.len > 0) {
        struct str line = str_cut(&rest, '\n');
        size_t at = reply.header_count;

        if (line.len == 0) {
            break;
        }
        if (at < ENV_HTTP_HEADERS_MAX && header_of(line, names[at], &reply.headers[at])) {
            reply.header_count++;
        }
    }
    reply.body = rest;
    fake_env_http_finish(answers->fake, http, 0, &reply, NULL);
}

static int error_of(struct str word)
{
    static const struct {
        const char *word;
        int status;
    } errors[] = {{"lost", ERR_LOST},       {"connect", ERR_CONNECT}, {"tls", ERR_TLS},
                  {"timeout", ERR_TIMEOUT}, {"large", ERR_TOO_LARGE}, {"protocol", ERR_PROTOCOL}};
    size_t i;

    for (i = 0; i < ARRAY_LEN(errors); i++) {
        if (str_eq_c(word, errors[i].word)) {
            return errors[i].status;
        }
    }
    return 0;
}

/* Ends all that are held; those that were held later get a little less than their time. */
static void time_up(struct env_timer *timer)
{
    struct vault_answers *answers = timer->user;
    struct env_http *http;

    while ((http = fake_env_http_first(answers->fake)) != NULL) {
        fake_env_http_finish(answers->fake, http, ERR_LOST, NULL, "its time is up");
    }
}

static void hold(struct vault_answers *answers, const struct env_http *http)
{
    if (answers->time_up.heap_index == 0) {
        env_timer_arm(&answers->fake->env, &answers->time_up,
                      answers->fake->now_ms + http->timeout_ms);
    }
}

static int answer(struct fake_env *fake, struct env_http *http)
{
    struct vault_answers *answers = fake->http_user;
    struct str rest = next_answer(&answers->input);
    struct str word = str_cut(&rest, '\n');
    int error = error_of(word);
    uint64_t status;

    if (rest.len > ANSWER_MAX_BYTES) {
        error = ERR_TOO_LARGE;
    }
    if (error != 0) {
        fake_env_http_finish(fake, http, error, NULL, "the script says so");
    } else if (str_parse_u64(word, &status) == 0 && status >= 100 && status < 1000) {
        finish_by_text(answers, http, (uint32_t)status, rest);
    } else if (str_eq_c(word, "held")) {
        hold(answers, http);
    } else {
        finish_by_model(answers, http, rest);
    }
    return 0;
}

void vault_answers_init(struct vault_answers *answers, struct fake_env *fake, struct input input)
{
    *answers = (struct vault_answers){.fake = fake,
                                      .input = input,
                                      .random = {.state = 1},
                                      .time_up = {.fn = time_up, .user = answers}};
    sim_vault_init(&answers->vault, &answers->random);
    answers->vault.login = (struct sim_vault_token_options){.ttl_ms = 3600000,
                                                            .period_ms = 3600000,
                                                            .is_renewable = true};
    (void)sim_vault_add_role(&answers->vault, "orders", 3600000, 86400000, true);
    fake->http_fn = answer;
    fake->http_user = answers;
}

void vault_answers_fini(struct vault_answers *answers)
{
    env_timer_disarm(&answers->fake->env, &answers->time_up);
    sim_vault_fini(&answers->vault);
}
