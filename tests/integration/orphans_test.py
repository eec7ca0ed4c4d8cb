#!/usr/bin/env python3
"""Nothing is left over: when agentd is killed, all that its commands have started ends with it, also
what has made itself a daemon; also when hostd is killed before; and `down` leaves nothing."""
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import Installation, Reports, alive, check, processes_of, wait_until

REPORT = pathlib.Path(os.environ["AF_REPORT"])
PARALLEL = 3


def definitions(socket):
    nodes = "".join(f"  n{n}: {{agent: worker, say: go}}\n" for n in range(2 * PARALLEL))
    return f"""agent: worker
command: ["{REPORT}", "{socket}", "20000"]
process: {{instances: 2, parallel: {PARALLEL}, network: true}}
---
workflow: storm
nodes:
{nodes}"""


def tasks_run(here):
    """Starts an execution; gives its id once all its commands have left their daemons behind."""
    execution = here.start("storm")
    wait_until(lambda: len(here.reports.of("start", execution)) == 2 * PARALLEL, 30, "they start")
    wait_until(lambda: len(processes_of(REPORT)) >= 4 * PARALLEL, 30, "with their daemons")
    return execution


def started_again(here, execution, count):
    wait_until(lambda: len(here.reports.of("start", execution)) >= count, 60, "they start again")


def end(here, execution):
    here.ctl("executions", "cancel", execution)
    document = here.wait(execution)
    check(document["status"] == "cancelled", document)
    wait_until(lambda: not processes_of(REPORT), 10, "the commands are gone")


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), 10, f"{pid} is dead")


def gone(pids, what):
    wait_until(lambda: not [pid for pid in pids if alive(pid)], 10, what)


def with_agentd(here):
    execution = tasks_run(here)
    before = processes_of(REPORT)
    agents = here.agentd_pids()
    check(len(agents) == 2, agents)
    for pid in agents:
        os.kill(pid, signal.SIGKILL)
    gone(before, "what agentd's commands had started is gone")
    started_again(here, execution, 4 * PARALLEL)
    check(not set(agents) & set(here.agentd_pids()), "the killed ones are listed still")
    end(here, execution)


def with_hostd_and_agentd(here):
    execution = tasks_run(here)
    before, hostd = processes_of(REPORT), here.pid("hostd")
    agents = here.agentd_pids()
    kill(hostd)
    kill(agents[0])
    wait_until(lambda: here.pid("hostd") not in (None, hostd), 30, "hostd is back")
    started_again(here, execution, 3 * PARALLEL)
    check(alive(agents[1]), "the other agentd was ended")
    kill(agents[1])
    gone(before, "what both agentds' commands had started is gone")
    started_again(here, execution, 4 * PARALLEL)
    end(here, execution)


def settled():
    """The commands' processes, once those between a command and its daemon have left."""
    seen = []

    def same():
        seen.append(sorted(processes_of(REPORT)))
        return len(seen) > 5 and all(one == seen[-1] for one in seen[-5:])

    wait_until(same, 30, "the commands have settled")
    return seen[-1]


def with_hostd_alone(here):
    """A restarted hostd adopts what is there."""
    execution = tasks_run(here)
    before, hostd = settled(), here.pid("hostd")
    agents = sorted(here.agentd_pids())
    kill(hostd)
    wait_until(lambda: here.pid("hostd") not in (None, hostd), 30, "hostd is back")
    wait_until(lambda: sorted(here.instances().values()) == agents, 30, "it has adopted them")
    check(sorted(here.agentd_pids()) == agents, "agentd processes were ended or doubled")
    check(all(alive(pid) for pid in before), "commands were ended")
    end(here, execution)
    check(len(here.reports.of("start", execution)) == 2 * PARALLEL, "tasks were run again")


def with_down(here):
    tasks_run(here)
    here.ctl("down", timeout=90)
    check(not processes_of(REPORT), "commands are left")
    check(not here.own_processes(), f"left: {here.own_processes()}")


CASES = (with_agentd, with_hostd_and_agentd, with_hostd_alone, with_down)


def test():
    with Installation(up=False) as here:
        here.reports = Reports(here.base / "reports")
        here.write({"storm.yaml": definitions(here.reports.path)})
        here.up()
        for case in CASES:
            run_cases((case,), here)
        here.reports.close()


main(test)
