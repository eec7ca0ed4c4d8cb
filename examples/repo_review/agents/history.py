#!/usr/bin/env python3
"""Reads the git log: authors, age, churn, and hot spots (files that change most often)."""
import collections

import task

MAX_COMMITS = 5000


def parse(log):
    """Yields (author, date, [(added, removed, file)]) of each commit."""
    for block in log.split("\x01")[1:]:
        lines = block.split("\n")
        author, date = lines[0].split("\x02")
        changes = []
        for line in lines[1:]:
            parts = line.split("\t")
            if len(parts) == 3 and parts[0].isdigit():
                changes.append((int(parts[0]), int(parts[1]), parts[2]))
        yield author, date, changes


def main():
    path = task.read_task()["path"]
    status, log, _ = task.git(path, "log", f"--max-count={MAX_COMMITS}", "--no-renames",
                              "--numstat", "--date=short", "--pretty=format:%x01%an%x02%ad", "--", ".")
    if status is None:
        task.answer({"commits": 0, "note": "git is not installed"})
        return
    if status != 0 or not log:
        task.answer({"commits": 0, "note": "there is no git history"})
        return
    authors, churn, touched = (collections.Counter() for _ in range(3))
    dates, commits = [], 0
    for author, date, changes in parse(log):
        commits += 1
        authors[author] += 1
        dates.append(date)
        for added, removed, name in changes:
            churn[name] += added + removed
            touched[name] += 1
    hot = sorted(touched, key=lambda name: (-touched[name] * churn[name], name))[:10]
    task.answer({"commits": commits, "complete": commits < MAX_COMMITS, "authors": len(authors),
                 "top_authors": [{"name": n, "commits": c} for n, c in authors.most_common(5)],
                 "first": min(dates), "last": max(dates),
                 "hot_spots": [{"file": n, "changes": touched[n], "churn": churn[n]} for n in hot]})


main()
