/* A policy from the disk: the files of a folder, or one file with what lies beside and below it. */
#ifndef LEASED_CLI_POLICY_FOLDER_H
#define LEASED_CLI_POLICY_FOLDER_H

#include "wire/policy_bundle.h"

struct policy_folder {
    char *path;                   /* the folder, as it was named, without a slash at its end */
    char *main;                   /* the one file that was named; NULL: the folder was */
    struct policy_bundle *policy; /* *.yaml, by their names in the folder */
    struct policy_bundle *tests;  /* likewise *_test.yaml */
};

/* Reads what `path` names, subfolders included; names that begin with a dot are passed over. A
 * *.yml beside them is refused, because nobody would notice that it isn't read. ERR_NOMEM, or with
 * a text that names the file: ERR_NOT_FOUND, ERR_INVALID, ERR_LIMIT, ERR_IO. */
int policy_folder_read(const char *path, struct policy_folder *ret_folder,
                       struct err *e) ATTR_MUST_USE;

/* Zeroed memory is fine. */
void policy_folder_fini(struct policy_folder *folder);

#endif
