/* Texts of /proc: whatever a process names itself or its cgroups, parsing ends, and what is found
 * lies within the text. */
#include "base/check.h"
#include "wire/procfs.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_within(struct str part, struct str text)
{
    if (part.len > 0) {
        CHECK(part.ptr >= text.ptr);
        CHECK(part.ptr + part.len <= text.ptr + text.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text = {.ptr = (const char *)bytes, .len = size};
    struct procfs_stat stat;
    struct str path;
    size_t count;

    if (procfs_parse_stat(text, &stat) == 0) {
        CHECK(stat.pid >= 0);
        CHECK(stat.parent_pid >= 0);
        CHECK(strnlen(stat.name, sizeof(stat.name)) < sizeof(stat.name));
    }
    if (procfs_parse_nspid(text, &count) == 0) {
        CHECK(count > 0);
    }
    if (procfs_parse_cgroup(text, &path) == 0) {
        CHECK(path.len > 0 && path.ptr[0] == '/');
        check_within(path, text);
        check_within(procfs_unit(path), path);
        check_within(procfs_container(path), path);
        check_within(procfs_scope_path(path), path);
        check_within(procfs_unit_path(path), path);
    }
    check_within(procfs_unit(text), text);
    check_within(procfs_container(text), text);
    return 0;
}
