/* Any bytes as the whole configuration, through the daemon's own tables, the plugins' checks and
 * the policies: reading ends, leaks nothing, and every refusal says why. What is accepted is enough
 * to start with: what the rest of the daemon takes for granted is there. Read a second time it is
 * no change that a reload would have to make. */
#include "base/mem.h"
#include "daemon/builtins.h"
#include "daemon/config.h"
#include "daemon/config_internal.h"
#include "wire/schema_compare.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* libfyaml 0.7 loses a table of its own after some syntax errors; the configuration is read once
 * per start. What we allocate is counted below. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml";
}

/* Stays for all inputs: nothing is ever unloaded. */
static struct backend_registry *registry;

static int file_of(const uint8_t *bytes, size_t size)
{
    int fd = memfd_create("leased-fuzz", MFD_CLOEXEC);

    CHECK(fd >= 0);
    CHECK(fchmod(fd, 0600) == 0);
    CHECK(write(fd, bytes, size) == (ssize_t)size);
    return fd;
}

static void check_json(const char *text)
{
    json_error_t why;
    json_t *root = json_loads(text, 0, &why);

    CHECK(json_is_object(root));
    json_decref(root);
}

static void check_roles(const struct config_settings *settings)
{
    const struct config_role *roles = settings->roles.items;
    struct lease_role role;
    size_t i;

    for (i = 0; i < settings->roles.count; i++) {
        config_fill_role(&roles[i], NULL, &role);
        CHECK(role.name != NULL && role.name[0] != '\0' && roles[i].backend != NULL);
        CHECK(role.max_ttl_ms > 0 && role.renew_at_percent > 0 && role.renew_at_percent < 100);
        check_json(role.params_json);
    }
}

static void check_settings(const struct config_settings *settings)
{
    const struct config_listener *listeners = settings->listeners.items;
    const struct config_backend *backends = settings->backends.items;
    const struct config_sink *sinks = settings->audit.items;
    size_t i;

    CHECK(settings->listeners.count > 0 && settings->audit.count > 0);
    for (i = 0; i < settings->listeners.count; i++) {
        CHECK(listeners[i].name != NULL);
        CHECK((listeners[i].unix_path != NULL) != (listeners[i].tcp != NULL));
        CHECK(listeners[i].unix_path == NULL ||
              strlen(listeners[i].unix_path) <= CONFIG_UNIX_PATH_MAX_BYTES);
    }
    for (i = 0; i < settings->backends.count; i++) {
        CHECK(backends[i].name != NULL && backends[i].plugin != NULL);
        check_json(backends[i].config_json);
    }
    for (i = 0; i < settings->audit.count; i++) {
        CHECK(sinks[i].kind != CONFIG_SINK_FILE || sinks[i].path != NULL);
    }
    CHECK(settings->limits.clients > 0 && settings->limits.requests > 0);
    check_roles(settings);
}

static void check_again(const struct config_options *options, const struct config *config)
{
    struct yaml_errors errors;
    struct config *again = NULL;

    yaml_errors_init(&errors);
    CHECK(config_load(options, &again, &errors) == 0);
    CHECK(schema_is_equal(&config_settings_table, &config->settings, &again->settings));
    schema_report_restart(&config_settings_table, &config->settings, &again->settings, &errors);
    CHECK(errors.count == 0);
    CHECK(strcmp(access_policy_digest(config->access.policy),
                 access_policy_digest(again->access.policy)) == 0);
    config_free(again);
    yaml_errors_fini(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct yaml_errors warnings;
    struct yaml_errors errors;
    struct config_options options = {.warnings = &warnings};
    struct config *config = NULL;
    size_t bytes_before;
    char path[64];
    int fd;
    int r;

    json_set_alloc_funcs(mem_alloc, mem_free);
    if (registry == NULL) {
        CHECK(backend_registry_new(&registry) == 0);
        CHECK(builtins_add(registry, NULL) == 0);
    }
    bytes_before = mem_in_use_bytes();
    options.registry = registry;
    fd = file_of(bytes, size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    options.path = path;
    yaml_errors_init(&warnings);
    yaml_errors_init(&errors);
    r = config_load(&options, &config, &errors);
    CHECK((r == 0) == (config != NULL));
    CHECK((r == 0) == (errors.count == 0));
    if (r == 0) {
        CHECK(config->access.policy != NULL);
        check_settings(&config->settings);
        check_again(&options, config);
    }
    config_free(config);
    yaml_errors_fini(&errors);
    yaml_errors_fini(&warnings);
    (void)close(fd);
    CHECK(mem_in_use_bytes() == bytes_before);
    return 0;
}
