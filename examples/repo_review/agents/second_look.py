#!/usr/bin/env python3
"""Looks once more at findings: what kind of file each is in, and who last changed the line, when."""
import os
import re

import task

MOST = 20
APART = (("a test", re.compile(r"(^|/)(tests?|spec|fixtures?|testdata)(/|$)|_test\.\w+$|(^|/)test_[^/]+$")),
         ("an example", re.compile(r"(^|/)(examples?|samples?|demos?)(/|$)")),
         ("a document", re.compile(r"(^|/)docs?(/|$)|\.(md|rst|txt|adoc)$")))


def kind(name):
    if name == ".":
        return "the tree as a whole"
    return next((words for words, pattern in APART if pattern.search(name)), "a source file")


def last_change(path, name, line):
    """(date, author) of the line, or of the file where no line is given; None without a history."""
    if line:
        status, out, _ = task.git(path, "blame", "--porcelain", "-L", f"{line},{line}", "--", name)
        author, when = (re.search(rf"^{key} (.+)$", out, re.M) for key in ("author", "author-time"))
        if status != 0 or not author or out.startswith("0" * 40):
            return None
        return int(when.group(1)), author.group(1)
    status, out, _ = task.git(path, "log", "-1", "--pretty=format:%at%x02%an", "--", name)
    if status != 0 or not out:
        return None
    when, author = out.split("\x02")
    return int(when), author


def main():
    message = task.read_task()
    path, places = message["path"], []
    for item in message["findings"][:MOST]:
        if os.path.isabs(item["file"]) or ".." in item["file"].split("/"):
            continue
        change = last_change(path, item["file"], item["line"])
        places.append({"file": item["file"], "line": item["line"], "kind": kind(item["file"]),
                       "date": task.day(change[0]) if change else None,
                       "author": change[1][:60] if change else None})
    task.answer({"check": message["check"], "places": places})


main()
