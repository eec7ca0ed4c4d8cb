#!/usr/bin/env python3
"""The disk runs full while executions run: what was acknowledged stays, new work is refused with the
reason, nothing crashes, and all goes on when there is room. Needs root, to mount a small tmpfs."""
import json
import os
import pathlib
import random
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import Skip, main
from installation import Installation, check, wait_until

SIZE = "48m"
DAEMONS = ("brokerd", "coordinatord", "egressd", "hostd", "agentctl-up")
DEFINITIONS = """agent: sleeper
builtin: sleep
---
agent: echo
builtin: echo
---
workflow: chain
input: {ballast: text}
nodes:
""" + "".join(f"  s{n}: {{agent: sleeper, with: {{ms: 250}}{f', after: [s{n - 1}]' if n else ''}}}\n"
              for n in range(8)) + """  last: {agent: echo, after: [s7], say: arrived}
output: last
"""


def mount(path):
    path.mkdir()
    if os.geteuid() != 0:
        raise Skip("mounting a tmpfs needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", path],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(f"a tmpfs can't be mounted here: {done.stderr.strip()}")


def fill(path):
    """Takes all room that is left."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


class Starter:
    """Starts executions with some ballast each. What is acknowledged counts; what was taken in just
    before the disk was full is neither acknowledged nor refused as long as it is."""

    def __init__(self, here):
        self.here = here
        self.random = random.Random(7)
        self.accepted = []
        self.in_doubt = 0
        self.file = here.base / "input.json"

    def start(self):
        ballast = self.random.randbytes(20000).hex()
        self.file.write_text(json.dumps({"ballast": ballast}))
        done = self.here.try_ctl("run", "chain", "-d", "--input", self.file, "--timeout", "2s")
        if done.returncode == 0:
            self.accepted.append(done.stdout.strip())
        self.in_doubt += done.returncode == 12
        return done

    def until_refused(self):
        """A little room may be left within the store itself."""
        for _ in range(2000):
            done = self.start()
            if done.returncode not in (0, 12):
                return done
        raise AssertionError("the store never ran full")


def full(here):
    return here.json("status")["full"]


def disk_runs_full(here):
    starter = Starter(here)
    wait_until(lambda: len(here.agentd_pids()) == 2, 30, "agents are up")
    wait_until(lambda: all(here.pid(name) for name in DAEMONS), 10, "daemons are up")
    pids = [here.pid(name) for name in DAEMONS] + sorted(here.agentd_pids())
    check(len(pids) == 7, pids)
    for _ in range(4):
        check(starter.start().returncode == 0, "there is room at first")
    fill(here.dir / "ballast")
    refused = starter.until_refused()
    check(refused.returncode == 14 and not refused.stdout, refused)
    check("no room" in refused.stderr and str(here.dir / "store") in refused.stderr, refused.stderr)
    machine = here.try_ctl("run", "chain", "-d", "-i", "ballast=x", "--json")
    check(json.loads(machine.stdout)["error"]["error"] == "full", machine.stdout)
    check(full(here) and "FULL" in here.ctl("status"), "status tells it")
    listed = {item["id"] for item in here.json("executions", "ls")["items"]}
    check(set(starter.accepted) <= listed, "something acknowledged is not there")

    (here.dir / "ballast").unlink()
    wait_until(lambda: not full(here), 30, "the store has found the room")
    check(starter.start().returncode == 0, "new work is accepted")
    for execution in starter.accepted:
        document = here.wait(execution)
        check(document["status"] == "succeeded" and document["output"] == "arrived", document)
        check(len(document["tasks"]) == 9, document)
        for task, steps in here.steps(execution).items():
            check(len(steps) == 1, f"{task} has {len(steps)} results")
    listed = {item["id"] for item in here.json("executions", "ls")["items"]}
    check(len(listed - set(starter.accepted)) <= starter.in_doubt <= 1,
          "a refused request has started something")
    after = [here.pid(name) for name in DAEMONS] + sorted(here.agentd_pids())
    check(after == pids, f"processes were {pids}, are {after}")


def test():
    with Installation({"chain.yaml": DEFINITIONS}, up=False) as here:
        mount(here.dir)
        try:
            here.up()
            disk_runs_full(here)
            here.ctl("down", timeout=90)
        except BaseException:
            here.show_logs()
            here.try_ctl("down", timeout=90)
            raise
        finally:
            subprocess.run(["umount", "-l", here.dir], check=False)


main(test)
