/* Systemd units: has one any processes now? */
#ifndef LEASED_ENV_UNIT_H
#define LEASED_ENV_UNIT_H

#include "env/env.h"

/* 1: it has; 0: it has none, or isn't known; negative: it could not be found out. Cheap enough to
 * be asked again and again. */
static inline int env_unit_is_running(struct env *env, const char *unit)
{
    return env->ops->unit_is_running != NULL ? env->ops->unit_is_running(env, unit)
                                             : ERR_UNSUPPORTED;
}

#endif
