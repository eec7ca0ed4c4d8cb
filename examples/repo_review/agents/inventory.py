#!/usr/bin/env python3
"""Counts the files, lines and languages of a tree, and names its largest files."""
import os

import task


def commits(path):
    status, out, _ = task.git(path, "rev-list", "--count", "HEAD", "--", ".")
    return int(out) if status == 0 else 0


def count(path, languages):
    """What there is for others to look at: how many files of each kind, and commits."""
    files = {name: entry["files"] for name, entry in languages.items()}
    code = [name for name in files if name not in task.DOCUMENTS | task.DATA | {"other"}]
    return {"c": files.get("C", 0) + files.get("C++", 0), "python": files.get("Python", 0),
            "shell": files.get("Shell", 0), "markdown": files.get("Markdown", 0),
            "sources": sum(files[name] for name in code), "texts": sum(files.values()),
            "commits": commits(path)}


def main():
    path = task.read_task()["path"]
    languages, largest, binary, total = {}, [], 0, 0
    names = task.walk(path)
    for name in names:
        text = task.read_text(path, name)
        if text is None:
            binary += 1
            continue
        lines = text.count("\n") + (not text.endswith("\n") and text != "")
        total += lines
        largest.append((lines, name))
        entry = languages.setdefault(task.language(path, name) or "other", {"files": 0, "lines": 0})
        entry["files"] += 1
        entry["lines"] += lines
    largest.sort(key=lambda item: (-item[0], item[1]))
    folders = {}
    for name in names:
        top = name.split(os.sep)[0] if os.sep in name else "."
        folders[top] = folders.get(top, 0) + 1
    ordered = sorted(languages.items(), key=lambda item: (-item[1]["lines"], item[0]))
    task.answer({"files": len(names), "lines": total, "binary_files": binary,
                 "has": count(path, languages), "languages": dict(ordered),
                 "folders": dict(sorted(folders.items(), key=lambda f: (-f[1], f[0]))[:10]),
                 "largest": [{"file": name, "lines": lines} for lines, name in largest[:10]],
                 "complete": len(names) < task.MAX_FILES})


main()
