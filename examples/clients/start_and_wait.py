#!/usr/bin/env python3
"""Starts an execution of a workflow, waits for its end and prints its output as JSON.

    start_and_wait.py WORKFLOW [key=value ...] [--broker ENDPOINT]

Exit status: 0 when it succeeded, 10 when it failed or was cancelled. See agentfactory.py for what
this needs.
"""
import argparse
import json
import sys

from agentfactory import Connection, default_endpoint


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("workflow")
    parser.add_argument("inputs", nargs="*", metavar="key=value")
    parser.add_argument("--broker", default=default_endpoint())
    options = parser.parse_args()

    connection = Connection(options.broker, program="start_and_wait.py 1")
    params = dict(pair.split("=", 1) for pair in options.inputs)
    started = connection.call("executions.start", {"workflow": options.workflow, "input": params})
    print(f"{started['id']} has started", file=sys.stderr)

    # Asked again until it has ended: the answer may take days, and the coordinator may restart.
    while True:
        try:
            ended = connection.call("executions.wait", {"id": started["id"], "tasks": False},
                                    seconds=60)
            break
        except TimeoutError:
            pass
    if ended["status"] == "succeeded":
        json.dump(connection.resolve(ended["output"]), sys.stdout, ensure_ascii=False)
        print()
    else:
        failure = ended["failure"] or {"code": ended["status"], "message": ""}
        print(f"{ended['status']}: {failure['code']}: {failure['message']}", file=sys.stderr)
    connection.close()
    return 0 if ended["status"] == "succeeded" else 10


if __name__ == "__main__":
    sys.exit(main())
