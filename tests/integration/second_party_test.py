#!/usr/bin/env python3
"""Who must not join: a second coordinator or broker of the same directory, and peers of another major
version, are refused with a message that says why, while the first go on."""
import pathlib
import subprocess
import sys
import threading

import zmq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import BIN, Installation, check
from wire import Peer, af_pb2

DEFINITIONS = """agent: echo
builtin: echo
---
workflow: one
nodes:
  it: {agent: echo, say: fine}
output: it
"""


def goes_on(here):
    check(here.ctl("run", "one") == "fine\n", "an execution")


def second(here, name):
    pid = here.pid(name)
    done = subprocess.run([BIN / name, "--dir", here.dir], capture_output=True, text=True,
                          timeout=60, check=False)
    check(done.returncode == 1, f"exit {done.returncode}: {done.stderr}")
    check(str(pid) in done.stderr and str(here.dir) in done.stderr, done.stderr)
    check("another" in done.stderr or "in use" in done.stderr, done.stderr)
    check(here.pid(name) == pid, f"the first {name} is gone")
    goes_on(here)


def a_second_coordinator_is_refused(here):
    second(here, "coordinatord")


def a_second_broker_is_refused(here):
    second(here, "brokerd")


def a_second_host_is_refused(here):
    second(here, "hostd")


def a_second_supervisor_is_not_started(here):
    pid = here.pid("agentctl-up")
    done = here.try_ctl("up", timeout=90)
    check(done.returncode == 0 and "already running" in done.stderr, done)
    check(here.pid("agentctl-up") == pid, "another supervisor runs")


def an_older_peer_is_refused_by_the_broker(here):
    """At its registration, by the numbers in it."""
    with Peer(here.dir, "client:older") as peer:
        peer.send(af_pb2.KIND_REGISTER, "broker",
                  af_pb2.Register(major=2, minor=7, program="thing 9.9"))
        answer = peer.expect(af_pb2.KIND_REGISTERED, af_pb2.Registered)
        check("thing 9.9" in answer.refused and "2.7" in answer.refused
              and f"{answer.major}.{answer.minor}" in answer.refused, answer.refused)
    goes_on(here)


def another_signature_is_refused_by_the_broker(here):
    with Peer(here.dir, "client:newer") as peer:
        peer.signature = b"AF07"
        peer.send(af_pb2.KIND_REGISTER, "broker", af_pb2.Register(major=7, minor=0))
        answer = peer.expect(af_pb2.KIND_UNDELIVERABLE, af_pb2.Undeliverable)
        check(answer.reason == "version" and "7" in answer.text and "1" in answer.text, answer)
    goes_on(here)


def a_newer_broker_is_told_apart(here):
    """agentctl meets a broker of another major version: both are named."""
    directory = here.base / "newer"
    (directory / "run").mkdir(parents=True)
    socket = zmq.Context.instance().socket(zmq.ROUTER)
    socket.bind(f"ipc://{directory}/run/broker.sock")
    refusal = af_pb2.Registered(major=2, minor=0, program="brokerd 2.0.0",
                                refused="agentctl speaks version 1.0 and brokerd 2.0.0 version 2.0")

    def serve():
        while socket.poll(20000):
            sender = socket.recv_multipart()[0]
            route = af_pb2.Route(kind=af_pb2.KIND_REGISTERED)
            setattr(route, "from", "broker")
            socket.send_multipart([sender, b"AF01", route.SerializeToString(),
                                   refusal.SerializeToString()])
            if stop.is_set():
                return

    stop = threading.Event()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    stop.set()  # one answer is enough
    done = subprocess.run([BIN / "agentctl", "--dir", directory, "status"], capture_output=True,
                          text=True, timeout=60, check=False)
    check(done.returncode not in (0, 5) and "version 1.0" in done.stderr
          and "version 2.0" in done.stderr, done)
    thread.join(30)
    socket.close(0)


CASES = (a_second_coordinator_is_refused, a_second_broker_is_refused, a_second_host_is_refused,
         a_second_supervisor_is_not_started, an_older_peer_is_refused_by_the_broker,
         another_signature_is_refused_by_the_broker, a_newer_broker_is_told_apart)


def test():
    with Installation({"one.yaml": DEFINITIONS}) as here:
        run_cases(CASES, here)


main(test)
