#!/usr/bin/env python3
"""Parses Python files without running them."""
import ast
import warnings

import task


def main():
    path = task.read_task()["path"]
    files, findings = task.files_of(path, "Python"), []
    warnings.simplefilter("ignore")
    for name in files:
        text = task.read_text(path, name)
        if text is None:
            continue
        try:
            ast.parse(text, name)
        except SyntaxError as error:
            findings.append(task.finding(name, error.lineno or 0, str(error.msg), "error"))
        except (ValueError, RecursionError) as error:
            findings.append(task.finding(name, 0, str(error), "error"))
    task.check("Python", len(files), findings, "" if files else "there are no such files")


main()
