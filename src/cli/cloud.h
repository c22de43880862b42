/* Adapters for the clouds' SDKs: programs that these run when they want a credential. */
#ifndef LEASED_CLI_CLOUD_H
#define LEASED_CLI_CLOUD_H

struct cli;

/* The command `aws-credentials`: credential_process of AWS's SDKs. */
int cloud_run_aws(struct cli *cli);

/* The command `gcp-credentials`: executable-sourced credentials of Google's libraries. */
int cloud_run_gcp(struct cli *cli);

#endif
