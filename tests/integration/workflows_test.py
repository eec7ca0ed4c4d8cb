#!/usr/bin/env python3
"""The workflows of examples/workflows, as docs/workflows.md explains them: conditions of nodes, branches
with conditions on their edges, and a node with a task for each item of a list."""
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import ROOT, Installation, check, rfc3339

EXAMPLE = ROOT / "examples" / "workflows"
DOCUMENT = ROOT / "docs" / "workflows.md"
# What the page says of expressions that fail, and of items that do.
FAILING = """agent: echo
builtin: echo
---
agent: failing
builtin: fail
---
agent: sleeper
builtin: sleep
---
workflow: no_boolean
nodes:
  a: {agent: echo, say: text}
  b: {agent: echo, if: a, retry: 3}
---
workflow: no_list
nodes:
  a: {agent: echo, with: {n: 1}}
  b: {agent: echo, for: a.n, retry: 3}
---
workflow: no_field
nodes:
  a: {agent: echo, with: {n: 1}}
  b: {agent: echo, after: [{node: a, if: a.m}]}
---
workflow: tolerated
nodes:
  a: {agent: echo, with: {n: 1}}
  b: {agent: echo, if: a.m, on_error: continue}
  c: {agent: echo, with: {b: "{{b}}"}}
output: c
---
workflow: item_fails
input: {list: list}
nodes:
  each: {agent: failing, for: input.list, parallel: 1, say: "{{item}}"}
  then: {agent: echo, say: "{{each}}"}
---
workflow: others_are_cancelled
nodes:
  make: {agent: echo, with: {list: [{seconds: 60}, nonsense]}}
  each: {agent: sleeper, for: make.list, say: "{{item}}"}
"""
NOT_TAKEN = 'the `if` of its edge from "triage" is false'


def succeeded(document):
    check(document["status"] == "succeeded", f"{document['status']}: {document.get('failure')}")
    return {task["path"]: task for task in document["tasks"]}


def statuses(tasks):
    return {path: task["status"] for path, task in tasks.items()}


def decisions(here, document):
    return [event for event in here.journal(document["id"]) if event["kind"] == "decided"]


# --- condition.yaml -------------------------------------------------------------------------------


def a_false_condition_skips(here):  # rule 3
    document = here.run("letter", "-i", "text=Bees make honey")
    tasks = succeeded(document)
    check(statuses(tasks) == {"measure": "succeeded", "shorten": "skipped", "file": "succeeded"},
          statuses(tasks))
    check(tasks["shorten"]["reason"] == "its `if` is false", tasks["shorten"])
    check(document["output"] == {"filed": "Bees make honey", "shortened": False}, document["output"])
    check([(event["task"], event["what"], event["holds"]) for event in decisions(here, document)]
          == [("shorten", "if", False)], decisions(here, document))


def a_true_condition_runs(here):
    document = here.run("letter", "-i", "text=" + "bee " * 30)
    check(set(statuses(succeeded(document)).values()) == {"succeeded"}, document["tasks"])
    check(document["output"] == {"filed": "bee " * 20 + "...", "shortened": True}, document["output"])


# --- branches.yaml --------------------------------------------------------------------------------


def one_branch_is_taken(here):  # rules 2 and 3
    for text, taken, other, how in (
            ("The server is on fire", "page", "queue", "A person is called"),
            ("A typo on page 3", "queue", "page", "It waits for its turn")):
        document = here.run("ticket", "-i", f"text={text}")
        tasks = succeeded(document)
        check(statuses(tasks) == {"triage": "succeeded", taken: "succeeded", other: "skipped",
                                  "reply": "succeeded"}, statuses(tasks))
        check(tasks[other]["reason"] == NOT_TAKEN, tasks[other])
        check(document["output"] == f"The sender is told: {how}: {text}", document["output"])
        check({event["task"]: (event["what"], event["source"], event["holds"])
               for event in decisions(here, document)}
              == {taken: ("edge", "triage", True), other: ("edge", "triage", False)},
              decisions(here, document))


# --- map.yaml -------------------------------------------------------------------------------------


def count_words(here, texts):
    document = here.run("count_words", "-i", f"texts={json.dumps(texts)}")
    return document, succeeded(document)


def most_at_once(tasks):
    """How many of the tasks ran at the same time."""
    moments = sorted([(rfc3339(task["ended_at"]), -1) for task in tasks]
                     + [(rfc3339(task["queued_at"]), 1) for task in tasks])
    running = most = 0
    for _, change in moments:
        running += change
        most = max(most, running)
    return most


def each_item_is_a_task(here):
    document, tasks = count_words(here, ["a b", "c", "d e f", "g", "h i"])
    items = [tasks[f"count[{index}]"] for index in range(5)]
    check(len(tasks) == 7 and all(item["status"] == "succeeded" for item in items), tasks)
    check(tasks["count"]["items"] == tasks["count"]["items_ended"] == 5, tasks["count"])
    check([item["item"] for item in items] == list(range(5)), items)
    check(most_at_once(items) == 2, "two items at a time")
    starts = [item["queued_at"] for item in items]
    check(starts == sorted(starts), f"items begin in order: {starts}")
    check(document["output"] == {"words": 9, "counted": 5, "of": 5}, document["output"])


def the_output_is_the_list_in_order(here):  # rule 7
    document, tasks = count_words(here, ["a b c", "", "d"])
    check(tasks["count"]["output"] == [3, None, 1], tasks["count"])
    check(document["output"] == {"words": 4, "counted": 2, "of": 3}, document["output"])


def an_item_fails_alone(here):  # rule 7
    _, tasks = count_words(here, ["a", "", "b"])
    check(statuses(tasks) == {"count": "succeeded", "count[0]": "succeeded", "count[1]": "failed",
                              "count[2]": "succeeded", "total": "succeeded"}, statuses(tasks))
    check(tasks["count[1]"]["attempt"] == 2, "an item has attempts of its own")
    check("text 1 is empty" in tasks["count[1]"]["failure"]["message"], tasks["count[1]"])


def an_empty_list_is_no_failure(here):  # rule 7
    document, tasks = count_words(here, [])
    check(set(tasks) == {"count", "total"}, tasks)
    check(document["output"] == {"words": 0, "counted": 0, "of": 0}, document["output"])


# --- shared_context.yaml --------------------------------------------------------------------------


def nodes_write_the_shared_context(here):  # rule 14
    document = here.run("longest", "-i", 'texts=["a b c", "d"]')
    tasks = succeeded(document)
    check(statuses(tasks) == {"begin": "succeeded", "count": "succeeded", "count[0]": "succeeded",
                              "count[1]": "succeeded", "report": "succeeded"}, statuses(tasks))
    check(document["output"] == {"done": 2, "last": {"text": "d", "count": 1},
                                 "said": "2 words lists, the last of 1"}, document["output"])
    patches = [(event["task"], event["patch"]) for event in here.journal(document["id"])
               if event.get("patch")]
    check([task for task, _ in patches] == ["begin", "count[0]", "count[1]", "report"], patches)
    check(patches[0][1] == {"done": 0, "unit": "words"}, patches)


# --- outcome.yaml, retry.yaml ---------------------------------------------------------------------


def a_node_tells_what_became_of_it(here):  # rule 4
    document = here.run("outcome", "-i", "text=a b")
    succeeded(document)
    check(document["output"] == {"execution": document["id"], "status": "succeeded", "why": None,
                                 "words": 2}, document["output"])
    document = here.run("outcome", "-i", "text=")
    output = document["output"]
    check(output["status"] == "failed" and output["words"] == 0, output)
    check("text 0 is empty" in output["why"], output)


def what_may_go_well_is_tried_again(here):  # rule 9
    execution = here.start("visit")
    check(here.wait(execution)["output"] == "opened at knock 3", here.show(execution))
    steps = here.steps(execution)["knock"]
    for step, least in zip(steps, (0.1, 0.3)):
        pause = rfc3339(step["retry_at"]) - rfc3339(step["ended_at"])
        check(0.99 * least <= pause <= 1.21 * least, f"{pause} s after attempt {step['attempt']}")


def what_cannot_is_not(here):  # rule 9
    execution = here.start("visit", "-i", "door=wall")
    failure = here.wait(execution)["failure"]
    check(failure["code"] == "exit" and failure["permanent"], failure)
    check("no door" in failure["message"] and len(here.steps(execution)["knock"]) == 1, failure)


def an_input_that_does_not_fit_starts_nothing(here):
    for given, words in (("dor=front", 'no input "dor"'), ("door=side", 'one of ["front","back","wall"]')):
        done = here.try_ctl("run", "visit", "-i", given)
        check(done.returncode == 2 and words in done.stderr, f"{done.returncode} {done.stderr}")
        if given == "dor=front":
            check(done.stderr in DOCUMENT.read_text(encoding="utf-8"), f"not on the page: {done.stderr}")


# --- what fails -----------------------------------------------------------------------------------


def an_expression_that_fails_fails_its_node(here):  # rule 8
    for workflow, words in (("no_boolean", "must give true or false"), ("no_list", "must give a list"),
                            ("no_field", '"m"')):
        document = here.run(workflow)
        failure = document["failure"]
        check(document["status"] == "failed" and document["failed_path"] == "b", document)
        check(failure["code"] == "expression" and words in failure["message"], failure)
        check("b" not in here.steps(document["id"]), "nothing was tried")
    document = here.run("tolerated")
    check(succeeded(document)["b"]["status"] == "failed", document["tasks"])
    check(document["output"] == {"b": None}, document["output"])


def an_item_fails_its_node(here):  # rule 7
    document = here.run("item_fails", "-i", 'list=["x","y"]')
    tasks = {task["path"]: task["status"] for task in document["tasks"]}
    check(document["status"] == "failed" and document["failed_path"] in ("each", "each[0]"), document)
    check(tasks == {"each": "failed", "each[0]": "failed", "each[1]": "cancelled", "then": "skipped"},
          tasks)
    document = here.run("others_are_cancelled", seconds=30)
    tasks = {task["path"]: task["status"] for task in document["tasks"]}
    check(tasks == {"make": "succeeded", "each": "failed", "each[0]": "cancelled", "each[1]": "failed"},
          tasks)


# --- the page -------------------------------------------------------------------------------------


def the_page_shows_the_examples(here):
    """What stands on the page as YAML stands in an example, word for word; each example is on it."""
    page = DOCUMENT.read_text(encoding="utf-8")
    files = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.yaml")}
    check(len(files) >= 3, "there are examples")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)
    check(len(blocks) >= len(files), f"{len(blocks)} blocks of YAML")
    for block in blocks:
        check(any(block in text for text in files.values()), f"in no example:\n{block}")
    for name in files:
        check(f"examples/workflows/{name})" in page, f"{name} is not on the page")


def the_page_tells_true_mistakes(here):
    """Some of the page's table, as `validate` has them."""
    keys = {"if: !x.ok": "is a tag in YAML", 'if: "{{x.ok}}"': "without braces", "if: 1": "true or false",
            "for: [a, b]": "needs an expression", "for: input.topic": "needs a list",
            "parallel: 4": 'no "for"', "if: item.ok": '"item", which is no variable',
            "after: [x, {node: x, if: x.ok}]": 'names "x" twice',
            "after: [{node: y}]": '"y", which does not exist', "if: z.ok": "z -> z"}
    for number, (key, words) in enumerate(keys.items()):
        path = here.base / f"mistake-{number}.yaml"
        path.write_text("workflow: w\ninput: {topic: text}\nnodes:\n  x: {agent: a}\n  z:\n"
                        f"    agent: a\n    {key}\n", encoding="utf-8")
        done = here.try_ctl("validate", path)
        check(done.returncode == 2 and words in done.stdout and f"{path}:7:" in done.stdout,
              f"{key}: {done.stdout}")


CASES = (a_false_condition_skips, a_true_condition_runs, one_branch_is_taken, each_item_is_a_task,
         a_node_tells_what_became_of_it, what_may_go_well_is_tried_again, what_cannot_is_not,
         an_input_that_does_not_fit_starts_nothing, nodes_write_the_shared_context, the_output_is_the_list_in_order, an_item_fails_alone,
         an_empty_list_is_no_failure, an_expression_that_fails_fails_its_node, an_item_fails_its_node,
         the_page_shows_the_examples, the_page_tells_true_mistakes)


def test():
    with Installation(up=False) as here:
        here.project = EXAMPLE
        here.up()
        (here.base / "failing.yaml").write_text(FAILING, encoding="utf-8")
        here.ctl("apply", here.base / "failing.yaml")
        run_cases(CASES, here, at_once=3)


main(test)
