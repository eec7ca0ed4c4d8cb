#include "coordinator/steps.h"

#include "base/log.h"
#include "base/value.h"
#include "coordinator/blobs.h"
#include "coordinator/pipeline.h"

static int check_output(struct coordinator *self, const struct wire_step *step, struct err *err)
{
    if (datum_absent(&step->output))
        return step->kind == WIRE_STEP_FAILURE
                   ? 0
                   : err_set(err, ERR_MALFORMED, "the step has no output");
    if (!step->output.is_blob)
        return value_check_msgpack(step->output.inline_bytes, err);
    return blobs_check(self, step->output.hash, step->output.size_bytes, err);
}

static struct failure read_failure(const struct wire_failure *from)
{
    return (struct failure){.code = *from->code == '\0' ? "failed" : from->code,
                            .message = from->message,
                            .detail = from->detail,
                            .permanent = from->permanent};
}

void steps_receive(struct coordinator *self, uint64_t handle, const char *instance,
                   const char *agent, const struct wire_step *step)
{
    struct err err = {0};
    struct input input = {.kind = INPUT_STEP,
                          .step = {.handle = handle,
                                   .execution = step->execution,
                                   .step = {.path = step->path,
                                            .attempt = step->attempt,
                                            .run = {step->run.epoch, step->run.counter},
                                            .instance = instance,
                                            .number = step->number,
                                            .kind = (enum step_kind)step->kind,
                                            .queued_us = step->queued_us,
                                            .started_us = step->started_us,
                                            .ended_us = step->ended_us,
                                            .output = step->output,
                                            .agent = agent}}};
    struct event_step *to = &input.step.step;

    if (step->kind == WIRE_STEP_FAILURE)
        to->failure = read_failure(&step->failure);
    if (check_output(self, step, &err) < 0) {
        to->kind = STEP_FAILURE;
        to->output = (struct datum){0};
        to->failure = (struct failure){
            .code = "output", .message = err.what, .detail = "", .permanent = true};
    }
    if (pipeline_decide(self, &input, &err) < 0)
        log_error("COORD-INPUT-REFUSED", err.what, "input", "step", NULL);
}
