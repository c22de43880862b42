/* References: keyed hashes of what must not stand in the trail itself. The key is the
 * installation's, kept in the ledger, so that a reference means the same after a restart; without a
 * ledger it is a new one for each start. */
#include "audit/audit_internal.h"
#include "base/log.h"
#include "base/secret.h"
#include "wire/ledger_header.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define REF_HASH_BYTES 16
#define KEY_ID "audit-ref-key"

#define SEALED_BYTES (AUDIT_KEY_BYTES + ENV_LEDGER_SEAL_BYTES)

/* --- the key as it stands in the ledger, sealed --- */

struct key_search {
    const struct audit *audit;
    struct env_ledger *ledger;
    bool is_found;
};

/* ERR_NOT_FOUND: the ledger's own key isn't the one any more that has sealed it. */
static int key_open(const struct key_search *search, struct str body)
{
    int r;

    if (body.len != SEALED_BYTES) {
        return ERR_CORRUPT;
    }
    r = env_ledger_unseal(search->ledger, STR(KEY_ID), body, (char *)search->audit->key);
    return r == ERR_INVALID ? ERR_CORRUPT : r;
}

static int key_store(const struct audit *audit, struct env_ledger *ledger)
{
    const struct str key = {.ptr = (const char *)audit->key, .len = AUDIT_KEY_BYTES};
    char sealed[SEALED_BYTES];
    int r = env_ledger_seal(ledger, STR(KEY_ID), key, sealed);

    return r != 0 ? r
                  : env_ledger_put(ledger, ENV_LEDGER_SETTING, STR(KEY_ID),
                                   (struct str){.ptr = sealed, .len = sizeof(sealed)});
}

static int key_search(void *user, struct str id, struct str body)
{
    struct key_search *search = user;

    if (!str_eq_c(id, KEY_ID)) {
        return 0;
    }
    search->is_found = true;
    return key_open(search, body);
}

int audit_ref_init(struct audit *audit, struct env_ledger *ledger, struct err *e)
{
    struct key_search search = {.audit = audit, .ledger = ledger};
    int r = 0;

    audit->key = secret_alloc(AUDIT_KEY_BYTES);
    if (audit->key == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    if (ledger != NULL) {
        r = env_ledger_each(ledger, ENV_LEDGER_SETTING, key_search, &search, e);
    }
    if (r == ERR_NOT_FOUND && search.is_found) {
        log_event(LOG_LEVEL_WARN, "audit.ref_key.lost", "err",
                  "the ledger's key has changed: references in the trail mean something else from "
                  "here on",
                  NULL);
        search.is_found = false;
        r = 0;
    }
    if (r != 0 && search.is_found) {
        return err_set(e, r,
                       "the ledger's key for references in the trail is damaged: keep a copy of "
                       "the ledger and take the key away: sqlite3 LEDGER \"DELETE FROM record "
                       "WHERE kind = " LEDGER_SQL(LEDGER_KIND_SETTING) " AND id = '" KEY_ID "'\"");
    }
    if (r == 0 && !search.is_found) {
        env_random(audit->env, audit->key, AUDIT_KEY_BYTES);
        r = ledger != NULL ? key_store(audit, ledger) : 0;
        if (r != 0) {
            (void)err_set(e, r, "could not keep the key for references in the trail: %s",
                          err_str(r));
        }
    }
    return r;
}

const char *audit_ref(const struct audit *audit, struct str value, char out[AUDIT_REF_MAX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    static const char begin[] = "hmac:";
    static const char unavailable[] = "hmac:unavailable";
    unsigned char hash[EVP_MAX_MD_SIZE] = {0};
    char *at = out + sizeof(begin) - 1;
    size_t i;

    static_assert(sizeof(begin) + 2 * REF_HASH_BYTES <= AUDIT_REF_MAX_BYTES, "it fits");
    memcpy(out, begin, sizeof(begin));
    if (HMAC(EVP_sha256(), audit->key, (int)AUDIT_KEY_BYTES,
             (const unsigned char *)(value.ptr != NULL ? value.ptr : ""), value.len, hash,
             NULL) == NULL) {
        memcpy(out, unavailable, sizeof(unavailable));
        return out;
    }
    for (i = 0; i < REF_HASH_BYTES; i++) {
        *at++ = digits[hash[i] >> 4];
        *at++ = digits[hash[i] & 0x0f];
    }
    *at = '\0';
    return out;
}

/* By another hash than a reference, so that the value whose reference would be the key isn't one
 * that an issuer could come up with. */
int audit_derive_key(const struct audit *audit, const char *purpose,
                     unsigned char ret_key[AUDIT_DERIVED_KEY_BYTES])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    struct str info = str_of(purpose);

    if (HMAC(EVP_sha512(), audit->key, (int)AUDIT_KEY_BYTES, (const unsigned char *)info.ptr,
             info.len, hash, NULL) == NULL) {
        return ERR_NOMEM;
    }
    memcpy(ret_key, hash, AUDIT_DERIVED_KEY_BYTES);
    OPENSSL_cleanse(hash, sizeof(hash));
    return 0;
}
