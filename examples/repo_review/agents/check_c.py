#!/usr/bin/env python3
"""Runs cppcheck over C and C++ files."""
import os

import task

PER_RUN = 200


def main():
    message = task.read_task()
    path = message["path"]
    files = task.files_of(path, "C", "C++")
    files = [f for f in files if not f.endswith((".h", ".hpp", ".hh"))]
    if not files:
        task.check("C and C++", 0, [], "there are no such files")
        return
    findings = []
    for start in range(0, len(files), PER_RUN):
        status, _, err = task.run(
            ["cppcheck", "--quiet", "--enable=warning,portability", "--inline-suppr",
             "--suppress=missingInclude", "--suppress=unknownMacro", "--suppress=autoVariables", "--suppress=internalAstError", "--max-configs=2",
             f"-j{max(1, os.cpu_count() or 1)}", f"--cppcheck-build-dir={os.getcwd()}",
             "--template={file}\t{line}\t{severity}\t{id}: {message}", *files[start:start + PER_RUN]],
            path)
        if status is None:
            task.check("C and C++", 0, [], "cppcheck is not installed")
            return
        for line in err.splitlines():
            parts = line.split("\t")
            if len(parts) == 4 and parts[1].isdigit():
                findings.append(task.finding(parts[0], int(parts[1]), parts[3], parts[2]))
    task.check("C and C++", len(files), findings)


main()
