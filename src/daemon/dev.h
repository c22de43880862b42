/* `leased --dev`: a folder of the user's own with all that a run needs, so that there is nothing to
 * configure. What comes of it is an ordinary configuration, read in the ordinary way. */
#ifndef LEASED_DAEMON_DEV_H
#define LEASED_DAEMON_DEV_H

#include "base/buf.h"
#include "base/err.h"

#define DEV_PATH_MAX_BYTES 512

struct dev {
    char folder[DEV_PATH_MAX_BYTES];
    char config_path[DEV_PATH_MAX_BYTES];
    int lock; /* the folder, which is this process's while it is open */
};

/* Makes the folder: `leased` in the user's runtime directory (empty: there is none), else
 * /tmp/leased-UID. In it the keys of a CA for X.509 and of one for SSH (those of an earlier run go
 * on while they are good for another day) and the configuration, which is written anew. ERR_* or a
 * negated errno with a text; ERR_BUSY: another process has the folder. To be ended by dev_release.
 */
int dev_prepare(struct str runtime_dir, struct dev *ret_dev, struct err *e) ATTR_MUST_USE;

/* Lets another take the folder. */
void dev_release(struct dev *dev);

/* What to type next. */
void dev_guide(const struct dev *dev, struct buf *out);

#endif
