#include "tests/sim/instance_core.h"

#include <stdio.h>

/* Agents that say what is not so. What they say goes over their own link, in order, as well-formed
 * items; the coordinator has to refuse all of it. What is said so names no run, but a lie. */

static const uint8_t lie[] = {0xa3, 'l', 'i', 'e'};

static struct wire_dispatch about_of(const struct sim_task *what)
{
    return (struct wire_dispatch){.execution = what->execution,
                                  .path = what->path,
                                  .run = what->run,
                                  .attempt = what->attempt};
}

static void say(struct instance *self, const struct wire_item *item, const char *what)
{
    struct buf items = {0};
    wire_append_item(item, &items);
    TRACE(self->world, "%s lies with %s", self->proc.name, what);
    if (link_send(self->link, buf_bytes(&items), self->now_us, NULL) == 0)
        self->world->counts.lies++;
    buf_release(&items);
}

static struct wire_item step_of(const struct wire_dispatch *about, uint32_t number,
                                enum wire_step_kind kind)
{
    struct wire_item item = {.kind = WIRE_ITEM_STEP,
                             .step = {.execution = about->execution,
                                      .path = about->path,
                                      .attempt = about->attempt,
                                      .run = about->run,
                                      .number = number,
                                      .kind = kind}};
    if (kind == WIRE_STEP_FAILURE)
        item.step.failure = (struct wire_failure){.code = "lie", .message = "lie"};
    else
        item.step.output = datum_inline(bytes_of(lie, sizeof lie));
    return item;
}

static void say_step(struct instance *self, const struct wire_item *item)
{
    const struct wire_step *step = &item->step;
    TRACE(self->world, "%s lies about %s %s, run %llu.%llu, step %u, turn %u, call %u",
          self->proc.name, sim_uuid(step->execution), step->path,
          (unsigned long long)step->run.epoch, (unsigned long long)step->run.counter, step->number,
          step->turn, step->call);
    say(self, item, "a step");
}

/* A turn, the result of a call, a delegation or another call. */
static void say_talk(struct instance *self, const struct wire_dispatch *about, uint32_t number,
                     uint32_t turn, uint32_t call)
{
    int64_t kind = prng_between(&self->world->prng, 0, 3);
    struct wire_item item;
    if (kind < 2) {
        item = step_of(about, number, kind == 0 ? WIRE_STEP_TURN : WIRE_STEP_TOOL_RESULT);
        item.step.turn = kind == 0 ? turn + 1 : turn;
        item.step.call = kind == 0 ? 0 : call;
        say_step(self, &item);
        return;
    }
    if (kind == 2)
        item = (struct wire_item){.kind = WIRE_ITEM_DELEGATE,
                                  .delegate = {.execution = about->execution,
                                               .path = about->path,
                                               .run = about->run,
                                               .attempt = about->attempt,
                                               .turn = turn,
                                               .call = call,
                                               .agent = LIAR,
                                               .message = datum_inline(bytes_of(lie, sizeof lie))}};
    else
        item = (struct wire_item){.kind = WIRE_ITEM_TOOL_CALL,
                                  .tool_call = {.execution = about->execution,
                                                .path = about->path,
                                                .run = about->run,
                                                .attempt = about->attempt,
                                                .turn = turn,
                                                .call = call,
                                                .tool = LIAR}};
    say(self, &item, kind == 2 ? "a delegation" : "a call");
}

/* About a task that it holds and does not work on: a step too far ahead, a turn that nobody
 * reserved, a call that is not there. */
static bool say_nonsense(struct instance *self)
{
    struct prng *prng = &self->world->prng;
    uint32_t turn = 0, calls = 0;
    const struct job *job = self->jobs;
    while (job && job->state != JOB_MUTE)
        job = job->next;
    if (!job)
        return false;
    struct sim_task what = instance_task(job->task);
    struct wire_dispatch about = about_of(&what);
    (void)observer_last_turn(self->world, &what, &turn, &calls);
    if (self->agent->kind == KIND_MODEL && prng_chance(prng, 700)) {
        uint32_t ahead = (uint32_t)prng_between(prng, 0, 1);
        say_talk(self, &about, job->task->next_step, turn + 1 + ahead, calls + ahead);
        return true;
    }
    struct wire_item item = step_of(&about, job->task->next_step + 1, WIRE_STEP_RESULT);
    say_step(self, &item);
    return true;
}

/* About a task that it does not hold, or does not hold any more: one that anybody was given, with
 * the number that would be next. */
void wrong_say(struct instance *self)
{
    struct prng *prng = &self->world->prng;
    struct sim_task what;
    uint32_t number, turn = 0, calls = 0;
    if (self->world->calm || !self->sends_wrong || link_state(self->link) != LINK_OPEN ||
        !prng_chance(prng, 150) || (prng_chance(prng, 100) && say_nonsense(self)) ||
        !observer_any_given(self->world, self->index, &what, &number))
        return;
    struct wire_dispatch about = about_of(&what);
    number += (uint32_t)prng_between(prng, 0, 1);
    if (observer_last_turn(self->world, &what, &turn, &calls) && prng_chance(prng, 500)) {
        uint32_t most = calls > 0 ? calls - 1 : 0;
        say_talk(self, &about, number, turn, (uint32_t)prng_between(prng, 0, most));
        return;
    }
    struct wire_item item =
        step_of(&about, number, prng_chance(prng, 300) ? WIRE_STEP_FAILURE : WIRE_STEP_RESULT);
    say_step(self, &item);
}
