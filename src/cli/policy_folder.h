/* A policy from the disk: the files of a folder, or one file with what it includes. */
#ifndef LEASED_CLI_POLICY_FOLDER_H
#define LEASED_CLI_POLICY_FOLDER_H

#include "wire/policy_bundle.h"

#define POLICY_FOLDER_PATH_MAX_BYTES 4096U

struct policy_folder {
    char *path;                   /* the folder, as it was named, without a slash at its end */
    struct policy_bundle *policy; /* *.yaml, by their names in the folder */
    struct policy_bundle *tests;  /* likewise *_test.yaml; of a policy file that was named, none */
};

/* Reads what `path` names: a folder with its subfolders, or one file, which becomes `main`, with
 * what it includes. Names that begin with a dot are passed over, and links that lead out of the
 * folder refused. Of a *_test.yaml it is the policy of its folder and this one file of tests. A
 * *.yml in a folder is refused, because nobody would notice that it isn't read. ERR_NOMEM, or with
 * a text that names the file: ERR_NOT_FOUND, ERR_INVALID, ERR_LIMIT, ERR_IO. */
int policy_folder_read(const char *path, struct policy_folder *ret_folder,
                       struct err *e) ATTR_MUST_USE;

/* Appends what one file holds. Errors as above. */
int policy_file_read(const char *path, struct buf *out, struct err *e) ATTR_MUST_USE;

/* Is there a folder of this name? */
bool policy_folder_is_one(const char *path);

/* Is it the folder that the command runs in? Then its path isn't told. */
bool policy_folder_is_here(const struct policy_folder *folder);

/* What people call one of its files. Returns `out`. */
const char *policy_folder_place(const struct policy_folder *folder, const char *name,
                                char out[POLICY_FOLDER_PATH_MAX_BYTES]);

/* Zeroed memory is fine. */
void policy_folder_fini(struct policy_folder *folder);

#endif
