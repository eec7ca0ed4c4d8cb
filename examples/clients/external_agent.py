#!/usr/bin/env python3
"""An agent that is a program of its own: it connects by itself, takes tasks and answers them. Its
definition says no more than

    agent: shouter
    external: true
    delegates: [scout]      # whom it may delegate to, if anybody

    external_agent.py shouter [--broker ENDPOINT]

The link that it keeps with the coordinator is section 9 of docs/protocol.md, delegation 9.7. Ends on
SIGTERM or Ctrl-C, after the tasks that it has begun.
"""
import argparse
import concurrent.futures
import os
import queue
import signal
import threading
import time

from agentfactory import Connection, af, default_endpoint

PARALLEL = 4      # tasks at a time
BEAT_S = 1.0      # while there are tasks; else
BEAT_IDLE_S = 3.0
LEASE_S = 2.0     # work is begun only while the coordinator has echoed a beat of the last 2 s
RESEND_S = 1.0    # what is not acknowledged is sent again, after 2, 4, 8 s and then each 10 s


class Delegation:
    """What answer() gives in place of an answer: another agent is to do something first."""

    def __init__(self, agent, message):
        self.agent, self.message = agent, message


def answer(message, asked):
    """The agent's work: takes the task's message, gives its answer. Runs in a thread of its own. What
    came of its delegations so far is in asked, each an (output, failure) of which one is None."""
    if isinstance(message, dict) and "ask" in message:
        if not asked:
            return Delegation(message["ask"], message.get("message"))
        message, failure = asked[-1]
        if failure:
            raise ValueError(f"{failure['code']}: {failure['message']}")
    if not isinstance(message, str):
        raise ValueError("the message is not a text")
    return message.upper()


def instance_id():
    """A TypeID: 26 digits of base 32 for a UUID of version 7, which begins with the time."""
    number = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(3 << 62) | 2 << 62
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    return "inst_" + "".join(digits[number >> 5 * i & 31] for i in reversed(range(26)))


def clock_us():
    return time.monotonic_ns() // 1000


def utc_us():
    return time.time_ns() // 1000


class Task:
    """Waits for a lease, is worked on, and stays until its step is acknowledged."""

    def __init__(self, dispatch):
        self.dispatch = dispatch
        self.key = (dispatch.execution, dispatch.path)
        self.begun_us = 0
        self.step = None    # once it has ended, or delegates: then its run is over, too
        self.delegate = None  # the item that goes along with the step of a turn
        self.journaled = False  # the step is, while what it delegates may not be
        self.sequence = 0   # of the frame that the step was sent in


class Agent:
    def __init__(self, endpoint, name):
        self.endpoint, self.name = endpoint, name
        self.connection = Connection(endpoint, f"instance:{instance_id()}", "external_agent.py 1")
        self.boot, self.number = utc_us(), 0
        self.tasks = {}             # (execution, path) -> Task
        self.ended = queue.SimpleQueue()  # of (task, output, error), from the pool
        self.pool = concurrent.futures.ThreadPoolExecutor(PARALLEL)
        self.local = threading.local()
        self.beat_us = 0            # when the newest frame was sent,
        self.lease_us = 0           # and the newest one that came back
        self.busy_us = 0            # since when there are tasks
        self.stopping = False
        self.hello()

    # --- opening (9.1) ---

    def hello(self):
        self.link = None
        for task in self.tasks.values():
            task.sequence = 0
        self.number += 1
        self.pause_s = 0.25
        self.say_hello()

    def say_hello(self):
        claims = []
        for task in self.tasks.values():
            claim = af.Claim(execution=task.dispatch.execution, path=task.dispatch.path,
                             run=task.dispatch.run,
                             acknowledged_step=task.dispatch.journaled_step)
            if task.step:
                claim.unacknowledged_steps.append(task.step.number)
            claims.append(claim)
        self.send(af.KIND_LINK_HELLO, af.LinkHello(
            boot=self.boot, number=self.number, role="instance", agent=self.name, pid=os.getpid(),
            credit=PARALLEL + self.reported(), inventory=claims, program=self.connection.program))
        self.hello_at = time.monotonic() + self.pause_s
        self.pause_s = min(2 * self.pause_s, 1.0)

    def reported(self):
        """Tasks that take up no place any more."""
        return sum(task.step is not None for task in self.tasks.values())

    def welcome(self, body):
        if self.link or body.boot != self.boot or body.number != self.number:
            return
        if body.refused:
            print(f"refused: {body.refused}", flush=True)
            self.number += 1
            self.hello_at = time.monotonic() + 10
            return
        self.link = body.link
        self.sent, self.received, self.echo_us = 0, 0, 0
        self.window = []            # frames that are not acknowledged: (sequence, items)
        self.resend_s = RESEND_S
        for verdict in body.verdicts:
            task = self.tasks.get((verdict.execution, verdict.path))
            if task and task.dispatch.run == verdict.run:
                if not verdict.keep:
                    del self.tasks[task.key]
                elif task.step and verdict.journaled_step >= task.step.number:
                    if not task.delegate:
                        del self.tasks[task.key]
                    task.journaled = True
        print("linked", flush=True)
        self.finished = self.reported()
        self.busy_us = clock_us()
        self.frame()  # a beat, to get a lease
        for task in self.tasks.values():
            if task.step:
                self.send_step(task)

    # --- frames (9.2), beats (9.3) ---

    def send(self, kind, body):
        self.connection.send(kind, "coordinator", body)

    def frame(self, sequence=0, items=b""):
        self.beat_us = clock_us()
        self.answer_at = float("inf")
        self.send(af.KIND_LINK_FRAME, af.LinkFrame(
            link=self.link, sequence=sequence, acknowledged=self.received, sent_us=self.beat_us,
            echo_us=self.echo_us, items=items))

    def send_items(self, *items):
        self.sent += 1
        content = af.LinkItems(credit=PARALLEL + self.finished, draining=self.stopping,
                               items=items).SerializeToString()
        if not self.window:
            self.resend_at = time.monotonic() + self.resend_s
        self.window.append((self.sent, content))
        self.frame(self.sent, content)

    def receive_frame(self, body):
        if not self.link or body.link != self.link:
            if self.link and (body.link.epoch, body.link.counter) > (self.link.epoch,
                                                                     self.link.counter):
                self.hello()  # the coordinator has restarted
            return
        if body.acknowledged > self.sent or body.sequence > self.received + 1:
            self.hello()      # a gap
            return
        self.echo_us = max(self.echo_us, body.sent_us)
        if body.echo_us <= self.beat_us:
            self.lease_us = max(self.lease_us, body.echo_us)
        self.acknowledge(body.acknowledged)
        if body.sequence == self.received + 1:
            self.received += 1
            for item in af.LinkItems.FromString(body.items).items:
                self.take(item)
        if body.sequence:
            self.answer_at = min(self.answer_at, time.monotonic() + 0.2)

    def acknowledge(self, sequence):
        if self.window and self.window[0][0] <= sequence:
            self.window = [frame for frame in self.window if frame[0] > sequence]
            self.resend_s = RESEND_S
            self.resend_at = time.monotonic() + self.resend_s
        for task in list(self.tasks.values()):
            if task.step and 0 < task.sequence <= sequence:
                del self.tasks[task.key]

    # --- tasks (9.5) ---

    def take(self, item):
        if item.HasField("dispatch"):
            task = Task(item.dispatch)
            self.busy_us = self.busy_us if self.tasks else clock_us()
            self.tasks[task.key] = task
        elif item.HasField("drop"):
            task = self.tasks.get((item.drop.execution, item.drop.path))
            if not task or task.dispatch.run != item.drop.run:
                return
            # What a thread does can't be stopped: its end is told when it comes.
            if not task.begun_us:
                self.fail(task, "cancelled", "it was stopped")
            elif task.sequence:
                del self.tasks[task.key]

    def lease(self):
        return clock_us() - self.lease_us <= LEASE_S * 1e6

    def lose_lease(self):
        """Others may have the tasks by now. What has begun can't be told from what they do: it is
        forgotten (an agent with effects outside stops them here), and the rest is claimed."""
        for task in list(self.tasks.values()):
            if task.begun_us and not task.step:
                del self.tasks[task.key]
        self.hello()

    def begin_waiting(self):
        """An idle agent has no lease: it beats first, and begins on the answer."""
        waiting = [task for task in self.tasks.values() if not task.begun_us]
        if waiting and not self.lease() and clock_us() - self.beat_us > 250000:
            self.frame()
        for task in waiting:
            if not self.lease():
                break
            task.begun_us = utc_us()
            self.pool.submit(self.work, task)

    def work(self, task):
        """In a thread of the pool, which has a connection of its own for large values."""
        try:
            if not hasattr(self.local, "values"):
                self.local.values = Connection(self.endpoint)
            values = self.local.values
            turns, asked = self.history(values, task.dispatch)
            result = answer(values.from_datum(task.dispatch.message), asked)
            if isinstance(result, Delegation):
                self.prepare(values, task, turns + 1, result)
                result = task.turn
            else:
                result = values.to_datum(result)
            self.ended.put((task, result, None))
        except Exception as error:  # whatever goes wrong is the task's failure
            self.ended.put((task, None, str(error)))

    # --- delegation (9.7) ---

    @staticmethod
    def history(values, dispatch):
        """How many turns the attempt has taken, and what came of their calls. A dispatch brings all
        of it, or what an instance lacks that has had the task before; this one keeps nothing."""
        if not dispatch.history_count:
            return 0, []
        items, after = [], 0
        while after is not None:
            page = values.call("tasks.history", {"execution": dispatch.execution,
                                                 "path": dispatch.path,
                                                 "attempt": dispatch.attempt, "from": after})
            items += page["items"]
            after = page["next"]
        turns = sum(item["kind"] == "turn" for item in items)
        return turns, [(values.resolve(item.get("output")), item.get("failure"))
                       for item in items if item["kind"] == "tool_result"]

    @staticmethod
    def prepare(values, task, turn, wanted):
        """A turn that calls delegate_to_agent, and the delegation, which goes along in the same
        frame. Both end the run: the answer comes with another dispatch."""
        dispatch = task.dispatch
        arguments = {"agent": wanted.agent, "message": wanted.message}
        task.turn = {"turn": turn, "calls": ["delegate_to_agent"], "output": values.to_datum(
            {"content": None, "calls": [{"tool": "delegate_to_agent", "arguments": arguments}]})}
        task.delegate = af.LinkItem(delegate=af.Delegate(
            execution=dispatch.execution, path=dispatch.path, run=dispatch.run,
            attempt=dispatch.attempt, turn=turn, call=0, agent=wanted.agent,
            message=values.to_datum(wanted.message)))

    # --- what is reported ---

    def step(self, task, kind, **more):
        dispatch = task.dispatch
        task.step = af.Step(execution=dispatch.execution, path=dispatch.path,
                            attempt=dispatch.attempt, run=dispatch.run,
                            number=dispatch.journaled_step + 1, kind=kind,
                            queued_us=dispatch.queued_us,
                            started_us=task.begun_us or utc_us(), ended_us=utc_us(), **more)
        task.begun_us = task.begun_us or utc_us()
        if self.link:
            self.finished += 1
            self.send_step(task)

    def fail(self, task, code, why):
        self.step(task, af.STEP_FAILURE,
                  failure=af.Failure(code=code, message=why, permanent=False))

    def send_step(self, task):
        items = [] if task.journaled else [af.LinkItem(step=task.step)]
        self.send_items(*items, *([task.delegate] if task.delegate else []))
        task.sequence = self.sent

    def take_ended(self):
        while not self.ended.empty():
            task, output, error = self.ended.get()
            if self.tasks.get(task.key) is not task:
                continue  # dropped meanwhile, or given to somebody else
            if error is None and task.delegate:
                self.step(task, af.STEP_TURN, **output)
            elif error is None:
                self.step(task, af.STEP_RESULT, output=output)
            else:
                self.fail(task, "failed", error)

    # --- the loop ---

    def tick(self):
        now = time.monotonic()
        if not self.link:
            if now >= self.hello_at:
                self.say_hello()
            return
        if self.tasks and clock_us() - max(self.lease_us, self.busy_us) > LEASE_S * 1e6:
            self.lose_lease()
            return
        interval = BEAT_S if self.tasks else BEAT_IDLE_S
        if now >= self.answer_at or clock_us() - self.beat_us >= interval * 1e6:
            self.frame()
        if self.window and now >= self.resend_at:
            for sequence, items in self.window:
                self.frame(sequence, items)
            self.resend_s = min(2 * self.resend_s, 10.0)
            self.resend_at = now + self.resend_s
        self.begin_waiting()

    def receive(self, route, body):
        if route.kind == af.KIND_LINK_WELCOME:
            self.welcome(af.LinkWelcome.FromString(body))
        elif route.kind == af.KIND_LINK_FRAME:
            self.receive_frame(af.LinkFrame.FromString(body))
        elif route.kind in (af.KIND_LINK_RESET, af.KIND_LINK_BYE):
            if self.link and af.LinkReset.FromString(body).link == self.link:
                self.hello()

    def run(self, stop):
        while not (stop.is_set() and not self.tasks):
            if stop.is_set() and self.link and not self.stopping:
                self.stopping = True
                self.send_items()  # draining: no more tasks
            message = self.connection.receive(0.02)
            if message:
                self.receive(message[0], message[1])
            self.take_ended()
            self.tick()
        if self.link:
            self.send(af.KIND_LINK_BYE, af.LinkReset(link=self.link, reason="stopped"))
        self.connection.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("agent")
    parser.add_argument("--broker", default=default_endpoint())
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Agent(options.broker, options.agent).run(stop)


if __name__ == "__main__":
    main()
