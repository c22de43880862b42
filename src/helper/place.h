/* Where a file with a credential stands: its folder, reached by a way that no stranger can bend. */
#ifndef LEASED_HELPER_PLACE_H
#define LEASED_HELPER_PLACE_H

#include "helper/programs.h"

#include <limits.h>
#include <sys/stat.h>

struct place {
    int dir; /* O_PATH */
    const char *name;
    char beside[NAME_MAX + 1]; /* name of a folder for what is being written */
};

/* Opens the folder, link by link refused: each folder on the way belongs to root, to the helper's
 * user or to the file's owner, and nobody else can write it (but in a sticky one on the way, such
 * as /tmp). ERR_* or a negated errno, with a text; else place_close. */
int place_open(const struct helper_file *file, struct place *ret_place,
               struct err *e) ATTR_MUST_USE;
void place_close(struct place *place);

/* What stands at the name. ERR_NOT_FOUND: nothing; ERR_INVALID: no regular file. With a text. */
int place_look(const struct place *place, const struct helper_file *file, struct stat *ret_facts,
               struct err *e) ATTR_MUST_USE;

#endif
