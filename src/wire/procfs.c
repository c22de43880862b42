/* The kernel's texts are trusted to be well-formed up to what processes can choose themselves:
 * their name in stat, and names of cgroups below one that is delegated to them. */
#include "wire/procfs.h"

#include "base/err.h"

#include <string.h>

#define PF_FORKNOEXEC_BIT 0x40U

#define CONTAINER_ID_LEN 64U

/* Fields of stat that count, numbered as in proc_pid_stat(5). */
enum {
    FIELD_STATE = 3,
    FIELD_PARENT = 4,
    FIELD_SESSION = 6,
    FIELD_FLAGS = 9,
    FIELD_THREADS = 20,
    FIELD_START = 22,
};

/* Decimal text up to `max`. The kernel writes negative numbers in fields that we don't use. */
static int parse_number(struct str text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value;

    if (str_parse_u64(text, &value) != 0 || value > max) {
        return ERR_INVALID;
    }
    *ret_value = value;
    return 0;
}

static void copy_name(struct str name, char out[PROCFS_NAME_MAX_BYTES])
{
    size_t len = name.len < PROCFS_NAME_MAX_BYTES ? name.len : PROCFS_NAME_MAX_BYTES - 1;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];

        out[i] = c < 0x20 || c == 0x7f ? '?' : name.ptr[i];
    }
    out[len] = '\0';
}

static int take_field(int field, struct str text, struct procfs_stat *stat)
{
    uint64_t value = 0;
    int rc = 0;

    switch (field) {
    case FIELD_STATE:
        if (text.len != 1) {
            return ERR_INVALID;
        }
        stat->state = text.ptr[0];
        break;
    case FIELD_PARENT:
        rc = parse_number(text, INT32_MAX, &value);
        stat->parent_pid = (int32_t)value;
        break;
    case FIELD_SESSION:
        rc = parse_number(text, INT32_MAX, &value);
        stat->session = (int32_t)value;
        break;
    case FIELD_FLAGS:
        rc = parse_number(text, UINT32_MAX, &value);
        stat->flags = (uint32_t)value;
        break;
    case FIELD_THREADS:
        rc = parse_number(text, UINT32_MAX, &value);
        stat->thread_count = (uint32_t)value;
        break;
    case FIELD_START:
        rc = parse_number(text, UINT64_MAX, &stat->start_ticks);
        break;
    default:
        break;
    }
    return rc;
}

int procfs_parse_stat(struct str text, struct procfs_stat *ret_stat)
{
    struct procfs_stat stat = {0};
    const char *open = text.len > 0 ? memchr(text.ptr, '(', text.len) : NULL;
    const char *close = text.len > 0 ? memrchr(text.ptr, ')', text.len) : NULL;
    uint64_t pid;
    struct str rest;

    /* Only numbers follow the name, so the last parenthesis is its end. */
    if (open == NULL || close == NULL || close < open || open == text.ptr || open[-1] != ' ') {
        return ERR_INVALID;
    }
    rest = (struct str){.ptr = text.ptr, .len = (size_t)(open - text.ptr) - 1};
    if (parse_number(rest, INT32_MAX, &pid) != 0) {
        return ERR_INVALID;
    }
    stat.pid = (int32_t)pid;
    copy_name((struct str){.ptr = open + 1, .len = (size_t)(close - open) - 1}, stat.name);
    rest = (struct str){.ptr = close + 1, .len = text.len - (size_t)(close + 1 - text.ptr)};
    if (!str_starts_with(rest, " ")) {
        return ERR_INVALID;
    }
    rest = str_trim(rest);
    for (int field = FIELD_STATE; field <= FIELD_START; field++) {
        struct str value = str_cut(&rest, ' ');

        if (value.len == 0 || take_field(field, value, &stat) != 0) {
            return ERR_INVALID;
        }
    }
    stat.is_fork_no_exec = (stat.flags & PF_FORKNOEXEC_BIT) != 0;
    /* A leader that has exited while other threads run is shown as a zombie too, but its process
     * lives. */
    stat.is_ended = (stat.state == 'Z' || stat.state == 'X') && stat.thread_count <= 1;
    *ret_stat = stat;
    return 0;
}

int procfs_parse_cgroups(struct str text, struct procfs_cgroups *ret_cgroups)
{
    struct procfs_cgroups found = {.unified = {0}};

    while (text.len > 0) {
        struct str path = str_cut(&text, '\n');
        struct str number = str_cut(&path, ':');
        struct str controllers = str_cut(&path, ':');

        if (!str_starts_with(path, "/")) {
            continue;
        }
        if (str_eq_c(number, "0") && controllers.len == 0) {
            found.unified = path;
        } else if (str_eq_c(controllers, "name=systemd")) {
            found.systemd = path;
        }
    }
    if (found.unified.len == 0 && found.systemd.len == 0) {
        return ERR_INVALID;
    }
    *ret_cgroups = found;
    return 0;
}

int procfs_parse_cgroup(struct str text, struct str *ret_path)
{
    struct procfs_cgroups found;
    int rc = procfs_parse_cgroups(text, &found);

    if (rc == 0) {
        *ret_path = found.systemd.len > found.unified.len ? found.systemd : found.unified;
    }
    return rc;
}

static struct str path_up_to(struct str path, bool takes_services)
{
    while (path.len > 0) {
        const char *slash = memrchr(path.ptr, '/', path.len);

        if (str_ends_with(path, ".scope") || (takes_services && str_ends_with(path, ".service"))) {
            return path;
        }
        path.len = slash != NULL ? (size_t)(slash - path.ptr) : 0;
    }
    return (struct str){0};
}

struct str procfs_scope_path(struct str cgroup_path)
{
    return path_up_to(cgroup_path, false);
}

struct str procfs_unit_path(struct str cgroup_path)
{
    return path_up_to(cgroup_path, true);
}

int procfs_parse_nspid(struct str text, size_t *ret_count)
{
    while (text.len > 0) {
        struct str values = str_cut(&text, '\n');
        struct str name = str_cut(&values, ':');
        size_t count = 0;

        if (!str_eq_c(name, "NSpid")) {
            continue;
        }
        values = str_trim(values);
        while (values.len > 0) {
            uint64_t pid;

            if (parse_number(str_trim(str_cut(&values, '\t')), INT32_MAX, &pid) != 0) {
                return ERR_INVALID;
            }
            count++;
        }
        if (count == 0) {
            return ERR_INVALID;
        }
        *ret_count = count;
        return 0;
    }
    return ERR_INVALID;
}

/* The next component of a path; the empty slice at its end. */
static struct str next_component(struct str *path)
{
    struct str component = {0};

    while (component.len == 0 && path->len > 0) {
        component = str_cut(path, '/');
    }
    return component;
}

struct str procfs_unit(struct str cgroup_path)
{
    struct str component = next_component(&cgroup_path);

    if (!str_eq_c(component, "system.slice")) {
        return (struct str){0};
    }
    while (str_ends_with(component, ".slice")) {
        component = next_component(&cgroup_path);
    }
    /* systemd puts '_' before names that the kernel could take for an attribute (memory.service).
     */
    if (str_starts_with(component, "_")) {
        component.ptr++;
        component.len--;
    }
    if (str_ends_with(component, ".service") || str_ends_with(component, ".scope")) {
        return component;
    }
    return (struct str){0};
}

static bool is_container_id(struct str text)
{
    if (text.len != CONTAINER_ID_LEN) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (memchr("0123456789abcdef", text.ptr[i], 16) == NULL) {
            return false;
        }
    }
    return true;
}

struct str procfs_container(struct str cgroup_path)
{
    static const char *const prefixes[] = {"", "docker-", "libpod-", "cri-containerd-", "crio-"};
    struct str component;

    while ((component = next_component(&cgroup_path)).len > 0) {
        if (str_ends_with(component, ".scope")) {
            component.len -= strlen(".scope");
        }
        for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
            struct str id = component;

            if (!str_starts_with(component, prefixes[i])) {
                continue;
            }
            id.ptr += strlen(prefixes[i]);
            id.len -= strlen(prefixes[i]);
            if (is_container_id(id)) {
                return id;
            }
        }
    }
    return (struct str){0};
}
