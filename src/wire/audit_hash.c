/* The chain's hash. It covers the bytes as they stand in the file, so no two readers can disagree
 * about what a record says. */
#include "wire/audit_hash.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#define DIGEST_BYTES 32

/* Ends with a NUL, which is hashed too: it separates the name of the format from the text behind
 * it. */
static const char domain[] = "leased-audit-v1";

static void hex_write(const unsigned char digest[DIGEST_BYTES], char out[AUDIT_HASH_HEX_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t i;

    for (i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 0x0f];
    }
    out[AUDIT_HASH_HEX_BYTES] = '\0';
}

int audit_hash(const char *prev, struct str body, char ret_hash[AUDIT_HASH_HEX_BYTES + 1])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char digest[DIGEST_BYTES];
    int r = ERR_NOMEM;

    static_assert(AUDIT_HASH_HEX_BYTES == 2 * DIGEST_BYTES, "two digits a byte");
    /* SHA-256 over memory fails for want of memory only. */
    if (context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
        EVP_DigestUpdate(context, domain, sizeof(domain)) == 1 &&
        EVP_DigestUpdate(context, prev, strlen(prev) + 1) == 1 &&
        EVP_DigestUpdate(context, body.ptr, body.len) == 1 &&
        EVP_DigestFinal_ex(context, digest, NULL) == 1) {
        hex_write(digest, ret_hash);
        r = 0;
    }
    EVP_MD_CTX_free(context);
    return r;
}
