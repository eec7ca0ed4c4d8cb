#!/usr/bin/env python3
"""The disk's flush fails (strace injects EIO): the coordinator can't know what the disk holds, so it
ends at once and releases nothing; its successor folds what is really there, and nothing that was
acknowledged is lost."""
import pathlib
import shutil
import signal
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import Skip, main
from installation import Installation, check, wait_until

SYNCS = "fsync,fdatasync,msync,sync_file_range"
DEFINITIONS = """agent: sleeper
builtin: sleep
---
workflow: chain
nodes:
""" + "".join(f"  s{n}: {{agent: sleeper, with: {{ms: 100}}{f', after: [s{n - 1}]' if n else ''}}}\n"
              for n in range(20)) + "output: s19\n"


def break_syncs(pid):
    """Every flush of this process fails from now on."""
    if not shutil.which("strace"):
        raise Skip("strace is not installed")
    process = subprocess.Popen(["strace", "-f", "-p", str(pid), "-o", "/dev/null", "-e",
                                f"trace={SYNCS}", "-e", f"inject={SYNCS}:error=EIO:when=1+"],
                               stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    if "attached" not in line:
        process.wait(30)
        raise Skip(f"strace can't attach here: {line.strip()}")
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process


def sync_fails(here):
    accepted = [here.start("chain") for _ in range(5)]
    wait_until(lambda: len(here.steps(accepted[-1])) >= 2, 30, "they run")
    before = here.pid("coordinatord")
    tracer = break_syncs(before)
    try:
        # Its request is answered by the successor: asked again under the same key.
        accepted.append(here.start("chain", "--timeout", "60s"))
        wait_until(lambda: here.pid("coordinatord") not in (None, before), 60, "another runs")
        tracer.wait(30)
    finally:
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGTERM)
            tracer.wait(30)
    log = (here.dir / "log" / "coordinatord.log").read_text(errors="replace")
    check("Input/output error" in log, f"the log doesn't say why it ended:\n{log[-2000:]}")
    for execution in accepted:
        document = here.wait(execution)
        check(document["status"] == "succeeded", document)
        for task, steps in here.steps(execution).items():
            check([step["step"] for step in steps] == [1], f"{task}: {steps}")
        check(here.json("replay", execution)["status"] == "succeeded", "the journal folds")
    listed = [item["id"] for item in here.json("executions", "ls")["items"]]
    check(sorted(listed) == sorted(accepted), f"{len(listed)} executions, not {len(accepted)}")
    check(here.json("status")["epoch"] == 2, "one restart")


def test():
    with Installation({"chain.yaml": DEFINITIONS}) as here:
        sync_fails(here)


main(test)
