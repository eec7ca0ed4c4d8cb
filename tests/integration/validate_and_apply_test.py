#!/usr/bin/env python3
"""Definitions as a person meets them: what is wrong is told all at once with its place and remedy, the
same by validate and apply; versions; running executions keep theirs."""
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import ROOT, Installation, check, wait_until

DATA = ROOT / "tests" / "data" / "definitions"
WARNINGS = {"join", "unknown_agent", "unknown_tool"}  # of file names: no errors before they are applied
KEYS = {"severity", "file", "line", "column", "path", "kind", "message", "fix"}

GATE = """#!/bin/sh
path=$(sed -n 's/.*"message":"\\([^"]*\\)".*/\\1/p')
until [ -e "$path" ]; do sleep 0.05; done
echo 1
"""
FIRST = """agent: gate
about: first
command: [./gate.sh]
---
agent: echo
builtin: echo
---
workflow: changing
input: {gate: text}
nodes:
  wait: {agent: gate, say: "{{input.gate}}"}
  answer: {agent: echo, after: [wait], say: the first version}
output: answer
"""
CYCLE = """workflow: round
nodes:
  a: {agent: gate, say: "{{c}}"}
  b: {agent: gate, say: "{{a}}"}
  c: {agent: gate, say: "{{b}}"}
"""
MISTAKES = """workflow: mistakes
nodes:
  review: {agent: gate, say: x}
  publish:
    agent: gate
    say: "{{reveiw}}"
    tiemout: 5s
"""


def broken_files_are_explained(here):
    paths = sorted(DATA.glob("bad/*.yaml"))
    check(len(paths) > 10, f"only {len(paths)} files")
    for path in paths:
        kind = path.stem.split("-")[0]
        done = here.try_ctl("validate", path, "--json")
        report = json.loads(done.stdout)
        found = report["diagnostics"]
        errors = [item for item in found if item["severity"] == "error"]
        wrong = kind not in WARNINGS
        check(done.returncode == (2 if wrong else 0) and report["valid"] is not wrong,
              f"{path.name}: exit {done.returncode}, valid {report['valid']}")
        check(bool(errors) is wrong and found, f"{path.name}: {found}")
        for item in found:
            check(set(item) == KEYS and item["line"] >= 1 and item["column"] >= 1 and item["message"]
                  and item["file"] == str(path), f"{path.name}: {item}")
        if wrong:
            check(kind in {item["kind"] for item in found}, f"{path.name}: no {kind} in {found}")
        text = here.try_ctl("validate", path)
        check(len(text.stdout.splitlines()) >= len(found), f"{path.name}: {text.stdout}")
        check(f"{path}:{found[0]['line']}:{found[0]['column']}: " in text.stdout, text.stdout)


def good_files_are_accepted(here):
    for path in sorted(DATA.glob("good/*.yaml")):
        report = here.json("validate", path)
        check(report["valid"] and report["definitions"] >= 1, f"{path.name}: {report}")


def a_cycle_is_told_with_its_path(here):
    (here.base / "cycle.yaml").write_text(CYCLE)
    done = here.try_ctl("validate", here.base / "cycle.yaml")
    check(done.returncode == 2, done)
    check(any(path in done.stdout for path in ("a -> b -> c -> a", "b -> c -> a -> b",
                                               "c -> a -> b -> c", "a -> c -> b -> a",
                                               "c -> b -> a -> c", "b -> a -> c -> b")), done.stdout)


def apply_refuses_all_or_nothing(here):
    (here.base / "mistakes.yaml").write_text(MISTAKES)
    good = here.base / "good.yaml"
    good.write_text("agent: bystander\nbuiltin: echo\n")
    done = here.try_ctl("apply", good, here.base / "mistakes.yaml")
    check(done.returncode == 2, f"exit {done.returncode}")
    check('did you mean "review"' in done.stderr and "timeout" in done.stderr
          and "mistakes.yaml:6:" in done.stderr and "mistakes.yaml:7:" in done.stderr, done.stderr)
    check(here.try_ctl("agents", "show", "bystander").returncode == 3, "the good one was applied")


def rules_go_along(here):
    folder = here.base / "script"
    (folder / "rules").mkdir(parents=True)
    rules = folder / "rules" / "lead.yaml"
    (folder / "lead.yaml").write_text("agent: lead\nmodel: script/rules/lead.yaml\n")
    done = here.try_ctl("apply", folder / "lead.yaml")
    check(done.returncode == 2 and f"there is no file {rules}" in done.stderr
          and "lead.yaml:2:8: " in done.stderr, done.stderr)
    for version, text in enumerate(("hello", "good day"), 1):
        rules.write_text(f"rules:\n  - say: {text}\n")
        for path in (folder / "lead.yaml", folder):
            applied = here.json("apply", path)["applied"]
            check([(item["name"], item["version"]) for item in applied] == [("lead", version)],
                  applied)
        shown = here.json("agents", "show", "lead")
        check(shown["definition"]["rules"] == {"rules": [{"say": text}]}, shown)
    rules.write_text("agent: stowaway\nbuiltin: echo\n")
    done = here.try_ctl("apply", folder / "lead.yaml")
    check(done.returncode == 2 and "something else" in done.stderr
          and "1 problem in the definitions: nothing was applied" in done.stderr, done.stderr)
    check(here.try_ctl("agents", "show", "stowaway").returncode == 3, "it was applied")
    rules.unlink()
    os.mkfifo(rules)
    for command in ("validate", "apply"):
        done = here.try_ctl(command, folder / "lead.yaml")
        check(done.returncode == 2 and f"{rules} can't be read: it is no regular file"
              in done.stdout + done.stderr, done)
    here.ctl("agents", "rm", "lead")


def unchanged_definitions_keep_their_version(here):
    before = here.json("workflows")["items"] + here.json("agents")["items"]
    for text in (FIRST, "# a comment\n" + FIRST.replace("about: first", "about:   'first'")):
        (here.project / "all.yaml").write_text(text)
        applied = here.json("apply", here.project)["applied"]
        check({item["changed"] for item in applied} == {False}, applied)
        check({item["version"] for item in applied} == {1}, applied)
    after = here.json("workflows")["items"] + here.json("agents")["items"]
    check([(item["hash"], item["version"]) for item in before]
          == [(item["hash"], item["version"]) for item in after], after)


def running_executions_keep_their_version(here):
    gates = [here.base / "one", here.base / "two"]
    old = here.start("changing", "-i", f"gate={gates[0]}")
    wait_until(lambda: [task for task in here.show(old)["tasks"] if task["status"] == "running"],
               30, "the first version runs")
    changed = FIRST.replace("the first version", "the second version")
    (here.project / "all.yaml").write_text(changed)
    preview = here.json("apply", here.project, "--dry-run")["applied"]
    check([(item["name"], item["version"]) for item in preview if item["changed"]]
          == [("changing", 2)], preview)
    check(here.json("workflows", "show", "changing")["version"] == 1, "a dry run changed something")
    applied = here.json("apply", here.project)["applied"]
    check(applied == preview, applied)
    check("the second version" in here.ctl("workflows", "show", "changing"), "the source")
    new = here.start("changing", "-i", f"gate={gates[1]}")
    for gate in gates:
        gate.touch()
    old, new = here.wait(old), here.wait(new)
    check((old["version"], old["output"]) == (1, "the first version"), old)
    check((new["version"], new["output"]) == (2, "the second version"), new)


def removed_definitions_are_gone(here):
    here.ctl("workflows", "rm", "changing")
    check(here.try_ctl("run", "changing", "-i", "gate=x").returncode == 3, "it can be run still")
    check(here.json("workflows")["items"] == [], "it is listed still")


CASES = (broken_files_are_explained, good_files_are_accepted, a_cycle_is_told_with_its_path,
         apply_refuses_all_or_nothing, rules_go_along, unchanged_definitions_keep_their_version,
         running_executions_keep_their_version, removed_definitions_are_gone)


def test():
    with Installation({"all.yaml": FIRST, "gate.sh": GATE}) as here:
        for case in CASES:
            run_cases((case,), here)


main(test)
