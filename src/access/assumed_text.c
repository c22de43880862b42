/* Assumed identities as they are written: YAML or JSON. */
#include "access/assumed.h"

int access_assumed_read(const char *name, struct str text, struct access_assumed **ret_assumed,
                        struct yaml_errors *errors)
{
    struct yaml_document *document = NULL;
    size_t count_before = errors->count;
    int r = yaml_parse(name, text, &document, errors);

    if (r == 0) {
        r = access_assumed_new(yaml_root(document), ret_assumed, errors);
    }
    if (r == 0 && errors->count > count_before) {
        access_assumed_free(*ret_assumed);
        *ret_assumed = NULL;
        r = ERR_INVALID;
    }
    yaml_free(document);
    return r;
}
