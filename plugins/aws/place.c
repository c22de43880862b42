/* The partition is told by how its regions' names begin; each has one place for IAM. */
#include "place.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct partition {
    const char *begins; /* its regions */
    const char *suffix;
    const char *iam;      /* in front of the suffix */
    const char *iam_fips; /* NULL: there is none */
    const char *iam_region;
    bool has_fips;
    bool is_fips; /* all of it */
};

/* The last one is the rest of the world. */
static const struct partition partitions[] = {
    {"cn-", "amazonaws.com.cn", "iam.cn-north-1", NULL, "cn-north-1", false, false},
    {"us-gov-", "amazonaws.com", "iam.us-gov", "iam.us-gov", "us-gov-west-1", true, true},
    {"us-isob-", "sc2s.sgov.gov", "iam.us-isob-east-1", NULL, "us-isob-east-1", false, false},
    {"us-iso-", "c2s.ic.gov", "iam.us-iso-east-1", NULL, "us-iso-east-1", false, false},
    {"us-isof-", "csp.hci.ic.gov", "iam.us-isof-south-1", NULL, "us-isof-south-1", false, false},
    {"eu-isoe-", "cloud.adc-e.uk", "iam.eu-isoe-west-1", NULL, "eu-isoe-west-1", false, false},
    {"eusc-", "amazonaws.eu", "iam.eusc-de-east-1", NULL, "eusc-de-east-1", false, false},
    {"", "amazonaws.com", "iam", "iam-fips", "us-east-1", true, false},
};

static const struct partition *partition_of(const char *region)
{
    const struct partition *it = partitions;

    while (strncmp(region, it->begins, strlen(it->begins)) != 0) {
        it++;
    }
    return it;
}

static void set(struct aws_place *place, const char *region)
{
    place->host = strstr(place->address, "://") + 3;
    (void)snprintf(place->region, sizeof(place->region), "%s", region);
}

int aws_place_sts(const char *region, bool is_fips, struct aws_place *ret_place)
{
    const struct partition *partition = partition_of(region);

    if (is_fips && !partition->has_fips) {
        return -1;
    }
    (void)snprintf(ret_place->address, sizeof(ret_place->address), "https://sts%s.%s.%s",
                   is_fips && !partition->is_fips ? "-fips" : "", region, partition->suffix);
    set(ret_place, region);
    return 0;
}

int aws_place_iam(const char *region, bool is_fips, struct aws_place *ret_place)
{
    const struct partition *partition = partition_of(region);
    const char *name = is_fips ? partition->iam_fips : partition->iam;

    if (name == NULL) {
        return -1;
    }
    (void)snprintf(ret_place->address, sizeof(ret_place->address), "https://%s.%s", name,
                   partition->suffix);
    set(ret_place, partition->iam_region);
    return 0;
}

bool aws_place_is_loopback(struct leased_str address)
{
    static const char *const hosts[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};

    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        size_t len = strlen(hosts[i]);

        if (address.len >= len && strncasecmp(address.ptr, hosts[i], len) == 0 &&
            (address.len == len || address.ptr[len] == ':')) {
            return true;
        }
    }
    return false;
}

static void lower(char *text)
{
    for (; *text != '\0'; text++) {
        *text = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
    }
}

/* [A-Za-z0-9.-] or an IPv6 address in brackets, then perhaps a port. */
static bool is_host(const char *text)
{
    size_t len = text[0] == '[' ? strspn(text + 1, "0123456789abcdef:.") + 1
                                : strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-");

    if (len == 0 || (text[0] == '[' && text[len++] != ']')) {
        return false;
    }
    if (text[len] == ':') {
        size_t digits = strspn(text + len + 1, "0123456789");

        return digits > 0 && digits <= 5 && text[len + 1 + digits] == '\0';
    }
    return text[len] == '\0';
}

int aws_place_named(const char *address, const char *region, struct aws_place *ret_place,
                    const char **ret_problem)
{
    struct aws_place place = {0};
    bool is_tls;
    size_t len;
    const char *own_port;

    (void)snprintf(place.address, sizeof(place.address), "%s", address);
    lower(place.address);
    is_tls = strncmp(place.address, "https://", strlen("https://")) == 0;
    if (!is_tls && !aws_place_is_loopback(plugin_str(place.address))) {
        *ret_problem = "https://HOST[:PORT] is expected, or http:// to this machine (127.0.0.1, "
                       "[::1], localhost)";
        return -1;
    }
    len = strlen(place.address);
    if (place.address[len - 1] == '/') {
        place.address[--len] = '\0';
    }
    if (len + 1 == sizeof(place.address) ||
        !is_host(place.address + strlen(is_tls ? "https://" : "http://"))) {
        *ret_problem = "HOST[:PORT] alone is expected behind the scheme";
        return -1;
    }
    own_port = is_tls ? ":443" : ":80";
    if (strcmp(place.address + len - strlen(own_port), own_port) == 0) {
        place.address[len - strlen(own_port)] = '\0';
    }
    *ret_place = place;
    set(ret_place, region);
    return 0;
}
