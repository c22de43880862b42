/* Files with templates (wire/format_template.h). */
#ifndef LEASED_CLI_TEMPLATE_H
#define LEASED_CLI_TEMPLATE_H

#include "cli/cli.h"

/* Appends what is in the file to `text`, whose maximum is FORMAT_TEMPLATE_MAX_BYTES. CLI_OK, or
 * CLI_FAILED after a message. */
int template_read(struct cli *cli, struct str path, struct buf *text) ATTR_MUST_USE;

#endif
