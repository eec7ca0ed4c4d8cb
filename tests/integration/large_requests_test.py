#!/usr/bin/env python3
"""Definitions and inputs that one message can't hold: applied, started with, shown, and what is said of
those that are too large even so."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import Installation, check

MIB = 1 << 20
SMALL = """agent: echo
builtin: echo
---
workflow: same
input: {text: text}
nodes:
  a: {agent: echo, with: {text: "{{input.text}}"}}
output: a.text
"""


def workflow(name, mib):
    """One that says a text of nearly a MiB in each of its nodes."""
    nodes = "".join(f"  n{n}:\n    agent: echo\n    say: {'t' * (MIB - 1000)}\n" for n in range(mib))
    return f"workflow: {name}\nnodes:\n{nodes}output: n0\n"


def a_large_workflow_is_applied_and_runs(here):
    path = here.base / "large.yaml"
    path.write_text(workflow("large", 9), encoding="utf-8")
    for changed in (True, False):
        applied = here.json("apply", path)["applied"]
        check([(item["name"], item["version"], item["changed"]) for item in applied]
              == [("large", 1, changed)], applied)
    shown = here.json("workflows", "show", "large")
    check(shown["source"] == path.read_text(encoding="utf-8")
          and len(shown["definition"]["nodes"]) == 9, "another one is shown")
    check("n8" in here.ctl("graph", "large"), "no graph")
    document = here.run("large")
    check(document["output"] == "t" * (MIB - 1000), len(document["output"]))


def a_problem_in_a_large_file_is_told(here):
    path = here.base / "wrong.yaml"
    path.write_text(workflow("wrong", 6) + "outptu: n1\n", encoding="utf-8")
    done = here.try_ctl("apply", path)
    check(done.returncode == 2 and 'did you mean "output"' in done.stderr
          and f"{path}:22:" in done.stderr, done.stderr[-500:])


def a_large_input_is_taken(here):
    for size in (4 * MIB - 4200, 4 * MIB - 4096, 4 * MIB - 100, 4 * MIB, 20 * MIB, 64 * MIB - 40):
        path = here.base / "input.json"
        path.write_text(json.dumps({"text": "i" * size}), encoding="utf-8")
        document = here.run("same", "--input", path)
        check(document["output"] == "i" * size, f"another output for {size} bytes")


def too_much_is_refused_with_a_remedy(here):
    path = here.base / "huge.json"
    path.write_text(json.dumps({"text": "i" * (64 * MIB - 20)}), encoding="utf-8")
    done = here.try_ctl("run", "same", "--input", path)
    check(done.returncode == 1 and f"at most {64 * MIB} are taken" in done.stderr
          and "pass its place" in done.stderr, done.stderr)
    path.write_text(json.dumps({"text": "i" * (64 * MIB)}), encoding="utf-8")
    done = here.try_ctl("run", "same", "--input", path)
    check(done.returncode == 1 and f"holds more than {64 * MIB} bytes" in done.stderr
          and "pass its place" in done.stderr, done.stderr)
    folder = here.base / "many"
    folder.mkdir()
    for n in range(8):
        (folder / f"w{n}.yaml").write_text(workflow(f"w{n}", 9), encoding="utf-8")
    done = here.try_ctl("apply", folder)
    check(done.returncode == 1 and "apply fewer files at once" in done.stderr, done.stderr)
    check(here.try_ctl("workflows", "show", "w0").returncode == 3, "it was applied")


CASES = (a_large_workflow_is_applied_and_runs, a_problem_in_a_large_file_is_told,
         a_large_input_is_taken, too_much_is_refused_with_a_remedy)


def test():
    with Installation({"all.yaml": SMALL}) as here:
        run_cases(CASES, here)


main(test)
