#!/usr/bin/env python3
"""Conditions of nodes and edges, and a task for each item of a list, by real processes: what runs and
what is skipped, order, limits, failures, cancels, restarts of the coordinator, and many items."""
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import Installation, check, rfc3339, wait_until

# Answers its message, but fails with "bad".
PICKY = """#!/usr/bin/env python3
import json, sys
message = json.load(sys.stdin)["message"]
if message == "bad":
    sys.exit("this one is bad")
print(json.dumps(message))
"""

# Answers once the file that its message names exists.
GATE = """#!/bin/sh
path=$(sed -n 's/.*"message":"\\([^"]*\\)".*/\\1/p')
until [ -e "$path" ]; do sleep 0.02; done
echo "\\"$path\\""
"""

DEFINITIONS = """agent: echo
builtin: echo
process: {instances: 1, parallel: 512}
---
agent: sleeper
builtin: sleep
process: {instances: 1, parallel: 64}
---
agent: picky
command: [./picky.py]
process: {instances: 1, parallel: 4}
---
agent: gate
command: [./gate.sh]
process: {instances: 1, parallel: 8}
---
workflow: branches
input: {deep: boolean}
nodes:
  find: {agent: echo, with: {deep: "{{input.deep}}", never: false}}
  deep: {agent: echo, if: find.deep, say: deep}
  below: {agent: echo, say: "{{deep}} below"}
  quick: {agent: echo, after: [{node: find, if: find.never}], say: quick}
  merged: {agent: echo, join: any, after: [{node: quick}, {node: find, if: find.deep}], say: merged}
  closing: {agent: echo, join: done, after: [deep, merged], say: closed}
output: closing
---
workflow: no_condition
input: {deep: {}}
nodes:
  it: {agent: echo, if: input.deep, say: "yes"}
---
workflow: tolerated_condition
input: {deep: {}}
nodes:
  it: {agent: echo, if: input.deep, say: "yes", on_error: continue}
  then: {agent: echo, with: {it: "{{it}}"}}
---
workflow: squares
input: {list: list}
nodes:
  m: {agent: echo, for: input.list, with: {at: "{{index}}", it: "{{item}}"}}
output: m
---
workflow: naps
input: {list: list}
nodes:
  m: {agent: sleeper, for: input.list, parallel: 2, with: {ms: "{{item}}", n: "{{index}}"}}
output: m
---
workflow: strict
input: {list: list}
nodes:
  m: {agent: picky, for: input.list, parallel: 2, say: "{{item}}"}
  then: {agent: echo, say: "{{m}}"}
---
workflow: lenient
input: {list: list}
nodes:
  m: {agent: picky, for: input.list, say: "{{item}}", on_error: continue}
  then: {agent: echo, with: {all: "{{m}}"}}
output: then
---
workflow: rescued
input: {list: list}
nodes:
  m: {agent: picky, for: input.list, say: "{{item}}", retry: {attempts: 2, backoff: 10ms}, on_error: {fallback: echo}}
output: m
---
workflow: anything
input: {list: {}}
nodes:
  m: {agent: echo, for: input.list, say: "{{item}}"}
output: m
---
workflow: twice
input: {list: list}
nodes:
  first: {agent: echo, for: input.list, with: {n: "{{item}}"}}
  second: {agent: echo, for: first, say: "{{item.n}}"}
output: second
---
workflow: gates
input: {list: list, go: boolean}
nodes:
  m: {agent: gate, for: input.list, parallel: 3, if: input.go, say: "{{item}}"}
  never: {agent: echo, if: m.never, say: "{{m}}", on_error: continue}
  then: {agent: echo, for: m, say: "{{item}}"}
  tidy: {agent: echo, after: [m], join: done, say: tidied}
output: then
"""


def given(here, workflow, **value):
    """Starts the workflow with this input."""
    path = here.base / f"{workflow}-{time.monotonic_ns()}.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    return here.start(workflow, "--input", path)


def run(here, workflow, **value):
    return here.wait(given(here, workflow, **value))


def statuses(document):
    return {task["path"]: task["status"] for task in document["tasks"]}


def tasks(document):
    return {task["path"]: task for task in document["tasks"]}


def succeeded(document):
    check(document["status"] == "succeeded", f"{document['status']}: {document.get('failure')}")
    return document["output"]


def failed(document, code, words):
    check(document["status"] == "failed", f"it {document['status']}")
    check(document["failure"]["code"] == code and words in document["failure"]["message"],
          f"the failure is {document['failure']}")
    return document


def decided(here, execution):
    return [event for event in here.journal(execution) if event["kind"] == "decided"]


def most_at_once(document, node):
    moments = sorted(moment for task in document["tasks"] if task["parent"] == node
                     for moment in ((rfc3339(task["started_at"]), 1), (rfc3339(task["ended_at"]), -1)))
    now = most = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


# --- conditions -----------------------------------------------------------------------------------


def a_true_condition_runs(here):
    document = run(here, "branches", deep=True)
    check(succeeded(document) == "closed", document["output"])
    check(statuses(document) == {"find": "succeeded", "deep": "succeeded", "below": "succeeded",
                                 "quick": "skipped", "merged": "succeeded", "closing": "succeeded"},
          statuses(document))


def a_false_condition_skips(here):
    execution = given(here, "branches", deep=False)
    document = here.wait(execution)
    check(succeeded(document) == "closed", document["output"])
    check(statuses(document) == {"find": "succeeded", "deep": "skipped", "below": "skipped",
                                 "quick": "skipped", "merged": "skipped", "closing": "succeeded"},
          statuses(document))
    reasons = {path: task.get("reason", "") for path, task in tasks(document).items()}
    check("`if` is false" in reasons["deep"], reasons)
    check(reasons["below"] == 'after "deep" was skipped', reasons)
    check('edge from "find"' in reasons["quick"], reasons)
    said = {(event["task"], event["what"], event.get("source")): event["holds"]
            for event in decided(here, execution)}
    check(said == {("deep", "if", None): False, ("quick", "edge", "find"): False,
                   ("merged", "edge", "find"): False}, said)
    lines = here.ctl("logs", execution)
    check("deep                 skipped: if is false" in lines, lines)
    check("quick                from find: if is false" in lines, lines)
    shown = here.ctl("executions", "show", execution)
    check("skipped (its `if` is false)" in shown, shown)


def a_condition_that_is_none_fails_its_node(here):
    for value in (1, "true", None, []):
        document = failed(run(here, "no_condition", deep=value), "expression", "`if`")
        check(document["failed_path"] == "it" and statuses(document) == {"it": "failed"}, document)
        document = run(here, "tolerated_condition", deep=value)
        check(succeeded(document) == {"then": {"it": None}}, document["output"])


# --- maps -----------------------------------------------------------------------------------------


def answers_are_in_order(here):
    execution = given(here, "squares", list=["a", None, {"b": [1]}, 2.5])
    document = here.wait(execution)
    expected = [{"at": 0, "it": "a"}, {"at": 1, "it": None}, {"at": 2, "it": {"b": [1]}},
                {"at": 3, "it": 2.5}]
    check(succeeded(document) == expected, document["output"])
    items = [task for task in document["tasks"] if task["parent"]]
    check([(task["path"], task["parent"], task["node"], task["item"], task["depth"]) for task in items]
          == [(f"m[{n}]", "m", "m", n, 0) for n in range(4)], items)
    node = tasks(document)["m"]
    check((node["items"], node["items_ended"], node["status"]) == (4, 4, "succeeded"), node)
    check(document["delegations"] == 0 and document["tasks_count"] == 5, document)
    check([(event["what"], event["items_count"]) for event in decided(here, execution)]
          == [("for", 4)], decided(here, execution))
    check("m                    4 items" in here.ctl("logs", execution), "the line of the list")
    tree = here.ctl("executions", "show", execution, "--tree")
    check("m     " in tree and "succeeded, 4 items" in tree and "├ ✔ m[2]" in tree
          and "└ ✔ m[3]" in tree, tree)
    check("m[3]" in here.ctl("logs", execution, "--node", "m"), "items are lines of their node")
    replayed = here.json("replay", execution)
    check([task["path"] for task in replayed["tasks"]] == [task["path"] for task in document["tasks"]],
          replayed)


def items_begin_in_order_so_many_at_a_time(here):
    document = run(here, "naps", list=[300, 200, 100, 50, 10, 10])
    check([answer["n"] for answer in succeeded(document)] == [0, 1, 2, 3, 4, 5], document["output"])
    check(most_at_once(document, "m") == 2, f"{most_at_once(document, 'm')} at once")
    starts = [tasks(document)[f"m[{n}]"]["started_at"] for n in range(6)]
    check(starts == sorted(starts), f"they began out of order: {starts}")


def an_empty_list_succeeds(here):
    execution = given(here, "twice", list=[])
    document = here.wait(execution)
    check(succeeded(document) == [], document["output"])
    check([(task["path"], task["status"], task["items"]) for task in document["tasks"]]
          == [("first", "succeeded", 0), ("second", "succeeded", 0)], document["tasks"])
    check("first                0 items" in here.ctl("logs", execution), "the line of the list")


def maps_follow_each_other(here):
    check(succeeded(run(here, "twice", list=[3, "x", [1]])) == [3, "x", [1]], "the second one's list")


def what_is_no_list_fails(here):
    for value in (1, "abc", {"a": 1}, None):
        failed(run(here, "anything", list=value), "expression", "list")


def a_failed_item_fails_its_node(here):
    document = failed(run(here, "strict", list=["a", "bad"] + ["c"] * 50), "exit", "")
    check(document["failed_path"] == "m", document["failed_path"])
    found = statuses(document)
    check(found["m[1]"] == "failed" and found["m"] == "failed" and found["then"] == "skipped", found)
    check(found["m[51]"] == "cancelled", found)
    check(set(found.values()) <= {"failed", "skipped", "cancelled", "succeeded"}, found)


def a_tolerated_item_is_null(here):
    document = run(here, "lenient", list=["a", "bad", "c", "bad"])
    check(succeeded(document) == {"all": ["a", None, "c", None]}, document["output"])
    check(statuses(document)["m"] == "succeeded" and statuses(document)["m[3]"] == "failed",
          statuses(document))


def items_have_attempts_and_a_fallback(here):
    execution = given(here, "rescued", list=["a", "bad", "c"])
    check(succeeded(here.wait(execution)) == ["a", "bad", "c"], "echo answers for the bad one")
    steps = here.steps(execution)
    check([(step["attempt"], step["agent"]) for step in steps["m[1]"]]
          == [(1, "picky"), (2, "picky"), (3, "echo")], steps["m[1]"])
    check(len(steps["m[0]"]) == 1, steps["m[0]"])


# --- cancel and restart ---------------------------------------------------------------------------


def gates_of(here, name, count):
    return [here.base / f"gate-{name}-{n}" for n in range(count)]


def running(here, execution):
    return [path for path, status in statuses(here.show(execution)).items() if status == "running"]


def ended_items(here, execution):
    return tasks(here.show(execution))["m"].get("items_ended", 0)


def a_cancel_ends_the_items(here):
    gates = gates_of(here, "cancel", 20)
    execution = given(here, "gates", list=[str(gate) for gate in gates], go=True)
    gates[0].touch()
    gates[1].touch()
    wait_until(lambda: ended_items(here, execution) == 2 and len(running(here, execution)) == 3, 30,
               "two have ended and three run")
    check(running(here, execution) == ["m[2]", "m[3]", "m[4]"], running(here, execution))
    shown = here.ctl("executions", "show", execution, "--tree")
    check("2 of 20 items" in shown, shown)
    here.ctl("executions", "cancel", execution)
    document = here.wait(execution, 30)
    found = statuses(document)
    check(document["status"] == "cancelled" and found["m"] == "cancelled", document["status"])
    check(found["m[0]"] == found["m[1]"] == "succeeded", found)
    check({found[f"m[{n}]"] for n in range(2, 20)} == {"cancelled"}, found)
    check(found["then"] == "cancelled" and found["tidy"] == "cancelled", found)


def a_restart_goes_on(here):
    gates = gates_of(here, "restart", 12)
    execution = given(here, "gates", list=[str(gate) for gate in gates], go=True)
    for number in range(0, 12, 3):
        gates[number].touch()
        wait_until(lambda: ended_items(here, execution) == number + 1, 30, f"item {number} has ended")
        check(here.kill("coordinatord"), "the coordinator runs")
        wait_until(lambda: here.pid("coordinatord"), 30, "the coordinator is back")
        for gate in gates[number + 1:number + 3]:
            gate.touch()
        wait_until(lambda: ended_items(here, execution) == number + 3, 60, "the next two have ended")
    document = here.wait(execution, 60)
    check(succeeded(document) == [str(gate) for gate in gates], document["output"])
    journal = here.journal(execution)
    results = [event["task"] for event in journal if event["kind"] == "step"]
    check(len(results) == len(set(results)), f"a step was taken twice: {results}")
    kinds = [(event["task"], event["what"]) for event in journal if event["kind"] == "decided"]
    check(sorted(kinds) == [("m", "for"), ("m", "if"), ("never", "if"), ("then", "for")], kinds)
    check(statuses(document)["never"] == "failed", "m has no member \"never\"")


def a_cancel_after_a_restart(here):
    gates = gates_of(here, "both", 6)
    execution = given(here, "gates", list=[str(gate) for gate in gates], go=True)
    wait_until(lambda: len(running(here, execution)) == 3, 30, "three run")
    check(here.kill("coordinatord"), "the coordinator runs")
    wait_until(lambda: here.pid("coordinatord"), 30, "the coordinator is back")
    here.ctl("executions", "cancel", execution)
    document = here.wait(execution, 60)
    check(document["status"] == "cancelled", document["status"])
    check(set(statuses(document).values()) == {"cancelled"}, statuses(document))


# --- many -----------------------------------------------------------------------------------------


def ten_thousand_items_complete(here):
    """Their list is a blob, and so is what they gave."""
    numbers = list(range(10000))
    for workflow, text in (("anything", numbers), ("twice", [f"item {n:05}" for n in numbers])):
        began = time.monotonic()
        execution = given(here, workflow, list=text)
        wait_until(lambda: here.json("executions", "ls", "--workflow", workflow)["items"][0]["ended_at"],
                   120, "they have ended")
        took = time.monotonic() - began
        count = len(numbers) * (2 if workflow == "twice" else 1)
        print(f"    {count} items of {workflow} took {took:.2f} s: {count / took:.0f} a second",
              flush=True)
        document = here.wait(execution)
        check(succeeded(document) == text, "another output")
        check(document["tasks_count"] == len(document["tasks"]), f"{len(document['tasks'])} tasks")
        here.ctl("executions", "show", execution, "--tree")


def many_items_survive_a_restart(here):
    text = [f"item {n:05}" for n in range(10000)]
    execution = given(here, "twice", list=text)
    wait_until(lambda: here.json("status")["counters"]["steps"] > 1000, 30, "some have ended")
    check(here.kill("coordinatord"), "the coordinator runs")
    killed = time.time()
    document = here.wait(execution, 120)
    check(rfc3339(document["ended_at"]) > killed, "it had ended before the restart")
    check(succeeded(document) == text, "another output")
    results = [event["task"] for event in here.journal(execution) if event["kind"] == "step"]
    check(len(results) == len(set(results)) == 20002, f"{len(results)} steps")


CASES = [
    a_true_condition_runs, a_false_condition_skips, a_condition_that_is_none_fails_its_node,
    answers_are_in_order, items_begin_in_order_so_many_at_a_time, an_empty_list_succeeds, maps_follow_each_other,
    what_is_no_list_fails, a_failed_item_fails_its_node, a_tolerated_item_is_null,
    items_have_attempts_and_a_fallback, a_cancel_ends_the_items,
]
ALONE = [a_restart_goes_on, a_cancel_after_a_restart, many_items_survive_a_restart,
         ten_thousand_items_complete]


def script():
    with Installation({"all.yaml": DEFINITIONS, "picky.py": PICKY, "gate.sh": GATE}) as here:
        run_cases(CASES, here, at_once=3)
        run_cases(ALONE, here)


main(script)
