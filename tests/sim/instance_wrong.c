#include "tests/sim/instance_core.h"

#include <stdio.h>

/* Agents that say what is not so. What they say goes over their own link, in order, as well-formed
 * steps; the coordinator has to refuse all of it. Such a step's output names no run. */

static struct wire_dispatch about_of(const struct sim_task *what)
{
    return (struct wire_dispatch){.execution = what->execution,
                                  .path = what->path,
                                  .run = what->run,
                                  .attempt = what->attempt};
}

static void say(struct instance *self, const struct wire_dispatch *about, uint32_t number,
                bool fails)
{
    static const uint8_t lie[] = {0xa3, 'l', 'i', 'e'};
    struct buf items = {0};
    struct wire_item item = {.kind = WIRE_ITEM_STEP,
                             .step = {.execution = about->execution,
                                      .path = about->path,
                                      .attempt = about->attempt,
                                      .run = about->run,
                                      .number = number,
                                      .kind = fails ? WIRE_STEP_FAILURE : WIRE_STEP_RESULT}};
    if (fails)
        item.step.failure = (struct wire_failure){.code = "lie", .message = "lie"};
    else
        item.step.output = datum_inline(bytes_of(lie, sizeof lie));
    wire_append_item(&item, &items);
    TRACE(self->world, "%s lies about %s %s, run %llu.%llu, step %u", self->proc.name,
          sim_uuid(about->execution), about->path, (unsigned long long)about->run.epoch,
          (unsigned long long)about->run.counter, number);
    if (link_send(self->link, buf_bytes(&items), self->now_us, NULL) == 0)
        self->world->counts.lies++;
    buf_release(&items);
}

/* A step too far ahead, of a task that it holds and does not work on. */
static bool say_nonsense(struct instance *self)
{
    const struct job *job = self->jobs;
    while (job && job->state != JOB_MUTE)
        job = job->next;
    if (!job)
        return false;
    struct sim_task what = instance_task(job->task);
    struct wire_dispatch about = about_of(&what);
    say(self, &about, job->task->next_step + 1, false);
    return true;
}

/* About a task that it does not hold, or does not hold any more: one that anybody was given, with
 * the number that would be next. */
void wrong_say(struct instance *self)
{
    struct prng *prng = &self->world->prng;
    struct sim_task what;
    uint32_t number;
    if (self->world->calm || !self->sends_wrong || link_state(self->link) != LINK_OPEN ||
        !prng_chance(prng, 150) || (prng_chance(prng, 100) && say_nonsense(self)) ||
        !observer_any_given(self->world, self->index, &what, &number))
        return;
    struct wire_dispatch about = about_of(&what);
    number += (uint32_t)prng_between(prng, 0, 1);
    say(self, &about, number, prng_chance(prng, 300));
}
