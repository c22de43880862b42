/* Variables in the texts of a tree: `${NAME}` stands for a value, `$${` for `${`. */
#ifndef LEASED_WIRE_YAML_VARS_H
#define LEASED_WIRE_YAML_VARS_H

#include "wire/yaml.h"

/* How much longer the texts of one document may become. */
#define YAML_VARS_GROWTH_MAX_BYTES (4U * 1024U * 1024U)

struct yaml_vars {
    /* The value of a variable: a text, or a list of texts. It lives as long as the document, or
     * longer. NULL: there is none, which has been reported at `place`. */
    const struct yaml_node *(*find)(void *user, const struct yaml_node *place, struct str name);
    void *user;
    const char *const *without; /* keys at the top whose texts stay as they are, ended by NULL */
};

/* Puts the values into the texts of the whole document. Where a variable is all of a text it may be
 * a list: it takes the place of the text, or of the item of a list that the text is. What a value
 * holds isn't looked at again. Mistakes go to `errors`. 0 or ERR_NOMEM. */
int yaml_vars_put(struct yaml_document *document, const struct yaml_vars *vars,
                  struct yaml_errors *errors) ATTR_MUST_USE;

/* Is this the name of a variable: letters, digits, `_` and `-`? */
bool yaml_vars_is_name(struct str name);

#endif
