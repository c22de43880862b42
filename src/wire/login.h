/* The user and password that a credential stands for, where a program asks for exactly those two.
 */
#ifndef LEASED_WIRE_LOGIN_H
#define LEASED_WIRE_LOGIN_H

#include "wire/format.h"

struct login {
    struct str user; /* borrowed from the credential; so is the password */
    struct str password;
};

/* The password is the field password, token or access_token, the user username or user (a role's
 * `attributes` may say it), else what the issuers of such tokens want to read: x-access-token, and
 * oauth2accesstoken for an access_token. 0; ERR_INVALID with a text: no such field, an empty one,
 * or one with a control character, which no protocol of these can carry. */
int login_of(const struct format_credential *credential, struct login *ret_login,
             struct err *e) ATTR_MUST_USE;

#endif
