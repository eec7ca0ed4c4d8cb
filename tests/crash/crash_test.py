#!/usr/bin/env python3
"""Kills agentd, brokerd, coordinatord and hostd, each and all in turn, while executions of 200 tasks
run, and checks from outside that every execution succeeds, that no result is recorded twice, that no
task whose result is journaled runs again, and that no child process is left over.

    tests/crash/run [--kills N] [--seed N]
"""
import argparse
import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from installation import Installation, Reports, check, processes_of, rfc3339, wait_until

REPORT = pathlib.Path(os.environ["AF_REPORT"])
WIDTH = 198
ACTIVE = 3  # executions under way at any time
TASK_MS = 60
TARGETS = ("agentd", "brokerd", "coordinatord", "hostd", "all")


def definitions(socket):
    nodes = "".join(f"  n{i}: {{agent: worker, say: \"{{{{first}}}}\"}}\n" for i in range(WIDTH))
    after = ", ".join(f"n{i}" for i in range(WIDTH))
    return f"""agent: worker
command: ["{REPORT}", "{socket}", "{TASK_MS}"]
process: {{instances: 3, parallel: 8, network: true}}
---
workflow: storm
nodes:
  first: {{agent: worker, say: go}}
{nodes}  last: {{agent: worker, say: done, after: [{after}]}}
output: last
"""


class Storm:
    def __init__(self, here, reports, seed):
        self.here, self.reports = here, reports
        self.random = random.Random(seed)
        self.executions, self.ended = [], set()
        self.kills = dict.fromkeys(TARGETS, 0)

    def start_some(self):
        """Keeps some under way; starting goes on through the kills, too."""
        for item in self.listed():
            if item["status"] in ("succeeded", "failed", "cancelled"):
                self.ended.add(item["id"])
        while len(self.executions) - len(self.ended) < ACTIVE:
            self.executions.append(self.here.start("storm", "--timeout", "30s"))

    def listed(self):
        return self.here.json("executions", "ls", "--timeout", "30s")["items"]

    def kill(self, target):
        names = ("brokerd", "coordinatord", "hostd") if target == "all" else (target,)
        self.kills[target] += 1
        if target in ("agentd", "all"):
            pids = self.here.agentd_pids()
            for pid in pids if target == "all" else pids and [self.random.choice(pids)]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        for name in names:
            if name != "agentd":
                self.here.kill(name)

    def rage(self, kills):
        for number in range(kills):
            if number % 5 == 0:
                self.start_some()
            time.sleep(self.random.uniform(0.02, 1.2))
            self.kill(TARGETS[number % len(TARGETS)])

    def verify(self, execution):
        document = self.here.wait(execution, 180)
        check(document["status"] == "succeeded",
              f"{execution} is {document['status']}: {document.get('failure')}")
        results = {}
        for event in self.here.journal(execution):
            if event["kind"] == "step" and not event.get("failure"):
                check(event["task"] not in results, f"{execution}: two results of {event['task']}")
                results[event["task"]] = rfc3339(event["time"])
        check(len(results) == WIDTH + 2, f"{execution}: {len(results)} results")
        starts = self.reports.of("start", execution)
        check(len(starts) >= len(results), f"{execution}: {len(starts)} starts were reported")
        for at, _, task, _, _ in starts:
            check(at <= results[task] + 0.001,
                  f"{execution}: {task} ran again {at - results[task]:.3f} s after its result")
        return len(starts) - len(results)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    options = parser.parse_args()
    print(f"seed {options.seed}: tests/crash/run --kills {options.kills} --seed {options.seed}",
          flush=True)
    with Installation() as here:
        reports = Reports(here.base / "reports")
        here.write({"storm.yaml": definitions(reports.path)})
        here.ctl("apply", here.project)
        storm = Storm(here, reports, options.seed)
        began = time.monotonic()
        storm.rage(options.kills)
        again = sum(storm.verify(execution) for execution in storm.executions)
        took = time.monotonic() - began
        wait_until(lambda: not processes_of(REPORT), 10, "commands are gone")
        here.ctl("down", timeout=90)
        check(not here.agentd_pids(), "agentd processes are left over")
        reports.close()
    print(f"{sum(storm.kills.values())} kills ({storm.kills}), {len(storm.executions)} executions of "
          f"{WIDTH + 2} tasks succeeded in {took:.1f} s; {again} tasks under way were run again")


main()
