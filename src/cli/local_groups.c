/* Asks the name service: /etc/group, or wherever it looks. */
#include "cli/local_groups.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int group_name(struct env *env, uint32_t gid, char ret_name[ENV_NAME_MAX_BYTES])
{
    struct local_groups *groups = env->impl;
    const struct group *found;
    char name[ENV_NAME_MAX_BYTES] = "";
    size_t i;

    for (i = 0; i < groups->name_count; i++) {
        if (groups->names[i].gid == gid) {
            memcpy(ret_name, groups->names[i].name, ENV_NAME_MAX_BYTES);
            return ret_name[0] != '\0' ? 0 : ERR_NOT_FOUND;
        }
    }
    found = getgrgid(gid);
    if (found != NULL && strlen(found->gr_name) < sizeof(name)) {
        (void)snprintf(name, sizeof(name), "%s", found->gr_name);
    }
    if (groups->name_count < LOCAL_GROUPS_NAMES_MAX) {
        groups->names[groups->name_count].gid = gid;
        memcpy(groups->names[groups->name_count++].name, name, sizeof(name));
    }
    memcpy(ret_name, name, sizeof(name));
    return name[0] != '\0' ? 0 : ERR_NOT_FOUND;
}

static const struct env_ops local_ops = {.group_name = group_name};

void local_groups_init(struct local_groups *groups)
{
    groups->env = (struct env){.ops = &local_ops, .impl = groups};
    groups->name_count = 0;
    groups->node[0] = '\0';
    if (gethostname(groups->node, sizeof(groups->node)) != 0) {
        groups->node[0] = '\0';
    }
    groups->node[sizeof(groups->node) - 1] = '\0';
}

bool local_groups_fill(struct local_groups *groups, const char *node,
                       struct access_identity *identity)
{
    gid_t gids[ENV_PEER_GROUPS_MAX];
    int count = ENV_PEER_GROUPS_MAX;
    const struct passwd *account;
    int i;

    if (identity->user[0] == '\0' || (node[0] != '\0' && strcmp(node, groups->node) != 0)) {
        return false;
    }
    account = getpwnam(identity->user);
    if (account == NULL || account->pw_uid != identity->uid ||
        getgrouplist(identity->user, account->pw_gid, gids, &count) < 0) {
        return false;
    }
    identity->gid = account->pw_gid;
    identity->group_count = 0;
    for (i = 0; i < count; i++) {
        identity->groups[identity->group_count++] = gids[i];
    }
    identity->env = &groups->env;
    return true;
}
