#!/usr/bin/env python3
"""Workflows as nodes of others (rule 13): what they give, how they fail, what goes down to them, and what a
coordinator that is killed meanwhile makes of them: nothing."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import ROOT, Installation, check, wait_until

MORE = """agent: sleeper
builtin: sleep
---
agent: failing
builtin: fail
---
agent: echo
builtin: echo
---
workflow: sleeps
input: {seconds: number, say: {type: text, default: done}}
nodes:
  sleep: {agent: sleeper, with: {seconds: "{{input.seconds}}"}}
  then: {agent: echo, say: "{{input.say}}", after: [sleep]}
output: then
---
workflow: fails
nodes:
  fail: {agent: failing}
---
workflow: outer
input: {seconds: number}
nodes:
  sub: {workflow: sleeps, with: {seconds: "{{input.seconds}}"}}
  then: {agent: echo, say: "{{sub}}"}
output: then
---
workflow: outer_fails
nodes:
  sub: {workflow: fails, retry: {attempts: 2, backoff: 10ms}}
---
workflow: wrong_type
nodes:
  sub: {workflow: sleeps, with: {seconds: soon}}
---
workflow: many
input: {numbers: list}
nodes:
  each: {workflow: sleeps, for: input.numbers, with: {seconds: 0, say: "no {{item}}"}, parallel: 20}
output: each
---
workflow: too_slow
nodes:
  sub: {workflow: sleeps, with: {seconds: 60}, timeout: 300ms}
---
workflow: itself
nodes:
  again: {workflow: itself}
"""


def task(document, path):
    return next(item for item in document["tasks"] if item["path"] == path)


def child_of(here, execution, path="sub"):
    """The execution of a task's sub-workflow, once it has one."""
    return wait_until(lambda: task(here.show(execution), path).get("execution"), 20, "it has begun")


def listed(here, *args):
    return {item["id"]: item for item in here.json("executions", "ls", *args)["items"]}


def it_gives_its_output(here):
    document = here.run("compare", "-i", 'first=["Bees make honey"]', "-i", 'second=["Wasps"]')
    check(document["output"] == "first", document)
    child = here.show(task(document, "first")["execution"])
    check(child["output"]["words"] == 3 and child["workflow"] == "count_words", child)
    check(child["parent"] == document["id"] and child["parent_task"] == "first", child)
    check(child["id"] not in listed(here) and document["id"] in listed(here), "owned ones are hidden")
    check(child["id"] in listed(here, "--all", "--workflow", "count_words"), "but with --all")
    check(len(listed(here, "--parent", document["id"])) == 2, "or by their owner")
    text = here.ctl("logs", document["id"])
    check("workflow count_words" in text and child["id"] in text, text)


def a_failure_names_it(here):
    document = here.run("outer_fails")
    sub = task(document, "sub")
    check(document["status"] == "failed" and sub["attempt"] == 2, document)
    check(sub["execution"] in sub["failure"]["detail"], sub)
    children = [event["child"] for event in here.journal(document["id"]) if event["kind"] == "owned"]
    check(len(set(children)) == 2, children)
    done = here.try_ctl("executions", "retry", sub["execution"])
    check(done.returncode != 0 and document["id"] in done.stderr, done.stderr)
    here.ctl("executions", "retry", document["id"], expect=10)
    again = here.wait(document["id"])
    check(task(again, "sub")["execution"] not in children, "a retry starts a new one")


def a_wrong_input_fails(here):
    document = here.run("wrong_type")
    check(document["failure"]["code"] == "invalid" and "seconds" in document["failure"]["message"],
          document["failure"])
    text = ("workflow: w\nnodes:\n  a: {workflow: slepes, with: {seconds: 1}}\n---\n"
            "workflow: sleeps\ninput: {seconds: number}\nnodes: {a: {agent: echo}}\n---\n"
            "workflow: v\nnodes:\n  a: {workflow: sleeps, with: {secunds: 1}}\n")
    (here.base / "bad.yaml").write_text(text, encoding="utf-8")
    done = here.try_ctl("validate", here.base / "bad.yaml")
    for words in ('no workflow "slepes"', 'needs the input "seconds"', 'no input "secunds"'):
        check(words in done.stdout, done.stdout)


def a_cancel_goes_down(here):
    execution = here.start("outer", "-i", "seconds=60")
    child = child_of(here, execution)
    here.ctl("executions", "cancel", execution)
    check(here.wait(execution)["status"] == "cancelled", "the owner is cancelled")
    check(here.show(child)["status"] == "cancelled", "and so is what it owns")


def a_timeout_cancels(here):
    document = here.run("too_slow")
    sub = task(document, "sub")
    check(document["status"] == "failed" and sub["failure"]["code"] in ("timeout", "limit"), document)
    check(here.show(sub["execution"])["status"] in ("cancelled", "failed"), "it ended")


def the_depth_is_bounded(here):
    document = here.run("itself")
    check(document["failure"]["code"] == "limit", document["failure"])


def a_list_of_them(here):
    numbers = list(range(1000))
    document = here.run("many", "-i", f"numbers={numbers}", seconds=300)
    check(document["status"] == "succeeded" and document["output"] == [f"no {n}" for n in numbers], document["failure"])


def a_killed_coordinator_changes_nothing(here):
    execution = here.start("outer", "-i", "seconds=3")
    child = child_of(here, execution)
    here.kill("coordinatord")
    document = here.wait(execution)
    check(document["status"] == "succeeded" and document["output"] == "done", document)
    check(task(document, "sub")["execution"] == child, "it is the same")
    check([event["kind"] for event in here.journal(execution)].count("owned") == 1, "and the only one")


def a_pause_goes_down(here):
    execution = here.start("outer", "-i", "seconds=1")
    child = child_of(here, execution)
    here.ctl("executions", "pause", execution)
    check(here.show(child)["status"] == "paused", "it is paused, too")
    here.ctl("executions", "resume", execution)
    check(here.wait(execution)["status"] == "succeeded", "and resumed")


CASES = (it_gives_its_output, a_failure_names_it, a_wrong_input_fails, a_cancel_goes_down,
         a_timeout_cancels, the_depth_is_bounded, a_list_of_them, a_pause_goes_down)


def test():
    with Installation(up=False) as here:
        here.project = ROOT / "examples" / "workflows"
        here.up()
        (here.base / "more.yaml").write_text(MORE, encoding="utf-8")
        here.ctl("apply", here.base / "more.yaml")
        run_cases(CASES, here, at_once=3)
        run_cases((a_killed_coordinator_changes_nothing,), here, at_once=1)


main(test)
