/* Where programs on this machine reach what the listeners on loopback TCP serve. */
#include "base/host.h"
#include "daemon/daemon_internal.h"

#include <stdio.h>
#include <string.h>

/* The port as it is: the configuration may leave it to the kernel. */
static void base_write(const struct config_listener *configured,
                       const struct daemon_listener *entry, char out[SERVE_BASE_MAX_BYTES])
{
    struct str host = str_of(configured->tcp);

    host.len = (size_t)(strrchr(configured->tcp, ':') - host.ptr);
    if (out[0] == '\0' && host_is_loopback(host)) {
        (void)snprintf(out, SERVE_BASE_MAX_BYTES, "http://%.*s:%u", STR_ARG(host),
                       (unsigned)io_listener_port(entry->io));
    }
}

void daemon_endpoints_tell(struct daemon *daemon, const struct config *config)
{
    const struct config_listener *configured = config->settings.listeners.items;
    struct serve_endpoints endpoints = {.aws = ""};
    const struct {
        enum serve_api api;
        char *base;
    } places[] = {
        {SERVE_API_AWS, endpoints.aws},
        {SERVE_API_GCP, endpoints.gcp},
        {SERVE_API_AZURE, endpoints.azure},
        {SERVE_API_VAULT, endpoints.vault},
    };
    size_t i;
    size_t j;

    for (i = 0; i < config->settings.listeners.count; i++) {
        const struct daemon_listener *entry = daemon_listener_find(daemon, configured[i].name);

        if (entry == NULL || configured[i].tcp == NULL || configured[i].tls.node != NULL) {
            continue;
        }
        for (j = 0; j < ARRAY_LEN(places); j++) {
            if ((entry->api.apis & places[j].api) != 0) {
                base_write(&configured[i], entry, places[j].base);
            }
        }
    }
    serve_set_endpoints(daemon->serve, &endpoints);
}
