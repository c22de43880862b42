/* What the files that write credentials share. */
#ifndef LEASED_WIRE_FORMAT_INTERNAL_H
#define LEASED_WIRE_FORMAT_INTERNAL_H

#include "wire/format.h"

bool format_has(struct str text, char c);

/* ERR_INVALID: "the value of 'NAME' REASON". */
int format_refuse(const struct format_field *field, const char *reason, struct err *e);

/* The first field that has one of these names (NULL-ended), or NULL. */
const struct format_field *format_first_field(const struct format_credential *credential,
                                              const char *const *names);

/* Each appends the credential in its format, as of format_render. */
int format_lines(const struct format_credential *credential, enum format_kind kind, struct buf *out,
                 struct err *e);
int format_pgpass(const struct format_credential *credential, struct buf *out, struct err *e);
int format_pgservice(const struct format_credential *credential, struct buf *out, struct err *e);
int format_aws(const struct format_credential *credential, struct buf *out, struct err *e);

/* 'text' as one word of a shell. */
void format_add_shell_word(struct buf *out, struct str text);

#endif
