#!/usr/bin/env python3
"""`agentctl graph` of workflows, files and executions, and `agentctl replay` at any event."""
import pathlib
import re
import sys
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import ROOT, Installation, check

EXAMPLE = ROOT / "examples" / "workflows"


def svg(here, *arguments):
    text = here.ctl("graph", *arguments, "--format", "svg")
    xml.etree.ElementTree.fromstring(text)
    return text


def a_file_needs_not_be_applied(here):
    text = here.ctl("graph", EXAMPLE / "branches.yaml")
    check("← triage if triage.urgent" in text and "join: any" in text, text)
    check(text == here.ctl("graph", "ticket"), "the same by its name")
    check("skipped" not in text, text)


def an_execution_has_states(here):
    document = here.run("ticket", "-i", "text=A typo on page 3")
    text = here.ctl("graph", document["id"])
    check(re.search(r"page .*skipped: the `if` of its edge", text), text)
    check(re.search(r"reply .*succeeded", text), text)
    picture = svg(here, document["id"])
    check("skipped" in picture and "succeeded" in picture, picture)
    dot = here.ctl("graph", document["id"], "--format", "dot")
    check(dot.startswith('digraph "ticket" {') and "triage.urgent" in dot, dot)


def a_map_tells_its_items(here):
    document = here.run("count_words", "-i", 'texts=["a b", "", "c"]')
    check("3 of 3 items" in here.ctl("graph", document["id"]), "its items")


def what_has_no_graph_is_refused(here):
    for arguments, status, words in (
            (("nowhere",), 3, "nowhere"), (("ticket", "--format", "png"), 2, "text, dot or svg"),
            ((EXAMPLE / "README.md",), 2, "0 workflows"),
            ((here.run("ticket", "-i", "text=x")["id"] + "z",), 2, "exec_")):
        done = here.try_ctl("graph", *arguments)
        check(done.returncode == status and words in done.stderr, f"{arguments}: {done}")


def a_journal_is_replayed_to_any_event(here):
    document = here.run("ticket", "-i", "text=The server is on fire")
    events = here.journal(document["id"])
    last = here.json("replay", document["id"])
    check(last["status"] == "succeeded" and last["sequence"] == len(events), last)
    ended = 0
    for event in events:
        state = here.json("replay", document["id"], "--at", event["sequence"])
        check(state["sequence"] == event["sequence"], state)
        now = sum(task["status"] in ("succeeded", "skipped") for task in state["tasks"])
        check(now >= ended, "tasks end and stay so")
        ended = now
    check(ended == 4, last)
    first = here.json("replay", document["id"], "--at", 1)
    check({task["status"] for task in first["tasks"]} == {"pending"}, first)


CASES = (a_file_needs_not_be_applied, an_execution_has_states, a_map_tells_its_items,
         what_has_no_graph_is_refused, a_journal_is_replayed_to_any_event)


def test():
    with Installation(up=False) as here:
        here.project = EXAMPLE
        here.up()
        run_cases(CASES, here, at_once=3)


main(test)
