#!/usr/bin/env python3
"""Runs shellcheck over shell scripts."""
import json

import task


def main():
    path = task.read_task()["path"]
    files = task.files_of(path, "Shell")
    if not files:
        task.check("Shell", 0, [], "there are no such files")
        return
    status, out, err = task.run(["shellcheck", "--format=json", "--", *files], path)
    if status is None:
        task.check("Shell", 0, [], "shellcheck is not installed")
        return
    if status > 1:
        task.fail(f"shellcheck ended with status {status}: {err.strip()[:300]}")
    findings = [task.finding(f["file"], f["line"], f"SC{f['code']}: {f['message']}", f["level"])
                for f in json.loads(out or "[]")]
    task.check("Shell", len(files), findings)


main()
