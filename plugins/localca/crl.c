/* Version 2 CRLs (RFC 5280, section 5). Written as DER by hand: OpenSSL's objects for a few
 * thousand entries take longer than a plugin may hold the loop. */
#include "lists.h"

#include "common/base64.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#define SKEW_S 60 /* clocks differ */
#define SIGNATURE_MAX_BYTES 1024
#define LINE_BYTES 64

#define TAG_INTEGER 0x02
#define TAG_BIT_STRING 0x03
#define TAG_OCTET_STRING 0x04
#define TAG_UTC_TIME 0x17
#define TAG_GENERALIZED_TIME 0x18
#define TAG_SEQUENCE 0x30
#define TAG_FIRST 0xa0  /* [0], with others in it */
#define TAG_KEY_ID 0x80 /* [0] of an AuthorityKeyIdentifier */
#define YEAR_2050_S 2524608000LL

/* --- DER -------------------------------------------------------------------------------------- */

static void put_tlv(struct plugin_form *out, unsigned char tag, struct leased_str value)
{
    unsigned char head[6] = {tag};
    size_t len = value.len;
    size_t bytes = 0;
    size_t used = 2;

    while (bytes < sizeof(len) && len >> (8 * bytes) != 0) {
        bytes++;
    }
    if (len < 0x80) {
        head[1] = (unsigned char)len;
    } else {
        head[1] = (unsigned char)(0x80U | bytes);
        for (size_t i = 0; i < bytes && used < sizeof(head); i++) {
            head[used++] = (unsigned char)(len >> (8 * (bytes - 1 - i)));
        }
    }
    plugin_form_add(out, (struct leased_str){(const char *)head, used});
    plugin_form_add(out, value);
}

/* What is in `value` as one value; and that is freed. */
static void put_form(struct plugin_form *out, unsigned char tag, struct plugin_form *value)
{
    put_tlv(out, tag, plugin_form_str(value));
    out->is_failed = out->is_failed || value->is_failed;
    plugin_form_fini(value);
}

/* A number >= 0 of big-endian bytes: as short as it can be, and not negative. */
static void put_integer(struct plugin_form *out, const unsigned char *bytes, size_t size)
{
    unsigned char number[LOCALCA_SERIAL_BYTES + 1] = {0};
    size_t skip = 0;

    while (skip + 1 < size && bytes[skip] == 0) {
        skip++;
    }
    memcpy(number + 1, bytes + skip, size - skip);
    skip = size - skip;
    if ((number[1] & 0x80U) != 0) {
        put_tlv(out, TAG_INTEGER, (struct leased_str){(const char *)number, skip + 1});
    } else {
        put_tlv(out, TAG_INTEGER, (struct leased_str){(const char *)number + 1, skip});
    }
}

static void put_number(struct plugin_form *out, uint64_t value)
{
    unsigned char bytes[8];

    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)(value >> (8 * (sizeof(bytes) - 1 - i)));
    }
    put_integer(out, bytes, sizeof(bytes));
}

/* RFC 5280, 4.1.2.5: with two digits of the year until 2049. */
static void put_time(struct plugin_form *out, int64_t unix_s)
{
    time_t seconds = (time_t)unix_s;
    bool is_short = unix_s < YEAR_2050_S;
    struct tm tm = {0};
    char text[32];

    (void)gmtime_r(&seconds, &tm);
    (void)strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
    put_tlv(out, is_short ? TAG_UTC_TIME : TAG_GENERALIZED_TIME,
            plugin_str(text + (is_short ? 2 : 0)));
}

/* --- what is signed --------------------------------------------------------------------------- */

/* As localca_ca_digest has it. */
static struct leased_str algorithm_of(EVP_PKEY *key)
{
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) {
        return PLUGIN_STR("\x30\x05\x06\x03\x2b\x65\x70");
    }
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
        return PLUGIN_STR("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00");
    }
    return EVP_PKEY_get_bits(key) > 256
               ? PLUGIN_STR("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03")
               : PLUGIN_STR("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02");
}

static void put_issuer(struct plugin_form *out, X509 *ca)
{
    unsigned char *bytes = NULL;
    int len = i2d_X509_NAME(X509_get_subject_name(ca), &bytes);

    if (len > 0) {
        plugin_form_add(out, (struct leased_str){(const char *)bytes, (size_t)len});
    } else {
        out->is_failed = true;
    }
    OPENSSL_free(bytes);
}

/* No list at all when it would be empty. */
static void put_entries(struct plugin_form *out, const struct localca_revoked *revoked)
{
    struct plugin_form list = {.host = out->host};

    for (size_t i = 0; i < revoked->count; i++) {
        const struct localca_entry *entry = &revoked->entries[i];
        struct plugin_form one = {.host = out->host};

        if (entry->type == LOCALCA_X509) {
            put_integer(&one, entry->serial.bytes, LOCALCA_SERIAL_BYTES);
            put_time(&one, (int64_t)entry->revoked_s);
            put_form(&list, TAG_SEQUENCE, &one);
        }
    }
    if (list.len > 0 || list.is_failed) {
        put_form(out, TAG_SEQUENCE, &list);
    }
}

/* An extension with this identifier and value; which is freed. */
static void put_extension(struct plugin_form *out, struct leased_str identifier,
                          struct plugin_form *value)
{
    struct plugin_form extension = {.host = out->host};

    plugin_form_add(&extension, identifier);
    put_form(&extension, TAG_OCTET_STRING, value);
    put_form(out, TAG_SEQUENCE, &extension);
}

static void put_extensions(struct plugin_form *out, X509 *ca, uint64_t number)
{
    const ASN1_OCTET_STRING *key_id = X509_get0_subject_key_id(ca);
    struct plugin_form list = {.host = out->host};
    struct plugin_form all = {.host = out->host};
    struct plugin_form value = {.host = out->host};
    struct plugin_form inner = {.host = out->host};

    if (key_id != NULL) {
        put_tlv(&inner, TAG_KEY_ID,
                (struct leased_str){(const char *)ASN1_STRING_get0_data(key_id),
                                    (size_t)ASN1_STRING_length(key_id)});
        put_form(&value, TAG_SEQUENCE, &inner);
        put_extension(&list, PLUGIN_STR("\x06\x03\x55\x1d\x23"), &value);
        value = (struct plugin_form){.host = out->host};
    }
    put_number(&value, number);
    put_extension(&list, PLUGIN_STR("\x06\x03\x55\x1d\x14"), &value);
    put_form(&all, TAG_SEQUENCE, &list);
    put_form(out, TAG_FIRST, &all);
}

static void put_content(struct plugin_form *out, const struct localca_ca *ca,
                        const struct localca_revoked *revoked, int64_t now_s, uint64_t lifetime_s)
{
    struct plugin_form content = {.host = out->host};

    put_number(&content, 1); /* version 2 */
    plugin_form_add(&content, algorithm_of(ca->key));
    put_issuer(&content, ca->certificate);
    put_time(&content, now_s - SKEW_S);
    put_time(&content, now_s + (int64_t)lifetime_s);
    put_entries(&content, revoked);
    put_extensions(&content, ca->certificate, revoked->number);
    put_form(out, TAG_SEQUENCE, &content);
}

/* --- the whole -------------------------------------------------------------------------------- */

/* A bit string: no bits are unused in its last byte. */
static void put_signature(struct plugin_form *out, EVP_PKEY *key, struct leased_str content)
{
    unsigned char signature[SIGNATURE_MAX_BYTES + 1] = {0};
    size_t size = SIGNATURE_MAX_BYTES;
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (context != NULL &&
        EVP_DigestSignInit(context, NULL, localca_ca_digest(key), NULL, key) > 0 &&
        EVP_DigestSign(context, signature + 1, &size, (const unsigned char *)content.ptr,
                       content.len) > 0) {
        put_tlv(out, TAG_BIT_STRING, (struct leased_str){(const char *)signature, size + 1});
    } else {
        out->is_failed = true;
    }
    EVP_MD_CTX_free(context);
}

static void put_pem(struct plugin_form *out, struct leased_str bytes)
{
    char *text = plugin_alloc(out->host, PLUGIN_BASE64_ROOM(bytes.len));
    size_t len;

    if (text == NULL) {
        out->is_failed = true;
        return;
    }
    len = plugin_base64(bytes.ptr, bytes.len, text);
    plugin_form_add(out, PLUGIN_STR("-----BEGIN X509 CRL-----\n"));
    for (size_t at = 0; at < len; at += LINE_BYTES) {
        size_t size = len - at < LINE_BYTES ? len - at : LINE_BYTES;

        plugin_form_add(out, (struct leased_str){text + at, size});
        plugin_form_add(out, PLUGIN_STR("\n"));
    }
    plugin_form_add(out, PLUGIN_STR("-----END X509 CRL-----\n"));
    out->host->secret_free(text);
}

int localca_crl_make(const struct localca_ca *ca, const struct localca_revoked *revoked,
                     int64_t now_s, uint64_t lifetime_s, struct plugin_form *out)
{
    struct plugin_form inside = {.host = out->host};
    struct plugin_form whole = {.host = out->host};

    put_content(&inside, ca, revoked, now_s, lifetime_s);
    if (!inside.is_failed) {
        struct leased_str content = plugin_form_str(&inside);
        struct plugin_form signature = {.host = out->host};

        put_signature(&signature, ca->key, content);
        plugin_form_add(&inside, algorithm_of(ca->key));
        plugin_form_add(&inside, plugin_form_str(&signature));
        inside.is_failed = inside.is_failed || signature.is_failed;
        plugin_form_fini(&signature);
    }
    put_form(&whole, TAG_SEQUENCE, &inside);
    if (!whole.is_failed) {
        put_pem(out, plugin_form_str(&whole));
    }
    out->is_failed = out->is_failed || whole.is_failed;
    plugin_form_fini(&whole);
    return out->is_failed ? -1 : 0;
}
