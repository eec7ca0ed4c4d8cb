/* One call of engine_decide, shared by the files that make up its parts. Private to engine/.
 *
 * Every function here may end tasks, stop an execution or end it, and so free the lives of that
 * execution; after a call, look a live up again through its task. No execution and no instance but
 * the one of INPUT_INSTANCE_DOWN is freed within a call. */
#ifndef AF_ENGINE_DECIDE_H
#define AF_ENGINE_DECIDE_H

#include "engine/state.h"

struct call {
    engine_t *engine;
    struct decisions *out;
    int64_t now_us;
};

/* --- decide.c --------------------------------------------------------------------------------- */

/* Completes the event (execution, sequence, time), adds it to the decisions and folds it. What it
 * points to must live in the decisions' arena or be literals. Where the event stops the execution,
 * holders are told; tasks that became ready are placed. */
void emit(struct call *call, struct exec *exec, struct event *event);
struct effect *add_effect(struct call *call, enum effect_kind kind);
const char *keep_text(struct call *call, const char *text); /* NULL becomes "" */
struct failure keep_failure(struct call *call, const struct failure *failure);
void drop(struct call *call, const struct instance *instance, struct uuid execution,
          const char *path, struct run run, const char *reason);
/* The time of the execution's next event. */
int64_t event_time(const struct call *call, const struct exec *exec);
/* Puts an idle life of an active task where it belongs: to wait for its retry, for others to stop,
 * or for an instance. */
void place(struct call *call, struct live *live);

/* --- finish.c --------------------------------------------------------------------------------- */

/* Does what follows from the fold of an execution: fails it, ends it, lets held tasks go on. */
void settle(struct call *call, struct exec *exec);
/* Whether a stopped execution still has to wait for instances to let go. */
bool must_wait(const struct call *call, const struct exec *exec);
/* Tells the holders of ended tasks to drop them (and of all tasks, once nothing may run). */
void begin_stop(struct call *call, struct exec *exec);
void arm_limit(struct call *call, struct exec *exec);
void limit_due(struct call *call, struct exec *exec);
void stop_due(struct call *call, struct exec *exec);

/* --- step.c ----------------------------------------------------------------------------------- */

void input_step(struct call *call, const struct input_step *in);
/* A failure that the coordinator itself found. The live is idle; run is the one that it voids, or
 * {0, 0} when there was none. message is kept. */
void task_fail(struct call *call, struct live *live, struct run run, const char *code,
               const char *message, bool permanent);
/* The loss of the run that this RUNNING live has. */
void task_lose(struct call *call, struct live *live, const char *reason);
/* Nobody claimed this live in CLAIM. */
void task_unclaimed(struct call *call, struct live *live);
/* Whoever held this STOPPING live holds it no more, or can do nothing with it any more. */
void let_go(struct call *call, struct live *live);
/* The timer of a live has come. */
void live_due(struct call *call, struct live *live);

/* --- claim.c ---------------------------------------------------------------------------------- */

void input_instance_up(struct call *call, const struct input_instance_up *in);
void input_instance_down(struct call *call, const struct input_instance_down *in);
void input_credit(struct call *call, const struct input_credit *in);

/* --- dispatch.c ------------------------------------------------------------------------------- */

void dispatch_all(struct call *call);
/* The instance holds the task under this run from now on, watched by the backstop of its timeout. */
void hand_over(struct call *call, struct live *live, struct instance *instance, struct run run);
/* Takes the dispatch of this RUNNING live back, if it stands in the decisions that are still being
 * gathered: what was stopped in the same batch must not start after its commit. The live is to be
 * freed then, for nobody holds it. */
bool recall(struct call *call, struct live *live);

/* --- render.c --------------------------------------------------------------------------------- */

/* What expressions come to, in the decisions' arena; too large a value becomes a blob with its
 * effect. Errors are those of the expression. */
int render_message(struct call *call, struct exec *exec, uint32_t node, struct datum *ret_datum,
                   struct err *err) MUST_CHECK;
int render_output(struct call *call, struct exec *exec, struct datum *ret_datum,
                  struct err *err) MUST_CHECK;
/* A copy in the decisions' arena. Inline bytes that are too large become a blob. */
struct datum keep_datum(struct call *call, const struct datum *datum);

#endif
