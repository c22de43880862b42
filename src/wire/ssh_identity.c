/* Certificates and keys of ssh's, with OpenSSL behind them.
 *
 * Happy path: the certificate's line is taken apart and read up to its end's date → the key is read
 * → its public half is compared with the certificate's. Everything on the way is wiped. */
#include "wire/ssh_identity.h"

#include "base/mem.h"
#include "wire/ssh_agent.h"
#include "wire/ssh_bytes.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <limits.h>

#define SSH_SIGNATURE_MAX_BYTES 2048U /* RSA with 16384 bits */
#define SSH_ED25519_BYTES 32U

struct ssh_kind {
    const char *certificate; /* the type's name in the blob */
    const char *key;
    int id; /* of EVP_PKEY */
    const char *digest;
};

static const struct ssh_kind kinds[] = {
    {"ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", EVP_PKEY_ED25519, NULL},
    {"ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256", EVP_PKEY_EC, "SHA256"},
    {"ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384", EVP_PKEY_EC, "SHA384"},
    {"ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp521", EVP_PKEY_EC, "SHA512"},
    {"ssh-rsa-cert-v01@openssh.com", "ssh-rsa", EVP_PKEY_RSA, NULL},
};

/* Base64 with line breaks in it. */
static bool base64_decode(struct str text, struct buf *out)
{
    BUF_AUTO packed;
    size_t padding = 0;
    size_t i;

    buf_init(&packed, SSH_IDENTITY_TEXT_MAX_BYTES);
    for (i = 0; i < text.len; i++) {
        if (strchr(" \t\r\n", text.ptr[i]) == NULL) {
            buf_add_char(&packed, text.ptr[i]);
        }
    }
    if (buf_status(&packed) != 0 || packed.len == 0 || packed.len % 4 != 0 ||
        !buf_reserve(out, packed.len)) {
        return false;
    }
    while (padding < 2 && packed.bytes[packed.len - 1 - padding] == '=') {
        padding++;
    }
    if (EVP_DecodeBlock((unsigned char *)out->bytes, (const unsigned char *)packed.bytes,
                        (int)packed.len) < 0) {
        return false;
    }
    out->len = packed.len / 4 * 3 - padding;
    return true;
}

/* --- the private key --- */

/* Of ssh's own format (PROTOCOL.key): magic, cipher, kdf and its options, count, public key, and
 * the part that would be encrypted. */
static EVP_PKEY *key_of_openssh(struct str bytes)
{
    static const char magic[] = "openssh-key-v1";
    struct ssh_reader outer = {.rest = bytes};
    bool is_magic = str_eq(ssh_get_bytes(&outer, sizeof(magic)),
                           (struct str){.ptr = magic, .len = sizeof(magic)});
    bool is_plain = str_eq_c(ssh_get_string(&outer), "none");
    struct ssh_reader inner;
    uint32_t check;
    struct str secret;

    (void)ssh_get_string(&outer);
    (void)ssh_get_string(&outer);
    if (ssh_get_u32(&outer) != 1 || !is_magic || !is_plain) {
        return NULL;
    }
    (void)ssh_get_string(&outer);
    inner = (struct ssh_reader){.rest = ssh_get_string(&outer)};
    check = ssh_get_u32(&inner);
    if (ssh_get_u32(&inner) != check || !str_eq_c(ssh_get_string(&inner), "ssh-ed25519")) {
        return NULL;
    }
    (void)ssh_get_string(&inner);
    secret = ssh_get_string(&inner); /* the seed, and the public key again */
    if (inner.is_failed || secret.len != 2 * SSH_ED25519_BYTES) {
        return NULL;
    }
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)secret.ptr,
                                        SSH_ED25519_BYTES);
}

static EVP_PKEY *key_read_openssh(struct str body)
{
    static const char end[] = "-----END OPENSSH PRIVATE KEY-----";
    const char *at = memmem(body.ptr, body.len, end, sizeof(end) - 1);
    EVP_PKEY *key = NULL;
    BUF_AUTO bytes;

    buf_init(&bytes, SSH_IDENTITY_TEXT_MAX_BYTES);
    if (at != NULL &&
        base64_decode((struct str){.ptr = body.ptr, .len = (size_t)(at - body.ptr)}, &bytes)) {
        key = key_of_openssh(buf_str(&bytes));
    }
    return key;
}

/* No terminal is asked for a passphrase. */
static int no_passphrase(char *out, int size, int is_writing, void *user)
{
    (void)out;
    (void)size;
    (void)is_writing;
    (void)user;
    return 0;
}

static EVP_PKEY *key_read(struct str text)
{
    static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
    EVP_PKEY *key = NULL;
    BIO *bio;

    if (text.len > SSH_IDENTITY_TEXT_MAX_BYTES) {
        return NULL;
    }
    if (str_starts_with(text, begin)) {
        return key_read_openssh((struct str){.ptr = text.ptr + sizeof(begin) - 1,
                                             .len = text.len - (sizeof(begin) - 1)});
    }
    bio = BIO_new_mem_buf(text.len > 0 ? text.ptr : "", (int)text.len);
    if (bio != NULL) {
        key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    }
    BIO_free(bio);
    return key;
}

/* --- the certificate --- */

static const struct ssh_kind *kind_find(struct str name)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(kinds); i++) {
        if (str_eq_c(name, kinds[i].certificate)) {
            return &kinds[i];
        }
    }
    return NULL;
}

/* What is compared with the private key: the point, or RSA's modulus. */
static struct str read_public(struct ssh_reader *reader, const struct ssh_kind *kind)
{
    if (kind->id != EVP_PKEY_ED25519) {
        (void)ssh_get_string(reader); /* the curve's name, or RSA's exponent */
    }
    return ssh_get_string(reader);
}

static bool fits_rsa(EVP_PKEY *key, struct str modulus)
{
    BIGNUM *own = NULL;
    BIGNUM *other = BN_bin2bn((const unsigned char *)modulus.ptr, (int)modulus.len, NULL);
    bool fits = other != NULL && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &own) == 1 &&
                BN_cmp(own, other) == 0;

    BN_free(own);
    BN_free(other);
    return fits;
}

static bool key_fits(EVP_PKEY *key, const struct ssh_kind *kind, struct str public_half)
{
    unsigned char own[256];
    size_t len = sizeof(own);
    bool has_own = false;

    CHECK(kind != NULL);
    if (EVP_PKEY_get_base_id(key) != kind->id) {
        return false;
    }
    if (kind->id == EVP_PKEY_RSA) {
        return fits_rsa(key, public_half);
    }
    if (kind->id == EVP_PKEY_ED25519) {
        has_own = EVP_PKEY_get_raw_public_key(key, own, &len) == 1;
    } else {
        has_own = EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, own, sizeof(own),
                                                  &len) == 1;
    }
    return has_own && str_eq((struct str){.ptr = (const char *)own, .len = len}, public_half);
}

/* Up to its end: nonce, public key, serial, type, key id, principals, begin, end. */
static int certificate_read(struct ssh_identity *identity, struct str *ret_public, struct err *e)
{
    struct ssh_reader reader = {.rest = {.ptr = identity->blob, .len = identity->blob_len}};
    uint32_t type;
    uint64_t end;

    identity->kind = kind_find(ssh_get_string(&reader));
    if (identity->kind == NULL) {
        return err_set(e, ERR_INVALID,
                       "it is no certificate of ssh's for an Ed25519, ECDSA or RSA key");
    }
    (void)ssh_get_string(&reader);
    *ret_public = read_public(&reader, identity->kind);
    (void)ssh_get_u64(&reader);
    type = ssh_get_u32(&reader);
    (void)ssh_get_string(&reader);
    (void)ssh_get_string(&reader);
    (void)ssh_get_u64(&reader);
    end = ssh_get_u64(&reader);
    if (reader.is_failed) {
        return err_set(e, ERR_INVALID, "it is no whole certificate of ssh's");
    }
    if (type != 1) {
        return err_set(e, ERR_INVALID, "it is a host's certificate, not a user's");
    }
    identity->valid_before_s = end > INT64_MAX ? INT64_MAX : (int64_t)end;
    return 0;
}

static int blob_take(struct ssh_identity *identity, struct str line, struct err *e)
{
    struct str rest = str_trim(line);
    BUF_AUTO bytes;

    buf_init(&bytes, SSH_IDENTITY_TEXT_MAX_BYTES);
    (void)str_cut(&rest, ' ');
    if (!base64_decode(str_cut(&rest, ' '), &bytes)) {
        return err_set(e, ERR_INVALID, "it is no certificate as ssh writes one");
    }
    identity->blob_len = bytes.len;
    identity->blob = buf_steal(&bytes);
    return identity->blob != NULL ? 0 : err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
}

int ssh_identity_read(struct str certificate, struct str private_key,
                      struct ssh_identity *ret_identity, struct err *e)
{
    struct ssh_identity identity = {.key = NULL};
    struct str public_half = STR("");
    int status = blob_take(&identity, certificate, e);

    if (status == 0) {
        status = certificate_read(&identity, &public_half, e);
    }
    if (status == 0) {
        identity.key = key_read(private_key);
        if (identity.key == NULL) {
            status = err_set(e, ERR_INVALID,
                             "the private key can't be read: Ed25519 as ssh-keygen writes it, or "
                             "PEM, without a passphrase is expected");
        } else if (!key_fits(identity.key, identity.kind, public_half)) {
            status = err_set(e, ERR_INVALID, "the private key isn't the certificate's");
        }
    }
    if (status == 0) {
        *ret_identity = identity;
    } else {
        ssh_identity_fini(&identity);
    }
    return status;
}

void ssh_identity_fini(struct ssh_identity *identity)
{
    EVP_PKEY_free(identity->key);
    mem_free(identity->blob);
    *identity = (struct ssh_identity){.key = NULL};
}

bool ssh_identity_is(const struct ssh_identity *identity, struct str blob)
{
    return identity->blob != NULL &&
           str_eq((struct str){.ptr = identity->blob, .len = identity->blob_len}, blob);
}

/* --- signing --- */

/* ssh has the two numbers of an ECDSA signature as such, OpenSSL in DER. */
static bool put_ecdsa(struct buf *out, const unsigned char *der, size_t len)
{
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)len);
    unsigned char bytes[SSH_SIGNATURE_MAX_BYTES];
    const BIGNUM *numbers[2] = {NULL, NULL};
    BUF_AUTO inner;
    size_t i;

    buf_init(&inner, SSH_SIGNATURE_MAX_BYTES);
    if (signature == NULL) {
        return false;
    }
    ECDSA_SIG_get0(signature, &numbers[0], &numbers[1]);
    for (i = 0; i < ARRAY_LEN(numbers); i++) {
        int size = BN_bn2bin(numbers[i], bytes);

        ssh_put_number(&inner, (struct str){.ptr = (const char *)bytes, .len = (size_t)size});
    }
    ECDSA_SIG_free(signature);
    ssh_put_string(out, buf_str(&inner));
    return buf_status(&inner) == 0;
}

static bool sign(const struct ssh_identity *identity, const char *digest, struct str data,
                 struct buf *out)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char bytes[SSH_SIGNATURE_MAX_BYTES];
    size_t len = sizeof(bytes);
    bool is_signed =
        context != NULL &&
        EVP_DigestSignInit_ex(context, NULL, digest, NULL, NULL, identity->key, NULL) == 1 &&
        EVP_DigestSign(context, bytes, &len, (const unsigned char *)data.ptr, data.len) == 1;

    EVP_MD_CTX_free(context);
    if (is_signed && identity->kind->id == EVP_PKEY_EC) {
        return put_ecdsa(out, bytes, len);
    }
    if (is_signed) {
        ssh_put_string(out, (struct str){.ptr = (const char *)bytes, .len = len});
    }
    return is_signed;
}

int ssh_identity_sign(const struct ssh_identity *identity, struct str data, uint32_t flags,
                      struct buf *out)
{
    const char *name = identity->kind->key;
    const char *digest = identity->kind->digest;

    if (identity->kind->id == EVP_PKEY_RSA) {
        bool is_512 = (flags & SSH_AGENT_RSA_SHA512) != 0;

        if (!is_512 && (flags & SSH_AGENT_RSA_SHA256) == 0) {
            return ERR_UNSUPPORTED;
        }
        name = is_512 ? "rsa-sha2-512" : "rsa-sha2-256";
        digest = is_512 ? "SHA512" : "SHA256";
    }
    ssh_put_string(out, str_of(name));
    return sign(identity, digest, data, out) ? buf_status(out) : ERR_INVALID;
}
