#include "config.h"

#include "common/when.h"

#include <inttypes.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DAY_S 86400U
#define LEAST_S 60
#define MAX_TTL_DAYS 366U
#define CRL_LIFETIME_DAYS 30U

static const char *const keys[] = {
    "ca_key_file",     "ca_key_env",     "ca_key_credential",     "ca_cert_file",
    "ssh_ca_key_file", "ssh_ca_key_env", "ssh_ca_key_credential", "crl_file",
    "krl_file",        "max_ttl",        "crl_lifetime"};

/* A duration of a minute at least, as text or as a number of seconds; absent leaves it as it is. */
static int parse_duration(json_t *root, const char *key, uint64_t most_days, uint64_t *seconds,
                          struct plugin_text *detail)
{
    json_t *value = json_object_get(root, key);
    int64_t parsed = -1;

    if (value == NULL) {
        return 0;
    }
    if (json_is_string(value)) {
        parsed = plugin_when_duration(
            (struct leased_str){json_string_value(value), json_string_length(value)});
    } else if (json_is_integer(value)) {
        parsed = json_integer_value(value);
    }
    if (parsed < LEAST_S || parsed > (int64_t)(most_days * DAY_S)) {
        plugin_text_set(detail, "%s: a duration of %d s to %" PRIu64 " days is expected", key,
                        LEAST_S, most_days);
        return -1;
    }
    *seconds = (uint64_t)parsed;
    return 0;
}

static int parse_path(json_t *root, const char *key, char *path, struct plugin_text *detail)
{
    if (plugin_config_text(root, key, path, LOCALCA_PATH_MAX_BYTES, detail) != 0) {
        return -1;
    }
    if (path[0] != '\0' && path[0] != '/') {
        plugin_text_set(detail, "%s: an absolute path is expected", key);
        return -1;
    }
    return 0;
}

static bool is_file(const struct plugin_source *source, const char *path)
{
    const char *colon = strchr(source->text, ':');

    return path[0] != '\0' && colon != NULL && strcmp(colon + 1, path) == 0;
}

/* Is it read here, too? It would be lost. */
static bool is_read(const struct localca_config *config, const char *path)
{
    return is_file(&config->ca_key, path) || is_file(&config->ca_cert, path) ||
           is_file(&config->ssh_ca_key, path);
}

/* What goes together. */
static int check(const struct localca_config *config, struct plugin_text *detail)
{
    bool has_key = config->ca_key.text[0] != '\0';
    bool has_ssh_key = config->ssh_ca_key.text[0] != '\0';

    if (!has_key && !has_ssh_key) {
        plugin_text_set(detail, "ca_key_file (with ca_cert_file) or ssh_ca_key_file is missing: "
                                "without a key it can't certify anything");
    } else if (has_key && config->ca_cert.text[0] == '\0') {
        plugin_text_set(detail, "ca_cert_file is missing: the certificate of ca_key_file's key");
    } else if (!has_key && config->ca_cert.text[0] != '\0') {
        plugin_text_set(detail, "ca_cert_file: the key that goes with it, ca_key_file, is missing");
    } else if (!has_key && config->crl_file[0] != '\0') {
        plugin_text_set(detail, "crl_file: a CRL is signed with ca_key_file, which is missing");
    } else if (!has_ssh_key && config->krl_file[0] != '\0') {
        plugin_text_set(detail, "krl_file: it is of use with ssh_ca_key_file only");
    } else if (config->crl_file[0] != '\0' && strcmp(config->crl_file, config->krl_file) == 0) {
        plugin_text_set(detail, "krl_file: it can't be the same file as crl_file");
    } else if (is_read(config, config->crl_file)) {
        plugin_text_set(detail, "crl_file: it would replace one of the CA's own files");
    } else if (is_read(config, config->krl_file)) {
        plugin_text_set(detail, "krl_file: it would replace one of the CA's own files");
    } else {
        return 0;
    }
    return -1;
}

static int parse(json_t *root, struct localca_config *config, struct plugin_text *detail)
{
    if (plugin_config_check_keys(root, keys, COUNT(keys), "", detail) != 0 ||
        plugin_config_source(root, "ca_key", "file", &config->ca_key, detail) != 0 ||
        plugin_config_source(root, "ca_cert", "shared-file", &config->ca_cert, detail) != 0 ||
        plugin_config_source(root, "ssh_ca_key", "file", &config->ssh_ca_key, detail) != 0 ||
        parse_path(root, "crl_file", config->crl_file, detail) != 0 ||
        parse_path(root, "krl_file", config->krl_file, detail) != 0 ||
        parse_duration(root, "max_ttl", MAX_TTL_DAYS, &config->max_ttl_s, detail) != 0 ||
        parse_duration(root, "crl_lifetime", CRL_LIFETIME_DAYS, &config->crl_lifetime_s, detail) !=
            0) {
        return -1;
    }
    return check(config, detail);
}

int localca_config_parse(struct leased_str json, struct localca_config *ret_config,
                         struct plugin_text *detail)
{
    struct localca_config config = {.max_ttl_s = DAY_S, .crl_lifetime_s = DAY_S};
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    int rc;

    if (!json_is_object(root)) {
        plugin_text_set(detail, "the configuration is not a JSON object");
        json_decref(root);
        return -1;
    }
    rc = parse(root, &config, detail);
    json_decref(root);
    if (rc == 0) {
        *ret_config = config;
    }
    return rc;
}
