#!/usr/bin/env python3
"""The C library as somebody's program uses it: installed into a folder, found with pkg-config, and
nothing of it but what its header names."""
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main
from installation import Installation, check

SOURCE = pathlib.Path(__file__).with_name("client_example.c")


def run(*argv, **more):
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=120,
                          check=False, **more)
    check(done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def symbols(library):
    return {line.split()[-1].split("@")[0] for line in
            run("nm", "-D", "--defined-only", library).splitlines() if " T " in line}


def sanitizers(library):
    """What a library built with sanitizers needs of a program that uses it."""
    undefined = run("nm", "-D", "--undefined-only", library)
    found = [name for name, symbol in (("address", "__asan_init"), ("thread", "__tsan_init"),
                                       ("undefined", "__ubsan_handle")) if symbol in undefined]
    return [f"-fsanitize={','.join(found)}"] if found else []


def build(here):
    prefix = here.base / "prefix"
    run("cmake", "--install", os.environ["AF_BUILD"], "--prefix", prefix)
    libraries = list(prefix.glob("lib/**/libagentfactory.so"))
    check(len(libraries) == 1, libraries)
    folder = libraries[0].parent
    found = dict(os.environ, PKG_CONFIG_PATH=str(folder / "pkgconfig"))
    flags = run("pkg-config", "--cflags", "--libs", "agentfactory", env=found).split()
    program = here.base / "client_example"
    run(os.environ["AF_CC"], "-std=c17", "-Wall", "-Wextra", "-Werror", SOURCE, *flags,
        *sanitizers(libraries[0]), "-o", program)
    exported = symbols(libraries[0])
    check(exported == {"af_client_new", "af_client_destroy", "af_call", "af_follow",
                       "af_next_event", "af_free"}, exported)
    return program, folder


def test():
    with Installation() as here:
        program, folder = build(here)
        out = run(program, here.dir, env=dict(os.environ, LD_LIBRARY_PATH=str(folder)))
        lines = dict(line.split(" ", 1) for line in out.splitlines() if not line.startswith("event"))
        events = [json.loads(line.split(" ", 1)[1]) for line in out.splitlines()
                  if line.startswith("event")]
        check(lines["same"] == "1", "the same key has started two executions")
        ended = json.loads(lines["ended"])
        check(ended["status"] == "succeeded" and ended["output"] == "hello!", ended)
        check({event["execution"] for event in events} == {ended["id"]}, events)
        check([event["task"] for event in events if event["type"] == "task.succeeded"]
              == ["one", "two"], events)
        check(lines["error"].startswith("not_found: ") and "absent" in lines["error"], lines)
        check(len(here.json("executions", "ls")["items"]) == 1, "another number of executions")


main(test)
