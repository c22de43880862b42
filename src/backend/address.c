/* Which address a request goes to, and what redirects mean. */
#include "backend/address.h"

#include "backend/breaker.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

void addresses_init(struct addresses *addresses, const char *const *texts, size_t count)
{
    CHECK(count <= BACKEND_ADDRESSES_MAX);
    *addresses = (struct addresses){.count = count};
    for (size_t i = 0; i < count; i++) {
        addresses->items[i].text = texts[i];
    }
}

/* --- choice ----------------------------------------------------------------------------------- */

static bool is_usable(const struct addresses *addresses, const struct address *address,
                      uint64_t now_ms)
{
    return !address->is_failing || (!addresses->has_probe && address->probe_at_ms <= now_ms);
}

size_t addresses_pick(const struct addresses *addresses, uint32_t tried, uint64_t now_ms)
{
    size_t best = ADDRESS_NONE;

    for (size_t i = 0; i < addresses->count; i++) {
        const struct address *address = &addresses->items[i];

        if ((tried & (1U << i)) != 0) {
            continue;
        }
        if (is_usable(addresses, address, now_ms)) {
            return i;
        }
        if (best == ADDRESS_NONE || address->probe_at_ms < addresses->items[best].probe_at_ms) {
            best = i;
        }
    }
    return best;
}

bool addresses_has_up(const struct addresses *addresses)
{
    for (size_t i = 0; i < addresses->count; i++) {
        if (!addresses->items[i].is_failing) {
            return true;
        }
    }
    return false;
}

/* --- health ----------------------------------------------------------------------------------- */

void address_served(struct address *address)
{
    address->is_failing = false;
    address->is_doubted = false;
    address->failure_count = 0;
    address->last_error[0] = '\0';
}

void address_failed(struct address *address, const char *error, uint64_t wait_ms, uint64_t now_ms,
                    uint64_t random)
{
    uint64_t backoff_ms = breaker_backoff_ms(address->failure_count, random);
    uint64_t when_ms = now_ms + (wait_ms > backoff_ms ? wait_ms : backoff_ms);

    (void)snprintf(address->last_error, sizeof(address->last_error), "%s", error);
    address->last_error_ms = now_ms;
    address->is_doubted = false;
    if (address->is_failing && address->probe_at_ms > now_ms &&
        address->probe_at_ms != UINT64_MAX) {
        return; /* requests that were on their way when it failed don't make it worse */
    }
    address->is_failing = true;
    address->probe_at_ms = when_ms;
    if (address->failure_count < UINT32_MAX) {
        address->failure_count++;
    }
}

void address_doubted(struct address *address, uint64_t now_ms)
{
    if (!address->is_failing && !address->is_doubted) {
        address->is_doubted = true;
        address->probe_at_ms = now_ms;
    }
}

size_t addresses_next_probe(const struct addresses *addresses, uint64_t *ret_when_ms)
{
    size_t next = ADDRESS_NONE;

    for (size_t i = 0; i < addresses->count; i++) {
        const struct address *address = &addresses->items[i];

        if ((address->is_failing || address->is_doubted) && address->probe_at_ms != UINT64_MAX &&
            (next == ADDRESS_NONE || address->probe_at_ms < addresses->items[next].probe_at_ms)) {
            next = i;
        }
    }
    if (next != ADDRESS_NONE) {
        *ret_when_ms = addresses->items[next].probe_at_ms;
    }
    return next;
}

/* --- redirects -------------------------------------------------------------------------------- */

struct origin {
    struct str scheme;
    struct str host;
    struct str port;
    struct str path; /* with its query, without what a base ends with */
};

static bool eq_no_case(struct str a, struct str b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

/* Of an http or https URL without a user name. */
static bool origin_parse(struct str url, struct origin *ret_origin)
{
    const char *slashes = memmem(url.ptr, url.len, "://", 3);
    struct origin origin = {0};
    struct str rest;
    size_t colon;

    if (slashes == NULL) {
        return false;
    }
    origin.scheme = (struct str){url.ptr, (size_t)(slashes - url.ptr)};
    rest = (struct str){slashes + 3, url.len - origin.scheme.len - 3};
    for (origin.host.ptr = rest.ptr; origin.host.len < rest.len; origin.host.len++) {
        char c = rest.ptr[origin.host.len];

        if (c == '/' || c == '?' || c == '#') {
            break;
        }
        if (c == '@' || c == '\\') {
            return false;
        }
    }
    origin.path = (struct str){rest.ptr + origin.host.len, rest.len - origin.host.len};
    for (colon = origin.host.len; colon > 0; colon--) {
        char c = origin.host.ptr[colon - 1];

        if (c == ':' || c == ']') {
            break;
        }
    }
    if (colon > 0 && origin.host.ptr[colon - 1] == ':') {
        origin.port = (struct str){origin.host.ptr + colon, origin.host.len - colon};
        origin.host.len = colon - 1;
    }
    if (origin.port.len == 0) {
        origin.port = eq_no_case(origin.scheme, STR("https")) ? STR("443") : STR("80");
    }
    *ret_origin = origin;
    return origin.host.len > 0 &&
           (eq_no_case(origin.scheme, STR("https")) || eq_no_case(origin.scheme, STR("http")));
}

/* Is `location` what a request for `path` would be sent to at this address? */
static bool leads_to(const char *address, const struct origin *location, struct str path)
{
    struct origin origin;

    if (!origin_parse(str_of(address), &origin)) {
        return false; /* a unix socket: nothing redirects to one */
    }
    while (str_ends_with(origin.path, "/")) {
        origin.path.len--;
    }
    return eq_no_case(origin.scheme, location->scheme) && eq_no_case(origin.host, location->host) &&
           str_eq(origin.port, location->port) &&
           location->path.len == origin.path.len + path.len &&
           (origin.path.len == 0 ||
            memcmp(location->path.ptr, origin.path.ptr, origin.path.len) == 0) &&
           memcmp(location->path.ptr + origin.path.len, path.ptr, path.len) == 0;
}

size_t addresses_of_location(const struct addresses *addresses, struct str location,
                             struct str path)
{
    struct origin origin;

    if (location.len == 0 || !origin_parse(location, &origin)) {
        return ADDRESS_NONE;
    }
    for (size_t i = 0; i < addresses->count; i++) {
        if (leads_to(addresses->items[i].text, &origin, path)) {
            return i;
        }
    }
    return ADDRESS_NONE;
}
