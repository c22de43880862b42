/* Rights first, then one of the operations; what goes wrong is one line on stderr. */
#include "helper/operation.h"

#include "helper/deliver.h"
#include "helper/unit_signal.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* All of them are of the first 32. */
#define RIGHTS_OF_FILES (1U << CAP_CHOWN | 1U << CAP_FOWNER | 1U << CAP_DAC_OVERRIDE)
#define RIGHTS_OF_SIGNALS (1U << CAP_KILL)

struct rights {
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
};

static int rights_get(struct rights *rights)
{
    *rights = (struct rights){.header = {.version = _LINUX_CAPABILITY_VERSION_3}};
    return syscall(SYS_capget, &rights->header, rights->sets) == 0 ? 0 : -errno;
}

int operation_drop_rights(enum helper_kind kind)
{
    const uint32_t kept = kind == HELPER_KIND_SIGNAL ? RIGHTS_OF_SIGNALS : RIGHTS_OF_FILES;
    struct rights rights;
    size_t i;
    int r = rights_get(&rights);

    if (r != 0) {
        return r;
    }
    for (i = 0; i < ARRAY_LEN(rights.sets); i++) {
        const uint32_t permitted = i == 0 ? rights.sets[i].permitted & kept : 0;

        rights.sets[i] = (struct __user_cap_data_struct){.effective = permitted,
                                                         .permitted = permitted,
                                                         .inheritable = 0};
    }
    /* With the inheritable ones the ambient ones go. */
    if (syscall(SYS_capset, &rights.header, rights.sets) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -errno;
    }
    return 0;
}

bool operation_may(unsigned int capability)
{
    struct rights rights;

    return rights_get(&rights) == 0 && (rights.sets[0].effective & 1U << capability) != 0;
}

int operation_run(const struct helper_program *program)
{
    struct err e = {.code = 0};
    int r;

    switch (program->kind) {
    case HELPER_KIND_CHECK:
        r = deliver_check(&program->file, &e);
        break;
    case HELPER_KIND_PUT:
        r = deliver_put(&program->file, &e);
        break;
    case HELPER_KIND_REMOVE:
        r = deliver_remove(&program->file, &e);
        break;
    case HELPER_KIND_SIGNAL:
        r = unit_signal(program->unit, program->signal, &e);
        break;
    default:
        r = err_set(&e, ERR_UNSUPPORTED, "the helper doesn't know how to do that");
        break;
    }
    if (r != 0) {
        (void)dprintf(STDERR_FILENO, "%s\n", e.text);
    }
    return r == 0 ? 0 : 1;
}
