#!/usr/bin/env python3
"""Delegation, with the agents of examples/delegation: what a model gets of refusals, hand-offs, tools
and the shared context, what stands of it in the journal and in the tree, and every limit."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import ROOT, Installation, check

EXAMPLE = ROOT / "examples" / "delegation"
TEXT = "Bees make honey"
VAULT = '"desk" may not delegate to "vault"; it may delegate to: crit*, scout'
SUMMARY = {"words": "3", "facts": f"Facts about {TEXT}: there are three.",
           "opinion": f'"{TEXT}" could be shorter.', "refused": VAULT}

# Agents that make their calls in the first turn and tell in the second what came of them.
TELL = '  - say: "{{results}}"\n'
REFUSALS = {
    # agent: (its other keys, its calls, the code of the last one, words of what the model is told)
    "stranger": ("delegates: [echoer]", ["nobody"],
                 "not_found", 'there is no agent "nobody"; "stranger" may delegate to: echoer'),
    "lonely": ("", ["echoer"], "not_allowed", '"lonely" may not delegate to "echoer"; it may '
               "delegate to: nobody"),
    "selfish": ("delegates: [selfish]", ["selfish"], "cycle", "selfish -> selfish"),
    "busy": ("delegates: [echoer]\nlimits: {delegations: 1}", ["echoer", "echoer"], "delegations",
             'the delegations of "busy" are used up: its limits.delegations is 1'),
    "again": ("delegates: [echoer]\nlimits: {same_delegation: 1}", ["echoer", "echoer"],
              "same_delegation", '"echoer" was asked just that on this path as often as '
              "limits.same_delegation allows, 1: again -> echoer"),
    "torn": ("delegates: [echoer]", ["echoer", "echoer hand_off"], "hand_off",
             "a hand-off must be the only call of its turn"),
}
DEEP = """agent: deep
model: script/deep.rules.yaml
delegates: [deeper, echoer]
limits: {depth: 1}
---
agent: deeper
model: script/deeper.rules.yaml
delegates: [echoer]
---
agent: echoer
builtin: echo
---
agent: thrifty
model: script/thrifty.rules.yaml
delegates: [echoer]
limits: {tokens: 300}
"""


def calls(names):
    lines = []
    for name in names:
        agent, *more = name.split()
        extra = ", hand_off: true" if more else ""
        lines.append(f"      - {{delegate: {agent}, message: hello{extra}}}\n")
    return "".join(lines)


def write_definitions(here):
    """Beside the example, whose files are left alone."""
    folder = here.base / "more"
    folder.mkdir()
    rules = {"deep": ["deeper"], "deeper": ["echoer"]}
    text = DEEP
    for agent, (keys, names, _, _) in REFUSALS.items():
        text += f"---\nagent: {agent}\nmodel: script/{agent}.rules.yaml\n{keys}\n"
        rules[agent] = names
    for agent, names in rules.items():
        (folder / f"{agent}.rules.yaml").write_text(
            "rules:\n  - when: {turn: 1}\n    calls:\n" + calls(names) + TELL, encoding="utf-8")
    (folder / "thrifty.rules.yaml").write_text(
        "rules:\n  - usage: {input: 200, output: 100}\n    calls:\n" + calls(["echoer"]),
        encoding="utf-8")
    (folder / "more.yaml").write_text(text, encoding="utf-8")
    here.ctl("apply", folder)


def ask(here, agent, text=TEXT, expect=0):
    """The execution's document and its journal."""
    done = here.try_ctl("ask", agent, text, "--json")
    check(done.returncode == expect, f"{agent}: exit {done.returncode}, not {expect}\n{done.stderr}")
    document = json.loads(done.stdout)
    return document, here.journal(document["id"])


def of_kind(journal, kind):
    return [event for event in journal if event["kind"] == kind]


def agents_by_path(document):
    return {task["path"]: task["agent"] for task in document["tasks"]}


# --- the example ----------------------------------------------------------------------------------


def answers_are_printed(here):
    check(json.loads(here.ctl("ask", "desk", TEXT)) == SUMMARY, "desk")
    check(here.ctl("ask", "front", "Some facts") == "Some facts: there are three.\n", "front")
    followed = here.try_ctl("ask", "desk", TEXT, "--tree")
    for words in ("words answered", "↳ ask → scout: “Facts about", "⊘ ask → vault refused: not_all",
                  "in all  3 tasks, 2 delegations, 6 turns"):
        check(words in followed.stderr, f"{words}: {followed.stderr}")


def a_tool_and_two_at_once(here):
    document, journal = ask(here, "desk")
    check(document["output"] == SUMMARY, document["output"])
    turns = [event for event in of_kind(journal, "step") if event["step_kind"] == "turn"]
    own = [turn["calls"] for turn in turns if turn["task"] == "ask"]
    check(own == [["words", "context_set"], ["delegate_to_agent"] * 3, []], own)
    results = [event for event in of_kind(journal, "step") if event["step_kind"] == "tool_result"]
    check([(event["turn"], event["call"], event["output"]) for event in results] == [(1, 0, "3")],
          results)
    made = [(event["child"], event["agent"], event["turn"], event["call"])
            for event in of_kind(journal, "delegated")]
    check(made == [("ask/1", "scout", 2, 0), ("ask/2", "critic", 2, 1)], made)
    last = max(event["sequence"] for event in of_kind(journal, "delegated"))
    ended = min(event["sequence"] for event in of_kind(journal, "step")
                if event["task"] != "ask" and event["step_kind"] == "result")
    check(last < ended, "both were asked before either answered")
    check(not of_kind(journal, "lost") and not of_kind(journal, "settled"), journal)


def a_refusal_reaches_the_model(here):
    document, journal = ask(here, "desk")
    refused = of_kind(journal, "refused")
    check(len(refused) == 1 and refused[0]["agent"] == "vault", refused)
    check((refused[0]["task"], refused[0]["turn"], refused[0]["call"]) == ("ask", 2, 2), refused)
    check((refused[0]["failure"]["code"], refused[0]["failure"]["message"])
          == ("not_allowed", VAULT), refused)
    check(document["output"]["refused"] == VAULT, document["output"])
    check("vault" not in agents_by_path(document).values(), "nobody asked it")


def a_context_is_shared(here):
    _, journal = ask(here, "desk")
    patched = of_kind(journal, "patched")
    check([(event["task"], event["patch"]) for event in patched] == [("ask", {"topic": TEXT})],
          patched)
    answered = of_kind(journal, "answered")
    check([(event["task"], event["tool"], event["output"]) for event in answered]
          == [("ask/2", "context_get", TEXT)], answered)
    made = of_kind(journal, "delegated")[1]
    check(made["message"] == {"message": "What is to be thought of it?",
                              "context": {"words": "3"}}, made)


def a_hand_off_is_the_answer(here):
    document, journal = ask(here, "front")
    check(document["output"] == SUMMARY, document["output"])
    check([event["hand_off"] for event in of_kind(journal, "delegated")] == [True, False, False],
          journal)
    turns = {task["path"]: task["turns"] for task in document["tasks"]}
    check(turns == {"ask": 1, "ask/1": 3, "ask/1/1": 1, "ask/1/2": 2}, turns)
    steps = [event for event in of_kind(journal, "step") if event["task"] == "ask"]
    check([step["step_kind"] for step in steps] == ["turn"], "it has no result of its own")


def the_tree_is_shown(here):
    document, _ = ask(here, "front")
    shown = json.loads(here.ctl("executions", "show", document["id"], "--tree", "--json"))
    tasks = {task["path"]: task for task in shown["tasks"]}
    check([(task["agent"], task["parent"], task["depth"]) for task in tasks.values()]
          == [("front", "", 0), ("desk", "ask", 1), ("scout", "ask/1", 2),
              ("critic", "ask/1", 2)], tasks)
    for task in tasks.values():
        below = sum(child["tokens"]["own"] for path, child in tasks.items()
                    if path == task["path"] or path.startswith(task["path"] + "/"))
        check(task["tokens"]["own"] > 0 and task["tokens"]["subtree"] == below, task)
    check(shown["tokens"] == tasks["ask"]["tokens"]["subtree"] and shown["delegations"] == 3, shown)
    check(shown["tokens_reserved"] == 0, "nothing stays reserved")
    lines = here.ctl("executions", "show", document["id"], "--tree")
    for words in ("└ ✔ ask/1", "├ ✔ ask/1/1", "by ask, hand-off: “Bees make honey”", "in all  4 tas"):
        check(words in lines, f"{words}: {lines}")


def rights_narrow_on_the_way_down(here):
    document, journal = ask(here, "clerk")
    check(document["output"] == f"{TEXT}: there are three." and not of_kind(journal, "refused"),
          document)
    document, journal = ask(here, "boss")
    words = '"clerk" works for "boss", which may not delegate to "scout"'
    refused = of_kind(journal, "refused")
    check(len(refused) == 1 and refused[0]["task"] == "ask/1", refused)
    check(words in refused[0]["failure"]["message"] and words in document["output"], document)


# --- limits ---------------------------------------------------------------------------------------


def loops_end(here):
    document, journal = ask(here, "ping")
    check(agents_by_path(document) == {"ask": "ping", "ask/1": "pong"}, document)
    check("ping -> pong -> ping" in document["output"], document["output"])
    check([event["failure"]["code"] for event in of_kind(journal, "refused")] == ["cycle"], journal)
    twice = here.run("ring", "-i", "text=Hello")
    check(list(agents_by_path(twice).values()) == ["ping", "pong"] * 2, twice["tasks"])
    check("twice on a path: ping -> pong -> ping -> pong -> ping" in twice["output"], twice)


def turns_are_limited(here):
    document, journal = ask(here, "endless", expect=14)
    check(document["status"] == "failed" and document["failure"]["code"] == "limit", document)
    check('"endless" has taken 3 turns, its limits.turns' in document["failure"]["message"], document)
    check(len(of_kind(journal, "reserved")) == 3, "no turn more was reserved")


def every_refusal_names_its_rule(here):
    for agent, (_, names, code, words) in REFUSALS.items():
        document, journal = ask(here, agent, "go")
        told = document["output"][-1].get("error", {})
        check(told.get("code") == code and words in told["message"], f"{agent}: {told}")
        refused = of_kind(journal, "refused")
        check(len(refused) == 1 and refused[0]["call"] == len(names) - 1, refused)
        check(len(of_kind(journal, "delegated")) == len(names) - 1, f"{agent}: {journal}")


def depth_counts_from_whose_limit_it_is(here):
    document, journal = ask(here, "deep", "go")
    refused = of_kind(journal, "refused")
    check(len(refused) == 1 and refused[0]["task"] == "ask/1", refused)
    check(refused[0]["failure"]["code"] == "depth", refused)
    words = 'deeper than 1, limits.depth of agent "deep": deep -> deeper -> echoer'
    check(refused[0]["failure"]["message"] == words, refused)
    check(document["output"][0]["output"][0]["error"]["message"] == words, document["output"])
    document, journal = ask(here, "deeper", "go")
    check(not of_kind(journal, "refused") and document["output"] == [{"output": "hello"}], document)


def a_budget_is_kept(here):
    document, journal = ask(here, "thrifty", "go", expect=14)
    refused = of_kind(journal, "refused")
    check([event["failure"]["code"] for event in refused] == ["budget"], refused)
    check('nothing is left of limits.tokens of agent "thrifty"' in refused[0]["failure"]["message"],
          refused)
    check(document["failure"]["code"] == "limit" and document["tokens"] == 300, document)
    reserved = of_kind(journal, "reserved")
    check([event["tokens"] for event in reserved] == [300], "the bound is what was left")


CASES = (answers_are_printed, a_tool_and_two_at_once, a_refusal_reaches_the_model,
         a_context_is_shared, a_hand_off_is_the_answer, the_tree_is_shown,
         rights_narrow_on_the_way_down, loops_end, turns_are_limited, every_refusal_names_its_rule,
         depth_counts_from_whose_limit_it_is, a_budget_is_kept)


def test():
    with Installation(up=False) as here:
        here.project = EXAMPLE
        here.up()
        write_definitions(here)
        run_cases(CASES, here)


main(test)
