/* `lease audit verify`: checks a trail offline, without the daemon. */
#ifndef LEASED_CLI_AUDIT_H
#define LEASED_CLI_AUDIT_H

struct cli;

int audit_run_verify(struct cli *cli);

#endif
