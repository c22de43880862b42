/* `lease request`, `requests`, `approve`, `deny` and `withdraw`. */
#ifndef LEASED_CLI_REQUESTS_H
#define LEASED_CLI_REQUESTS_H

struct cli;

int requests_run_request(struct cli *cli);
int requests_run_list(struct cli *cli);
int requests_run_approve(struct cli *cli);
int requests_run_deny(struct cli *cli);
int requests_run_withdraw(struct cli *cli);

#endif
