/* Grant tokens. The MAC is compared before the grant is looked for, so how long an answer takes
 * tells nothing about which grants there are. */
#include "lease/token.h"

#include "lease/core_internal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define MAC_BYTES 32U

static_assert(LEASE_TOKEN_BYTES == LEASE_ID_BYTES + 1 + 2 * MAC_BYTES, "id, dot, digits");

int token_init(struct lease_core *core)
{
    core->token_key = secret_alloc(AUDIT_DERIVED_KEY_BYTES);
    return core->token_key != NULL
               ? audit_derive_key(core->audit, "leased grant tokens", core->token_key)
               : ERR_NOMEM;
}

/* ERR_NOMEM. */
static int token_write(const struct lease_core *core, struct str id, struct secret *ret_token)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char mac[EVP_MAX_MD_SIZE];
    char *at;
    size_t i;

    if (HMAC(EVP_sha256(), core->token_key, (int)AUDIT_DERIVED_KEY_BYTES,
             (const unsigned char *)id.ptr, id.len, mac, NULL) == NULL ||
        secret_make(ret_token, LEASE_TOKEN_BYTES, &at) != 0) {
        return ERR_NOMEM;
    }
    at = str_put(at, id);
    *at++ = '.';
    for (i = 0; i < MAC_BYTES; i++) {
        *at++ = digits[mac[i] >> 4];
        *at++ = digits[mac[i] & 0x0f];
    }
    return 0;
}

int lease_token_make(const struct lease_core *core, const struct grant *grant,
                     struct secret *ret_token)
{
    return token_write(core, str_of(grant->id), ret_token);
}

static bool is_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool lease_token_is_one(struct str text)
{
    size_t i;

    if (text.len != LEASE_TOKEN_BYTES || !str_starts_with(text, "g-") ||
        text.ptr[LEASE_ID_BYTES] != '.') {
        return false;
    }
    for (i = 2; i < text.len; i++) {
        if (i != LEASE_ID_BYTES && !is_digit(text.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* The uid is the boundary. Of a caller on loopback TCP no more is known; one that is known to be in
 * another container than the grant's caller isn't the same, whatever its uid. */
static bool is_same_user(const struct holder *holder, const struct access_identity *identity)
{
    return identity->kind != ENV_PEER_TLS && holder->kind != ENV_PEER_TLS &&
           identity->uid == holder->uid && strcmp(identity->user, holder->user) == 0 &&
           (identity->kind == ENV_PEER_LOOPBACK || holder->kind == ENV_PEER_LOOPBACK ||
            (identity->is_foreign == holder->is_foreign &&
             strcmp(identity->container, holder->container) == 0));
}

static int token_check(const struct lease_core *core, struct str token)
{
    const struct str id = {.ptr = token.ptr, .len = LEASE_ID_BYTES};
    struct secret genuine;
    int r = ERR_NOT_FOUND;

    secret_init(&genuine);
    if (lease_token_is_one(token)) {
        r = token_write(core, id, &genuine);
        r = r == 0 && !secret_eq(&genuine, token) ? ERR_NOT_FOUND : r;
    }
    secret_fini(&genuine);
    return r;
}

int lease_token_find(struct lease_core *core, struct str token,
                     const struct access_identity *identity, struct grant **ret_grant,
                     struct err *e)
{
    struct grant *grant = NULL;
    int r = token_check(core, token);

    if (r == 0) {
        grant = lease_core_find_grant(core, (struct str){.ptr = token.ptr, .len = LEASE_ID_BYTES});
    } else if (r != ERR_NOT_FOUND) {
        return err_set(e, r, "%s", err_str(r));
    }
    if (grant == NULL || grant->state != GRANT_STATE_HELD) {
        return err_set(e, ERR_NOT_FOUND,
                       "the grant token names no grant that is live: its grant has ended, or "
                       "leased hasn't made it");
    }
    *ret_grant = grant;
    return is_same_user(grant->holder, identity)
               ? 0
               : err_set(e, ERR_DENIED, "the grant token is another user's");
}
