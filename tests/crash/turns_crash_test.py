#!/usr/bin/env python3
"""Kills agentd processes while agents talk, use tools and delegate, and checks from outside that every
conversation ends with the answer that it has without kills, that no model call was made twice (egressd
writes each call that it really makes to a file), that nothing was delegated twice, and that nothing is
left over. Then egressd is killed in the middle of calls: those are made again, and counted as such.

    tests/crash/run turns [--kills N] [--seed N] [--all]     --all: brokerd, coordinatord and hostd, too
"""
import argparse
import collections
import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from installation import Installation, check, wait_until

ROUNDS = 4   # turns of the lead that delegate
WORKERS = 3  # delegations in each of them
ACTIVE = 6   # executions under way at any time

FILES = {
    "agents.yaml": """agent: lead
about: Asks workers, round after round
model: script/lead.rules.yaml
delegates: [worker]
process: {instances: 5}
tools:
  - command: {name: count, about: Counts characters, argv: [./count.sh], input: stdin, repeat: safe}
---
agent: worker
about: Counts twice, then answers
model: script/worker.rules.yaml
process: {instances: 9}
tools:
  - command: {name: count, about: Counts characters, argv: [./count.sh], input: stdin, repeat: safe}
---
workflow: talk
input: {topic: text}
nodes:
  main: {agent: lead, say: "{{input.topic}}"}
output: main
""",
    "count.sh": "#!/bin/sh\nsleep 0.02\nwc -c\n",
    "worker.rules.yaml": """rules:
  - when: {turn: 1}
    say: I count
    calls: [{tool: count, with: {input: "{{message}}"}}]
    delay: 30ms
  - when: {turn: 2}
    say: and once more
    calls:
      - {tool: count, with: {input: "{{message}} more"}}
      - {tool: count, with: {input: "{{results[0].output}}"}}
    delay: 20ms
    stream: 5ms
  - say: "{{message}}: {{results[0].output}}, {{results[1].output}}"
    delay: 30ms
""",
}


def lead_rules():
    """Rounds of delegations with a turn of tools between them, then an answer out of the last one."""
    rules = ["rules:"]
    for number in range(ROUNDS):
        rules.append(f"  - when: {{turn: {2 * number + 1}}}")
        rules.append(f"    say: round {number} of several words\n    delay: 20ms\n    stream: 10ms")
        rules.append("    calls:")
        for worker in range(WORKERS):
            rules.append(f"      - {{delegate: worker, message: \"{number}.{worker} {{{{message}}}}\"}}")
        rules.append(f"  - when: {{turn: {2 * number + 2}}}")
        rules.append("    calls: [{tool: count, with: {input: \"{{results[0].output}}\"}}]\n"
                     "    delay: 20ms")
    rules.append("  - say: \"at last {{results[0].output}}: {{turns[0].results[2].output}}\"")
    return "\n".join(rules) + "\n"


TURNS = 2 * ROUNDS + 1 + ROUNDS * WORKERS * 3  # of one execution


class Talks:
    def __init__(self, here, seed, everything):
        self.here, self.random, self.everything = here, random.Random(seed), everything
        self.executions, self.ended, self.killed = [], set(), collections.Counter()
        self.seen = {}  # pid -> when it was seen first
        self.number = 0

    def listed(self):
        return self.here.json("executions", "ls", "--timeout", "30s")["items"]

    def keep_some(self):
        for item in self.listed():
            if item["status"] in ("succeeded", "failed", "cancelled"):
                self.ended.add(item["id"])
        while len(self.executions) - len(self.ended) < ACTIVE:
            self.number += 1
            self.executions.append(self.here.start("talk", "-i", "topic=t", "--timeout", "30s"))

    def old_agents(self):
        """A process that dies young again and again is taken for one that crashes by itself."""
        now = time.monotonic()
        pids = self.here.agentd_pids()
        self.seen = {pid: self.seen.get(pid, now) for pid in pids}
        return [pid for pid in pids if now - self.seen[pid] > 1.3]

    def kill_an_agent(self):
        pids = self.old_agents()
        if not pids:
            return 0
        try:
            os.kill(self.random.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return 0
        self.killed["agentd"] += 1
        return 1

    def rage(self, kills):
        done = 0
        while done < kills:
            if done % 10 == 0:
                self.keep_some()
            time.sleep(self.random.uniform(0.01, 0.12))
            done += self.kill_an_agent()
            if self.everything and self.random.random() < 0.03:
                name = self.random.choice(("brokerd", "coordinatord", "hostd"))
                self.here.kill(name)
                self.killed[name] += 1

    def verify(self, execution, answer):
        document = self.here.wait(execution, 180)
        check(document["status"] == "succeeded",
              f"{execution} is {document['status']}: {document.get('failure')}")
        check(document["output"] == answer,
              f"{execution} answers {document['output']!r}, not {answer!r}")
        check(document["delegations"] == ROUNDS * WORKERS,
              f"{execution} made {document['delegations']} delegations")
        turns = [event for event in self.here.journal(execution)
                 if event["kind"] == "step" and event["step_kind"] == "turn"]
        check(len(turns) == TURNS, f"{execution} has {len(turns)} turns, not {TURNS}")


def check_calls(path, executions, lost=0):
    """Every call once, but for those that an egressd took with it."""
    calls = collections.Counter(path.read_text(encoding="utf-8").splitlines())
    again = sum(times - 1 for times in calls.values())
    check(len(calls) == TURNS * executions,
          f"{len(calls)} calls were made for {executions} executions of {TURNS} turns")
    check(again <= lost, f"{again} calls were made again: "
          f"{[call for call, times in calls.items() if times > 1][:3]}")
    return again


def kill_egress(here, answer, path):
    """In the middle of a call, as the file tells, which is written when one begins."""
    before = len(path.read_text(encoding="utf-8").splitlines())
    execution = here.start("talk", "-i", "topic=t")
    for number in (3, 9, 20):
        wait_until(lambda: len(path.read_text(encoding="utf-8").splitlines()) >= before + number,
                   60, f"call {number} has begun")
        here.kill("egressd")
    document = here.wait(execution)
    check(document["output"] == answer, f"{execution} answers {document['output']!r}")
    again = sum(task.get("calls_again", 0) for task in here.show(execution)["tasks"])
    settled = [event for event in here.journal(execution) if event["kind"] == "settled"]
    check(again == len(settled) > 0, f"{again} calls count as made again, {len(settled)} in the journal")
    return again


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}: tests/crash/run turns --kills {options.kills} --seed {options.seed}"
          f"{' --all' if options.all else ''}", flush=True)
    with Installation({**FILES, "lead.rules.yaml": lead_rules()}, count_calls=True) as here:
        answer = here.run("talk", "-i", "topic=t")["output"]
        check(answer.startswith("at last "), answer)
        talks = Talks(here, options.seed, options.all)
        began = time.monotonic()
        talks.rage(options.kills)
        for execution in talks.executions:
            talks.verify(execution, answer)
        took = time.monotonic() - began
        check_calls(here.calls, len(talks.executions) + 1)
        lost = kill_egress(here, answer, here.calls)
        again = check_calls(here.calls, len(talks.executions) + 2, lost)
        here.ctl("down", timeout=90)
        check(not here.agentd_pids(), "agentd processes are left over")
    print(f"{dict(talks.killed)} killed while {len(talks.executions)} conversations of {TURNS} turns ran, "
          f"in {took:.1f} s: each answered the same, no call was made twice; "
          f"{again} of {lost} calls that 3 lost egressds had were made again")


main()
