/* `lease ledger check`, `dump` and `sweep`: over a ledger that no daemon has open. */
#ifndef LEASED_CLI_LEDGER_H
#define LEASED_CLI_LEDGER_H

struct cli;

int ledger_run_check(struct cli *cli);
int ledger_run_dump(struct cli *cli);
int ledger_run_sweep(struct cli *cli);

#endif
