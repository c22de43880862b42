#include "sim_oom.h"

#include "base/mem.h"

static struct {
    uint64_t at;
    uint64_t seen;
    uint64_t failed;
    bool is_for_ever;
    uint32_t outside; /* depth */
} oom;

static int fail_hook(size_t size)
{
    (void)size;
    if (oom.outside > 0) {
        return 0;
    }
    oom.seen++;
    if (oom.seen < oom.at || (oom.seen > oom.at && !oom.is_for_ever)) {
        return 0;
    }
    oom.failed++;
    return 1;
}

void sim_oom_arm(uint64_t at, bool is_for_ever)
{
    oom.at = at;
    oom.is_for_ever = is_for_ever;
    oom.seen = oom.failed = 0;
    mem_set_fail_hook(fail_hook);
}

void sim_oom_pause(void)
{
    mem_set_fail_hook(NULL);
}

void sim_oom_resume(void)
{
    mem_set_fail_hook(fail_hook);
}

uint64_t sim_oom_failed_count(void)
{
    return oom.failed;
}

void sim_oom_outside(void)
{
    oom.outside++;
}

void sim_oom_inside(void)
{
    CHECK(oom.outside > 0);
    oom.outside--;
}
