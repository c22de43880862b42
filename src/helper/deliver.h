/* Files with credentials: written whole or not at all, never seen with another owner or mode than
 * they shall have. stdin and stdout are the daemon's; ERR_* or a negated errno with a text. */
#ifndef LEASED_HELPER_DELIVER_H
#define LEASED_HELPER_DELIVER_H

#include "helper/programs.h"

/* Could it be written, as far as can be told without writing? */
int deliver_check(const struct helper_file *file, struct err *e) ATTR_MUST_USE;

/* Its content is what stdin has. Nothing is written where content, owner and mode are right
 * already. stdout says which it was. On failure what stood there is there, whole. */
int deliver_put(const struct helper_file *file, struct err *e) ATTR_MUST_USE;

/* Takes it away if its content is one of those whose hashes stdin has: what somebody else has put
 * there stays, and that is no failure. */
int deliver_remove(const struct helper_file *file, struct err *e) ATTR_MUST_USE;

#endif
