/* Which leases stay in the ledger as they are, until the grants have been read: those of theirs
 * stay, too. Without memory for that, each grant whose lease isn't known does. */
#include "base/mem.h"
#include "lease/core_internal.h"

#include <string.h>

struct left {
    struct map_entry entry;
    char id[];
};

void lease_core_recover_left(struct lease_core *core, struct str id)
{
    struct left *left = mem_alloc(sizeof(*left) + id.len);

    if (left != NULL) {
        memcpy(left->id, id.ptr, id.len);
        if (map_add(&core->left, &left->entry, (struct str){.ptr = left->id, .len = id.len}) == 0) {
            return;
        }
        mem_free(left);
    }
    core->is_all_left = true;
}

bool left_has(const struct lease_core *core, struct str id)
{
    return core->is_all_left || map_find(&core->left, id) != NULL;
}

void left_forget(struct lease_core *core)
{
    struct map_entry *entry;

    while ((entry = map_first(&core->left)) != NULL) {
        map_remove(&core->left, entry);
        mem_free(MAP_ENTRY(entry, struct left, entry));
    }
    core->is_all_left = false;
}
