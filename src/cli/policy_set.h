/* A policy as commands work with it: its files, what they may name, and what came of them. */
#ifndef LEASED_CLI_POLICY_SET_H
#define LEASED_CLI_POLICY_SET_H

#include "access/source.h"
#include "cli/policy_folder.h"
#include "cli/policy_known.h"

struct cli;

struct policy_set {
    struct policy_folder folder;
    struct policy_known known;
    struct access_tree *tree;     /* NULL: a file can't be read as YAML */
    struct access_policy *policy; /* NULL: there are mistakes */
    struct yaml_errors errors;    /* all mistakes, those of the configuration too */
};

/* Reads the policy at `path` with the configuration that --config names, else the one that leased
 * would read, if that can be read; else says once that roles aren't known. Mistakes in the files
 * are in ret_set->errors; everything else was told, and the exit code is returned. The set is to be
 * freed only after CLI_OK. */
int policy_set_load(struct cli *cli, const char *path, struct policy_set *ret_set) ATTR_MUST_USE;
void policy_set_fini(struct policy_set *set);

/* The tests of a file of the folder; mistakes go to the set's errors. ERR_INVALID, ERR_NOMEM. */
int policy_set_read_cases(struct policy_set *set, size_t index,
                          struct access_cases **ret_cases) ATTR_MUST_USE;

#endif
