/* What is no key is refused here, so that nothing else ends up in a header or a signature. */
#include "keys.h"

#include <string.h>

#define ID_MIN_BYTES 4U
#define PART_MAX_BYTES 128U

/* Printable, without blanks. */
static bool is_plain(struct leased_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= 0x20 || text.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* The id stands in the scope of a signature, where "/" and "," have a meaning. */
static bool is_id(struct leased_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-')) {
            return false;
        }
    }
    return id.len >= ID_MIN_BYTES && id.len <= PART_MAX_BYTES;
}

static char *add(char *at, struct leased_str part, const char **ret_at)
{
    if (part.len > 0) {
        memcpy(at, part.ptr, part.len);
    }
    at[part.len] = '\0';
    *ret_at = at;
    return at + part.len + 1;
}

struct aws_keys *aws_keys_new(const struct leased_host *host, const struct aws_keys_parts *parts,
                              const char **ret_problem)
{
    struct aws_keys *keys;
    char *at;

    if (!is_id(parts->id)) {
        *ret_problem = "the access key id is missing, or none";
        return NULL;
    }
    if (parts->secret.len == 0 || parts->secret.len > PART_MAX_BYTES || !is_plain(parts->secret)) {
        *ret_problem = "the secret access key is missing, or none";
        return NULL;
    }
    if (parts->token.len > AWS_KEYS_TOKEN_MAX_BYTES || !is_plain(parts->token)) {
        *ret_problem = "the session token is none";
        return NULL;
    }
    keys = host->secret_alloc(sizeof(*keys) + parts->id.len + parts->secret.len + parts->token.len +
                              3);
    if (keys == NULL) {
        *ret_problem = "out of memory";
        return NULL;
    }
    *keys =
        (struct aws_keys){.expires_s = parts->expires_s, .is_role_session = parts->is_role_session};
    at = (char *)(keys + 1);
    at = add(at, parts->id, &keys->id);
    at = add(at, parts->secret, &keys->secret);
    (void)add(at, parts->token, &keys->token);
    return keys;
}

struct aws_keys *aws_keys_dup(const struct leased_host *host, const struct aws_keys *keys)
{
    const struct aws_keys_parts parts = {.id = plugin_str(keys->id),
                                         .secret = plugin_str(keys->secret),
                                         .token = plugin_str(keys->token),
                                         .expires_s = keys->expires_s,
                                         .is_role_session = keys->is_role_session};
    const char *problem;

    return aws_keys_new(host, &parts, &problem);
}
