/* The little XML that AWS's query protocol answers with: elements and text. */
#ifndef AWS_XML_H
#define AWS_XML_H

#include "common/text.h"

/* An element that is looked for. */
struct aws_xml_want {
    const char *path;      /* "ErrorResponse/Error/Code" */
    struct leased_str raw; /* its text with entities, a part of the document; for aws_xml_text */
    bool is_found;
};

/* Reads the whole document. 0, or -1: it isn't well-formed, or holds what such an answer doesn't
 * need (a DTD, CDATA, processing instructions after the first, more than 16 levels, an element that
 * is looked for twice, or with others inside). */
int aws_xml_read(struct leased_str document, struct aws_xml_want *wants, size_t count);

/* The text without its entities, NUL-terminated, into `out`, which has raw.len + 1 bytes. Returns
 * its length, or -1: an entity that doesn't exist, a character that isn't ASCII or a zero byte. */
int64_t aws_xml_text(struct leased_str raw, char *out);

#endif
