/* The items of link frames: the hot path of the whole system. Numbers, names and meanings:
 * af.proto. */
#include "base/limits.h"
#include "proto/wire_tables.h"

#include <string.h>

static const struct pb_field failure_fields[] = {
    [1] = {FIELD(PB_TEXT, wire_failure, code), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_TEXT, wire_failure, message)},
    [3] = {FIELD(PB_TEXT, wire_failure, detail)},
    [4] = {FIELD(PB_BOOL, wire_failure, permanent)},
};
static const struct pb_message failure_message = {MESSAGE("Failure", failure_fields, wire_failure)};

static const struct pb_field history_fields[] = {
    [1] = {FIELD(PB_ENUM, wire_history, kind), .flags = PB_REQUIRED, .max = WIRE_STEP_TOOL_RESULT},
    [2] = {FIELD(PB_UINT32, wire_history, turn), .flags = PB_REQUIRED},
    [3] = {FIELD(PB_UINT32, wire_history, call)},
    [4] = {FIELD(PB_DATUM, wire_history, output)},
    [5] = {FIELD(PB_MESSAGE, wire_history, failure), .message = &failure_message},
};

static int check_history(const void *message, uint64_t seen, struct err *err)
{
    const struct wire_history *history = message;
    (void)seen;
    if (history->kind == 0 || history->turn == 0)
        return err_set(err, ERR_MALFORMED, "an entry of a history has a kind and a turn");
    return 0;
}

static const struct pb_message history_message = {
    MESSAGE("HistoryEntry", history_fields, wire_history), .check = check_history};

static const struct pb_field dispatch_fields[] = {
    [1] = {FIELD(PB_EXECUTION, wire_dispatch, execution), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_TEXT, wire_dispatch, path), .flags = PB_REQUIRED, .valid = wire_path_valid},
    [3] = {FIELD(PB_UINT32, wire_dispatch, attempt), .flags = PB_REQUIRED},
    [4] = {FIELD(PB_MESSAGE, wire_dispatch, run), .flags = PB_REQUIRED,
           .message = &wire_run_message},
    [5] = {FIELD(PB_UINT32, wire_dispatch, journaled_step)},
    [6] = {FIELD(PB_TEXT, wire_dispatch, agent), .flags = PB_REQUIRED, .valid = wire_name_valid},
    [7] = {FIELD(PB_UINT32, wire_dispatch, agent_version)},
    [8] = {FIELD(PB_DATUM, wire_dispatch, message)},
    [9] = {FIELD(PB_UINT64, wire_dispatch, timeout_us)},
    [10] = {FIELD(PB_SFIXED64, wire_dispatch, deadline_us)},
    [11] = {FIELD(PB_TEXT, wire_dispatch, workflow), .valid = wire_name_valid},
    [12] = {FIELD(PB_SFIXED64, wire_dispatch, queued_us)},
    [13] = {FIELD(PB_UINT32, wire_dispatch, turn)},
    [14] = {FIELD(PB_TEXT, wire_dispatch, egress), .valid = wire_address_valid},
    [15] = {FIELD(PB_UINT32, wire_dispatch, history_count)},
    [16] = {FIELD(PB_UINT32, wire_dispatch, history_from)},
    [17] = {FIELD(PB_MESSAGE, wire_dispatch, history), .flags = PB_REPEATED,
            ITEMS(wire_dispatch, history_here), .max = LIMIT_HISTORY_ENTRIES,
            .message = &history_message},
    [18] = {FIELD(PB_UINT64, wire_dispatch, tokens_left)},
    [19] = {FIELD(PB_UINT64, wire_dispatch, cost_left_microusd)},
    [20] = {FIELD(PB_TEXT, wire_dispatch, chain), .flags = PB_REPEATED,
            ITEMS(wire_dispatch, chain_count), .max = LIMIT_DEPTH_MAX, .valid = wire_name_valid},
};

static int check_dispatch(const void *message, uint64_t seen, struct err *err)
{
    const struct wire_dispatch *dispatch = message;
    (void)seen;
    if (dispatch->attempt == 0)
        return err_set(err, ERR_MALFORMED, "attempts count from 1");
    if (dispatch->timeout_us > (uint64_t)LIMIT_TIME_MAX_US)
        return err_set(err, ERR_MALFORMED, "the timeout is longer than ten years");
    if (dispatch->history_from > dispatch->history_count ||
        dispatch->history_here > dispatch->history_count - dispatch->history_from)
        return err_set(err, ERR_MALFORMED, "there are more entries of a history than it has");
    if (dispatch->turn > 0 && !*dispatch->egress)
        return err_set(err, ERR_MALFORMED, "a granted turn names no egress");
    return 0;
}

static const struct pb_message dispatch_message = {
    MESSAGE("Dispatch", dispatch_fields, wire_dispatch), .check = check_dispatch};

static const struct pb_field drop_fields[] = {
    [1] = {FIELD(PB_EXECUTION, wire_drop, execution), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_TEXT, wire_drop, path), .flags = PB_REQUIRED, .valid = wire_path_valid},
    [3] = {FIELD(PB_MESSAGE, wire_drop, run), .flags = PB_REQUIRED, .message = &wire_run_message},
    [4] = {FIELD(PB_TEXT, wire_drop, reason)},
};
static const struct pb_message drop_message = {MESSAGE("Drop", drop_fields, wire_drop)};

enum { STEP_FAILURE_FIELD = 11 };

/* Models write names of tools; anything without NULs goes, as long as it is short. */
static bool tool_name_valid(const char *text, size_t size)
{
    (void)text;
    return size <= LIMIT_TOOL_NAME_BYTES;
}

static const struct pb_field step_fields[] = {
    [1] = {FIELD(PB_EXECUTION, wire_step, execution), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_TEXT, wire_step, path), .flags = PB_REQUIRED, .valid = wire_path_valid},
    [3] = {FIELD(PB_UINT32, wire_step, attempt), .flags = PB_REQUIRED},
    [4] = {FIELD(PB_MESSAGE, wire_step, run), .flags = PB_REQUIRED, .message = &wire_run_message},
    [5] = {FIELD(PB_UINT32, wire_step, number), .flags = PB_REQUIRED},
    [6] = {FIELD(PB_ENUM, wire_step, kind), .flags = PB_REQUIRED, .max = WIRE_STEP_FAILURE},
    [7] = {FIELD(PB_SFIXED64, wire_step, queued_us)},
    [8] = {FIELD(PB_SFIXED64, wire_step, started_us)},
    [9] = {FIELD(PB_SFIXED64, wire_step, ended_us)},
    [10] = {FIELD(PB_DATUM, wire_step, output)},
    [STEP_FAILURE_FIELD] = {FIELD(PB_MESSAGE, wire_step, failure), .message = &failure_message},
    [12] = {FIELD(PB_UINT32, wire_step, turn)},
    [13] = {FIELD(PB_UINT32, wire_step, call)},
    [14] = {FIELD(PB_TEXT, wire_step, calls), .flags = PB_REPEATED, ITEMS(wire_step, calls_count),
            .max = LIMIT_TURN_CALLS, .valid = tool_name_valid},
    [15] = {FIELD(PB_MESSAGE, wire_step, usage), .message = &wire_usage_message},
};

static int check_step(const void *message, uint64_t seen, struct err *err)
{
    const struct wire_step *step = message;
    bool has_failure = seen >> STEP_FAILURE_FIELD & 1;
    bool may_fail = step->kind == WIRE_STEP_TOOL_RESULT || step->kind == WIRE_STEP_FAILURE;
    if (step->attempt == 0 || step->number == 0)
        return err_set(err, ERR_MALFORMED, "attempts and steps count from 1");
    if (step->kind == 0)
        return err_set(err, ERR_MALFORMED, "the step has no kind");
    if (has_failure ? !may_fail : step->kind == WIRE_STEP_FAILURE)
        return err_set(err, ERR_MALFORMED, "a step has a failure exactly when its kind says so");
    if (step->kind != WIRE_STEP_TURN && step->calls_count > 0)
        return err_set(err, ERR_MALFORMED, "only a turn has calls");
    return 0;
}

static const struct pb_message step_message = {MESSAGE("Step", step_fields, wire_step),
                                               .check = check_step};

static const struct pb_field planned_fields[] = {
    [1] = {FIELD(PB_TEXT, wire_planned, agent), .flags = PB_REQUIRED, .valid = wire_name_valid},
    [2] = {FIELD(PB_UINT32, wire_planned, instances)},
    [3] = {FIELD(PB_UINT64, wire_planned, memory_bytes)},
};

static int check_planned(const void *message, uint64_t seen, struct err *err)
{
    const struct wire_planned *planned = message;
    (void)seen;
    if (planned->instances > LIMIT_INSTANCES)
        return err_set(err, ERR_MALFORMED, "at most %d instances of an agent are allowed",
                       LIMIT_INSTANCES);
    return 0;
}

static const struct pb_message planned_message = {
    MESSAGE("PlannedAgent", planned_fields, wire_planned), .check = check_planned};

static const struct pb_field plan_fields[] = {
    [1] = {FIELD(PB_UINT64, wire_plan, number), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_MESSAGE, wire_plan, agents), .flags = PB_REPEATED,
           ITEMS(wire_plan, agents_count), .max = LIMIT_PLANNED_AGENTS,
           .message = &planned_message},
};
static const struct pb_message plan_message = {MESSAGE("Plan", plan_fields, wire_plan)};

static bool instance_valid(const char *text, size_t size)
{
    char id[TYPEID_TEXT_SIZE] = {0};
    struct uuid uuid;
    if (size >= sizeof id)
        return false;
    memcpy(id, text, size);
    return typeid_parse_as(id, "inst", &uuid, NULL) == 0;
}

static const struct pb_field process_fields[] = {
    [1] = {FIELD(PB_TEXT, wire_process, instance), .flags = PB_REQUIRED, .valid = instance_valid},
    [2] = {FIELD(PB_UINT64, wire_process, boot)},
    [3] = {FIELD(PB_TEXT, wire_process, agent), .valid = wire_name_valid},
    [4] = {FIELD(PB_UINT32, wire_process, pid)},
    [5] = {FIELD(PB_BOOL, wire_process, up)},
    [6] = {FIELD(PB_SINT32, wire_process, exit_status)},
    [7] = {FIELD(PB_UINT32, wire_process, signal)},
    [8] = {FIELD(PB_TEXT, wire_process, stderr_tail)},
    [9] = {FIELD(PB_UINT32, wire_process, restarts)},
    [10] = {FIELD(PB_TEXT, wire_process, stopped)},
};
static const struct pb_message process_message = {
    MESSAGE("ProcessReport", process_fields, wire_process)};

/* --- delegation --------------------------------------------------------------------------------
 */

static const struct pb_field delegate_fields[] = {
    [1] = {FIELD(PB_EXECUTION, wire_delegate, execution), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_TEXT, wire_delegate, path), .flags = PB_REQUIRED, .valid = wire_path_valid},
    [3] = {FIELD(PB_MESSAGE, wire_delegate, run), .flags = PB_REQUIRED,
           .message = &wire_run_message},
    [4] = {FIELD(PB_UINT32, wire_delegate, attempt), .flags = PB_REQUIRED},
    [5] = {FIELD(PB_UINT32, wire_delegate, turn), .flags = PB_REQUIRED},
    [6] = {FIELD(PB_UINT32, wire_delegate, call)},
    [7] = {FIELD(PB_TEXT, wire_delegate, agent), .flags = PB_REQUIRED, .max = LIMIT_NAME_BYTES},
    [8] = {FIELD(PB_DATUM, wire_delegate, message)},
    [9] = {FIELD(PB_DATUM, wire_delegate, context)},
    [10] = {FIELD(PB_BOOL, wire_delegate, hand_off)},
};
static const struct pb_message delegate_message = {
    MESSAGE("Delegate", delegate_fields, wire_delegate)};

static const struct pb_field tool_call_fields[] = {
    [1] = {FIELD(PB_EXECUTION, wire_tool_call, execution), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_TEXT, wire_tool_call, path), .flags = PB_REQUIRED, .valid = wire_path_valid},
    [3] = {FIELD(PB_MESSAGE, wire_tool_call, run), .flags = PB_REQUIRED,
           .message = &wire_run_message},
    [4] = {FIELD(PB_UINT32, wire_tool_call, attempt), .flags = PB_REQUIRED},
    [5] = {FIELD(PB_UINT32, wire_tool_call, turn), .flags = PB_REQUIRED},
    [6] = {FIELD(PB_UINT32, wire_tool_call, call)},
    [7] = {FIELD(PB_TEXT, wire_tool_call, tool), .flags = PB_REQUIRED, .valid = tool_name_valid},
    [8] = {FIELD(PB_DATUM, wire_tool_call, arguments)},
};
static const struct pb_message tool_call_message = {
    MESSAGE("ToolCall", tool_call_fields, wire_tool_call)};

static const struct pb_field granted_fields[] = {
    [1] = {FIELD(PB_EXECUTION, wire_granted, execution), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_TEXT, wire_granted, path), .flags = PB_REQUIRED, .valid = wire_path_valid},
    [3] = {FIELD(PB_MESSAGE, wire_granted, run), .flags = PB_REQUIRED,
           .message = &wire_run_message},
    [4] = {FIELD(PB_UINT32, wire_granted, turn), .flags = PB_REQUIRED},
    [5] = {FIELD(PB_TEXT, wire_granted, egress), .flags = PB_REQUIRED, .valid = wire_address_valid},
};
static const struct pb_message granted_message = {MESSAGE("Granted", granted_fields, wire_granted)};

static const struct pb_field grant_fields[] = {
    [1] = {FIELD(PB_MESSAGE, wire_grant, key), .flags = PB_REQUIRED,
           .message = &wire_call_key_message},
    [2] = {FIELD(PB_MESSAGE, wire_grant, run), .flags = PB_REQUIRED, .message = &wire_run_message},
    [3] = {FIELD(PB_TEXT, wire_grant, agent), .flags = PB_REQUIRED, .valid = wire_name_valid},
    [4] = {FIELD(PB_UINT32, wire_grant, agent_version), .flags = PB_REQUIRED},
    [5] = {FIELD(PB_UINT64, wire_grant, tokens)},
    [6] = {FIELD(PB_UINT64, wire_grant, cost_microusd)},
};
static const struct pb_message grant_message = {MESSAGE("Grant", grant_fields, wire_grant)};

static const struct pb_field forget_fields[] = {
    [1] = {FIELD(PB_MESSAGE, wire_forget, key), .flags = PB_REQUIRED,
           .message = &wire_call_key_message},
};
static const struct pb_message forget_message = {MESSAGE("Forget", forget_fields, wire_forget)};

/* --- all of them -------------------------------------------------------------------------------
 */

static const struct pb_field item_fields[] = {
    [WIRE_ITEM_DISPATCH] = {FIELD(PB_MESSAGE, wire_item, dispatch), .message = &dispatch_message},
    [WIRE_ITEM_DROP] = {FIELD(PB_MESSAGE, wire_item, drop), .message = &drop_message},
    [WIRE_ITEM_STEP] = {FIELD(PB_MESSAGE, wire_item, step), .message = &step_message},
    [WIRE_ITEM_PLAN] = {FIELD(PB_MESSAGE, wire_item, plan), .message = &plan_message},
    [WIRE_ITEM_PROCESS] = {FIELD(PB_MESSAGE, wire_item, process), .message = &process_message},
    [WIRE_ITEM_DELEGATE] = {FIELD(PB_MESSAGE, wire_item, delegate), .message = &delegate_message},
    [WIRE_ITEM_TOOL_CALL] = {FIELD(PB_MESSAGE, wire_item, tool_call),
                             .message = &tool_call_message},
    [WIRE_ITEM_GRANTED] = {FIELD(PB_MESSAGE, wire_item, granted), .message = &granted_message},
    [WIRE_ITEM_GRANT] = {FIELD(PB_MESSAGE, wire_item, grant), .message = &grant_message},
    [WIRE_ITEM_FORGET] = {FIELD(PB_MESSAGE, wire_item, forget), .message = &forget_message},
};
static const struct pb_message item_message = {MESSAGE("LinkItem", item_fields, wire_item),
                                               .choice = true};
_Static_assert(offsetof(struct wire_item, kind) == 0, "a choice begins with its kind");

enum { ITEMS_CREDIT = 1, ITEMS_DRAINING = 2, ITEMS_ITEMS = 3 };

static const struct pb_field items_fields[] = {
    [ITEMS_CREDIT] = {FIELD(PB_UINT64, wire_items, credit),
                      .has_offset = PB_HAS + offsetof(struct wire_items, has_credit)},
    [ITEMS_DRAINING] = {FIELD(PB_BOOL, wire_items, draining)},
    [ITEMS_ITEMS] = {FIELD(PB_MESSAGE, wire_items, items), .flags = PB_REPEATED,
                     ITEMS(wire_items, count), .max = LIMIT_LINK_ITEMS, .message = &item_message},
};
const struct pb_message wire_items_message = {MESSAGE("LinkItems", items_fields, wire_items)};

int wire_decode_items(struct arena *arena, struct bytes bytes, struct wire_items *ret_items,
                      struct err *err)
{
    struct wire_items items = {0};
    int rc = pb_decode(arena, &wire_items_message, bytes, &items, err);
    if (rc == 0)
        *ret_items = items;
    return rc;
}

void wire_encode_items(const struct wire_items *items, struct buf *out)
{
    pb_encode(&wire_items_message, items, out);
}

void wire_append_item(const struct wire_item *item, struct buf *out)
{
    pb_encode_item(&wire_items_message, ITEMS_ITEMS, item, out);
}

/* Both are always written, so that the last ones in a frame count, whatever was said before. */
void wire_append_credit(uint64_t credit, bool draining, struct buf *out)
{
    pb_put_tag(out, ITEMS_CREDIT, PB_VARINT);
    pb_put_varint(out, credit);
    pb_put_tag(out, ITEMS_DRAINING, PB_VARINT);
    pb_put_varint(out, draining);
}
