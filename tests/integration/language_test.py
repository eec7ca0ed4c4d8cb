#!/usr/bin/env python3
"""What the language of workflows promises, by real processes: order, joins, retries, timeouts,
errors, limits, cancel, inputs and values. Cases run several at once in one installation."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import Installation, alive, check, rfc3339, wait_until

# Ends when the file that its message names exists; its child lives in a session of its own.
GATE = """#!/bin/sh
path=$(sed -n 's/.*"message":"\\([^"]*\\)".*/\\1/p')
setsid sleep 3617 </dev/null >/dev/null 2>&1 &
until [ -e "$path" ]; do sleep 0.05; done
echo '"opened"'
"""

LARGE = """#!/usr/bin/env python3
import json, sys
json.load(sys.stdin)
print(json.dumps("".join(chr(97 + i * i % 26) for i in range(3 << 20))))
"""

MEDIUM = """#!/usr/bin/env python3
import json, sys
print(json.dumps(json.load(sys.stdin)["message"] + "-" * 60000))
"""

AGENTS = """agent: echo
builtin: echo
---
agent: sleeper
builtin: sleep
---
agent: failing
builtin: fail
---
agent: gate
command: [./gate.sh]
---
agent: large
command: [./large.py]
---
agent: medium
command: [./medium.py]
"""

WORKFLOWS = """workflow: linear
input: {word: text}
nodes:
  one: {agent: echo, say: "{{input.word}} one"}
  two: {agent: echo, say: "{{one}} two"}
  three: {agent: echo, say: "{{two}} three"}
---
workflow: fan
nodes:
  first: {agent: echo, with: {list: [{n: 1}, {n: 2}], text: "a b"}}
  left: {agent: echo, say: "{{first.list[0].n}}"}
  right: {agent: echo, say: "{{first.list[1].n}}"}
  middle: {agent: echo, say: "{{first.text}}"}
  last: {agent: echo, with: {left: "{{left}}", right: "{{right}}", all: ["{{middle}}", "x"]}}
output: last
---
workflow: any
input: {gate: text}
nodes:
  slow: {agent: gate, say: "{{input.gate}}"}
  quick: {agent: echo, say: quick}
  joined: {agent: echo, join: any, with: {quick: "{{quick}}", slow: "{{slow}}"}}
output: joined
---
workflow: done
nodes:
  bad: {agent: failing, say: it broke}
  never: {agent: echo, after: [bad], say: never}
  tidy: {agent: echo, after: [bad, never], join: done, say: tidied}
output: tidy
---
workflow: retried
nodes:
  flaky:
    agent: failing
    with: {times: 2, answer: 42}
    retry: {attempts: 3, backoff: 80ms, factor: 3}
output: flaky.answer
---
workflow: used_up
nodes:
  bad: {agent: failing, say: always, retry: {attempts: 2, backoff: 10ms}}
---
workflow: permanent
nodes:
  bad: {agent: failing, with: {permanent: true, message: no use}, retry: {attempts: 5, backoff: 10ms}}
---
workflow: late
input: {gate: text}
nodes:
  slow: {agent: gate, say: "{{input.gate}}", timeout: 400ms}
---
workflow: tolerant
nodes:
  bad: {agent: failing, say: broken, on_error: continue}
  after: {agent: echo, with: {bad: "{{bad}}", fixed: 1}}
---
workflow: fallback
nodes:
  main:
    agent: failing
    say: take this
    retry: {attempts: 2, backoff: 10ms}
    on_error: {fallback: echo}
---
workflow: stop
input: {gate: text}
nodes:
  bad: {agent: failing, say: broken}
  other: {agent: gate, say: "{{input.gate}}"}
  then: {agent: echo, say: "{{other}}"}
---
workflow: finish
when_failed: finish
input: {gate: text}
nodes:
  bad: {agent: failing, say: broken}
  below: {agent: echo, say: "{{bad}}"}
  other: {agent: gate, say: "{{input.gate}}"}
  then: {agent: echo, say: "{{other}}"}
---
workflow: limited
limits: {time: 700ms}
input: {gate: text}
nodes:
  slow: {agent: gate, say: "{{input.gate}}"}
---
workflow: few
limits: {parallel: 2}
input: {gate: text}
nodes:
  a: {agent: gate, say: "{{input.gate}}"}
  b: {agent: gate, say: "{{input.gate}}"}
  c: {agent: gate, say: "{{input.gate}}"}
  d: {agent: gate, say: "{{input.gate}}"}
  e: {agent: gate, say: "{{input.gate}}"}
---
workflow: cancelled
input: {gate: text}
nodes:
  a: {agent: gate, say: "{{input.gate}}"}
  b: {agent: gate, say: "{{input.gate}}"}
  then: {agent: echo, say: "{{a}} {{b}}"}
  tidy: {agent: echo, after: [a], join: done, say: no}
---
workflow: typed
input:
  topic: text
  count: {type: integer, default: 3, minimum: 1}
  deep: {type: list, default: [1, {b: 2, a: 1}]}
nodes:
  it: {agent: echo, with: {topic: "{{input.topic}}", count: "{{input.count}}", deep: "{{input.deep}}"}}
output: it
---
workflow: large
nodes:
  big: {agent: large, say: go}
  second: {agent: echo, say: "{{big}}"}
  third: {agent: echo, with: {inner: "{{second}}"}}
output: third
---
workflow: many_large
nodes:
  # Outputs that are just small enough to stand inline: many of them fill several answers.
""" + "".join(f'  n{n}: {{agent: medium, say: "{n}"}}\n' for n in range(60)) + """output: n59
---
workflow: anything
input: {value: {}}
nodes:
  it: {agent: echo, say: "{{input.value}}"}
output: it
"""


class Gate:
    """A file that a command waits for."""

    def __init__(self, here, name):
        self.path = here.base / f"gate-{name}"

    def open(self):
        self.path.touch()


def gated(here, workflow):
    gate = Gate(here, workflow)
    return gate, here.start(workflow, "-i", f"gate={gate.path}")


def statuses(document):
    return {task["path"]: task["status"] for task in document["tasks"]}


def running(here, execution):
    return [path for path, status in statuses(here.show(execution)).items() if status == "running"]


def commands_of(execution):
    """Processes with the execution in their environment, the command's children included."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and execution.encode() in (folder / "environ").read_bytes():
                found.append(folder.name)
        except OSError:
            pass
    return [pid for pid in found if alive(pid)]


def succeeded(document):
    check(document["status"] == "succeeded", f"{document['status']}: {document.get('failure')}")
    return document["output"]


def failed(document, code):
    check(document["status"] == "failed", f"it {document['status']}")
    check(document["failure"]["code"] == code, f"the failure is {document['failure']}")
    return document


# --- order and joins ------------------------------------------------------------------------------


def tasks_follow_each_other(here):  # rule 2
    document = here.run("linear", "-i", "word=zero")
    check(succeeded(document) == {"three": "zero one two three"}, document["output"])
    times = {task["path"]: task for task in document["tasks"]}
    check(times["one"]["ended_at"] <= times["two"]["queued_at"], "two was queued before one ended")


def branches_join(here):  # rules 3 and 12
    output = succeeded(here.run("fan"))
    check(output == {"left": 1, "right": 2, "all": ["a b", "x"]}, output)
    check(list(output) == ["left", "right", "all"], "the order of keys changed")


def any_goes_on_with_the_first(here):  # rules 3 and 4
    gate, execution = gated(here, "any")
    wait_until(lambda: "joined" in here.steps(execution), 30, "the join has run")
    check(here.show(execution)["status"] == "running", "slow has not ended yet")
    gate.open()
    output = succeeded(here.wait(execution))
    check(output == {"quick": "quick", "slow": None}, output)
    order = [event["task"] for event in here.journal(execution) if event["kind"] == "step"]
    check(order == ["quick", "joined", "slow"], order)


def done_runs_after_failures(here):  # rules 3 and 5
    document = failed(here.run("done"), "failed")
    check(statuses(document) == {"bad": "failed", "never": "skipped", "tidy": "succeeded"},
          statuses(document))
    check(document["failed_path"] == "bad", document)


# --- attempts -------------------------------------------------------------------------------------


def attempts_back_off(here):  # rule 9
    execution = here.start("retried")
    check(succeeded(here.wait(execution)) == 42, "the third attempt answers")
    steps = here.steps(execution)["flaky"]
    check([step["attempt"] for step in steps] == [1, 2, 3], steps)
    check([step["step_kind"] for step in steps] == ["failure", "failure", "result"], steps)
    for step, least in zip(steps, (80, 240)):
        pause = 1000 * (rfc3339(step["retry_at"]) - rfc3339(step["ended_at"]))
        check(0.79 * least <= pause <= 1.21 * least + 1000, f"{pause} ms after attempt "
              f"{step['attempt']}")
    for step, following in zip(steps, steps[1:]):
        check(step["retry_at"] <= following["started_at"], "an attempt began before its time")


def attempts_are_used_up(here):  # rule 5
    execution = here.start("used_up")
    document = failed(here.wait(execution), "failed")
    check("always" in document["failure"]["message"], document["failure"])
    check(len(here.steps(execution)["bad"]) == 2, "two attempts")


def permanent_errors_are_not_retried(here):  # rule 9
    execution = here.start("permanent")
    failed(here.wait(execution), "failed")
    check(len(here.steps(execution)["bad"]) == 1, "one attempt")


def timeout_ends_the_command(here):  # rule 10
    gate, execution = gated(here, "late")
    failed(here.wait(execution), "timeout")
    check(not commands_of(execution), "it ended before the command's processes")


# --- errors ---------------------------------------------------------------------------------------


def on_error_continue_gives_null(here):  # rules 2 and 4
    document = here.run("tolerant")
    check(succeeded(document) == {"after": {"bad": None, "fixed": 1}}, document["output"])
    check(statuses(document)["bad"] == "failed", statuses(document))


def fallback_takes_over(here):  # rule 6
    execution = here.start("fallback")
    check(succeeded(here.wait(execution)) == {"main": "take this"}, "echo answers")
    steps = here.steps(execution)["main"]
    check([(step["attempt"], step["agent"]) for step in steps]
          == [(1, "failing"), (2, "failing"), (3, "echo")], steps)


def failure_stops_the_rest(here):  # rules 1 and 5
    gate, execution = gated(here, "stop")
    document = failed(here.wait(execution), "failed")
    check(statuses(document) == {"bad": "failed", "other": "cancelled", "then": "skipped"},
          statuses(document))
    check(not commands_of(execution), "it ended before the command's processes")


def failure_lets_the_rest_finish(here):  # rule 5
    gate, execution = gated(here, "finish")
    wait_until(lambda: here.show(execution)["status"] == "failing", 30, "it is failing")
    gate.open()
    document = failed(here.wait(execution), "failed")
    check(statuses(document) == {"bad": "failed", "below": "skipped", "other": "succeeded",
                                 "then": "succeeded"}, statuses(document))


# --- limits and cancel ----------------------------------------------------------------------------


def time_is_limited(here):  # rule 10
    gate, execution = gated(here, "limited")
    failed(here.wait(execution), "limit")
    done = here.try_ctl("executions", "wait", execution)
    check(done.returncode == 14, f"exit {done.returncode}")
    check(not commands_of(execution), "it ended before the command's processes")


def few_run_at_once(here):
    gate, execution = gated(here, "few")
    wait_until(lambda: len(running(here, execution)) == 2, 30, "two run")
    for _ in range(5):
        check(len(running(here, execution)) <= 2, "more than two run")
    gate.open()
    document = here.wait(execution)
    succeeded(document)
    moments = sorted([(rfc3339(task["started_at"]), 1) for task in document["tasks"]]
                     + [(rfc3339(task["ended_at"]), -1) for task in document["tasks"]])
    now = most = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    check(most <= 2, f"{most} ran at once")


def cancel_ends_everything(here):  # rule 11
    gate, execution = gated(here, "cancelled")
    wait_until(lambda: len(running(here, execution)) == 2, 30, "both commands run")
    wait_until(lambda: len(commands_of(execution)) >= 4, 30, "their processes are seen")
    here.ctl("executions", "cancel", execution, "--why", "not needed")
    done = here.try_ctl("executions", "wait", execution, "--json", "--quiet")
    check(done.returncode == 11, f"exit {done.returncode}")
    document = json.loads(done.stdout)
    check(statuses(document) == dict.fromkeys(("a", "b", "then", "tidy"), "cancelled"), statuses(document))
    check(not commands_of(execution), "it ended before its commands' processes")
    again = here.try_ctl("executions", "cancel", execution)
    check(again.returncode == 1 and "ended already" in again.stderr, again.stderr)
    journal = here.journal(execution)
    check([event["why"] for event in journal if event["kind"] == "cancel"] == ["not needed"],
          journal)


# --- inputs and values ----------------------------------------------------------------------------


def inputs_have_defaults(here):
    output = succeeded(here.run("typed", "-i", "topic=12"))
    check(output == {"topic": "12", "count": 3, "deep": [1, {"b": 2, "a": 1}]}, output)
    check(list(output["deep"][1]) == ["b", "a"], "the order of keys changed")
    output = succeeded(here.run("typed", "-i", "topic=t", "-i", "count=9", "-i", "deep=[]"))
    check(output == {"topic": "t", "count": 9, "deep": []}, output)


def wrong_inputs_are_refused(here):
    for args, names in (([], "topic"),
                        (["-i", "topic=t", "-i", "count=many"], "count"),
                        (["-i", "topic=t", "-i", "count=0"], "count"),
                        (["-i", "topic=t", "-i", "conut=3"], "conut")):
        done = here.try_ctl("run", "typed", *args, "-d")
        check(done.returncode == 2, f"{args}: exit {done.returncode}")
        check(names in done.stderr and not done.stdout, f"{args}: {done.stderr}")
    check(not here.json("executions", "ls", "--workflow", "typed", "--status", "failed")["items"],
          "a refused input started something")


def values_come_back_whole(here):
    for value in (0, -1, 2**53 + 1, 2**63 - 1, -2**63, 0.1, 1e300, True, None, "", "häß €\u0000🙂",
                  [], {}, {"b": [None, {"": {}}], "a": 1}, "{{input.value}}", "x" * 70000):
        (here.base / "value.json").write_text(json.dumps({"value": value}))
        output = succeeded(here.run("anything", "--input", here.base / "value.json"))
        check(output == value and type(output) is type(value), f"{value!r:.80} became {output!r:.80}")


def large_values_travel_whole(here):
    output = succeeded(here.run("large"))
    expected = "".join(chr(97 + i * i % 26) for i in range(3 << 20))
    check(output == {"inner": expected}, f"{len(str(output))} characters came back")
    (here.base / "large.json").write_text(json.dumps({"value": expected}))
    output = succeeded(here.run("anything", "--input", here.base / "large.json"))
    check(output == expected, f"{len(str(output))} characters came back")


def many_large_values_are_all_shown(here):
    execution = here.start("many_large")
    document = here.wait(execution)
    check(succeeded(document) == "59" + "-" * 60000, "another output")
    for shown in (document, here.show(execution)):
        outputs = {task["path"]: task["output"] for task in shown["tasks"]}
        check(outputs == {f"n{n}": f"{n}" + "-" * 60000 for n in range(60)}, list(outputs))
    journal = here.journal(execution)
    check([event["sequence"] for event in journal] == list(range(1, len(journal) + 1)), "a gap")
    check(len(here.steps(execution)) == 60 and journal[-1]["kind"] == "ended", "events are missing")
    check(len(here.ctl("logs", execution).splitlines()) == len(journal), "lines are missing")
    check(here.json("replay", execution)["sequence"] == len(journal), "the replay ended early")


def deep_values_travel_whole(here):
    def nested(depth):
        return {"value": json.loads("[" * depth + "]" * depth)}
    (here.base / "deep.json").write_text(json.dumps(nested(200)))
    output = succeeded(here.run("anything", "--input", here.base / "deep.json"))
    check(output == nested(200)["value"], "another value came back")
    (here.base / "deeper.json").write_text(json.dumps(nested(300)))
    done = here.try_ctl("run", "anything", "--input", here.base / "deeper.json")
    check(done.returncode in (1, 2) and "256" in done.stderr, f"{done.returncode} {done.stderr}")


CASES = (tasks_follow_each_other, branches_join, any_goes_on_with_the_first, done_runs_after_failures,
         attempts_back_off, attempts_are_used_up, permanent_errors_are_not_retried,
         timeout_ends_the_command, on_error_continue_gives_null, fallback_takes_over,
         failure_stops_the_rest, failure_lets_the_rest_finish, time_is_limited, few_run_at_once,
         cancel_ends_everything, inputs_have_defaults, wrong_inputs_are_refused,
         values_come_back_whole, large_values_travel_whole,
         many_large_values_are_all_shown, deep_values_travel_whole)


def test():
    files = {"agents.yaml": AGENTS, "workflows.yaml": WORKFLOWS, "gate.sh": GATE,
             "large.py": LARGE, "medium.py": MEDIUM}
    with Installation(files) as here:
        run_cases(CASES, here, at_once=3)


main(test)
