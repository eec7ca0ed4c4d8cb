#!/usr/bin/env python3
"""Counts the files, lines and languages of a tree, and names its largest files."""
import os

import task


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
                 "languages": dict(ordered),
                 "folders": dict(sorted(folders.items(), key=lambda f: (-f[1], f[0]))[:20]),
                 "largest": [{"file": name, "lines": lines} for lines, name in largest[:10]],
                 "complete": len(names) < task.MAX_FILES})


main()
