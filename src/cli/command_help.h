/* The longer texts of `lease COMMAND --help`, one a command, for the table of commands. */
#ifndef LEASED_CLI_COMMAND_HELP_H
#define LEASED_CLI_COMMAND_HELP_H

extern const char help_get[];
extern const char help_exec[];
extern const char help_ssh[];
extern const char help_git[];
extern const char help_docker[];
extern const char help_kube[];
extern const char help_terraform[];
extern const char help_aws_credentials[];
extern const char help_gcp_credentials[];
extern const char help_explain[];
extern const char help_request[];
extern const char help_approve[];
extern const char help_watch[];
extern const char help_revoke[];
extern const char help_block[];
extern const char help_ledger[];
extern const char help_ledger_sweep[];
extern const char help_policy_check[];
extern const char help_policy_test[];
extern const char help_policy_diff[];
extern const char help_policy_plan[];
extern const char help_policy_apply[];
extern const char help_policy_export[];
extern const char help_policy_explain[];
extern const char help_policy_schema[];
extern const char help_audit_verify[];

#endif
