#!/usr/bin/env python3
"""Approvals, timers, signals and pauses, by the examples that docs/workflows.md explains them with, and
what a coordinator that is killed meanwhile makes of them: nothing."""
import concurrent.futures
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import ROOT, Installation, check, wait_until

MORE = """agent: echo
builtin: echo
---
agent: sleeper
builtin: sleep
---
workflow: each
input: {names: list}
nodes:
  ask: {approve: "Take {{item}}?", for: input.names, show: index}
output: ask
---
workflow: expires
nodes:
  ask: {approve: Now?, timeout: 300ms}
---
workflow: instead
nodes:
  ask: {approve: Now?, timeout: 300ms, on_expiry: {approved: false}}
output: ask
---
workflow: two_signals
nodes:
  slow: {agent: sleeper, with: {seconds: 1}}
  one: {wait: {signal: go}, after: [slow]}
  two: {wait: {signal: go}, after: [one]}
output: '[one, two]'
---
workflow: steps
input: {seconds: number}
nodes:
  a: {agent: sleeper, with: {seconds: "{{input.seconds}}"}}
  b: {agent: echo, say: b, after: [a]}
  c: {wait: 1ms, after: [a]}
output: b
---
workflow: wait_for_ever
limits: {time: 3s}
nodes:
  ask: {approve: Now?}
"""


def waiting(here, execution, status="waiting"):
    wait_until(lambda: here.show(execution)["status"] == status, 20, f"{execution} is {status}")


def approval_of(here, execution):
    return wait_until(lambda: [item for item in here.json("approvals")["items"]
                               if item["execution"] == execution], 20, "it is asked")[0]


def kinds(here, execution):
    return [event["kind"] for event in here.journal(execution)]


def task(document, path):
    return next(item for item in document["tasks"] if item["path"] == path)


# --- approval.yaml --------------------------------------------------------------------------------


def approved(here):  # rule 15
    execution = here.start("notice", "-i", "text=Closed on Monday")
    asked = approval_of(here, execution)
    check(asked["id"] == f"{execution}/review", asked)
    check(asked["text"] == "Post this notice of 26 letters?", asked)
    check(asked["show"] == "Dear all: Closed on Monday" and asked["due_at"], asked)
    check(task(here.show(execution), "review")["waits"] == "approval", "what it waits for is shown")
    here.ctl("approvals", "approve", asked["id"], "--note", "fine")
    document = here.wait(execution)
    check(document["output"]["posted"] == "DEAR ALL: CLOSED ON MONDAY", document["output"])
    check(document["output"]["note"] == "fine" and document["output"]["by"], document["output"])
    check(asked["id"] not in here.ctl("approvals"), "nothing waits any more")


def edited(here):  # rule 15
    execution = here.start("notice", "-i", "text=x")
    asked = approval_of(here, execution)
    here.ctl("approvals", "approve", asked["id"], "--edit", '"Open on Monday"')
    check(here.wait(execution)["output"]["posted"] == "OPEN ON MONDAY", "the edited text is posted")


def rejected_is_no_failure(here):  # rule 15
    execution = here.start("notice", "-i", "text=x")
    asked = approval_of(here, execution)
    here.ctl("approvals", "reject", asked["id"], "--note", "no")
    document = here.wait(execution)
    check(document["status"] == "succeeded", document)
    check(document["output"]["posted"] is None and document["output"]["note"] == "no", document)


def a_second_decision(here):
    execution = here.start("notice", "-i", "text=x")
    asked = approval_of(here, execution)["id"]
    here.ctl("executions", "pause", execution)
    first = here.json("approvals", "approve", asked, "--note", "one")
    again = here.json("approvals", "approve", asked, "--note", "two")
    check(again["note"] == "one" and again["decided_at"] == first["decided_at"], (first, again))
    done = here.try_ctl("approvals", "reject", asked)
    check(done.returncode == 1 and f"approved by {first['by']}" in done.stderr, done.stderr)
    here.ctl("executions", "resume", execution)
    here.wait(execution)
    done = here.try_ctl("approvals", "reject", asked)
    check(done.returncode == 1 and "has ended" in done.stderr, done.stderr)
    done = here.try_ctl("approvals", "approve", f"{execution}/nothing")
    check(done.returncode != 0, done.stderr)
    done = here.try_ctl("approvals", "approve", "review")
    check(done.returncode == 2 and "EXECUTION/TASK" in done.stderr, done.stderr)


def without_a_person(here):
    done = here.try_ctl("run", "notice", "-i", "text=x", "--no-input")
    check(done.returncode == 13, f"{done.returncode}: {done.stderr}")
    check("agentctl approvals approve exec_" in done.stderr, done.stderr)
    done = here.try_ctl("run", "notice", "-i", "text=x", "--no-input", "--json", "--quiet")
    document = json.loads(done.stdout)
    check(done.returncode == 13 and document["approvals"] == [f"{document['id']}/review"], document)
    here.ctl("executions", "cancel", document["id"])
    check(here.wait(document["id"])["status"] == "cancelled", "a wait can be cancelled")


def one_for_each_item(here):
    execution = here.start("each", "-i", 'names=["Ann","Bob"]')
    waiting(here, execution)
    asked = [item for item in here.json("approvals")["items"] if item["execution"] == execution]
    check([(item["id"], item["text"], item["show"]) for item in asked]
          == [(f"{execution}/ask[0]", "Take Ann?", 0), (f"{execution}/ask[1]", "Take Bob?", 1)], asked)
    here.ctl("approvals", "approve", asked[1]["id"])
    here.ctl("approvals", "reject", asked[0]["id"])
    check([item["approved"] for item in here.wait(execution)["output"]] == [False, True], "in order")


def nobody_decides(here):  # rule 15
    document = here.run("expires")
    check(document["status"] == "failed" and document["failure"]["code"] == "expired", document)
    check(here.run("instead")["output"] == {"approved": False}, "the value that was written for it")


# --- timer.yaml, signal.yaml ----------------------------------------------------------------------


def a_timer(here):
    began = time.monotonic()
    execution = here.start("twice", "-i", "text=Hi")
    waiting(here, execution)
    check(task(here.show(execution), "pause")["waits"] == "timer", "what it waits for is shown")
    document = here.wait(execution)
    check(document["output"] == "Once more: Hi" and time.monotonic() - began > 2, document)
    check(task(document, "pause")["output"] is None, document)


def a_signal(here):  # rule 15
    execution = here.start("parcel", "-i", "to=Ann")
    waiting(here, execution)
    done = here.try_ctl("executions", "signal", execution, "delivred")
    check(done.returncode == 3 and '"delivred"' in done.stderr, done.stderr)
    here.ctl("executions", "signal", execution, "delivered", "--payload", '{"at": "the door"}')
    check(here.wait(execution)["output"] == "The parcel for Ann was handed over at the door", execution)
    done = here.try_ctl("executions", "signal", execution, "delivered")
    check(done.returncode == 1 and "has ended" in done.stderr, done.stderr)


def signals_are_kept(here):
    execution = here.start("two_signals")
    for number in (1, 2):
        here.ctl("executions", "signal", execution, "go", "--payload", number)
    check(here.wait(execution)["output"] == [1, 2], "each ends one wait, in order")


# --- pauses ---------------------------------------------------------------------------------------


def a_pause(here):  # rule 1
    execution = here.start("steps", "-i", "seconds=1")
    wait_until(lambda: task(here.show(execution), "a")["status"] == "running", 20, "a runs")
    here.ctl("executions", "pause", execution, "--why", "lunch")
    here.ctl("executions", "pause", execution)
    wait_until(lambda: task(here.show(execution), "a")["status"] == "succeeded", 20, "a ends")
    time.sleep(0.3)
    document = here.show(execution)
    check(document["status"] == "paused", document["status"])
    check([task(document, path)["status"] for path in "bc"] == ["pending"] * 2, document["tasks"])
    check("paused by" in here.ctl("logs", execution), "the journal tells it")
    check(execution in here.ctl("executions", "ls", "--status", "paused"), "it is listed as paused")
    here.ctl("executions", "resume", execution)
    check(here.wait(execution)["output"] == "b", "it goes on")
    check(here.try_ctl("executions", "pause", execution).returncode == 1, "it has ended")
    check(kinds(here, execution).count("paused") == 1, "paused once")


# --- a coordinator that dies ----------------------------------------------------------------------


def kill_coordinator(here):
    old = here.kill("coordinatord")
    wait_until(lambda: here.pid("coordinatord") not in (None, old), 30, "it is started again")
    wait_until(lambda: here.try_ctl("status").returncode == 0, 30, "it answers again")


def a_wait_outlives_the_coordinator(here):
    executions = [here.start("notice", "-i", "text=x"), here.start("parcel", "-i", "to=Bob"),
                  here.start("twice", "-i", "text=y")]
    for execution in executions:
        waiting(here, execution)
    held = here.start("steps", "-i", "seconds=1")
    here.ctl("executions", "pause", held)
    kill_coordinator(here)
    check(here.show(held)["status"] == "paused", "still paused")
    check(approval_of(here, executions[0])["id"] == f"{executions[0]}/review", "still asked")
    here.ctl("executions", "signal", executions[1], "delivered", "--payload", '{"at": "1"}')
    here.ctl("approvals", "approve", f"{executions[0]}/review")
    kill_coordinator(here)  # between what was said and what follows, or behind it
    for execution in executions:
        document = here.wait(execution)
        check(document["status"] == "succeeded", document)
        results = [event["task"] for event in here.journal(execution) if event["kind"] == "step"]
        check(len(results) == len(set(results)), f"each task gave one result: {results}")
    check(kinds(here, executions[0]).count("decision") == 1, "decided once")
    document = here.show(held)
    check([task(document, path)["status"] for path in "bc"] == ["pending"] * 2, document["tasks"])
    here.ctl("executions", "resume", held)
    check(here.wait(held)["status"] == "succeeded", held)


def killed_at_the_decision(here):
    """A decision that was asked for is made once, and followed, wherever in it the coordinator dies."""
    for number in range(6):
        execution = here.start("notice", "-i", "text=x")
        asked = approval_of(here, execution)["id"]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            run = pool.submit(here.try_ctl, "approvals", "approve", asked, "--timeout", "20s")
            time.sleep(number * 0.004)
            kill_coordinator(here)
            done = run.result()
        check(done.returncode == 0, done.stderr)
        check(kinds(here, execution).count("decision") == 1, here.journal(execution))
        check(here.wait(execution)["output"]["posted"] == "DEAR ALL: X", execution)


def time_runs_on(here):
    document = here.run("wait_for_ever")
    check(document["status"] == "failed" and document["failure"]["code"] == "limit", document)


CASES = (approved, edited, rejected_is_no_failure, a_second_decision, without_a_person,
         one_for_each_item, nobody_decides, a_timer, a_signal, signals_are_kept, a_pause, time_runs_on)
KILLS = (a_wait_outlives_the_coordinator, killed_at_the_decision)


def test():
    with Installation(up=False) as here:
        here.project = ROOT / "examples" / "workflows"
        here.up()
        (here.base / "more.yaml").write_text(MORE, encoding="utf-8")
        here.ctl("apply", here.base / "more.yaml")
        run_cases(CASES, here, at_once=3)
        run_cases(KILLS, here)


main(test)
