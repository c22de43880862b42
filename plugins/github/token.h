/* An installation token as GitHub's answer has it. */
#ifndef GITHUB_TOKEN_H
#define GITHUB_TOKEN_H

#include "common/work.h"

#include <jansson.h>

struct github_token {
    struct leased_str text;
    struct leased_str expires_at; /* as GitHub wrote it */
    uint64_t life_ms;             /* 0: with `problem` */
    const char *problem;          /* static: why it can't be used; NULL: it can */
    json_t *root;                 /* owns the texts */
};

/* 0 with a token to be given to github_token_fini, or -1: there is none in it. */
int github_token_read(const struct plugin_works *works, const struct leased_http_reply *reply,
                      struct github_token *ret_token);
void github_token_fini(struct github_token *token);

/* Can a header hold it? */
bool github_is_token(struct leased_str text);

#endif
