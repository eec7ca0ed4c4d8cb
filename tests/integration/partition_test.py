#!/usr/bin/env python3
"""A partition: an agentd is stopped (SIGSTOP) until its tasks were given to others, and continued. What
it has to say comes too late and is refused, what it left running is ended, and it serves again."""
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main
from installation import Installation, alive, check, wait_until

# Two kinds of tasks: some that end while their agentd is stopped, some that would go on for ever.
GATE = """#!/bin/sh
path=$(sed -n 's/.*"message":"\\([^"]*\\)".*/\\1/p')
setsid sleep 3617 </dev/null >/dev/null 2>&1 &
until [ -e "$path" ]; do sleep 0.05; done
echo "\\"$AF_TASK\\""
"""
TASKS = 4  # of each kind
DEFINITIONS = """agent: gate
command: [./gate.sh]
process: {instances: 2, parallel: 8}
---
workflow: split
input: {early: text, late: text}
nodes:
""" + "".join(f"""  early_{n}: {{agent: gate, say: "{{{{input.early}}}}"}}
  late_{n}: {{agent: gate, say: "{{{{input.late}}}}"}}
""" for n in range(TASKS))


def below(pid):
    """All that descends from a process."""
    parents = {}
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit():
                stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
                parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
        except OSError:
            pass
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def holders(here, execution):
    """{task: instance} of what runs."""
    return {task["path"]: task["instance"] for task in here.show(execution)["tasks"]
            if task["status"] == "running" and task["instance"]}


def lost_tasks(here, execution):
    return {event["task"] for event in here.journal(execution) if event["kind"] == "lost"}


def partition(here):
    early, late = here.base / "early", here.base / "late"
    execution = here.start("split", "-i", f"early={early}", "-i", f"late={late}")
    held = wait_until(lambda: (lambda held: held if len(held) == 2 * TASKS else None)(
        holders(here, execution)), 30, "all tasks run")
    check(len(set(held.values())) == 2, f"both instances have some: {held}")
    instance = held["early_0"]
    theirs = {task for task, holder in held.items() if holder == instance}
    pid = here.instances()[instance]
    children = wait_until(lambda: (lambda found: found if len(found) >= 2 * len(theirs) else None)(
        below(pid)), 10, "its commands are seen")

    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: lost_tasks(here, execution) == theirs, 30, "the loss is journaled")
        again = wait_until(lambda: (lambda held: held if len(held) == 2 * TASKS else None)(
            holders(here, execution)), 30, "others have taken the tasks")
        check(instance not in again.values(), f"{instance} was given tasks while it was silent")
        early.touch()
        wait_until(lambda: len(here.steps(execution)) == TASKS, 30, "the early ones have ended")
    finally:
        os.kill(pid, signal.SIGCONT)

    wait_until(lambda: not [child for child in children if alive(child)], 30, "its children are gone")
    wait_until(lambda: linked(here) == 2, 30, "it is linked again")
    late.touch()
    document = here.wait(execution)
    check(document["status"] == "succeeded", document)
    for task, steps in here.steps(execution).items():
        check(len(steps) == 1 and steps[0]["step_kind"] == "result", f"{task}: {steps}")
        check(steps[0]["instance"] == again[task], f"{task} is from {steps[0]['instance']}")
    check(here.instances()[instance] == pid, "it was not restarted")
    check(here.counters()["losses"] == len(theirs), here.counters())
    return instance


def linked(here):
    return here.json("agents")["items"][0]["instances"]["ready"]


def serves_again(here, instance):
    """Sixteen tasks fill both instances."""
    for name in ("early", "late"):
        (here.base / name).unlink()
    executions = [here.start("split", "-i", f"early={here.base}/early", "-i",
                             f"late={here.base}/late") for _ in range(2)]
    wait_until(lambda: instance in {holder for execution in executions
                                    for holder in holders(here, execution).values()}, 30,
               "it has tasks again")
    for name in ("early", "late"):
        (here.base / name).touch()
    for execution in executions:
        check(here.wait(execution)["status"] == "succeeded", "they succeed")


def test():
    with Installation({"split.yaml": DEFINITIONS, "gate.sh": GATE}) as here:
        wait_until(lambda: linked(here) == 2, 30, "both instances are linked")
        serves_again(here, partition(here))


main(test)
