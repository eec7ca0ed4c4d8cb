#!/usr/bin/env python3
"""Makes a copy of a module with one planted fault, for a simulator that has to find it.

    mutate.py FAULT SOURCE OUTPUT

Every text that a fault replaces must stand in the source exactly once, or the build fails: a fault
that the module has outgrown is to be written anew here, not to vanish unseen."""
import sys

# Fault: pairs of (text in the source, what stands there instead).
FAULTS = {
    # engine/step.c: a step is taken from whatever run the holder names.
    "drop_run_check": [
        ("if (live && live->instance == instance && run_compare(live->run, step->run) == 0) {",
         "if (live && live->instance == instance) {"),
    ],
    # engine/step.c: a step is taken from whoever names the current run.
    "drop_holder_check": [
        ("if (live && live->instance == instance && run_compare(live->run, step->run) == 0) {",
         "if (live && run_compare(live->run, step->run) == 0) {"),
    ],
    # engine/claim.c: after a restart every claim on a task is good, the second one, too.
    "accept_two_claims": [
        ("if (run_compare(claim->run, exec->tasks[node].void_run) <= 0)", "if (false)"),
        ("if (live->state == LIVE_CLAIM)",
         "if (live->state == LIVE_CLAIM || live->state == LIVE_RUNNING)"),
        ("if (live->instance)\n", "if (live->instance == old && old)\n"),
    ],
    # engine/claim.c: a claim on a run that is void is good.
    "accept_void_claim": [
        ("if (run_compare(claim->run, exec->tasks[node].void_run) <= 0)", "if (false)"),
    ],
    # proto/link_peer.c: a lease counted from the arrival of the answer.
    "lease_from_arrival": [
        ("self->lease_us = (int64_t)echo_us;", "self->lease_us = now_us;"),
    ],
    # agentd/tasks.c: steps numbered from 1 in each run.
    "restart_numbering": [
        ("task->next_step = dispatch->journaled_step + 1;", "task->next_step = 1;"),
    ],
}


def main():
    fault, source, output = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        text = file.read()
    for old, new in FAULTS[fault]:
        if text.count(old) != 1:
            sys.exit(f"{source}: the fault {fault} replaces a text that stands there "
                     f"{text.count(old)} times, not once: {old!r}; mend tests/sim/mutate.py")
        text = text.replace(old, new)
    with open(output, "w", encoding="utf-8") as file:
        file.write(f'#line 1 "{source}"\n{text}')


main()
