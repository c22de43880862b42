/* What may stand in a certificate as a name. Each of these takes one name whole or refuses it: no
 * value can become two names, or another kind of name, in a certificate or where it is printed. */
#ifndef LOCALCA_NAMES_H
#define LOCALCA_NAMES_H

#include "common/text.h"

#define LOCALCA_COMMON_NAME_MAX_BYTES 64
#define LOCALCA_URI_MAX_BYTES 2048

/* NULL, or what is wrong with it (static). */

/* No control bytes, and nothing that separates names where subjects are printed: , + " \ < > ; = /
 * #
 */
const char *localca_common_name_problem(struct leased_str name);
/* RFC 1123: letters, digits and hyphens in labels. "*." in front only where wildcards are allowed.
 */
const char *localca_dns_problem(struct leased_str name, bool allows_wildcard);
/* "SCHEME:…" of the characters that RFC 3986 lets stand for themselves, without "." and ".." as
 * segments; a SPIFFE ID by the rules of SPIFFE. */
const char *localca_uri_problem(struct leased_str uri);
/* A name to log in by: letters, digits and _.@:/+-, not beginning with a hyphen. */
const char *localca_principal_problem(struct leased_str name);
/* One line of text. */
const char *localca_line_problem(struct leased_str text);

/* Four or sixteen bytes of an address; 0: it is none. */
size_t localca_ip_parse(struct leased_str text, unsigned char out[16]);
/* "10.0.0.0/8,2001:db8::1": NULL, or what is wrong. */
const char *localca_source_address_problem(struct leased_str list);

#endif
