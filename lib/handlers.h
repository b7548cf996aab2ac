/* handlers: one function a verb, see dpl-batch(1) for the members of each. */
#ifndef DPL_HANDLERS_H
#define DPL_HANDLERS_H

#include "request.h"

/* Each fills r->reply and returns 0, or -1 with r->why. */
int verb_create(struct request *r);
int verb_join(struct request *r);
int verb_leave(struct request *r);
int verb_complete(struct request *r);
int verb_abort(struct request *r);
int verb_log(struct request *r);
int verb_heartbeat(struct request *r);
int verb_look(struct request *r);
int verb_cleanup(struct request *r);
int verb_prune(struct request *r);
int verb_call_start(struct request *r);
int verb_call_end(struct request *r);
int verb_call_fail(struct request *r);
int verb_call_cancel(struct request *r);
int verb_call_kill(struct request *r);
int verb_frame_create(struct request *r);
int verb_frame_delete(struct request *r);
int verb_state(struct request *r);
int verb_show(struct request *r);
int verb_call_list(struct request *r);
int verb_list(struct request *r);
int verb_resolve(struct request *r);
int verb_events(struct request *r);
int verb_changes(struct request *r);
int verb_why(struct request *r);
int verb_temp_add(struct request *r);
int verb_temp_made(struct request *r);
int verb_temp_remove(struct request *r);
int verb_temp_list(struct request *r);
int verb_temp_due(struct request *r);
int verb_temp_removed(struct request *r);

#endif
