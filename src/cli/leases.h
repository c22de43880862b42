/* The commands about leases and grants that exist. */
#ifndef LEASED_CLI_LEASES_H
#define LEASED_CLI_LEASES_H

struct cli;

int leases_run_ls(struct cli *cli);
int leases_run_show(struct cli *cli);
int leases_run_renew(struct cli *cli);
int leases_run_rotate(struct cli *cli);
int leases_run_ack(struct cli *cli);
int leases_run_revoke(struct cli *cli);

/* `wait`. */
int leases_run_wait(struct cli *cli);

/* `status`. */
int leases_run_status(struct cli *cli);

#endif
