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
    int64_t steps; /* that its expressions took */
    bool waits; /* some execution of its events waits, or was said to */
};

/* --- decide.c --------------------------------------------------------------------------------- */

/* Completes the event (execution, sequence, time), adds it to the decisions and folds it. What it
 * points to must live in the decisions' arena or be literals. Where the event stops the execution,
 * holders are told; tasks that became ready are placed. */
void emit(struct call *call, struct exec *exec, struct event *event);
struct effect *add_effect(struct call *call, enum effect_kind kind);
const char *keep_text(struct call *call, const char *text); /* NULL becomes "" */
/* The error as one text. */
const char *keep_err(struct call *call, const struct err *err);
/* Cut to what a journal and a dispatch may hold. */
struct failure keep_failure(struct arena *arena, const struct failure *failure);
struct pinned_agent keep_pin(struct call *call, const struct pinned_agent *pin);
void drop(struct call *call, const struct instance *instance, struct uuid execution,
          const char *path, struct run run, const char *reason);
/* The time of the execution's next event. */
int64_t event_time(const struct call *call, const struct exec *exec);
/* Puts an idle life of an active task where it belongs: to wait for its retry, for others to stop,
 * or for an instance. */
void place(struct call *call, struct live *live);

/* Until when a task that waits is parked; INT64_MAX: for ever. */
int64_t parked_until(const struct exec *exec, uint32_t index);
/* Places all of an execution whose journal was folded. claimed: instances may hold its tasks, which
 * wait for their claims; else nobody does, and they are given out from here. */
void place_all(struct call *call, struct exec *exec, bool claimed);
/* Tells whoever holds this RUNNING live to drop it, and waits until it has. */
void stop_holder(struct call *call, struct live *live, const char *reason);

/* Folds a start and adds it to the decisions, but settles nothing yet. */
int start_exec(struct call *call, const struct input_start *in, struct exec **ret_exec,
               struct err *err) MUST_CHECK;
void cancel_exec(struct call *call, struct exec *exec, const char *by, const char *why);

/* --- finish.c --------------------------------------------------------------------------------- */

/* Does what follows from the fold of an execution: fails it, ends it, lets held tasks go on. */
void settle(struct call *call, struct exec *exec);
/* Whether a stopped execution still has to wait for instances to let go. */
bool must_wait(const struct call *call, const struct exec *exec);
/* Tells the holders of ended tasks to drop them (and of all tasks, once nothing may run). */
void begin_stop(struct call *call, struct exec *exec);
/* Places what was held. */
void release_held(struct call *call, struct exec *exec);
void arm_limit(struct call *call, struct exec *exec);
void limit_due(struct call *call, struct exec *exec);
void stop_due(struct call *call, struct exec *exec);

/* --- step.c ----------------------------------------------------------------------------------- */

void input_step(struct call *call, const struct input_step *in);
/* The beginning of a step that no instance made. */
struct event own_step(struct call *call, const struct exec *exec, uint32_t index,
                      enum step_kind kind);
/* A failure that the coordinator itself found. The live is idle; run is the one that it voids, or
 * {0, 0} when there was none. message is kept. */
void task_fail(struct call *call, struct live *live, struct run run, const char *code,
               const char *message, bool permanent);
/* The same with all that is known of the failure, which is kept, and what the attempt used. */
void task_fail_with(struct call *call, struct live *live, const struct failure *failure,
                    const struct usage *usage);
/* The same for a RUNNING live: its holder is told to drop it. */
void task_break(struct call *call, struct live *live, const char *code, const char *message,
                bool permanent);
/* Takes a RUNNING live from its instance, which has nothing to do for it now; it is IDLE then. */
void task_take_back(struct call *call, struct live *live, const char *reason);
/* The loss of the run that this RUNNING live has. */
void task_lose(struct call *call, struct live *live, const char *reason);
/* Nobody claimed this live in CLAIM. */
void task_unclaimed(struct call *call, struct live *live);
/* Whoever held this STOPPING live holds it no more, or can do nothing with it any more. */
void let_go(struct call *call, struct live *live);
/* The timer of a live has come. */
void live_due(struct call *call, struct live *live);

/* After an event about the last turn of the task that this RUNNING live holds: its run ends, or its
 * next turn is granted, or it goes on. */
void turn_moved(struct call *call, struct live *live);
/* The RUNNING life of this task under this run at this instance; NULL: there is none, and the
 * instance is told so. */
struct live *held_by(struct call *call, uint64_t handle, struct uuid execution, const char *path,
                     struct run run);
/* The instance says what can't be: the task goes on elsewhere. */
void task_nonsense(struct call *call, struct live *live);

/* --- gates.c ---------------------------------------------------------------------------------- */

/* Evaluates what the fold has asked, at most a batch's worth in one call. */
void answer_questions(struct call *call);
/* After a restart: asks again what the journal has no answer to. */
void ask_again(struct call *call, struct exec *exec);

/* The result of a task that no instance made, or, where r is no 0, the failure that err tells. */
void emit_own_result(struct call *call, struct exec *exec, uint32_t index,
                     const struct event_step *what, int r, const struct err *err);

/* --- own.c ------------------------------------------------------------------------------------ */

/* A task without an agent is ready, and its life idle: it does what its node says. */
void own_begin(struct call *call, struct exec *exec, uint32_t index);
/* The end of such a task, whose life goes with it: its result or, where r is no 0, the failure that
 * err tells. */
void own_end(struct call *call, struct exec *exec, uint32_t index, const struct event_step *what,
             int r, const struct err *err);

/* --- owned.c ---------------------------------------------------------------------------------- */

/* A task that runs a sub-workflow has its turn. */
void owned_begin(struct call *call, struct exec *exec, uint32_t index);
/* Cancels those whose tasks wait for them no more, and lets tasks hear of those that ended. What ended
 * in a call is heard of in the same call. */
void owned_due(struct call *call);
/* Nothing of the execution may run any more: nor may its sub-workflows. */
void owned_part_all(struct exec *exec);
/* After a restart, before and after all executions are resumed: finds who owns whom, and fails what
 * waits for one that isn't there. */
void owned_link_all(struct call *call);
void owned_check_all(struct call *call);
/* Of an execution that has just ended. */
void owned_ended(struct call *call, struct exec *exec);

/* --- wait.c ----------------------------------------------------------------------------------- */

/* A task that waits for somebody outside has its turn: to begin, or to give what the wait came to. */
void wait_begin(struct call *call, struct exec *exec, uint32_t index);
/* When an open wait is due; INT64_MAX: never. */
int64_t wait_until(const struct task *task);
/* That time has come for this PARKED life. */
void wait_due(struct call *call, struct live *live);
/* ERR_NOT_FOUND, ERR_CONFLICT for one that has ended. */
int find_running(const struct call *call, struct uuid id, struct exec **ret_exec,
                 struct err *err) MUST_CHECK;
int input_decision(struct call *call, const struct input_decision *in, struct err *err) MUST_CHECK;
int input_signal(struct call *call, const struct input_signal *in, struct err *err) MUST_CHECK;

/* --- pause.c ---------------------------------------------------------------------------------- */

/* Whether this active task can't have been given out, since it became due in the present pause. */
bool held_by_pause(const struct exec *exec, uint32_t index);
int input_pause(struct call *call, const struct input_pause *in, struct err *err) MUST_CHECK;
int input_go_on(struct call *call, const struct input_pause *in, struct err *err) MUST_CHECK;

/* --- again.c ---------------------------------------------------------------------------------- */

int input_reopen(struct call *call, const struct input_reopen *in, struct err *err) MUST_CHECK;
int input_fork(struct call *call, const struct input_fork *in, struct err *err) MUST_CHECK;

/* --- delegate.c ------------------------------------------------------------------------------- */

void input_delegate(struct call *call, const struct input_delegate *in);
void input_tool_call(struct call *call, const struct input_tool_call *in);

/* --- egress.c --------------------------------------------------------------------------------- */

void input_egress_up(struct call *call, const struct input_egress_up *in);
void input_egress_down(struct call *call, const struct input_egress_down *in);
/* What waited for an egress is looked at again, if anything has changed for it. */
void egress_due(struct call *call);
int64_t egress_deadline(const engine_t *engine); /* INT64_MAX: none */
bool egress_has_room(const engine_t *engine);
/* Where the task has to wait for an egress, if it needs one for its next turn; NULL: it needn't. */
struct list *egress_wait(const struct call *call, const struct exec *exec, uint32_t index);
/* Whether the task's next turn is due and nothing is reserved for it: nothing of it runs. */
bool turn_is_unasked(const struct exec *exec, uint32_t index);
/* Sees to it that the task's next turn is reserved, if one is due. The live is IDLE or RUNNING.
 * False: its limits forbid it, and the task has failed; or it starves until calls in flight have
 * left something. */
bool reserve(struct call *call, struct live *live);
/* Sends the grant of a RUNNING live's reservation to its egress; tell: to its instance, too. */
void grant(struct call *call, struct live *live, bool tell);
/* Reserves and grants the next turn of a RUNNING live, if one is due and an egress is there. */
void advance(struct call *call, struct live *live);
/* Some of what was reserved is free again: whoever starves is looked at before dispatches. */
void free_budget(engine_t *engine, struct exec *exec);
/* Reservations that the last event ended: their egress is told to forget. */
void forget_released(struct call *call, struct exec *exec);

/* --- history.c -------------------------------------------------------------------------------- */

/* Fills in what the dispatch says of the attempt's history. whole: not only the last turn's. */
void put_history(struct call *call, const struct exec *exec, uint32_t index, bool whole,
                 struct effect_dispatch *dispatch);

/* --- claim.c ---------------------------------------------------------------------------------- */

void input_instance_up(struct call *call, const struct input_instance_up *in);
void input_instance_down(struct call *call, const struct input_instance_down *in);
void input_credit(struct call *call, const struct input_credit *in);

/* --- dispatch.c ------------------------------------------------------------------------------- */

void dispatch_all(struct call *call);
/* When the present attempt of a task has had its time; INT64_MAX: never. */
int64_t attempt_until(const struct exec *exec, uint32_t index);
/* The instance holds the task under this run from now on, watched by the backstop of its timeout. */
void hand_over(struct call *call, struct live *live, struct instance *instance, struct run run);
/* Takes the dispatch of this RUNNING live back, if it stands in the decisions that are still being
 * gathered: what was stopped in the same batch must not start after its commit. The live is to be
 * freed then, for nobody holds it. */
bool recall(struct call *call, struct live *live);

/* --- budget.c --------------------------------------------------------------------------------- */

enum leave { LEAVE, STARVES, FORBIDDEN };
/* Whether the limits leave the turn that is to be reserved, whose bounds it fills in; *ret_why: why
 * it is forbidden. */
enum leave budget_judge(struct call *call, struct live *live, struct event_reserved *reserved,
                        const char **ret_why);
/* What calls in flight did not use is there for those that starved. */
void feed(struct call *call);
/* After dispatches: nobody may starve beside a share that nobody took. */
void feed_again(struct call *call);

/* --- render.c --------------------------------------------------------------------------------- */

/* The value of a datum, decoded. */
int render_read(struct call *call, const struct datum *datum, value_t **ret_value,
                struct err *err) MUST_CHECK;
/* What expressions come to, in the decisions' arena; too large a value becomes a blob with its
 * effect. Errors are those of the expression. */
int render_message(struct call *call, struct exec *exec, uint32_t node, struct datum *ret_datum,
                   struct err *err) MUST_CHECK;
/* An expression of the task's node. */
int render_expression(struct call *call, struct exec *exec, uint32_t index, const cel_t *program,
                      struct datum *ret_datum, struct err *err) MUST_CHECK;
int render_output(struct call *call, struct exec *exec, struct datum *ret_datum,
                  struct err *err) MUST_CHECK;
/* Whether a condition holds: of a node, which sees what was when its join held, or (NO_NODE) of an
 * edge, which sees what is; ERR_INVALID when it gives no boolean. */
int render_condition(struct call *call, struct exec *exec, const cel_t *condition, uint32_t node,
                     bool *ret_holds, struct err *err) MUST_CHECK;
/* The merge patch of the shared context that `set` of the task's node makes, output being the
 * task's own; absent where the node has none. ERR_INVALID, ERR_TOO_LARGE. */
int render_set(struct call *call, struct exec *exec, uint32_t index, const struct datum *output,
               struct datum *ret_patch, struct err *err) MUST_CHECK;
/* Whether the context may be changed so; what the patch comes to, packed. */
int check_context_patch(const struct exec *exec, const value_t *patch, struct buf *packed,
                        struct err *err) MUST_CHECK;
/* The list of a node with items; ERR_INVALID when it is none, ERR_TOO_LARGE. */
int render_items(struct call *call, struct exec *exec, uint32_t node, struct datum *ret_items,
                 uint32_t *ret_count, struct err *err) MUST_CHECK;
/* The output of a node with items: what these gave, in order, null for those that failed. */
int render_gathered(struct call *call, struct exec *exec, uint32_t node, struct datum *ret_datum,
                    struct err *err) MUST_CHECK;
/* What the delegate gets: the message, with the context beside it when there is one. */
int render_delegation(struct call *call, const struct datum *message, const struct datum *context,
                      struct datum *ret_datum, struct err *err) MUST_CHECK;
/* Consumes the value. */
int render_value(struct call *call, value_t **value_p, struct datum *ret_datum,
                 struct err *err) MUST_CHECK;
/* A copy in the decisions' arena. Inline bytes that are too large become a blob. */
struct datum keep_datum(struct call *call, const struct datum *datum);

#endif
