#include "coordinator/steps.h"

#include "base/log.h"
#include "base/value.h"
#include "coordinator/blobs.h"
#include "coordinator/pipeline.h"

static int check_datum(struct coordinator *self, const struct datum *datum, struct err *err)
{
    if (datum_absent(datum))
        return 0;
    if (!datum->is_blob)
        return value_check_msgpack(datum->inline_bytes, err);
    return blobs_check(self, datum->hash, datum->size_bytes, err);
}

static int check_step(struct coordinator *self, const struct event_step *step, struct err *err)
{
    if (datum_absent(&step->output) && step->failure.code == NULL)
        return err_set(err, ERR_MALFORMED, "the step has no output");
    return check_datum(self, &step->output, err);
}

/* A step without a sound output is a failure: nobody could read it again. */
static void mend_step(struct coordinator *self, struct event_step *step, struct arena *arena)
{
    struct err err = {0};
    if (check_step(self, step, &err) == 0)
        return;
    step->kind = STEP_FAILURE;
    step->output = (struct datum){0};
    step->failure = (struct failure){.code = "output",
                                     .message = arena_strdup(arena, err.what),
                                     .detail = "",
                                     .permanent = true};
}

/* The same for what a delegation or tool call brings along: null stands in its place. */
static void mend_datum(struct coordinator *self, struct datum *datum)
{
    if (check_datum(self, datum, NULL) < 0)
        *datum = (struct datum){0};
}

void steps_receive(struct coordinator *self, struct input *input)
{
    struct err err;
    switch (input->kind) {
    case INPUT_STEP: mend_step(self, &input->step.step, pipeline_arena(self)); break;
    case INPUT_DELEGATE:
        mend_datum(self, &input->delegate.message);
        mend_datum(self, &input->delegate.context);
        break;
    default: mend_datum(self, &input->tool_call.arguments); break;
    }
    if (pipeline_decide(self, input, &err) < 0)
        log_error("COORD-INPUT-REFUSED", err.what, "input", "step", NULL);
}
