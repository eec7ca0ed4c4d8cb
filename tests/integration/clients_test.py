#!/usr/bin/env python3
"""Clients in another language, by docs/protocol.md alone: the examples in examples/clients start and
wait for executions, and serve an agent, also across restarts of the broker and the coordinator."""
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import ROOT, Installation, alive, check, wait_until
from wire import GENERATED

EXAMPLES = ROOT / "examples" / "clients"
DEFINITIONS = """agent: shouter
external: true
delegates: [echoer]
---
agent: echoer
builtin: echo
---
agent: sleeper
builtin: sleep
---
agent: failing
builtin: fail
---
workflow: shout
input: {text: text}
nodes:
  loud: {agent: shouter, say: "{{input.text}}"}
output: loud
---
workflow: crowd
input: {text: text}
nodes:
""" + "".join(f'  n{n}: {{agent: shouter, say: "{{{{input.text}}}} {n}"}}\n' for n in range(40)) + """---
workflow: chain
nodes:
  a: {agent: shouter, say: a}
  b: {agent: sleeper, with: {ms: 700}, after: [a]}
  c: {agent: shouter, say: c, after: [b]}
  d: {agent: sleeper, with: {ms: 700}, after: [c]}
  e: {agent: shouter, say: "{{c}} e", after: [d]}
output: e
---
workflow: asking
input: {agent: text}
nodes:
  loud: {agent: shouter, with: {ask: "{{input.agent}}", message: say it}}
output: loud
---
workflow: broken
nodes:
  bad: {agent: failing, say: on purpose}
---
workflow: wrong
nodes:
  loud: {agent: shouter, with: {no: text}}
"""


def environment(here):
    return dict(here.env, PYTHONPATH=GENERATED, PYTHONDONTWRITEBYTECODE="1")


def start_and_wait(here, *args):
    return subprocess.run([sys.executable, EXAMPLES / "start_and_wait.py", *args], text=True,
                          env=environment(here), capture_output=True, timeout=120, check=False)


def ready(here):
    agents = {item["name"]: item for item in here.json("agents")["items"]}
    return agents["shouter"]["instances"]["ready"]


class Agent:
    """external_agent.py as a process."""

    def __init__(self, here):
        self.here = here

    def __enter__(self):
        self.log = open(self.here.base / "agent.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen([sys.executable, EXAMPLES / "external_agent.py", "shouter"],
                                        env=environment(self.here), stdout=self.log,
                                        stderr=self.log)
        wait_until(lambda: ready(self.here) == 1, 30, "the agent is linked")
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(30)
        finally:
            self.process.kill()
            self.log.seek(0)
            text = self.log.read()
            self.log.close()
            if kind:
                print(f"--- external_agent.py\n{text[-3000:]}")
        check(kind or (status == 0 and "Traceback" not in text), f"exit {status}: {text}")


def an_execution_is_started(here):
    with Agent(here):
        done = start_and_wait(here, "shout", "text=hello there")
        check((done.returncode, done.stdout) == (0, '"HELLO THERE"\n'), done)


def failures_are_told(here):
    done = start_and_wait(here, "broken")
    check(done.returncode == 10 and "failed: failed: on purpose" in done.stderr, done)
    done = start_and_wait(here, "absent")
    check(done.returncode == 1 and "not_found" in done.stderr and "absent" in done.stderr, done)


def the_agent_answers_in_order_and_once(here):
    with Agent(here):
        execution = here.start("crowd", "-i", "text=a")
        document = here.wait(execution)
        check(document["output"] == {f"n{n}": f"A {n}" for n in range(40)}, document)
        check({len(steps) for steps in here.steps(execution).values()} == {1}, "one result each")


def the_agent_tells_failures(here):
    with Agent(here):
        done = here.try_ctl("run", "wrong")
        check(done.returncode == 10 and "is not a text" in done.stderr, done)


def the_agent_delegates(here):
    """From a program of one's own, in two turns; a refusal comes to it, too."""
    with Agent(here):
        document = here.run("asking", "-i", "agent=echoer")
        check(document["output"] == "SAY IT", document)
        tasks = [(task["path"], task["agent"], task["parent"]) for task in document["tasks"]]
        check(tasks == [("loud", "shouter", ""), ("loud/1", "echoer", "loud")], tasks)
        kinds = [(step["step_kind"], step["turn"] if "turn" in step else 0)
                 for step in here.steps(document["id"])["loud"]]
        check(kinds == [("turn", 1), ("result", 0)], kinds)
        document = here.run("asking", "-i", "agent=sleeper")
        check(document["status"] == "failed", document)
        check('"shouter" may not delegate to "sleeper"' in document["failure"]["message"], document)


def delegations_outlive_restarts(here):
    with Agent(here) as agent:
        executions = []
        for number in range(30):
            executions.append(here.start("asking", "-i", "agent=echoer"))
            if number % 10 == 5:
                here.kill("coordinatord" if number % 20 == 5 else "brokerd")
        for execution in executions:
            document = here.wait(execution)
            check(document["output"] == "SAY IT" and document["delegations"] == 1, document)
        check(agent.process.poll() is None, "the agent has ended")


def large_values_go_both_ways(here):
    text = "häß" * 100000
    (here.base / "large.json").write_text(f'{{"text": "{text}"}}', encoding="utf-8")
    with Agent(here):
        execution = here.start("shout", "--input", here.base / "large.json")
        check(here.wait(execution)["output"] == text.upper(), "the output is another")
        ended = start_and_wait(here, "shout", "text=" + text[:60000])
        check(ended.stdout == '"' + text[:60000].upper() + '"\n', ended.stderr)


def all_goes_on_after_restarts(here):
    with Agent(here) as agent:
        for names in (("brokerd",), ("coordinatord",), ("brokerd", "coordinatord")):
            client = subprocess.Popen([sys.executable, EXAMPLES / "start_and_wait.py", "chain"],
                                      env=environment(here), stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
            execution = client.stderr.readline().split()[0]
            wait_until(lambda: "a" in here.steps(execution), 30, "the first task has ended")
            before = [here.kill(name) for name in names]
            wait_until(lambda: all(here.pid(name) not in (None, pid)
                                   for name, pid in zip(names, before)), 30, "they are back")
            out, error = client.communicate(timeout=120)
            check((client.returncode, out) == (0, '"C E"\n'), f"{names}: {out} {error}")
            for task, steps in here.steps(execution).items():
                check(len(steps) == 1, f"{task}: {steps}")
        check(agent.process.poll() is None, "the agent has ended")


def a_killed_agent_is_replaced(here):
    with Agent(here) as first:
        os.kill(first.process.pid, signal.SIGSTOP)
        execution = here.start("shout", "-i", "text=late")
        wait_until(lambda: here.show(execution)["tasks"][0]["status"] == "running", 30, "it has it")
        other = subprocess.Popen([sys.executable, EXAMPLES / "external_agent.py", "shouter"],
                                 env=environment(here), stdout=subprocess.DEVNULL)
        try:
            check(here.wait(execution)["output"] == "LATE", "the other answers")
        finally:
            os.kill(first.process.pid, signal.SIGCONT)
            other.send_signal(signal.SIGINT)
            check(other.wait(30) == 0 and not alive(other.pid), "the other has ended well")
        steps = here.steps(execution)["loud"]
        check(len(steps) == 1, steps)
        wait_until(lambda: ready(here) == 1, 30, "the first one is linked again")
        check(here.run("shout", "-i", "text=again")["output"] == "AGAIN", "it serves again")


CASES = (an_execution_is_started, failures_are_told, the_agent_answers_in_order_and_once,
         the_agent_tells_failures, the_agent_delegates, delegations_outlive_restarts,
         large_values_go_both_ways, all_goes_on_after_restarts, a_killed_agent_is_replaced)


def test():
    with Installation({"all.yaml": DEFINITIONS}) as here:
        for case in CASES:
            run_cases((case,), here)


main(test)
