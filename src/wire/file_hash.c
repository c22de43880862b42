/* Path and content are kept apart by a NUL, which no path has. */
#include "wire/file_hash.h"

#include <openssl/evp.h>

#define DIGEST_BYTES 32

static const char domain[] = "leased-file-v1";

int file_hash(struct str path, struct str content, char ret_hash[FILE_HASH_HEX_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char digest[DIGEST_BYTES];
    size_t i;
    int r = ERR_NOMEM;

    /* SHA-256 over memory fails for want of memory only. */
    if (context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
        EVP_DigestUpdate(context, domain, sizeof(domain)) == 1 &&
        EVP_DigestUpdate(context, path.ptr, path.len) == 1 &&
        EVP_DigestUpdate(context, "", 1) == 1 &&
        EVP_DigestUpdate(context, content.ptr, content.len) == 1 &&
        EVP_DigestFinal_ex(context, digest, NULL) == 1) {
        for (i = 0; i < DIGEST_BYTES; i++) {
            ret_hash[2 * i] = digits[digest[i] >> 4];
            ret_hash[2 * i + 1] = digits[digest[i] & 0x0f];
        }
        ret_hash[FILE_HASH_HEX_BYTES] = '\0';
        r = 0;
    }
    EVP_MD_CTX_free(context);
    return r;
}
