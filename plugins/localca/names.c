#include "names.h"

#include <arpa/inet.h>
#include <string.h>

#define DNS_MAX_BYTES 253
#define LABEL_MAX_BYTES 63
#define SPIFFE "spiffe://"
#define TRUST_DOMAIN_MAX_BYTES 255

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

const char *localca_line_problem(struct leased_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (is_control(text.ptr[i])) {
            return "it holds a control byte";
        }
    }
    return text.len == 0 ? "it is empty" : NULL;
}

const char *localca_common_name_problem(struct leased_str name)
{
    if (name.len > LOCALCA_COMMON_NAME_MAX_BYTES) {
        return "it is longer than 64 bytes";
    }
    for (size_t i = 0; i < name.len; i++) {
        if (is_one_of(name.ptr[i], ",+\"\\<>;=/#")) {
            return "it holds one of , + \" \\ < > ; = / #";
        }
    }
    if (name.len > 0 && (name.ptr[0] == ' ' || name.ptr[name.len - 1] == ' ')) {
        return "it begins or ends with a blank";
    }
    return localca_line_problem(name);
}

/* --- DNS -------------------------------------------------------------------------------------- */

/* The part before the next `separator`; moves on behind it. */
static struct leased_str next_part(struct leased_str *rest, char separator)
{
    const char *end = memchr(rest->ptr, separator, rest->len);
    struct leased_str part = {rest->ptr, end != NULL ? (size_t)(end - rest->ptr) : rest->len};
    size_t used = part.len + (end != NULL ? 1 : 0);

    rest->ptr += used;
    rest->len -= used;
    return part;
}

static bool is_label(struct leased_str label)
{
    for (size_t i = 0; i < label.len; i++) {
        if (!is_alnum(label.ptr[i]) && label.ptr[i] != '-') {
            return false;
        }
    }
    return label.len > 0 && label.len <= LABEL_MAX_BYTES && label.ptr[0] != '-' &&
           label.ptr[label.len - 1] != '-';
}

const char *localca_dns_problem(struct leased_str name, bool allows_wildcard)
{
    struct leased_str rest = name;
    struct leased_str last = {"", 0};

    if (name.len >= 2 && name.ptr[0] == '*' && name.ptr[1] == '.') {
        if (!allows_wildcard) {
            return "it is a wildcard, which the role doesn't allow (wildcards: true)";
        }
        rest = (struct leased_str){name.ptr + 2, name.len - 2};
    }
    if (name.len > DNS_MAX_BYTES || rest.len == 0 || rest.ptr[rest.len - 1] == '.') {
        return "it is not a DNS name";
    }
    while (rest.len > 0) {
        last = next_part(&rest, '.');
        if (!is_label(last)) {
            return "it is not a DNS name: labels of letters, digits and hyphens, with dots between";
        }
    }
    for (size_t i = 0; i < last.len; i++) {
        if (!is_digit(last.ptr[i])) {
            return NULL;
        }
    }
    return "its last label is a number, as in an address: that is what `ip` is for";
}

/* --- URIs ------------------------------------------------------------------------------------- */

static bool is_dots(struct leased_str segment)
{
    return (segment.len == 1 || segment.len == 2) && strspn(segment.ptr, ".") >= segment.len;
}

/* SPIFFE-ID, sections 2.1 to 2.3. */
static const char *spiffe_problem(struct leased_str rest)
{
    struct leased_str domain = next_part(&rest, '/');
    bool has_path = domain.ptr + domain.len < rest.ptr;

    for (size_t i = 0; i < domain.len; i++) {
        if (!is_lower(domain.ptr[i]) && !is_digit(domain.ptr[i]) &&
            !is_one_of(domain.ptr[i], "-._")) {
            return "its trust domain holds more than a-z, 0-9 and -._";
        }
    }
    if (domain.len == 0 || domain.len > TRUST_DOMAIN_MAX_BYTES) {
        return "its trust domain must have 1 to 255 bytes";
    }
    if (!has_path) {
        return NULL;
    }
    do {
        const char *end = rest.ptr + rest.len;
        struct leased_str segment = next_part(&rest, '/');

        for (size_t i = 0; i < segment.len; i++) {
            if (!is_alnum(segment.ptr[i]) && !is_one_of(segment.ptr[i], "-._")) {
                return "its path holds more than letters, digits, -._ and /";
            }
        }
        if (segment.len == 0 || is_dots(segment)) {
            return "its path has an empty segment, \".\" or \"..\"";
        }
        if (segment.ptr + segment.len < end && rest.len == 0) {
            return "its path ends with a slash";
        }
    } while (rest.len > 0);
    return NULL;
}

const char *localca_uri_problem(struct leased_str uri)
{
    struct leased_str rest = uri;
    struct leased_str scheme = next_part(&rest, ':');

    if (uri.len > LOCALCA_URI_MAX_BYTES) {
        return "it is longer than 2048 bytes";
    }
    for (size_t i = 0; i < scheme.len; i++) {
        if (!is_lower(scheme.ptr[i]) &&
            (i == 0 || (!is_digit(scheme.ptr[i]) && !is_one_of(scheme.ptr[i], "+-.")))) {
            return "it doesn't begin with a scheme in small letters, as in spiffe://";
        }
    }
    if (scheme.len == 0 || rest.len == 0) {
        return "it is not a URI: SCHEME:… is expected";
    }
    if (uri.len >= sizeof(SPIFFE) - 1 && memcmp(uri.ptr, SPIFFE, sizeof(SPIFFE) - 1) == 0) {
        return spiffe_problem(
            (struct leased_str){uri.ptr + sizeof(SPIFFE) - 1, uri.len - (sizeof(SPIFFE) - 1)});
    }
    if (plugin_str_eq(scheme, "spiffe")) {
        return "it is not a SPIFFE ID: spiffe://TRUST-DOMAIN/PATH is expected";
    }
    for (size_t i = 0; i < rest.len; i++) {
        if (!is_alnum(rest.ptr[i]) && !is_one_of(rest.ptr[i], "-._~:/@!$&'()*+;=?")) {
            return "it holds a character that can't stand for itself in a URI";
        }
    }
    while (rest.len > 0) {
        if (is_dots(next_part(&rest, '/'))) {
            return "\".\" and \"..\" are no segments of a URI";
        }
    }
    return NULL;
}

/* --- principals ------------------------------------------------------------------------------- */

const char *localca_principal_problem(struct leased_str name)
{
    if (name.len == 0 || name.len > 255 || name.ptr[0] == '-') {
        return "it must have 1 to 255 bytes, and not begin with a hyphen";
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_alnum(name.ptr[i]) && !is_one_of(name.ptr[i], "_.@:/+-")) {
            return "it holds more than letters, digits and _.@:/+-";
        }
    }
    return NULL;
}

/* --- addresses -------------------------------------------------------------------------------- */

size_t localca_ip_parse(struct leased_str text, unsigned char out[16])
{
    char copy[INET6_ADDRSTRLEN];

    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len) != NULL) {
        return 0;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, out) == 1) {
        return 4;
    }
    return inet_pton(AF_INET6, copy, out) == 1 ? 16 : 0;
}

static bool is_network(struct leased_str network)
{
    struct leased_str rest = network;
    unsigned char address[16];
    size_t size = localca_ip_parse(next_part(&rest, '/'), address);
    size_t bits = 0;

    if (size == 0 || memchr(network.ptr, '/', network.len) == NULL) {
        return size > 0;
    }
    if (rest.len == 0 || rest.len > 3 || (rest.len > 1 && rest.ptr[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < rest.len; i++) {
        if (!is_digit(rest.ptr[i])) {
            return false;
        }
        bits = bits * 10 + (size_t)(rest.ptr[i] - '0');
    }
    /* sshd refuses what has bits beyond the mask. */
    for (size_t i = bits; i < size * 8; i++) {
        if ((address[i / 8] & 1U << (7 - i % 8)) != 0) {
            return false;
        }
    }
    return bits <= size * 8;
}

const char *localca_source_address_problem(struct leased_str list)
{
    if (list.len == 0 || list.ptr[list.len - 1] == ',') {
        return "addresses or networks are expected, with commas between";
    }
    while (list.len > 0) {
        if (!is_network(next_part(&list, ','))) {
            return "addresses or networks like 10.0.0.0/8 are expected, with commas between and "
                   "without blanks; a network has no bits beyond its mask";
        }
    }
    return NULL;
}
