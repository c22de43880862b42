/* Reads and writes git's attributes. */
#include "wire/git_credential.h"

static void git_take(struct git_question *question, struct str key, struct str value)
{
    const struct {
        const char *key;
        struct str *value;
    } known[] = {
        {"protocol", &question->protocol}, {"host", &question->host},
        {"path", &question->path},         {"username", &question->user},
        {"password", &question->password},
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(known); i++) {
        if (str_eq_c(key, known[i].key)) {
            *known[i].value = value;
        }
    }
}

int git_question_parse(struct str text, struct git_question *ret_question, struct err *e)
{
    struct git_question question = {.protocol = STR("")};
    size_t line = 0;

    if (text.len > GIT_QUESTION_MAX_BYTES) {
        return err_set(e, ERR_TOO_LARGE, "git says more than %u bytes", GIT_QUESTION_MAX_BYTES);
    }
    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL) {
        return err_set(e, ERR_INVALID, "a NUL is in what git says");
    }
    while (text.len > 0) {
        struct str value = str_cut(&text, '\n');
        bool is_end;
        struct str key;

        line++;
        if (value.len > 0 && value.ptr[value.len - 1] == '\r') {
            value.len--;
        }
        is_end = value.len == 0;
        if (is_end) {
            break;
        }
        key = str_cut(&value, '=');
        if (value.ptr == NULL || key.len == 0) {
            return err_set(e, ERR_INVALID, "line %zu on stdin is no KEY=VALUE", line);
        }
        git_take(&question, key, value);
    }
    *ret_question = question;
    return 0;
}

bool git_question_target(const struct git_question *question,
                         char ret_target[CLIENT_TARGET_MAX_BYTES + 1])
{
    struct str path = question->path;
    size_t len = question->host.len;
    size_t i;

    while (path.len > 0 && path.ptr[0] == '/') {
        path.ptr++;
        path.len--;
    }
    if (len == 0 || memchr(question->host.ptr, '/', len) != NULL ||
        path.len >= CLIENT_TARGET_MAX_BYTES || len + 1 + path.len > CLIENT_TARGET_MAX_BYTES) {
        return false;
    }
    for (i = 0; i < len; i++) {
        char c = question->host.ptr[i];

        ret_target[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    if (path.len > 0) {
        ret_target[len++] = '/';
        memcpy(ret_target + len, path.ptr, path.len);
        len += path.len;
    }
    ret_target[len] = '\0';
    return true;
}

void git_answer_write(struct buf *out, const struct login *login, int64_t expires_s)
{
    buf_add_c(out, "username=");
    buf_add_str(out, login->user);
    buf_add_c(out, "\npassword=");
    buf_add_str(out, login->password);
    buf_add_char(out, '\n');
    if (expires_s > 0) {
        buf_printf(out, "password_expiry_utc=%lld\n", (long long)expires_s);
    }
}
