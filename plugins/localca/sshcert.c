/* OpenSSH user certificates (PROTOCOL.certkeys). */
#include "issued.h"

#include "wire.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define CERT_SUFFIX "-cert-v01@openssh.com"
#define TYPE_USER 1U

static uint64_t number_of(const struct localca_serial *serial)
{
    uint64_t number = 0;

    for (size_t i = LOCALCA_SERIAL_BYTES - 8; i < LOCALCA_SERIAL_BYTES; i++) {
        number = number << 8 | serial->bytes[i];
    }
    return number;
}

/* Eight bytes, and not 0, which a KRL can't name. */
static void fit_serial(struct localca_serial *serial)
{
    memset(serial->bytes, 0, LOCALCA_SERIAL_BYTES - 8);
    if (number_of(serial) == 0) {
        serial->bytes[LOCALCA_SERIAL_BYTES - 1] = 1;
    }
}

static void put_principals(struct plugin_form *out, const struct localca_params *params)
{
    struct plugin_form list = {.host = out->host};

    for (size_t i = 0; i < params->name_count; i++) {
        localca_put_string(&list, params->names[i].text);
    }
    localca_put_form(out, &list);
    plugin_form_fini(&list);
}

/* An option's value is a string within a string. */
static void put_option(struct plugin_form *list, const char *name, struct leased_str value)
{
    struct plugin_form wrapped = {.host = list->host};

    if (value.len > 0) {
        localca_put_string(list, plugin_str(name));
        localca_put_string(&wrapped, value);
        localca_put_form(list, &wrapped);
        plugin_form_fini(&wrapped);
    }
}

static void put_options(struct plugin_form *out, const struct localca_params *params)
{
    struct plugin_form list = {.host = out->host};

    put_option(&list, "force-command", params->force_command);
    put_option(&list, "source-address", params->source_address);
    localca_put_form(out, &list);
    plugin_form_fini(&list);
}

static void put_extensions(struct plugin_form *out, const struct localca_params *params)
{
    struct plugin_form list = {.host = out->host};

    for (size_t i = 0; i < params->extension_count; i++) {
        localca_put_string(&list, params->extensions[i]);
        localca_put_string(&list, PLUGIN_STR(""));
    }
    localca_put_form(out, &list);
    plugin_form_fini(&list);
}

/* What stands behind the type in a key's blob. */
static struct leased_str numbers_of(const struct localca_sshkey *key)
{
    size_t skip = 4 + strlen(key->type);

    return (struct leased_str){key->blob + skip, key->blob_len - skip};
}

static void put_certificate(struct plugin_form *out, const struct localca_order *order,
                            const struct localca_sshkey *key, const struct localca_sshkey *ca)
{
    char type[LOCALCA_SSH_TYPE_MAX_BYTES + sizeof(CERT_SUFFIX)];

    (void)snprintf(type, sizeof(type), "%s%s", key->type, CERT_SUFFIX);
    localca_put_string(out, plugin_str(type));
    localca_put_string(out, (struct leased_str){(const char *)order->nonce, sizeof(order->nonce)});
    plugin_form_add(out, numbers_of(key));
    localca_put_u64(out, number_of(&order->serial));
    localca_put_u32(out, TYPE_USER);
    localca_put_string(out, order->key_id);
    put_principals(out, order->params);
    localca_put_u64(out, (uint64_t)order->now_s - LOCALCA_SKEW_S);
    localca_put_u64(out, (uint64_t)order->end_s);
    put_options(out, order->params);
    put_extensions(out, order->params);
    localca_put_string(out, PLUGIN_STR("")); /* reserved */
    localca_put_string(out, (struct leased_str){ca->blob, ca->blob_len});
    localca_sshkey_sign(out, order->ca->key, plugin_form_str(out));
}

/* The key to be certified, and what the caller gets of it. */
static bool make_key(const struct localca_order *order, struct localca_sshkey *key,
                     struct localca_issued *issued)
{
    EVP_PKEY *fresh;
    bool is_fine;

    if (order->params->public_key.blob_len > 0) {
        *key = order->params->public_key;
        return true;
    }
    fresh = localca_sshkey_ed25519(order->seed);
    is_fine = fresh != NULL && localca_sshkey_public(order->host, fresh, key) == 0;
    if (is_fine) {
        localca_sshkey_write(&issued->private_key, fresh, order->check, order->key_id);
    }
    EVP_PKEY_free(fresh);
    return is_fine;
}

static void write_lines(struct localca_issued *issued, const struct localca_order *order,
                        const struct localca_sshkey *key, const struct plugin_form *certificate)
{
    char type[LOCALCA_SSH_TYPE_MAX_BYTES + sizeof(CERT_SUFFIX)];

    (void)snprintf(type, sizeof(type), "%s%s", key->type, CERT_SUFFIX);
    localca_sshkey_line(&issued->certificate, plugin_str(type), plugin_form_str(certificate),
                        order->key_id);
    localca_sshkey_line(&issued->public_key, plugin_str(key->type),
                        (struct leased_str){key->blob, key->blob_len}, order->key_id);
}

int localca_ssh_make(struct localca_order *order, struct localca_issued *ret_issued,
                     struct plugin_text *detail)
{
    struct plugin_form certificate = {.host = order->host};
    struct localca_sshkey key;
    struct localca_sshkey ca;
    bool is_fine;

    *ret_issued = (struct localca_issued){.certificate = {.host = order->host},
                                          .private_key = {.host = order->host},
                                          .public_key = {.host = order->host}};
    fit_serial(&order->serial);
    localca_serial_text(LOCALCA_SSH, &order->serial, ret_issued->serial);
    is_fine = make_key(order, &key, ret_issued) &&
              localca_sshkey_public(order->host, order->ca->key, &ca) == 0;
    if (is_fine) {
        put_certificate(&certificate, order, &key, &ca);
    }
    if (is_fine && !certificate.is_failed) {
        write_lines(ret_issued, order, &key, &certificate);
    }
    is_fine = is_fine && !certificate.is_failed && !ret_issued->certificate.is_failed &&
              !ret_issued->private_key.is_failed && !ret_issued->public_key.is_failed;
    plugin_form_fini(&certificate);
    if (!is_fine) {
        plugin_text_set(detail, "the certificate could not be made: out of memory");
        return -1;
    }
    return 0;
}
