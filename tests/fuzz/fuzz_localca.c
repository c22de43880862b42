/* What the local CA reads: private and public keys of OpenSSH's, a role's parameters, a backend's
 * keys, references, and its state. The first byte chooses.
 *
 * Whatever they are: refusals are one line; what is taken for a role's parameters becomes a
 * certificate with exactly those names in it, each of its own kind; what is read can be written,
 * and is the same. */
#include "base/mem.h"
#include "common/base64.h"
#include "fuzz/input.h"
#include "localca/config.h"
#include "localca/instance.h"
#include "localca/issued.h"
#include "localca/lists.h"
#include "localca/params.h"
#include "localca/sshkey.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define NOW_S 1767225600
#define TEXT_MAX_BYTES 8192

static const struct leased_host host = {
    .size = sizeof(host), .alloc = mem_alloc, .secret_alloc = mem_alloc, .secret_free = mem_free};

/* The CAs stay for all inputs. */
static struct localca_ca x509_ca;
static struct localca_ca ssh_ca;

static void make_cas(void)
{
    static const unsigned char seed[32] = {1};
    X509_NAME *name = X509_NAME_new();

    x509_ca.key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
    x509_ca.certificate = X509_new();
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"CA", -1, -1,
                                     0);
    (void)X509_set_subject_name(x509_ca.certificate, name);
    (void)X509_set_pubkey(x509_ca.certificate, x509_ca.key);
    X509_NAME_free(name);
    ssh_ca.key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
}

static struct leased_str of(struct str s)
{
    return (struct leased_str){s.ptr, s.len};
}

static void check_line(const struct plugin_text *text)
{
    size_t len = strnlen(text->bytes, sizeof(text->bytes));

    CHECK(len > 0 && len < sizeof(text->bytes));
}

/* --- keys ------------------------------------------------------------------------------------- */

static void check_private(struct leased_str text)
{
    struct plugin_text detail = {""};
    struct localca_sshkey public_key;
    EVP_PKEY *key = localca_sshkey_read(&host, text, &detail);

    if (key == NULL) {
        check_line(&detail);
    } else if (localca_sshkey_public(&host, key, &public_key) == 0) {
        CHECK(public_key.blob_len <= sizeof(public_key.blob));
    }
    EVP_PKEY_free(key);
}

/* The bytes within the armour, so that they need not be base64 already. */
static void check_armoured(struct str bytes)
{
    static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
    static const char end[] = "\n-----END OPENSSH PRIVATE KEY-----\n";
    char text[TEXT_MAX_BYTES];
    size_t len = sizeof(begin) - 1;

    if (PLUGIN_BASE64_ROOM(bytes.len) + sizeof(begin) + sizeof(end) > sizeof(text)) {
        return;
    }
    memcpy(text, begin, len);
    len += plugin_base64(bytes.ptr, bytes.len, text + len);
    memcpy(text + len, end, sizeof(end) - 1);
    check_private((struct leased_str){text, len + sizeof(end) - 1});
}

static void check_public(struct leased_str line)
{
    struct plugin_form written = {.host = &host};
    struct plugin_text detail = {""};
    struct localca_sshkey key;
    struct localca_sshkey again;

    if (localca_sshkey_parse(line, &key, &detail) != 0) {
        check_line(&detail);
        return;
    }
    localca_sshkey_line(&written, plugin_str(key.type), (struct leased_str){key.blob, key.blob_len},
                        PLUGIN_STR(""));
    CHECK(!written.is_failed);
    CHECK(localca_sshkey_parse(plugin_form_str(&written), &again, &detail) == 0);
    CHECK(again.blob_len == key.blob_len && memcmp(again.blob, key.blob, key.blob_len) == 0);
    plugin_form_fini(&written);
}

static void check_blob(struct str bytes)
{
    static const char *const types[] = {"ssh-ed25519 ", "ssh-rsa ", "ecdsa-sha2-nistp256 "};
    char text[TEXT_MAX_BYTES];

    for (size_t i = 0; i < 3 && PLUGIN_BASE64_ROOM(bytes.len) + 32 < sizeof(text); i++) {
        size_t len = strlen(types[i]);

        memcpy(text, types[i], len);
        len += plugin_base64(bytes.ptr, bytes.len, text + len);
        check_public((struct leased_str){text, len});
    }
}

/* --- certificates ----------------------------------------------------------------------------- */

static const ASN1_STRING *value_of(const GENERAL_NAME *name, enum localca_name_kind kind)
{
    switch (kind) {
    case LOCALCA_DNS:
        CHECK(name->type == GEN_DNS);
        return name->d.dNSName;
    case LOCALCA_URI:
        CHECK(name->type == GEN_URI);
        return name->d.uniformResourceIdentifier;
    default:
        CHECK(name->type == GEN_IPADD);
        return name->d.iPAddress;
    }
}

static void check_x509(const struct localca_issued *issued, const struct localca_params *params)
{
    BIO *bio = BIO_new_mem_buf(issued->certificate.bytes, (int)issued->certificate.len);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    GENERAL_NAMES *names;
    int count;

    CHECK(certificate != NULL);
    CHECK(X509_verify(certificate, x509_ca.key) == 1);
    CHECK(X509_NAME_entry_count(X509_get_subject_name(certificate)) ==
          (params->common_name.len > 0 ? 1 : 0));
    names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    count = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
    CHECK((size_t)count == params->name_count);
    for (int i = 0; i < count; i++) {
        const struct localca_name *name = &params->names[i];
        const ASN1_STRING *value = value_of(sk_GENERAL_NAME_value(names, i), name->kind);

        if (name->kind != LOCALCA_IP) {
            CHECK((size_t)ASN1_STRING_length(value) == name->text.len);
            CHECK(memcmp(ASN1_STRING_get0_data(value), name->text.ptr, name->text.len) == 0);
        }
    }
    GENERAL_NAMES_free(names);
    X509_free(certificate);
    BIO_free(bio);
}

static void check_params(struct leased_str json)
{
    struct localca_params params;
    struct plugin_text detail = {""};
    struct localca_issued issued;
    struct localca_order order = {.host = &host,
                                  .params = &params,
                                  .key_id = PLUGIN_STR("id"),
                                  .now_s = NOW_S,
                                  .end_s = NOW_S + 600};
    int rc;

    if (localca_params_parse(json, &params, &detail) != 0) {
        check_line(&detail);
        return;
    }
    order.ca = params.type == LOCALCA_X509 ? &x509_ca : &ssh_ca;
    rc = params.type == LOCALCA_X509 ? localca_x509_make(&order, &issued, &detail)
                                     : localca_ssh_make(&order, &issued, &detail);
    CHECK(rc == 0);
    if (params.type == LOCALCA_X509) {
        check_x509(&issued, &params);
    }
    localca_issued_fini(&issued);
    localca_params_fini(&params);
}

/* --- the rest --------------------------------------------------------------------------------- */

static void check_config(struct leased_str json)
{
    struct localca_config config;
    struct plugin_text detail = {""};

    if (localca_config_parse(json, &config, &detail) != 0) {
        check_line(&detail);
    } else {
        CHECK(config.ca_key.text[0] != '\0' || config.ssh_ca_key.text[0] != '\0');
        CHECK(config.crl_file[0] == '\0' || config.crl_file[0] == '/');
    }
}

static void check_ref(struct leased_str ref)
{
    char text[LOCALCA_REF_MAX_BYTES];
    struct localca_entry entry;
    struct localca_entry again;

    if (localca_ref_parse(ref, &entry) == 0) {
        struct leased_str written = {text, localca_ref_write(&entry, text)};

        CHECK(localca_ref_parse(written, &again) == 0);
        CHECK(memcmp(&again, &entry, sizeof(entry)) == 0);
    }
}

static void check_state(struct leased_str state)
{
    static char bytes[LOCALCA_STATE_MAX_BYTES];
    struct plugin_form crl = {.host = &host};
    struct plugin_form krl = {.host = &host};
    struct localca_revoked revoked;
    X509_CRL *read;
    BIO *bio;

    if (localca_revoked_decode(&host, state, &revoked) != 0) {
        return;
    }
    CHECK(localca_revoked_encode(&revoked, bytes) == state.len);
    CHECK(localca_crl_make(&x509_ca, &revoked, NOW_S, 3600, &crl) == 0);
    CHECK(localca_krl_make(&revoked, NOW_S, &krl) == 0);
    bio = BIO_new_mem_buf(crl.bytes, (int)crl.len);
    read = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
    CHECK(read != NULL);
    CHECK(X509_CRL_verify(read, x509_ca.key) == 1);
    X509_CRL_free(read);
    BIO_free(bio);
    plugin_form_fini(&crl);
    plugin_form_fini(&krl);
    localca_revoked_fini(&host, &revoked);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    uint8_t choice = input_u8(&input);
    struct str rest = input_rest(&input);
    size_t bytes_before = mem_in_use_bytes();

    json_set_alloc_funcs(mem_alloc, mem_free);
    if (x509_ca.key == NULL) {
        make_cas();
    }
    switch (choice) {
    case 'k':
        check_private(of(rest));
        break;
    case 'b':
        check_armoured(rest);
        break;
    case 'p':
        check_public(of(rest));
        break;
    case 'q':
        check_blob(rest);
        break;
    case 'c':
        check_config(of(rest));
        break;
    case 'r':
        check_ref(of(rest));
        break;
    case 's':
        check_state(of(rest));
        break;
    default:
        check_params(of(rest));
        break;
    }
    CHECK(mem_in_use_bytes() == bytes_before);
    return 0;
}
