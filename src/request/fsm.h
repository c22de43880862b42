/* Which state of a request may follow which. Internal to request/. */
#ifndef LEASED_REQUEST_FSM_H
#define LEASED_REQUEST_FSM_H

#include "request/request.h"

#define REQUEST_STATE_COUNT (REQUEST_STALE + 1)

bool fsm_request_may(enum request_state from, enum request_state to);

/* It waits to be decided, or to be used. */
bool fsm_request_is_open(enum request_state state);

/* The state or review of this name. ERR_INVALID: there is none. */
int fsm_request_find(const char *name, enum request_state *ret_state) ATTR_MUST_USE;
int fsm_review_find(const char *name, enum request_review *ret_review) ATTR_MUST_USE;

#endif
