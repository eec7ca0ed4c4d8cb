#!/usr/bin/env python3
"""Delegations under load and in trouble: agents that wait for each other, many at once, parents that
die while their delegations run, cancels in the middle of a tree, and agents that would go on for ever."""
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import Installation, check, wait_until

DEFINITIONS = """agent: a
about: Asks b, then answers
model: script/a.rules.yaml
delegates: [b, a]
process: {instances: 1, parallel: 1}
---
agent: b
about: Answers, or asks a back
model: script/b.rules.yaml
delegates: [a]
process: {instances: 1, parallel: 1}
---
agent: many
about: Asks as many as it is told, in one turn
model: script/many.rules.yaml
delegates: [echo, slow]
process: {instances: 1, parallel: 64}
---
agent: echo
builtin: echo
---
agent: slow
about: Takes its time
command: [./slow.sh]
process: {instances: 2, parallel: 8}
---
agent: pair
about: Asks two slow ones, and works itself
model: script/pair.rules.yaml
delegates: [slow]
tools:
  - command: {name: nap, about: Sleeps, argv: [./nap.sh], input: none, repeat: safe}
---
agent: ping
about: Always asks pong
model: script/ping.rules.yaml
delegates: [pong, ping]
limits: {tokens: 2000}
---
agent: pong
about: Always asks ping
model: script/pong.rules.yaml
delegates: [pong, ping]
---
agent: tree
about: Asks a pair, which asks two
model: script/tree.rules.yaml
delegates: [pair, slow]
---
workflow: crossed
nodes:
  a: {agent: a, say: "1"}
  b: {agent: b, say: ask}
---
workflow: fifty
nodes:
""" + "".join(f"  n{i}: {{agent: many, with: {{n: [1]}}}}\n" for i in range(50)) + """limits: {parallel: 50}
---
workflow: thousand
input: {n: list}
nodes:
  main: {agent: many, with: {n: "{{input.n}}"}}
output: main
---
workflow: rally
nodes:
  main: {agent: ping, say: go, allow_again: true}
"""

RULES = {
    "a.rules.yaml": """rules:
  - when: {turn: 1, message: "1"}
    calls: [{delegate: b, message: hello}]
  - say: "a"
""",
    "b.rules.yaml": """rules:
  - when: {turn: 1, message: ask}
    calls: [{delegate: a, message: hello}]
  - say: "b"
""",
    "many.rules.yaml": """rules:
  - when: {turn: 1}
    calls: [{delegate: echo, message: "{{item}}", for: message.n}]
  - say: "{{results[0].output}}"
""",
    "pair.rules.yaml": """rules:
  - when: {turn: 1}
    calls:
      - {delegate: slow, message: "left {{message}}"}
      - {delegate: slow, message: "right {{message}}"}
      - {tool: nap, with: {}}
  - say: "{{results[0].output}} {{results[1].output}}"
""",
    "tree.rules.yaml": """rules:
  - when: {turn: 1}
    calls:
      - {delegate: pair, message: one}
      - {delegate: slow, message: two}
  - say: done
    delay: 30s
""",
    "ping.rules.yaml": """rules:
  - calls: [{delegate: pong, message: "{{turn}}"}]
    usage: {input: 60, output: 40}
""",
    "pong.rules.yaml": """rules:
  - calls: [{delegate: ping, message: "{{turn}}"}]
    usage: {input: 60, output: 40}
""",
    "slow.sh": "#!/bin/sh\nsleep 1.5\necho '\"slow\"'\n",
    "nap.sh": "#!/bin/sh\nsleep 0.7\necho rested\n",
}


def crossed_agents_complete(here):
    """The only instance of a waits for b while the only one of b waits for a, one task at a time."""
    for _ in range(5):
        document = here.run("crossed", seconds=30)
        check(document["status"] == "succeeded", document)
        check(document["output"] == {"a": "a", "b": "b"}, document["output"])


def fifty_parents_within_a_limit_of_fifty_complete(here):
    document = here.run("fifty", seconds=60)
    check(document["status"] == "succeeded" and document["delegations"] == 50, document)


def a_thousand_delegations_complete(here):
    numbers = ", ".join(str(i) for i in range(1000))
    (here.base / "input.json").write_text(f'{{"n": [{numbers}]}}', encoding="utf-8")
    began = time.monotonic()
    document = here.wait(here.start("thousand", "--input", str(here.base / "input.json")), 120)
    check(document["status"] == "succeeded" and document["delegations"] == 1000, document)
    print(f"    a thousand delegations of one turn took {time.monotonic() - began:.2f} s", flush=True)


def a_killed_parent_attaches_to_both(here):
    execution = here.start_agent("pair", "x")
    wait_until(lambda: len(children(here, execution)) == 2 and running(here, execution), 20,
               "both delegations run")
    instance = [task for task in here.show(execution)["tasks"] if task["path"] == "ask"][0]["instance"]
    os.kill(here.instances()[instance], signal.SIGKILL)
    document = here.wait(execution, 60)
    check(document["status"] == "succeeded" and document["output"] == "slow slow", document)
    check(document["delegations"] == 2, "a delegation was made again")
    starts = [event for event in here.journal(execution)
              if event["kind"] == "step" and event["task"].startswith("ask/")]
    check(len(starts) == 2, f"{len(starts)} steps of two delegations: one ran twice")


def children(here, execution):
    return [task for task in here.show(execution)["tasks"] if task["parent"]]


def running(here, execution):
    return all(task["status"] == "running" for task in children(here, execution))


def a_cancel_stops_the_whole_tree(here):
    execution = here.start_agent("tree", "x")
    wait_until(lambda: sum(task["status"] == "running" for task in children(here, execution)) >= 4, 20,
               "the tree runs")
    began = time.monotonic()
    here.ctl("executions", "cancel", execution)
    document = here.wait(execution, 20)
    took = time.monotonic() - began
    check(document["status"] == "cancelled", document)
    check(took < 1.0, f"the cancel took {took:.2f} s")
    check(not pids_of(here, "slow.sh"), "a command of the cancelled tree still runs")
    asked = [event for event in here.journal(execution) if event["kind"] == "cancel"][0]
    late = [event for event in here.journal(execution)
            if event["sequence"] > asked["sequence"] and event["kind"] != "ended"]
    check(not late, f"after the cancel: {late}")


def a_cancel_stops_model_calls(here):
    execution = here.start_agent("tree", "y")
    wait_until(lambda: [event for event in here.journal(execution)
                        if event["kind"] == "reserved" and event["task"] == "ask" and event["turn"] == 2],
               20, "the last turn is under way")
    here.ctl("executions", "cancel", execution)
    began = time.monotonic()
    check(here.wait(execution, 20)["status"] == "cancelled", "it was not cancelled")
    check(time.monotonic() - began < 1.0, "the cancel took more than a second")


def pids_of(here, name):
    found = []
    for pid in here.own_processes():
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if name in words:
            found.append(pid)
    return found


def ping_pong_ends_within_its_budget(here):
    execution = here.start("rally")
    document = here.wait(execution, 60)
    check(document["status"] == "failed" and document["failure"]["code"] == "limit", document)
    check("ping" in document["failure"]["message"], document["failure"])
    refusals = [event for event in here.journal(execution) if event["kind"] == "refused"]
    check(refusals and all("ping -> pong -> ping -> pong" in event["failure"]["message"]
                           for event in refusals if event["failure"]["code"] == "cycle"), refusals)
    bound = max(event["tokens"] for event in here.journal(execution) if event["kind"] == "reserved")
    check(document["tokens"] <= 2000 + bound, f"{document['tokens']} tokens were spent")
    print(f"    it ended with {document['tokens']} of 2000 tokens, "
          f"{len(refusals)} refusals: {document['failure']['message']}", flush=True)


CASES = [
    crossed_agents_complete,
    fifty_parents_within_a_limit_of_fifty_complete,
    a_thousand_delegations_complete,
    a_killed_parent_attaches_to_both,
    a_cancel_stops_the_whole_tree,
    a_cancel_stops_model_calls,
    ping_pong_ends_within_its_budget,
]


def script():
    with Installation({"all.yaml": DEFINITIONS, **RULES}) as here:
        run_cases(CASES, here)


main(script)
