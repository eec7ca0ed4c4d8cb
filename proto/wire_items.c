/* The items of link frames: the hot path of the whole system. Numbers, names and meanings:
 * af.proto. */
#include "base/limits.h"
#include "proto/wire_tables.h"

#include <string.h>

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
};

static int check_dispatch(const void *message, uint64_t seen, struct err *err)
{
    const struct wire_dispatch *dispatch = message;
    (void)seen;
    if (dispatch->attempt == 0)
        return err_set(err, ERR_MALFORMED, "attempts count from 1");
    if (dispatch->timeout_us > (uint64_t)LIMIT_TIME_MAX_US)
        return err_set(err, ERR_MALFORMED, "the timeout is longer than ten years");
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

static const struct pb_field failure_fields[] = {
    [1] = {FIELD(PB_TEXT, wire_failure, code), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_TEXT, wire_failure, message)},
    [3] = {FIELD(PB_TEXT, wire_failure, detail)},
    [4] = {FIELD(PB_BOOL, wire_failure, permanent)},
};
static const struct pb_message failure_message = {MESSAGE("Failure", failure_fields, wire_failure)};

enum { STEP_FAILURE_FIELD = 11 };

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
};

static int check_step(const void *message, uint64_t seen, struct err *err)
{
    const struct wire_step *step = message;
    bool has_failure = seen >> STEP_FAILURE_FIELD & 1;
    if (step->attempt == 0 || step->number == 0)
        return err_set(err, ERR_MALFORMED, "attempts and steps count from 1");
    if (step->kind == 0)
        return err_set(err, ERR_MALFORMED, "the step has no kind");
    if (has_failure != (step->kind == WIRE_STEP_FAILURE))
        return err_set(err, ERR_MALFORMED, "a step has a failure exactly when its kind says so");
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

static const struct pb_field item_fields[] = {
    [WIRE_ITEM_DISPATCH] = {FIELD(PB_MESSAGE, wire_item, dispatch), .message = &dispatch_message},
    [WIRE_ITEM_DROP] = {FIELD(PB_MESSAGE, wire_item, drop), .message = &drop_message},
    [WIRE_ITEM_STEP] = {FIELD(PB_MESSAGE, wire_item, step), .message = &step_message},
    [WIRE_ITEM_PLAN] = {FIELD(PB_MESSAGE, wire_item, plan), .message = &plan_message},
    [WIRE_ITEM_PROCESS] = {FIELD(PB_MESSAGE, wire_item, process), .message = &process_message},
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
