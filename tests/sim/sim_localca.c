/* What localca has issued and revoked, as those see it who get its certificates and read its lists:
 * there is no server. A certificate is known from when it is handed out the first time; nobody else
 * can have its key. */
#include "sim_localca.h"

#include "base/mem.h"
#include "support/ca.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define CRL_PATH "/var/lib/leased/public/ca.crl"
#define KRL_PATH "/var/lib/leased/public/ca.krl"
#define BACKDATED_S 60
#define GRACE_S 3600 /* so long what has ended by the machine's clock stays in the lists */
#define CA_LIFE_S (400 * 86400LL)
#define VARIANT_SSH 1024U
#define VARIANT_NO_LIST 6144U /* both bits: a quarter of them */

int32_t leased_plugin_entry_localca(const struct leased_host *host,
                                    const struct leased_plugin **ret_plugin);

struct certified {
    struct sim_credential credential; /* first */
    int64_t ends_s;
};

struct localca {
    struct sim_issuer issuer; /* first */
    struct test_ca ca;
    struct test_ca ssh_ca; /* its key counts */
};

static EVP_PKEY *ed25519(unsigned char fill)
{
    unsigned char seed[32];
    EVP_PKEY *key;

    memset(seed, fill, sizeof(seed));
    key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
    CHECK(key != NULL);
    return key;
}

static struct sim_issuer *create(struct sim *sim, uint32_t variant)
{
    struct localca *it = mem_calloc(1, sizeof(*it));
    int64_t start_s = SIM_START_WALL_MS / 1000;

    CHECK(it != NULL);
    it->issuer.sim = sim;
    it->issuer.variant = variant;
    sim_issuer_init(&it->issuer, &sim_localca_kind, &sim->random);
    /* The clock may be set: years in both directions. */
    test_ca_make(&it->ca, ed25519(7), "critical,keyCertSign,cRLSign", start_s - CA_LIFE_S,
                 start_s + CA_LIFE_S);
    test_ca_make(&it->ssh_ca, ed25519(9), "critical,keyCertSign", start_s, start_s + CA_LIFE_S);
    sim_secret_set(sim, "file:/ca.key", it->ca.key_pem);
    sim_secret_set(sim, "shared-file:/ca.pem", it->ca.pem);
    sim_secret_set(sim, "file:/ssh.key", it->ssh_ca.key_pem);
    return &it->issuer;
}

static void destroy(struct sim_issuer *issuer)
{
    struct localca *it = (struct localca *)issuer;

    test_ca_fini(&it->ca);
    test_ca_fini(&it->ssh_ca);
    sim_issuer_destroy(issuer);
}

static bool is_ssh(const struct sim_issuer *issuer)
{
    return (issuer->variant & VARIANT_SSH) != 0;
}

static bool has_list(const struct sim_issuer *issuer)
{
    return (issuer->variant & VARIANT_NO_LIST) != VARIANT_NO_LIST;
}

static void config(const struct sim_issuer *issuer, char *out, size_t out_size)
{
    (void)snprintf(out, out_size,
                   "{\"ca_key_file\":\"/ca.key\",\"ca_cert_file\":\"/ca.pem\","
                   "\"ssh_ca_key_file\":\"/ssh.key\"%s}",
                   has_list(issuer) ? ",\"crl_file\":\"" CRL_PATH "\",\"krl_file\":\"" KRL_PATH "\""
                                    : "");
}

static void params(const struct sim_issuer *issuer, const char *role, char *out, size_t out_size)
{
    (void)snprintf(out, out_size,
                   is_ssh(issuer)
                       ? "{\"type\":\"ssh\",\"principals\":\"${identity.user}\",\"key_id\":\"%s\"}"
                       : "{\"type\":\"x509\",\"key\":\"ed25519\",\"common_name\":\"%s\"}",
                   role);
}

/* --- the truth -------------------------------------------------------------------------------- */

static bool is_in_crl(const struct localca *it, const char *serial)
{
    struct str file = sim_file_bytes(it->issuer.sim, CRL_PATH);
    BIO *bio = BIO_new_mem_buf(file.ptr, (int)file.len);
    X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
    char hex[100];
    ASN1_INTEGER *number;
    X509_REVOKED *revoked;
    bool is_there;

    BIO_free(bio);
    (void)snprintf(hex, sizeof(hex), "0x%s", serial);
    number = s2i_ASN1_INTEGER(NULL, hex);
    CHECK(number != NULL);
    if (crl != NULL && X509_CRL_verify(crl, it->ca.key) != 1) {
        sim_fail(it->issuer.sim, "the CRL isn't signed by its CA");
    }
    is_there = crl != NULL && X509_CRL_get0_by_serial(crl, &revoked, number) == 1;
    X509_CRL_free(crl);
    ASN1_INTEGER_free(number);
    return is_there;
}

/* Its sections hold serials of eight bytes each. */
static bool is_in_krl(const struct localca *it, const char *serial)
{
    struct str file = sim_file_bytes(it->issuer.sim, KRL_PATH);
    unsigned char bytes[8];
    uint64_t number;

    CHECK(str_parse_u64(str_of(serial), &number) == 0);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)(number >> (56 - 8 * i));
    }
    return file.len > 0 && memmem(file.ptr, file.len, bytes, sizeof(bytes)) != NULL;
}

/* By the machine's clock, now. */
static int64_t wall_s(const struct sim *sim)
{
    return (SIM_START_WALL_MS + (int64_t)sim->now_ms - (int64_t)SIM_START_MS +
            sim->wall_offset_ms) /
           1000;
}

static uint64_t valid_until_ms(const struct sim_credential *credential, uint64_t now_ms)
{
    const struct localca *it = (const struct localca *)credential->issuer;
    const struct certified *certified = (const struct certified *)credential;
    bool is_revoked =
        is_ssh(&it->issuer) ? is_in_krl(it, credential->secret) : is_in_crl(it, credential->secret);

    /* A clock that is set further forward than that ends it for good. */
    return is_revoked || credential->expires_ms <= now_ms ||
                   certified->ends_s + GRACE_S <= wall_s(it->issuer.sim)
               ? 0
               : credential->expires_ms;
}

/* --- what is handed out ----------------------------------------------------------------------- */

/* Since when and until when it is valid, by the clock of the machine that made it. If that was set
 * since, nothing is known of the rest. */
static void set_times(struct sim_credential *credential, const struct sim_certificate *certificate)
{
    const struct sim *sim = credential->issuer->sim;
    int64_t age_s = wall_s(sim) - (certificate->begins_s + BACKDATED_S);
    uint64_t age_ms = age_s > 0 ? (uint64_t)age_s * 1000 : 0;
    int64_t life_s = certificate->ends_s - (certificate->begins_s + BACKDATED_S);

    credential->was_forgotten = age_s < 0 || sim->now_ms < age_ms + sim->clock_set_ms + 1000;
    credential->issued_ms = sim->now_ms - age_ms;
    credential->granted_ms = life_s > 0 ? (uint64_t)life_s * 1000 : 0;
    credential->expires_ms = credential->issued_ms + credential->granted_ms;
}

static struct sim_credential *find(struct sim_issuer *issuer, const json_t *fields)
{
    const struct localca *it = (const struct localca *)issuer;
    const struct sim_call call = {.now_ms = issuer->sim->now_ms};
    struct sim_credential *credential = sim_issuer_find_field(issuer, fields, "serial");
    struct sim_certificate certificate;
    struct certified *certified;
    const char *text = json_string_value(json_object_get(fields, "certificate"));

    if (credential != NULL || text == NULL) {
        return credential;
    }
    if ((is_ssh(issuer) ? sim_certificate_read_ssh(text, &certificate)
                        : sim_certificate_read(text, it->ca.key, &certificate)) != 0 ||
        strcmp(certificate.serial, json_string_value(json_object_get(fields, "serial"))) != 0) {
        return NULL;
    }
    certified = mem_calloc(1, sizeof(*certified));
    CHECK(certified != NULL);
    certified->ends_s = certificate.ends_s;
    credential = &certified->credential;
    (void)snprintf(credential->secret, sizeof(credential->secret), "%s", certificate.serial);
    (void)snprintf(credential->role, sizeof(credential->role), "%s", certificate.name);
    (void)snprintf(credential->id, sizeof(credential->id), "%s %.60s",
                   is_ssh(issuer) ? "ssh" : "x509", certificate.serial);
    credential->is_revocable = has_list(issuer);
    credential->fate = SIM_DELIVERED;
    sim_issuer_add(issuer, credential, &call);
    list_remove(&credential->unanswered);
    set_times(credential, &certificate);
    return credential;
}

/* --- the table -------------------------------------------------------------------------------- */

/* Nobody asks it anything. */
static void answer(struct sim_issuer *issuer, const struct sim_call *call,
                   struct sim_answer *answer)
{
    (void)call;
    (void)answer;
    sim_fail(issuer->sim, "localca was sent a request");
}

static bool asks(struct sim_issuer *issuer, const struct sim_call *call,
                 char ret_role[SIM_ISSUER_ROLE_MAX_BYTES])
{
    (void)issuer;
    (void)call;
    (void)ret_role;
    return false;
}

const struct sim_issuer_kind sim_localca_kind = {
    .name = "localca",
    .places = (const char *const[]){NULL},
    .entry = leased_plugin_entry_localca,
    .create = create,
    .destroy = destroy,
    .config = config,
    .params = params,
    .answer = answer,
    .valid_until_ms = valid_until_ms,
    .asks = asks,
    .ends = sim_issuer_ends_none,
    .find = find,
};
