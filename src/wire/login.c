/* Which fields are a login. */
#include "wire/login.h"

#include "wire/format_internal.h"

static bool has_control_character(struct str text)
{
    size_t i;

    for (i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7F) {
            return true;
        }
    }
    return false;
}

int login_of(const struct format_credential *credential, struct login *ret_login, struct err *e)
{
    static const char *const passwords[] = {"password", "token", "access_token", NULL};
    static const char *const users[] = {"username", "user", NULL};
    const struct format_field *password = format_first_field(credential, passwords);
    const struct format_field *user = format_first_field(credential, users);
    struct login login;

    if (password == NULL) {
        return err_set(e, ERR_INVALID,
                       "%s is no login: it has none of password, token, access_token",
                       credential->role);
    }
    login.password = secret_view(&password->value);
    if (user != NULL) {
        login.user = secret_view(&user->value);
    } else if (strcmp(password->name, "access_token") == 0) {
        login.user = STR("oauth2accesstoken");
    } else {
        login.user = STR("x-access-token");
    }
    if (login.password.len == 0 || has_control_character(login.password)) {
        return format_refuse(password, "is empty or has a control character", e);
    }
    if (has_control_character(login.user)) {
        return format_refuse(user, "has a control character", e);
    }
    *ret_login = login;
    return 0;
}
