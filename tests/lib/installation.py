"""An installation of its own for a test: started with agentctl in a temporary directory, stopped and
checked for leftovers at the end. AF_BIN names the folder of the built programs."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

BIN = pathlib.Path(os.environ["AF_BIN"])
ROOT = pathlib.Path(__file__).resolve().parents[2]
DAEMONS = ("brokerd", "coordinatord", "egressd", "hostd")


class Failed(AssertionError):
    pass


def check(condition, message):
    if not condition:
        raise Failed(message)


def wait_until(condition, seconds, what):
    """Polls until the condition gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        check(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.02)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent_of(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(stat.rsplit(")", 1)[1].split()[1])


def processes_of(path):
    """Ids of living processes that run this program."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/exe") == str(path) and alive(entry):
                found.append(int(entry))
        except OSError:
            pass
    return found


class Installation:
    """`with Installation() as here:` runs the daemons; `here.ctl(...)` is agentctl on it."""

    def __init__(self, files=None, directory=None, up=True, count_calls=False):
        # A short path: sockets lie below it.
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="aft-", dir="/var/tmp"))
        self.dir = pathlib.Path(directory) if directory else self.base / "d"
        self.project = self.base / "p"
        self.project.mkdir()
        self.write(files or {})
        self.up_first = up
        self.agentctl = BIN / "agentctl"
        self.calls = self.base / "calls"
        if count_calls:
            self.make_programs()
        self.env = dict(os.environ, AGENTFACTORY_DIR=str(self.dir), NO_COLOR="1")
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"):
            self.env[name] = f"{os.environ.get(name, '')}:log_path={self.base}/sanitizer"

    def write(self, files):
        for name, text in files.items():
            path = self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if text.startswith("#!"):
                path.chmod(0o755)

    def make_programs(self):
        """A folder of programs whose egressd writes to self.calls each call that it makes. agentctl
        starts what stands beside it."""
        folder = self.base / "bin"
        folder.mkdir()
        self.agentctl = pathlib.Path(shutil.copy2(BIN / "agentctl", folder))
        for name in DAEMONS:
            (folder / name).symlink_to(BIN / name)
        (folder / "egressd").unlink()
        (folder / "egressd").write_text(
            f'#!/bin/sh\nexec "{BIN}/egressd" --calls "{self.calls}" "$@"\n', encoding="utf-8")
        (folder / "egressd").chmod(0o755)
        self.calls.touch()

    def __enter__(self):
        if self.up_first:
            try:
                self.up()
            except BaseException:
                self.__exit__(Failed, None, None)
                raise
        return self

    def up(self):
        self.ctl("up", "-d", "--agents", str(self.project), timeout=90)
        if any(self.project.glob("*.yaml")):
            self.ctl("apply", str(self.project))

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self.show_logs()
        subprocess.run([self.agentctl, "down"], env=self.env, capture_output=True, timeout=90,
                       check=False)
        left = [pid for pid in self.own_processes() if alive(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        defects = self.defects()
        shutil.rmtree(self.base, ignore_errors=True)
        if defects:
            print(defects, flush=True)
        if kind is None:
            check(not left, f"processes were left over: {left}")
            check(not defects, "defects were found in the programs while they ran")

    def defects(self):
        """What sanitizers and failed CHECKs have said, of any of the programs."""
        reports = [path.read_text(errors="replace") for path in self.base.glob("sanitizer.*")]
        for path in self.dir.glob("log/*.log"):
            text = path.read_text(errors="replace")
            if re.search(r"Sanitizer|runtime error:|CHECK failed|check failed", text):
                reports.append(text[-5000:])
        return "\n".join(report[:6000] for report in reports)

    def show_logs(self):
        for path in sorted(self.dir.glob("log/*.log")):
            text = path.read_text(encoding="utf-8", errors="replace")
            if text:
                print(f"--- {path.name}\n{text[-3000:]}", flush=True)

    def own_processes(self):
        """Everything whose command line or environment names this installation's folder."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if str(self.base).encode() in words or str(self.dir).encode() in words:
                found.append(int(entry))
        return found

    # --- agentctl ---

    def try_ctl(self, *args, timeout=60, stdin=None):
        return subprocess.run([self.agentctl, *map(str, args)], env=self.env, timeout=timeout,
                              capture_output=True, text=True, input=stdin, check=False)

    def ctl(self, *args, timeout=60, expect=0):
        done = self.try_ctl(*args, timeout=timeout)
        check(done.returncode == expect, f"agentctl {' '.join(map(str, args))}: exit "
              f"{done.returncode}, not {expect}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done.stdout

    def json(self, *args, **more):
        return json.loads(self.ctl(*args, "--json", **more))

    def journal(self, execution):
        return [json.loads(line) for line in self.ctl("logs", execution, "--json").splitlines()]

    def start(self, workflow, *args):
        return self.ctl("run", workflow, "-d", *args).strip()

    def start_agent(self, agent, text):
        """An execution of one agent alone, whose task is "ask"."""
        return self.ctl("ask", agent, text, "-d").strip()

    def wait(self, execution, seconds=120):
        """The execution's document, once it has ended."""
        done = self.try_ctl("executions", "wait", execution, "--json", "--quiet", "--timeout",
                            f"{seconds}s", timeout=seconds + 60)
        check(done.stdout.strip(), f"{execution} did not end: {done.stderr[-1000:]}")
        return json.loads(done.stdout)

    def run(self, workflow, *args, **more):
        """Starts a workflow and waits: the execution's document."""
        return self.wait(self.start(workflow, *args), **more)

    def show(self, execution):
        return self.json("executions", "show", execution)

    def steps(self, execution):
        """The journal's steps in order, by their tasks: {path: [event, ...]}."""
        found = {}
        for event in self.journal(execution):
            if event["kind"] == "step":
                found.setdefault(event["task"], []).append(event)
        return found

    def counters(self):
        return self.json("status")["counters"]

    # --- processes ---

    def instances(self):
        """{instance: process id} of the agent processes that are up, by what the hosts tell."""
        return {process["instance"]: process["pid"] for host in self.json("hosts")["items"]
                for process in host.get("processes", []) if process["up"]}

    def pid(self, name):
        """Of a daemon, or None while it is not running."""
        try:
            pid, start = map(int, (self.dir / "run" / f"{name}.pid").read_text().split())
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, ValueError):
            return None
        return pid if int(stat[19]) == start and stat[0] != "Z" else None

    def agentd_pids(self):
        """From /proc rather than by asking, since this must work while daemons are down. The stubs
        below them, which watch over commands, look alike."""
        own = set(self.own_processes())
        found = {pid for pid in processes_of(BIN / "agentd") if pid in own}
        return [pid for pid in found if parent_of(pid) not in found]

    def kill(self, name, number=signal.SIGKILL):
        pid = self.pid(name)
        if pid:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        return pid


class Reports:
    """Receives what the command `report` says of its tasks (tests/lib/report.c) on a datagram socket:
    a list of (time, execution, task, attempt, what)."""

    def __init__(self, path):
        self.path = str(path)
        self.items = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind(self.path)
        self.thread = threading.Thread(target=self.receive, daemon=True)
        self.thread.start()

    def receive(self):
        while True:
            words = self.socket.recv(4096).decode().split()
            if words == ["stop"]:
                return
            self.items.append((time.time(), *words))

    def of(self, what, execution=None):
        return [item for item in list(self.items)
                if item[4] == what and execution in (None, item[1])]

    def close(self):
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.sendto(b"stop", self.path)
        sender.close()
        self.thread.join(10)
        self.socket.close()


def rfc3339(text):
    """Seconds since 1970."""
    import datetime
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
