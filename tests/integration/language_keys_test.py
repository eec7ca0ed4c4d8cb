#!/usr/bin/env python3
"""Keys of the language that no example needs, by real processes: tests/data/language. docs/coverage.md
lists where each key of the language is run."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import ROOT, Installation, check, rfc3339, wait_until

DATA = ROOT / "tests" / "data" / "language"


def succeeded(document):
    check(document["status"] == "succeeded", f"{document['status']}: {document.get('failure')}")
    return document["output"]


def failed(document, code):
    check(document["status"] == "failed", f"it {document['status']}")
    check(document["failure"]["code"] == code, f"the failure is {document['failure']}")
    return document


def statuses(document):
    return {task["path"]: task["status"] for task in document["tasks"]}


def most_at_once(tasks):
    moments = sorted([(rfc3339(task["ended_at"]), -1) for task in tasks]
                     + [(rfc3339(task["started_at"]), 1) for task in tasks])
    now = most = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


def running(here, execution):
    return [path for path, status in statuses(here.show(execution)).items()
            if status == "running" and "[" in path]


# --- agents ---------------------------------------------------------------------------------------


def a_command_has_its_environment(here):
    check(succeeded(here.run("environment")) == "hello bees", "env")


def executions_are_found_by_label(here):
    document = here.run("environment")
    for label, found in (("team=bees", True), ("team", True), ("team=wasps", False), ("nothing", False)):
        items = here.json("executions", "ls", "--label", label)["items"]
        check((document["id"] in [item["id"] for item in items]) == found, f"{label}: {items}")
        check(found or not items, f"{label} has others: {items}")
    refused = here.try_ctl("executions", "ls", "--label", "=bees")
    check(refused.returncode == 2 and "names no label" in refused.stderr, refused.stderr)


def memory_is_limited(here):
    check(succeeded(here.run("eats", "-i", "megabytes=8")) == 8 << 20, "what is allowed")
    document = here.run("eats", "-i", "megabytes=512")
    check(document["status"] == "failed", document)


def eaters(here):
    return [process for host in here.json("hosts")["items"] for process in host["processes"]
            if process["agent"] == "eater" and process["up"]]


def idle_processes_stop(here):
    succeeded(here.run("eats", "-i", "megabytes=1"))
    wait_until(lambda: not eaters(here), 30, "it has no process any more")
    succeeded(here.run("eats", "-i", "megabytes=1"))


def an_answer_is_made_to_fit(here):
    document = here.run("fits")
    check(succeeded(document) == {"n": 7, "kind": "odd"}, document["output"])


def tools_have_parameters_and_timeouts(here):
    output = succeeded(here.run("works"))
    check(output["sum"] in (5, "5") and output["slow"] == "timeout", output)
    check(output["online"].startswith("net:"), output)


def a_script_knows_its_attempt(here):
    check(succeeded(here.run("tries")) == 2, "the second attempt answers")


# --- limits ---------------------------------------------------------------------------------------


def limit_is_reached(here, workflow):
    """The exit status of `run` and of `wait` is 14, and the failure's code `limit`."""
    done = here.try_ctl("run", workflow, "--json")
    check(done.returncode == 14, f"{workflow}: exit {done.returncode} {done.stderr}")
    document = failed(json.loads(done.stdout), "limit")
    check(here.try_ctl("executions", "wait", document["id"]).returncode == 14, "wait")
    check(statuses(document)["a"] == "succeeded" and statuses(document)["c"] == "failed",
          statuses(document))
    return document


def cost_is_limited(here):
    document = limit_is_reached(here, "poor")
    check("cost" in document["failure"]["message"], document["failure"])


def tokens_are_limited(here):
    document = limit_is_reached(here, "frugal")
    check("tokens" in document["failure"]["message"], document["failure"])


def depth_is_limited(here):
    check(succeeded(here.run("shallow")) == "depth", "the second delegation is refused")


def repeats_are_limited(here):
    check(succeeded(here.run("repeats")) == "same_delegation", "the second message is refused")


# --- which errors are tried again -----------------------------------------------------------------


def attempts_of(here, workflow, code, *args):
    """How many attempts were made of the node "it", whose failure has that code."""
    execution = here.start(workflow, *args)
    document = failed(here.wait(execution), code)
    steps = here.steps(execution).get("it", [])
    permanent = document["failure"]["permanent"]
    check(permanent == (len([step for step in steps if step["step_kind"] == "failure"]) < 2),
          f"{workflow}: permanent is {permanent}, {len(steps)} steps")
    return len({step["attempt"] for step in steps})


def errors_of_commands(here):  # rule 9
    for status, attempts in ((1, 2), (63, 2), (64, 1), (65, 1), (75, 2), (78, 1), (79, 2)):
        found = attempts_of(here, "ends", "exit", "-i", f'message={{"status": {status}}}')
        check(found == attempts, f"{found} attempts after status {status}")
    for workflow, code, attempts in (("ends_by_signal", "signal", 2), ("ends_with_bytes", "output", 1),
                                     ("ends_late", "timeout", 2), ("ends_nowhere", "not_found", 1)):
        found = attempts_of(here, workflow, code)
        check(found == attempts, f"{found} attempts after {code}")


def errors_of_others(here):  # rules 8 and 9
    for workflow, code, attempts in (("ends_invalid", "invalid", 1), ("ends_mute", "no_rule", 1),
                                     ("ends_endless", "limit", 1),
                                     ("ends_in_an_expression", "expression", 1)):
        found = attempts_of(here, workflow, code)
        check(found <= attempts, f"{found} attempts after {code}")


# --- nodes ----------------------------------------------------------------------------------------


def a_disabled_node_is_skipped(here):  # rule 4
    document = here.run("off")
    check(succeeded(document) == {"never": None, "status": "skipped"}, document["output"])


def pauses_have_a_cap(here):  # rule 9
    execution = here.start("capped")
    succeeded(here.wait(execution))
    steps = here.steps(execution)["flaky"]
    pauses = [1000 * (rfc3339(step["retry_at"]) - rfc3339(step["ended_at"])) for step in steps[:3]]
    for pause, least in zip(pauses, (50, 100, 100)):
        check(0.99 * least <= pause <= 1.21 * least, pauses)


def a_status_and_an_error_can_be_read(here):  # rule 4
    execution = here.start("outcome_of_a_failure")
    output = succeeded(here.wait(execution))
    check(output == {"bad": "failed", "code": output["code"], "output": None, "never": "skipped",
                     "none": None, "execution": execution}, output)
    check(isinstance(output["code"], str) and output["code"], output)


# --- inputs ---------------------------------------------------------------------------------------


def inputs_have_schemas_and_defaults(here):
    output = succeeded(here.run("schemas"))
    check(output == {"code": "abc", "list": [0.25], "object": {"kind": "bee", "legs": 6}}, output)
    output = succeeded(here.run("schemas", "-i", 'object={"legs":4}', "-i", "list=[0.5,0.75]"))
    check(output == {"code": "abc", "list": [0.5, 0.75], "object": {"legs": 4, "kind": "bee"}}, output)
    for given, place, words in (
            ("code=a", "input.code", "at least 2 characters, not 1"),
            ("code=abcde", "input.code", "at most 4 characters, not 5"),
            ("list=[]", "input.list", "at least 1 items"),
            ("list=[0.5,0.5,0.5]", "input.list", "at most 2 items"),
            ("list=[0]", "input.list[0]", "greater than 0"),
            ("list=[1]", "input.list[0]", "smaller than 1"),
            ("list=[0.3]", "input.list[0]", "a multiple of 0.25"),
            ('object={"kind":"wasp"}', "input.object.kind", 'must be "bee"'),
            ('object={"wings":4}', "input.object", 'no member "wings"')):
        done = here.try_ctl("run", "schemas", "-d", "-i", given)
        check(done.returncode == 2 and not done.stdout, f"{given}: {done.returncode} {done.stderr}")
        check(place in done.stderr and words in done.stderr, f"{given}: {done.stderr}")
        check(len(done.stderr.strip().splitlines()) == 2, f"no remedy: {done.stderr}")


# --- who goes first, and how many at a time -------------------------------------------------------


def higher_priorities_go_first(here):
    gate = here.base / "gate-priority"
    first = here.start("late", "-i", f"gate={gate}")
    wait_until(lambda: statuses(here.show(first)) == {"one": "running"}, 30, "the place is taken")
    late = here.start("late", "-i", f"gate={gate}")
    early = here.start("early", "-i", f"gate={gate}")
    gate.touch()
    began = [rfc3339(here.wait(execution)["tasks"][0]["started_at"]) for execution in (early, late)]
    check(began[0] < began[1], "the one with the lower priority went first")


def crowded(here, workflow, most):
    gate = here.base / f"gate-{workflow}"
    execution = here.start(workflow, "-i", f"gate={gate}", "-i", "list=[1,2,3,4,5,6,7]")
    wait_until(lambda: len(running(here, execution)) == most, 30, f"{most} run")
    gate.touch()
    document = here.wait(execution)
    succeeded(document)
    found = most_at_once([task for task in document["tasks"] if "[" in task["path"]])
    check(found == most, f"{found} ran at once, not {most}")


def process_parallel_times_instances_run_at_once(here):
    crowded(here, "crowd", 4)


def limits_parallel_run_at_once(here):
    crowded(here, "crowd_in_few", 3)


CASES = (a_command_has_its_environment, executions_are_found_by_label, memory_is_limited, idle_processes_stop, an_answer_is_made_to_fit, tools_have_parameters_and_timeouts,
         errors_of_commands, errors_of_others, a_script_knows_its_attempt, cost_is_limited, tokens_are_limited, depth_is_limited,
         repeats_are_limited, a_disabled_node_is_skipped, pauses_have_a_cap,
         a_status_and_an_error_can_be_read, inputs_have_schemas_and_defaults,
         higher_priorities_go_first,
         process_parallel_times_instances_run_at_once, limits_parallel_run_at_once)


def test():
    with Installation(up=False) as here:
        here.project = DATA
        here.env["AF_WORD"] = "bees"
        here.up()
        run_cases(CASES, here, at_once=3)


main(test)
