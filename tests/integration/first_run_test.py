#!/usr/bin/env python3
"""The first minutes of a newcomer: init, up, run, look around, make mistakes, down; every command with
--json too, and the exit statuses of docs/cli.md."""
import json
import pathlib
import re
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import BIN, DAEMONS, Installation, alive, check, wait_until

ID = re.compile(r"^exec_[0-9a-hjkmnp-tv-z]{26}$")
GREETING = "Good day, Ada! Bonjour, Ada!"
SLOW = """workflow: slow
input: {ms: integer}
nodes:
  nap: {agent: napper, with: {ms: "{{input.ms}}"}}
---
agent: napper
builtin: sleep
---
agent: breaker
builtin: fail
---
workflow: broken
nodes:
  bad: {agent: breaker, say: broken on purpose}
---
workflow: limited
limits: {time: 300ms}
nodes:
  nap: {agent: napper, with: {seconds: 600}}
"""


def follower(here, *args):
    """agentctl in the background, to be interrupted."""
    return subprocess.Popen([BIN / "agentctl", *args], env=here.env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def interrupt(process):
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    return process.returncode, out, error


# --- the good way ---------------------------------------------------------------------------------


def a_project_is_made(here):
    out = here.ctl("init", here.project)
    check("hello.yaml" in out and "greet.sh" in out, out)
    again = here.try_ctl("init", here.project)
    check(again.returncode == 1 and "is there already" in again.stderr, again.stderr)
    document = here.json("init", here.base / "other")
    check(document["dir"] == str(here.base / "other"), document)
    out = here.try_ctl("validate", here.project)
    check(out.returncode == 0 and "no problem" in out.stderr, out.stderr)
    check(here.json("validate", here.project)["valid"] is True, "valid")


def everything_starts(here):
    out = here.ctl("up", "-d", "--apply", here.project, timeout=90)
    check("is up" in out and str(here.dir / "store") in out and "2 ready" in out, out)
    wait_until(lambda: here.pid("egressd"), 10, "nobody waits for egressd before it is needed")
    first = {name: here.pid(name) for name in (*DAEMONS, "agentctl-up")}
    check(all(first.values()), first)
    again = here.try_ctl("up", "-d", timeout=90)
    check(again.returncode == 0 and "already running" in again.stderr, again.stderr)
    check(first == {name: here.pid(name) for name in first}, "another set of processes runs")
    check(here.json("up", "-d", timeout=90)["agents"] == 2, "two agents")


def hello_is_run(here):
    done = here.try_ctl("run", "hello", "-i", "name=Ada")
    check(done.returncode == 0 and done.stdout == GREETING + "\n", done)
    for name in ("english", "french", "both"):
        check(re.search(rf"{name} +succeeded", done.stderr), done.stderr)
    quiet = here.try_ctl("run", "hello", "-i", "name=Ada", "--quiet")
    check((quiet.stdout, quiet.stderr) == (GREETING + "\n", ""), quiet)
    document = here.json("run", "hello", "-i", "name=Ada")
    check(document["status"] == "succeeded" and document["output"] == GREETING, document)
    out = here.ctl("run", here.project / "hello.yaml", "-i", "name=Ada")
    check(out == GREETING + "\n", out)
    (here.base / "input.json").write_text('{"name": "Ada"}')
    check(here.ctl("run", "hello", "--input", here.base / "input.json") == GREETING + "\n", "file")
    piped = here.try_ctl("run", "hello", "--input", "-", stdin='{"name": "Ada"}')
    check(piped.stdout == GREETING + "\n", piped)
    tree = here.try_ctl("run", "hello", "-i", "name=Ada", "--tree")
    check("INSTANCE" in tree.stderr and "inst_" in tree.stderr, tree.stderr)


def runs_go_on_alone(here):
    execution = here.ctl("run", "hello", "-i", "name=Ada", "-d").strip()
    check(ID.match(execution), execution)
    check(here.ctl("executions", "wait", execution) == GREETING + "\n", "wait prints the output")
    check(here.json("executions", "wait", execution)["output"] == GREETING, "and as a document")
    shown = here.ctl("executions", "show", execution)
    check("succeeded" in shown and "french" in shown and GREETING in shown, shown)
    tree = here.ctl("executions", "show", execution, "--tree")
    check("in all  3 tasks, took" in tree and GREETING not in tree, tree)
    check(here.json("executions", "show", execution, "--tree")
          == here.json("executions", "show", execution), "the document is the same")
    document = here.json("executions", "show", execution)
    check(document["id"] == execution and len(document["tasks"]) == 3, document)
    check({task["output"] for task in document["tasks"]}
          == {GREETING, "Good day, Ada!", "Bonjour, Ada!"}, document)
    started = here.json("run", "hello", "-i", "name=Eve", "-d")
    check(ID.match(started["id"]) and started["status"] == "running", started)
    here.ctl("executions", "wait", started["id"])


def executions_are_listed(here):
    items = here.json("executions", "ls")["items"]
    check(len(items) >= 8 and items == here.json("executions")["items"], items)
    check(items == sorted(items, key=lambda item: item["id"], reverse=True), "newest first")
    check(items[0]["id"] in here.ctl("executions", "ls"), "the table has them too")
    page = here.json("executions", "ls", "--limit", "3")
    rest = here.json("executions", "ls", "--cursor", page["next_cursor"])
    check(page["items"] + rest["items"] == items, "pages fit together")
    for args, expected in ((("--status", "succeeded"), len(items)), (("--status", "failed"), 0),
                           (("--workflow", "hello"), len(items)), (("--agent", "repeater"), 0)):
        found = here.json("executions", "ls", *args)["items"]
        check(len(found) == expected, f"{args}: {len(found)}")


def journals_are_shown_and_folded(here):
    execution = here.start("hello", "-i", "name=Ada")
    here.wait(execution)
    journal = here.journal(execution)
    check([event["sequence"] for event in journal] == list(range(1, len(journal) + 1)), journal)
    check([event["kind"] for event in journal] == ["started", "step", "step", "step", "ended"],
          journal)
    check([event["time"] for event in journal] == sorted(event["time"] for event in journal),
          "times go backwards")
    lines = here.ctl("logs", execution).splitlines()
    check(len(lines) == len(journal) and "started" in lines[0], lines)
    followed = here.try_ctl("logs", "-f", execution)
    check(followed.returncode == 0 and "both" in followed.stderr, followed)
    only = [json.loads(line) for line in
            here.ctl("logs", execution, "--node", "both", "--json").splitlines()]
    check("both" in [event.get("task") for event in only], only)
    check("french" not in [event.get("task") for event in only], only)
    check(only[-1]["kind"] == "ended", only)
    at_end = here.json("replay", execution)
    check(at_end["status"] == "succeeded" and at_end["sequence"] == len(journal), at_end)
    check(at_end == here.json("replay", execution, "--at", len(journal)), "the same fold again")
    shown = here.json("executions", "show", execution)
    check([(task["path"], task["status"], task["attempt"]) for task in at_end["tasks"]]
          == [(task["path"], task["status"], task["attempt"]) for task in shown["tasks"]], at_end)
    if "fingerprint" in shown:
        check(shown["fingerprint"] == at_end["fingerprint"], "the coordinator's state is another")
    before = here.json("replay", execution, "--at", len(journal) - 1)
    check(before["status"] == "running" and before["fingerprint"] != at_end["fingerprint"], before)
    check(at_end["fingerprint"] in here.ctl("replay", execution), "the table tells it too")


def one_agent_is_asked(here):
    check(here.ctl("ask", "repeater", "What? \"This\"") == 'What? "This"\n', "echo")
    piped = here.try_ctl("ask", "repeater", "-", stdin="from a pipe\nwith lines\n")
    check(piped.stdout == "from a pipe\nwith lines\n", piped)
    followed = here.try_ctl("ask", "greeter", "Hi", "--tree")
    check(followed.stdout == "Hi!\n" and "in all  1 task, took" in followed.stderr, followed)
    quiet = here.try_ctl("ask", "greeter", "Hi", "--quiet")
    check((quiet.stdout, quiet.stderr) == ("Hi!\n", ""), quiet)
    execution = here.ctl("ask", "greeter", "Hi", "-d").strip()
    check(ID.match(execution) and here.ctl("executions", "wait", execution) == "Hi!\n", execution)
    garbage = subprocess.run([BIN / "agentctl", "ask", "repeater", "-"], env=here.env, timeout=60,
                            input=b"\xff", capture_output=True, check=False)
    check(garbage.returncode == 2 and b"UTF-8" in garbage.stderr, garbage)
    document = here.json("ask", "greeter", "Hi")
    check(document["agent"] == "greeter" and document["output"] == "Hi!", document)


def definitions_are_listed(here):
    agents = {item["name"]: item for item in here.json("agents")["items"]}
    check(set(agents) == {"greeter", "repeater"} and agents["greeter"]["version"] == 1, agents)
    check(agents["greeter"]["instances"]["ready"] >= 1, agents)
    check("Greets whoever" in here.ctl("agents", "ls"), "the table")
    check("./greet.sh" in here.ctl("agents", "show", "greeter"), "the source")
    check(here.json("agents", "show", "greeter")["definition"]["agent"] == "greeter", "document")
    check([item["name"] for item in here.json("workflows")["items"]] == ["hello"], "workflows")
    check("nodes:" in here.ctl("workflows", "show", "hello"), "the source")
    check("nodes" in here.json("workflows", "show", "hello")["definition"], "document")


def the_fleet_is_shown(here):
    hosts = here.json("hosts")["items"]
    check(len(hosts) == 1 and hosts[0]["up"] is True, hosts)
    processes = hosts[0]["processes"]
    check({process["agent"] for process in processes} == {"greeter", "repeater"}, processes)
    check(all(alive(process["pid"]) for process in processes), processes)
    check("greeter" in here.ctl("hosts"), "the table")
    status = here.json("status")
    check(status["agents"] == 2 and status["instances"] == 2 and status["hosts"] == 1, status)
    check(status["epoch"] == 1 and status["store"]["path"] == str(here.dir / "store"), status)
    lines = here.ctl("status").splitlines()
    for line, name in zip(lines, DAEMONS):
        check(re.fullmatch(rf"{name} +up \(process {here.pid(name)}\)", line), lines)


def interrupt_detaches(here):
    here.write({"slow.yaml": SLOW})
    here.ctl("apply", here.project / "slow.yaml")
    process = follower(here, "run", "slow", "-i", "ms=2500")
    execution = wait_until(lambda: here.json("executions", "ls", "--workflow", "slow")["items"], 30,
                           "it has started")[0]["id"]
    wait_until(lambda: [task for task in here.show(execution)["tasks"]
                        if task["status"] == "running"], 30, "it runs")
    status, out, error = interrupt(process)
    check(status == 130 and not out, f"{status} {out}")
    check(f"agentctl logs -f {execution}" in error and f"cancel {execution}" in error, error)
    check(here.wait(execution)["status"] == "succeeded", "it went on")


# --- mistakes -------------------------------------------------------------------------------------


def mistakes_are_told(here):
    absent = "exec_01h455vb4pex5vsknk084sn02q"
    (here.base / "bad.yaml").write_text("workflow: w\nnodes:\n  a: {agnet: x}\n")
    for args, status, words in (
            ((), 2, "agentctl"),
            (("rnu", "hello"), 2, "did you mean `agentctl run`"),
            (("run",), 2, "usage: agentctl run"),
            (("run", "hello", "--bogus"), 2, "unknown flag"),
            (("agents", "--detach"), 2, "takes no --detach"),
            (("run", "hello", "-i", "name"), 2, "key=value"),
            (("run", "hello", "--timeout", "soon"), 2, "duration"),
            (("executions", "shwo", absent), 2, "usage"),
            (("executions", "show", "exec_nonsense"), 2, "exec_nonsense"),
            (("validate", here.base / "bad.yaml"), 2, ""),
            (("apply", here.base / "bad.yaml"), 2, "agnet"),
            (("run", "helo", "-i", "name=Ada"), 3, "helo"),
            (("ask", "nobody", "hi"), 3, "nobody"),
            (("agents", "show", "nobody"), 3, "nobody"),
            (("workflows", "rm", "nothing"), 3, "nothing"),
            (("executions", "show", absent), 3, absent),
            (("logs", absent), 3, absent),
            (("replay", absent), 3, absent),
            (("validate", here.base / "absent.yaml"), 3, "absent.yaml"),
            (("run", "broken"), 10, "broken on purpose"),
            (("run", "broken", "-q"), 10, "agentctl: execution failed: failed: broken on purpose"),
            (("ask", "breaker", "on purpose", "-q"), 10, "execution failed: failed: on purpose"),
            (("run", "limited"), 14, "limit")):
        done = here.try_ctl(*args)
        told = done.stderr + (done.stdout if args[:1] == ("validate",) else "")
        check(done.returncode == status, f"{args}: exit {done.returncode}, not {status}: {told}")
        check(words in told, f"{args}: {told}")


def errors_are_documents_too(here):
    for args, status, name in ((("run", "helo"), 3, "not_found"),
                               (("executions", "show", "exec_nonsense"), 2, None),
                               (("rnu",), 2, "invalid")):
        done = here.try_ctl(*args, "--json")
        error = json.loads(done.stdout)["error"]
        check(done.returncode == status and error["what"], done)
        check(set(error) == {"error", "what", "where", "fix"}, error)
        check(name in (None, error["error"]), error)


def time_is_up_while_waiting(here):
    execution = here.start("slow", "-i", "ms=600000")
    done = here.try_ctl("executions", "wait", execution, "--timeout", "300ms")
    check(done.returncode == 12 and "goes on" in done.stderr, done)
    done = here.try_ctl("run", "slow", "-i", "ms=600000", "--timeout", "300ms")
    check(done.returncode == 12, done)
    for item in here.json("executions", "ls", "--workflow", "slow", "--status", "running")["items"]:
        here.ctl("executions", "cancel", item["id"])
    done = here.try_ctl("executions", "wait", execution)
    check(done.returncode == 11, done)


def nobody_listens(here):
    env = dict(here.env, AGENTFACTORY_DIR=str(here.base / "nowhere"))
    for args in (("status",), ("run", "hello", "-d"), ("agents",)):
        done = subprocess.run([BIN / "agentctl", *args, "--timeout", "300ms"], env=env,
                              capture_output=True, text=True, timeout=60, check=False)
        check(done.returncode == 5 and "agentctl up" in done.stderr, f"{args}: {done}")


# --- the end --------------------------------------------------------------------------------------


def everything_stops(here):
    agents = here.agentd_pids()
    pids = [here.pid(name) for name in (*DAEMONS, "agentctl-up")]
    check(agents and all(pids), "all run")
    check(here.json("down", timeout=90) == {"stopped": True}, "down")
    check(not [pid for pid in agents + pids if alive(pid)], "processes are left")
    check(here.json("down") == {"stopped": False}, "down again")


def the_store_is_kept(here):
    """Again in the foreground, and ended by Ctrl-C."""
    process = follower(here, "up", "--agents", str(here.project))
    try:
        wait_until(lambda: "AgentFactory is up" in process.stdout.readline(), 60, "it is up")
        check(here.json("executions", "ls", "--workflow", "hello")["items"], "executions are kept")
        check(here.ctl("run", "hello", "-i", "name=Ada") == GREETING + "\n", "hello")
        check(here.json("status")["epoch"] == 2, "the second epoch")
        agents = here.agentd_pids()
        pids = [here.pid(name) for name in DAEMONS]
        status, _, error = interrupt(process)
        check(status == 0, f"exit {status}: {error}")
        check(not [pid for pid in agents + pids if alive(pid)], "processes are left")
    finally:
        process.kill()


CASES = (a_project_is_made, everything_starts, hello_is_run, runs_go_on_alone,
         executions_are_listed, journals_are_shown_and_folded, one_agent_is_asked,
         definitions_are_listed, the_fleet_is_shown, interrupt_detaches, mistakes_are_told,
         errors_are_documents_too, time_is_up_while_waiting, nobody_listens, everything_stops,
         the_store_is_kept)


def test():
    with Installation(up=False) as here:
        for case in CASES:  # each goes on where the one before has ended
            run_cases((case,), here)


main(test)
