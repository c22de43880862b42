/* Sealed: nonce (8 bytes, a counter) | ciphertext | tag (16 bytes). GCM's own nonce is the counter
 * behind four zero bytes: as the key is new with each start and the counter never goes back, no
 * nonce is used twice.
 *
 * A context holds the expanded key, whose first half is the key itself, so both contexts are made
 * with OpenSSL's allocations in secret memory. They are keyed once and reused: a seal allocates
 * nothing and costs less than a microsecond. */
#include "io/seal.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/secret.h"
#include "env/env.h"
#include "io/alloc.h"

#include <limits.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

#define COUNTER_BYTES 8U
#define NONCE_BYTES 12U
#define TAG_BYTES 16U

static_assert(COUNTER_BYTES + TAG_BYTES == ENV_SEAL_BYTES, "what sealing adds");

struct io_seal {
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *sealing;
    EVP_CIPHER_CTX *unsealing;
    uint64_t counter; /* the last one that was used */
    uint64_t counter_max;
};

static int make_contexts(struct io_seal *seal, const unsigned char key[IO_SEAL_KEY_BYTES])
{
    seal->sealing = EVP_CIPHER_CTX_new();
    seal->unsealing = EVP_CIPHER_CTX_new();
    return seal->sealing != NULL && seal->unsealing != NULL &&
                   EVP_EncryptInit_ex2(seal->sealing, seal->cipher, key, NULL, NULL) == 1 &&
                   EVP_DecryptInit_ex2(seal->unsealing, seal->cipher, key, NULL, NULL) == 1
               ? 0
               : ERR_NOMEM;
}

int io_seal_new_with(const unsigned char key[IO_SEAL_KEY_BYTES], uint64_t seals_max,
                     struct io_seal **ret_seal)
{
    struct io_seal *seal = mem_calloc(1, sizeof(*seal));
    bool was_secret;
    int rc = ERR_NOMEM;

    if (seal == NULL) {
        return ERR_NOMEM;
    }
    seal->counter_max = seals_max;
    seal->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (seal->cipher != NULL) {
        was_secret = io_crypto_in_secret_memory(true);
        rc = make_contexts(seal, key);
        (void)io_crypto_in_secret_memory(was_secret);
    }
    if (rc != 0) {
        io_seal_free(seal);
        return rc;
    }
    *ret_seal = seal;
    return 0;
}

int io_seal_new(uint64_t seals_max, struct io_seal **ret_seal)
{
    unsigned char *key = secret_alloc(IO_SEAL_KEY_BYTES);
    int rc = ERR_NOMEM;

    if (key != NULL) {
        CHECK(getrandom(key, IO_SEAL_KEY_BYTES, 0) == (ssize_t)IO_SEAL_KEY_BYTES);
        rc = io_seal_new_with(key, seals_max, ret_seal);
    }
    secret_free(key);
    return rc;
}

void io_seal_free(struct io_seal *seal)
{
    if (seal == NULL) {
        return;
    }
    EVP_CIPHER_CTX_free(seal->sealing);
    EVP_CIPHER_CTX_free(seal->unsealing);
    EVP_CIPHER_free(seal->cipher);
    mem_free(seal);
}

static void fill_nonce(unsigned char nonce[NONCE_BYTES], const char counter[COUNTER_BYTES])
{
    memset(nonce, 0, NONCE_BYTES);
    memcpy(nonce + NONCE_BYTES - COUNTER_BYTES, counter, COUNTER_BYTES);
}

static const unsigned char *bytes_of(struct str s)
{
    return (const unsigned char *)s.ptr;
}

/* style-ok: params: nonce and three texts */
static bool encrypt(EVP_CIPHER_CTX *context, const unsigned char *nonce, struct str owner,
                    struct str plain, unsigned char *out)
{
    int len = 0;

    return EVP_EncryptInit_ex2(context, NULL, NULL, nonce, NULL) == 1 &&
           EVP_EncryptUpdate(context, NULL, &len, bytes_of(owner), (int)owner.len) == 1 &&
           EVP_EncryptUpdate(context, out, &len, bytes_of(plain), (int)plain.len) == 1 &&
           EVP_EncryptFinal_ex(context, out + len, &len) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, (int)TAG_BYTES, out + plain.len) ==
               1;
}

int io_seal(struct io_seal *seal, struct str owner, struct str plain, char *ret_sealed)
{
    unsigned char nonce[NONCE_BYTES];
    unsigned char *out = (unsigned char *)ret_sealed + COUNTER_BYTES;

    CHECK(plain.len <= INT_MAX && owner.len <= INT_MAX);
    if (seal->counter == seal->counter_max) {
        return ERR_LIMIT;
    }
    /* Counted before it is used: a nonce whose sealing failed is gone too. */
    seal->counter++;
    memcpy(ret_sealed, &seal->counter, COUNTER_BYTES);
    fill_nonce(nonce, ret_sealed);
    if (!encrypt(seal->sealing, nonce, owner, plain, out)) {
        mem_wipe(ret_sealed, plain.len + ENV_SEAL_BYTES);
        return ERR_NOMEM;
    }
    return 0;
}

/* style-ok: params: nonce and three texts */
static bool decrypt(EVP_CIPHER_CTX *context, const unsigned char *nonce, struct str owner,
                    struct str cipher, unsigned char *out)
{
    unsigned char tag[TAG_BYTES];
    int len = 0;

    memcpy(tag, cipher.ptr + cipher.len, TAG_BYTES);
    return EVP_DecryptInit_ex2(context, NULL, NULL, nonce, NULL) == 1 &&
           EVP_DecryptUpdate(context, NULL, &len, bytes_of(owner), (int)owner.len) == 1 &&
           EVP_DecryptUpdate(context, out, &len, bytes_of(cipher), (int)cipher.len) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, (int)TAG_BYTES, tag) == 1 &&
           EVP_DecryptFinal_ex(context, out + len, &len) == 1;
}

int io_unseal(struct io_seal *seal, struct str owner, struct str sealed, char *ret_plain)
{
    unsigned char nonce[NONCE_BYTES];
    struct str cipher;

    CHECK(sealed.len <= INT_MAX && owner.len <= INT_MAX);
    if (sealed.len < ENV_SEAL_BYTES) {
        return ERR_INVALID;
    }
    cipher = (struct str){.ptr = sealed.ptr + COUNTER_BYTES, .len = sealed.len - ENV_SEAL_BYTES};
    fill_nonce(nonce, sealed.ptr);
    if (!decrypt(seal->unsealing, nonce, owner, cipher, (unsigned char *)ret_plain)) {
        mem_wipe(ret_plain, cipher.len);
        return ERR_INVALID;
    }
    return 0;
}
