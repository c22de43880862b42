/* git's credential protocol: lines KEY=VALUE on the helper's stdin, ended by an empty line or the
 * end, and the same on its stdout. */
#ifndef LEASED_WIRE_GIT_CREDENTIAL_H
#define LEASED_WIRE_GIT_CREDENTIAL_H

#include "base/err.h"
#include "wire/client_match.h"
#include "wire/login.h"

#define GIT_QUESTION_MAX_BYTES (64U * 1024U)

/* What git says; slices of the text, empty where it says nothing. */
struct git_question {
    struct str protocol;
    struct str host; /* with its port */
    struct str path; /* only with credential.useHttpPath */
    struct str user;
    struct str password;
};

/* Keys that aren't known (of newer gits) are ignored. 0; ERR_INVALID with a text that quotes
 * nothing: a line without =, a NUL; ERR_TOO_LARGE. */
int git_question_parse(struct str text, struct git_question *ret_question,
                       struct err *e) ATTR_MUST_USE;

/* HOST[:PORT][/PATH] for client_match. False: there is none (no host, or too long). */
bool git_question_target(const struct git_question *question,
                         char ret_target[CLIENT_TARGET_MAX_BYTES + 1]);

/* The answer to `get`. expires_s: unix time, 0: it isn't known. */
void git_answer_write(struct buf *out, const struct login *login, int64_t expires_s);

#endif
