/* Public keys: their lines, their blobs, signatures. Private ones are read in sshkey_read.c. */
#include "sshkey.h"

#include "common/base64.h"
#include "sshkey_internal.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SIGNATURE_MAX_BYTES 1024
#define KEY_LINE_BYTES 70

static const struct localca_ssh_curve curves[] = {
    {"ecdsa-sha2-nistp256", "nistp256", "prime256v1", 256, 32},
    {"ecdsa-sha2-nistp384", "nistp384", "secp384r1", 384, 48},
    {"ecdsa-sha2-nistp521", "nistp521", "secp521r1", 521, 66},
};

const struct localca_ssh_curve *localca_ssh_curve_find(struct leased_str type)
{
    for (size_t i = 0; i < COUNT(curves); i++) {
        if (plugin_str_eq(type, curves[i].type)) {
            return &curves[i];
        }
    }
    return NULL;
}

const struct localca_ssh_curve *localca_ssh_curve_of(EVP_PKEY *key)
{
    char group[64] = "";
    size_t len;

    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(key, group, sizeof(group), &len) <= 0) {
        return NULL;
    }
    for (size_t i = 0; i < COUNT(curves); i++) {
        if (strcmp(group, curves[i].group) == 0) {
            return &curves[i];
        }
    }
    return NULL;
}

/* --- public keys ------------------------------------------------------------------------------ */

/* Is what stands behind the type in a blob a key of that type, and nothing more? */
static bool is_whole(struct leased_str type, struct localca_reader *reader)
{
    const struct localca_ssh_curve *curve = localca_ssh_curve_find(type);
    bool is_fine = false;

    if (plugin_str_eq(type, "ssh-ed25519")) {
        is_fine = localca_get_string(reader).len == 32;
    } else if (curve != NULL) {
        struct leased_str name = localca_get_string(reader);
        struct leased_str point = localca_get_string(reader);

        is_fine = plugin_str_eq(name, curve->name) && point.len == 2 * curve->bytes + 1 &&
                  point.ptr[0] == 4; /* not compressed */
    } else if (plugin_str_eq(type, "ssh-rsa")) {
        BIGNUM *e = localca_get_mpint(reader);
        BIGNUM *n = localca_get_mpint(reader);

        is_fine = e != NULL && n != NULL && BN_is_odd(e) && BN_num_bits(n) >= 2048 &&
                  BN_num_bits(n) <= 8192;
        BN_free(e);
        BN_free(n);
    }
    return is_fine && !reader->is_failed && reader->left == 0;
}

/* The next word of a line; moves on. */
static struct leased_str next_word(struct leased_str *line)
{
    struct leased_str word;

    while (line->len > 0 && (line->ptr[0] == ' ' || line->ptr[0] == '\t')) {
        line->ptr++;
        line->len--;
    }
    word = (struct leased_str){line->ptr, 0};
    while (word.len < line->len && memchr(" \t\r\n", line->ptr[word.len], 4) == NULL) {
        word.len++;
    }
    line->ptr += word.len;
    line->len -= word.len;
    return word;
}

int localca_sshkey_parse(struct leased_str line, struct localca_sshkey *ret_key,
                         struct plugin_text *detail)
{
    struct localca_sshkey key = {.blob_len = 0};
    struct leased_str type = next_word(&line);
    struct leased_str text = next_word(&line);
    struct localca_reader reader;
    int64_t len;

    if (type.len == 0 || type.len >= sizeof(key.type) || text.len == 0) {
        plugin_text_set(detail, "a line like \"ssh-ed25519 AAAA…\" is expected");
        return -1;
    }
    memcpy(key.type, type.ptr, type.len);
    len = plugin_base64_decode(text, key.blob, sizeof(key.blob));
    reader = localca_reader_of((struct leased_str){key.blob, len > 0 ? (size_t)len : 0});
    if (len <= 0 || !plugin_str_eq(localca_get_string(&reader), key.type) ||
        !is_whole(type, &reader)) {
        plugin_text_set(detail, "it is not a whole public key: ssh-ed25519, ecdsa-sha2-nistp256, "
                                "-nistp384, -nistp521, or ssh-rsa with 2048 to 8192 bits");
        return -1;
    }
    key.blob_len = (size_t)len;
    *ret_key = key;
    return 0;
}

static bool add_rsa(struct plugin_form *blob, EVP_PKEY *key)
{
    BIGNUM *e = NULL;
    BIGNUM *n = NULL;
    bool is_fine = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) > 0 &&
                   EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) > 0;

    if (is_fine) {
        localca_put_string(blob, PLUGIN_STR("ssh-rsa"));
        localca_put_mpint(blob, e);
        localca_put_mpint(blob, n);
    }
    BN_free(e);
    BN_free(n);
    return is_fine;
}

static bool add_ec(struct plugin_form *blob, EVP_PKEY *key, const struct localca_ssh_curve *curve)
{
    unsigned char point[2 * 66 + 1];
    size_t len = 0;

    /* As the key was read it may want its points compressed. */
    if (EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                       "uncompressed") <= 0 ||
        EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len) <=
            0) {
        return false;
    }
    localca_put_string(blob, plugin_str(curve->type));
    localca_put_string(blob, plugin_str(curve->name));
    localca_put_string(blob, (struct leased_str){(const char *)point, len});
    return true;
}

static bool add_ed25519(struct plugin_form *blob, EVP_PKEY *key)
{
    unsigned char public_key[32];
    size_t len = sizeof(public_key);

    if (EVP_PKEY_get_raw_public_key(key, public_key, &len) <= 0) {
        return false;
    }
    localca_put_string(blob, PLUGIN_STR("ssh-ed25519"));
    localca_put_string(blob, (struct leased_str){(const char *)public_key, len});
    return true;
}

int localca_sshkey_public(const struct leased_host *host, EVP_PKEY *key,
                          struct localca_sshkey *ret_key)
{
    struct plugin_form blob = {.host = host};
    const struct localca_ssh_curve *curve = localca_ssh_curve_of(key);
    struct localca_reader reader;
    struct leased_str type;
    bool is_fine;

    if (curve != NULL) {
        is_fine = add_ec(&blob, key, curve);
    } else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
        is_fine = add_rsa(&blob, key);
    } else {
        is_fine = add_ed25519(&blob, key);
    }
    is_fine = is_fine && !blob.is_failed && blob.len <= sizeof(ret_key->blob);
    if (is_fine) {
        reader = localca_reader_of(plugin_form_str(&blob));
        type = localca_get_string(&reader);
        *ret_key = (struct localca_sshkey){.blob_len = blob.len};
        memcpy(ret_key->blob, blob.bytes, blob.len);
        memcpy(ret_key->type, type.ptr, type.len);
    }
    plugin_form_fini(&blob);
    return is_fine ? 0 : -1;
}

void localca_sshkey_line(struct plugin_form *out, struct leased_str type, struct leased_str blob,
                         struct leased_str comment)
{
    char *text = plugin_alloc(out->host, PLUGIN_BASE64_ROOM(blob.len));

    if (text == NULL) {
        out->is_failed = true;
        return;
    }
    plugin_form_add(out, type);
    plugin_form_add(out, PLUGIN_STR(" "));
    plugin_form_add(out, (struct leased_str){text, plugin_base64(blob.ptr, blob.len, text)});
    if (comment.len > 0) {
        plugin_form_add(out, PLUGIN_STR(" "));
        plugin_form_add(out, comment);
    }
    out->host->secret_free(text);
}

/* --- signatures ------------------------------------------------------------------------------- */

/* DER's two numbers as two of ssh's. */
static bool put_ecdsa(struct plugin_form *out, const unsigned char *der, size_t size)
{
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &der, (long)size);
    struct plugin_form both = {.host = out->host};
    const BIGNUM *r = NULL;
    const BIGNUM *s = NULL;

    if (parts == NULL) {
        return false;
    }
    ECDSA_SIG_get0(parts, &r, &s);
    localca_put_mpint(&both, r);
    localca_put_mpint(&both, s);
    localca_put_form(out, &both);
    plugin_form_fini(&both);
    ECDSA_SIG_free(parts);
    return true;
}

static const EVP_MD *digest_of(EVP_PKEY *key, const struct localca_ssh_curve *curve)
{
    if (curve != NULL && curve->bits == 256) {
        return EVP_sha256();
    }
    if (curve != NULL && curve->bits == 384) {
        return EVP_sha384();
    }
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha512();
}

void localca_sshkey_sign(struct plugin_form *out, EVP_PKEY *key, struct leased_str bytes)
{
    const struct localca_ssh_curve *curve = localca_ssh_curve_of(key);
    struct plugin_form whole = {.host = out->host};
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char signature[SIGNATURE_MAX_BYTES];
    size_t size = sizeof(signature);
    bool is_fine =
        context != NULL &&
        EVP_DigestSignInit(context, NULL, digest_of(key, curve), NULL, key) > 0 &&
        EVP_DigestSign(context, signature, &size, (const unsigned char *)bytes.ptr, bytes.len) > 0;

    EVP_MD_CTX_free(context);
    if (is_fine && curve != NULL) {
        localca_put_string(&whole, plugin_str(curve->type));
        is_fine = put_ecdsa(&whole, signature, size);
    } else if (is_fine) {
        localca_put_string(&whole, EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA
                                       ? PLUGIN_STR("rsa-sha2-512")
                                       : PLUGIN_STR("ssh-ed25519"));
        localca_put_string(&whole, (struct leased_str){(const char *)signature, size});
    }
    localca_put_form(out, &whole);
    out->is_failed = out->is_failed || !is_fine;
    plugin_form_fini(&whole);
}

/* --- fresh keys ------------------------------------------------------------------------------- */

EVP_PKEY *localca_sshkey_ed25519(const unsigned char seed[32])
{
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
}

/* Lines of 70, as ssh-keygen has them. */
static void add_lines(struct plugin_form *out, struct leased_str bytes)
{
    char *text = plugin_alloc(out->host, PLUGIN_BASE64_ROOM(bytes.len));
    size_t len;

    if (text == NULL) {
        out->is_failed = true;
        return;
    }
    len = plugin_base64(bytes.ptr, bytes.len, text);
    for (size_t at = 0; at < len; at += KEY_LINE_BYTES) {
        size_t size = len - at < KEY_LINE_BYTES ? len - at : KEY_LINE_BYTES;

        plugin_form_add(out, (struct leased_str){text + at, size});
        plugin_form_add(out, PLUGIN_STR("\n"));
    }
    out->host->secret_free(text);
}

/* The part that a passphrase would encrypt: two equal numbers, the key, its comment, and 1, 2, 3, …
 * up to a multiple of eight bytes. */
static void put_private(struct plugin_form *out, const unsigned char seed[32],
                        struct leased_str public_key, uint32_t check, struct leased_str comment)
{
    unsigned char both[64];

    memcpy(both, seed, 32);
    memcpy(both + 32, public_key.ptr, 32);
    localca_put_u32(out, check);
    localca_put_u32(out, check);
    localca_put_string(out, PLUGIN_STR("ssh-ed25519"));
    localca_put_string(out, public_key);
    localca_put_string(out, (struct leased_str){(const char *)both, sizeof(both)});
    localca_put_string(out, comment);
    for (uint8_t i = 1; out->len % 8 != 0; i++) {
        localca_put_u8(out, i);
    }
    OPENSSL_cleanse(both, sizeof(both));
}

void localca_sshkey_write(struct plugin_form *out, EVP_PKEY *key, uint32_t check,
                          struct leased_str comment)
{
    struct plugin_form whole = {.host = out->host};
    struct plugin_form inner = {.host = out->host};
    unsigned char seed[32] = {0};
    unsigned char public_bytes[32] = {0};
    struct leased_str public_key = {(const char *)public_bytes, sizeof(public_bytes)};
    size_t seed_len = sizeof(seed);
    size_t public_len = sizeof(public_bytes);

    if (EVP_PKEY_get_raw_private_key(key, seed, &seed_len) <= 0 ||
        EVP_PKEY_get_raw_public_key(key, public_bytes, &public_len) <= 0) {
        out->is_failed = true;
        return;
    }
    plugin_form_add(&whole, (struct leased_str){LOCALCA_SSH_MAGIC, sizeof(LOCALCA_SSH_MAGIC)});
    localca_put_string(&whole, PLUGIN_STR("none"));
    localca_put_string(&whole, PLUGIN_STR("none"));
    localca_put_string(&whole, PLUGIN_STR(""));
    localca_put_u32(&whole, 1);
    localca_put_string(&inner, PLUGIN_STR("ssh-ed25519"));
    localca_put_string(&inner, public_key);
    localca_put_form(&whole, &inner);
    plugin_form_fini(&inner);
    inner = (struct plugin_form){.host = out->host};
    if (!whole.is_failed) {
        put_private(&inner, seed, public_key, check, comment);
    }
    localca_put_form(&whole, &inner);
    plugin_form_add(out, PLUGIN_STR(LOCALCA_SSH_BEGIN "\n"));
    add_lines(out, plugin_form_str(&whole));
    plugin_form_add(out, PLUGIN_STR(LOCALCA_SSH_END "\n"));
    out->is_failed = out->is_failed || whole.is_failed;
    plugin_form_fini(&inner);
    plugin_form_fini(&whole);
    OPENSSL_cleanse(seed, sizeof(seed));
}
