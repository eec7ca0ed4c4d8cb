#!/usr/bin/env python3
"""Retries of executions that ended, and forks, by real processes."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import Installation, check, wait_until

# Fails until the file that its message names is there.
NEEDS_FILE = """#!/usr/bin/env python3
import json, os, sys
path = json.load(sys.stdin)["message"]
if not os.path.exists(path):
    sys.exit("the file is not there")
json.dump(path, sys.stdout)
"""

FILES = {"needs_file.py": NEEDS_FILE, "agents.yaml": """agent: echo
builtin: echo
---
agent: sleeper
builtin: sleep
---
agent: needs_file
command: [./needs_file.py]
""", "workflows.yaml": """workflow: chain
input: {path: text, done: text}
nodes:
  first: {agent: needs_file, say: "{{input.done}}"}
  second: {agent: needs_file, say: "{{input.path}}", after: [first], retry: {attempts: 2, backoff: 1ms}}
  third: {agent: echo, say: "{{second}}"}
  beside: {agent: echo, say: beside}
---
workflow: each
input: {paths: list}
nodes:
  each: {agent: needs_file, for: input.paths, parallel: 1, say: "{{item}}"}
---
workflow: two_steps
input: {word: text, end: {type: text, default: "!"}}
nodes:
  a: {agent: echo, say: "{{input.word}}"}
  b: {agent: echo, say: "{{a}} {{input.word}}{{input.end}}"}
  c: {agent: echo, say: "{{b}}", if: "input.word != 'skip'"}
---
workflow: slow
nodes:
  a: {agent: echo, say: a}
  b: {agent: sleeper, with: {seconds: 60}, after: [a]}
"""}


def runs(here, document):
    """How often each task was tried, in all."""
    return {path: len(steps) for path, steps in here.steps(document["id"]).items()}


def statuses(document):
    return {task["path"]: task["status"] for task in document["tasks"]}


def attempts(document):
    return {task["path"]: task["attempt"] for task in document["tasks"]}


def a_retry_keeps_what_succeeded(here):  # rule 16
    done, path = here.base / "done", here.base / "path"
    done.touch()
    document = here.run("chain", "-i", f"path={path}", "-i", f"done={done}")
    check(document["status"] == "failed" and document["failed_path"] == "second", document)
    again = here.try_ctl("executions", "retry", document["id"])
    check(again.returncode == 10 and "tried again" in again.stderr, again.stderr)
    check("first" not in again.stderr, f"what succeeded before is not told again: {again.stderr}")
    path.touch()
    here.ctl("executions", "retry", document["id"])
    document = here.show(document["id"])
    check(document["status"] == "succeeded" and document["reopened"] == 2, document)
    check(runs(here, document) == {"first": 1, "second": 5, "third": 1, "beside": 1}, document["tasks"])
    check(attempts(document) == {"first": 1, "second": 5, "third": 1, "beside": 1}, document["tasks"])
    check(document["output"] == {"third": str(path), "beside": "beside"}, document["output"])
    kinds = [event["kind"] for event in here.journal(document["id"])]
    check(kinds.count("reopened") == 2 and kinds.count("ended") == 3, kinds)


def a_list_keeps_its_items(here):
    paths = [here.base / f"item{index}" for index in range(4)]
    for index in (0, 2, 3):
        paths[index].touch()
    names = '["' + '","'.join(map(str, paths)) + '"]'
    document = here.run("each", "-i", f"paths={names}")
    check(document["status"] == "failed", document)
    check(runs(here, document) == {"each[0]": 1, "each[1]": 1}, runs(here, document))
    paths[1].touch()
    here.ctl("executions", "retry", document["id"])
    document = here.show(document["id"])
    check(document["status"] == "succeeded", document)
    check(runs(here, document) == {"each": 1, "each[0]": 1, "each[1]": 2, "each[2]": 1, "each[3]": 1},
          runs(here, document))
    check(document["output"]["each"] == [str(path) for path in paths], document["output"])


def a_cancelled_one_goes_on(here):  # rule 16
    execution = here.start("slow")
    wait_until(lambda: statuses(here.show(execution)).get("b") == "running", 20, "b runs")
    here.ctl("executions", "cancel", execution)
    check(here.wait(execution)["status"] == "cancelled", "it is cancelled")
    here.ctl("executions", "retry", execution, "-d")
    wait_until(lambda: statuses(here.show(execution)).get("b") == "running", 20, "b runs again")
    check(attempts(here.show(execution))["a"] == 1, "a is kept")
    here.ctl("executions", "cancel", execution)
    check(here.wait(execution)["status"] == "cancelled", "it is cancelled again")


def a_retry_survives_kill_9(here):
    execution = here.start("slow")
    wait_until(lambda: statuses(here.show(execution)).get("b") == "running", 20, "b runs")
    here.ctl("executions", "cancel", execution)
    here.wait(execution)
    here.ctl("executions", "retry", execution, "-d")
    here.kill("coordinatord")
    wait_until(lambda: here.try_ctl("executions", "show", execution).returncode == 0, 20, "it is back")
    document = here.show(execution)
    check(document["status"] == "running" and statuses(document)["a"] == "succeeded", document)
    here.ctl("executions", "cancel", execution)
    check(here.wait(execution)["status"] == "cancelled", "it is cancelled")


def what_can_not_be_retried_is_refused(here):
    document = here.run("two_steps", "-i", "word=bee")
    refused = here.try_ctl("executions", "retry", document["id"])
    check(refused.returncode == 1 and "has succeeded" in refused.stderr, refused.stderr)
    check("fork" in refused.stderr, f"the remedy: {refused.stderr}")
    execution = here.start("slow")
    refused = here.try_ctl("executions", "retry", execution)
    check(refused.returncode == 1 and "has not ended" in refused.stderr, refused.stderr)
    here.ctl("executions", "cancel", execution)
    unknown = here.try_ctl("executions", "retry", "exec_01jzzzzzzzzzzzzzzzzzzzzzzz")
    check(unknown.returncode == 3, unknown.stderr)


def a_fork_goes_on_with_another_input(here):  # rule 16
    document = here.run("two_steps", "-i", "word=bee")
    check(document["output"] == {"c": "bee bee!"}, document["output"])
    fork = here.json("executions", "fork", document["id"], "--from", "b", "-i", "word=wasp")
    check(fork["id"] != document["id"] and fork["status"] == "succeeded", fork)
    check(fork["output"] == {"c": "bee wasp!"}, fork["output"])
    check(fork["input"] == {"word": "wasp", "end": "!"}, fork["input"])
    check(fork["forked_from"] == document["id"], fork)
    ours, others = here.journal(fork["id"]), here.journal(document["id"])
    at = next(event for event in ours if event["kind"] == "forked")
    check(at["from"] == document["id"] and at["task"] == "b", at)
    keys = ("kind", "task", "output", "at", "sequence")
    before = [[event.get(key) for key in keys] for event in ours if event["sequence"] < at["sequence"]]
    theirs = [[event.get(key) for key in keys] for event in others][:len(before)]
    check(before == theirs and len(before) == at["at_sequence"], "it begins with the other's events")
    skips = here.json("executions", "fork", document["id"], "--from", "c", "-i", "word=skip")
    check(statuses(skips)["c"] == "skipped", "an `if` is asked again with the new input")
    listed = here.ctl("executions", "ls", "--workflow", "two_steps")
    check(fork["id"] in listed, listed)


def a_fork_of_a_fork_keeps_its_input(here):
    document = here.run("two_steps", "-i", "word=bee")
    fork = here.json("executions", "fork", document["id"], "--from", "b", "-i", "word=wasp")
    again = here.json("executions", "fork", fork["id"], "--from", "b")
    check(again["input"] == fork["input"] and again["output"] == {"c": "bee wasp!"}, again)


def a_large_input_is_changed_by_a_key_too(here):
    end = "!" * 100000
    large = pathlib.Path(here.base) / "large.json"
    large.write_text(json.dumps({"word": "bee", "end": end}))
    document = here.run("two_steps", "--input", str(large))
    fork = here.json("executions", "fork", document["id"], "--from", "b", "-i", "word=wasp")
    check(fork["status"] == "succeeded", fork)
    check(here.show(fork["id"])["output"] == {"c": f"bee wasp{end}"}, "the rest of the input is kept")


def what_runs_can_be_forked(here):
    execution = here.start("slow")
    wait_until(lambda: statuses(here.show(execution)).get("b") == "running", 20, "b runs")
    fork = here.ctl("executions", "fork", execution, "--from", "b", "-d").strip()
    wait_until(lambda: statuses(here.show(fork)).get("b") == "running", 20, "its b runs")
    check(statuses(here.show(fork))["a"] == "succeeded", "its a is kept")
    for one in (execution, fork):
        here.ctl("executions", "cancel", one)
        check(here.wait(one)["status"] == "cancelled", "it is cancelled")


def what_can_not_be_forked_is_refused(here):
    document = here.run("two_steps", "-i", "word=bee")
    for arguments, status, words in (
            (["--from", "nowhere"], 3, 'no node "nowhere"'), ([], 2, "--from NODE"),
            (["--from", "b", "-i", "wrod=x"], 2, "wrod")):
        refused = here.try_ctl("executions", "fork", document["id"], *arguments)
        check(refused.returncode == status and words in refused.stderr, f"{arguments}: {refused}")
    failed = here.run("chain", "-i", f"path={here.base}/never", "-i", f"done={here.base}/never2")
    refused = here.try_ctl("executions", "fork", failed["id"], "--from", "third")
    check(refused.returncode == 1 and "never let begin" in refused.stderr, refused.stderr)


CASES = (a_retry_keeps_what_succeeded, a_list_keeps_its_items, a_cancelled_one_goes_on,
         what_can_not_be_retried_is_refused, a_fork_goes_on_with_another_input,
         a_fork_of_a_fork_keeps_its_input, a_large_input_is_changed_by_a_key_too, what_runs_can_be_forked, what_can_not_be_forked_is_refused)


def test():
    with Installation(FILES) as here:
        run_cases(CASES, here, at_once=3)
        run_cases((a_retry_survives_kill_9,), here)


main(test)
