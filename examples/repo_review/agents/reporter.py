#!/usr/bin/env python3
"""Joins what the other agents found into one report in Markdown."""
import os

import task

SHOWN = 8
ORDER = {"error": 0, "warning": 1}


def plural(count, one, many=None):
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def sentence(text):
    return text[:1].upper() + text[1:] + "."


def summary(inventory, checks):
    worst = [(f, c["check"]) for c in checks.values() if c for f in c["findings"]
             if f["severity"] == "error"]
    total = sum(c["found"] for c in checks.values() if c)
    clean = [c["check"] for c in checks.values() if c and c["checked"] and not c["found"]]
    lines = [f"{plural(inventory['files'], 'file')}, {plural(inventory['lines'], 'line')}; "
             f"{plural(total, 'finding')}, {plural(len(worst), 'error')} among them."]
    if clean:
        lines.append(f"Nothing was found by: {', '.join(clean)}.")
    return lines


def languages(inventory):
    lines = ["| language | files | lines | share |", "| --- | ---: | ---: | ---: |"]
    for name, entry in list(inventory["languages"].items())[:12]:
        share = 100 * entry["lines"] / max(1, inventory["lines"])
        lines.append(f"| {name} | {entry['files']:,} | {entry['lines']:,} | {share:.1f}% |")
    if inventory["binary_files"]:
        lines += ["", f"{plural(inventory['binary_files'], 'binary or very large file')} not counted."]
    return lines


def largest(inventory):
    return [f"- `{item['file']}`: {plural(item['lines'], 'line')}"
            for item in inventory["largest"][:5]]


def history_section(history):
    if not history:
        return ["The history could not be read."]
    if not history["commits"]:
        return [sentence(history.get("note", "there is no history"))]
    authors = ", ".join(f"{a['name']} ({a['commits']})" for a in history["top_authors"])
    lines = [f"{plural(history['commits'], 'commit')} from {history['first']} to {history['last']} "
             f"by {plural(history['authors'], 'author')}: {authors}.", "",
             "Hot spots, where change gathers:", ""]
    return lines + [f"- `{h['file']}`: {plural(h['changes'], 'change')}, "
                    f"{plural(h['churn'], 'line')} added or removed" for h in history["hot_spots"][:5]]


def check_section(name, check):
    if not check:
        return [f"### {name}", "", "This check failed; see the execution's journal.", ""]
    lines = [f"### {check['check']}", ""]
    if check["checked"]:
        lines.append(f"{plural(check['checked'], 'file')} checked, "
                     f"{plural(check['found'], 'finding')}."
                     + (f" {sentence(check['note'])}" if check["note"] else ""))
    else:
        lines.append(f"Not checked: {check['note'] or 'nothing to check'}.")
    ranked = sorted(check["findings"], key=lambda f: (ORDER.get(f["severity"], 2), f["file"], f["line"]))
    if ranked:
        lines.append("")
    for item in ranked[:SHOWN]:
        place = f"{item['file']}:{item['line']}" if item["line"] else item["file"]
        lines.append(f"- {item['severity']} `{place}` {item['message']}")
    if check["found"] > SHOWN:
        lines.append(f"- and {check['found'] - SHOWN:,} more")
    return lines + [""]


def main():
    message = task.read_task()
    inventory, checks = message["inventory"], message["checks"]
    name = os.path.basename(os.path.normpath(message["path"])) or message["path"]
    lines = [f"# Review of {name}", "", *summary(inventory, checks), "", "## What is in it", "",
             *languages(inventory), "", "Largest files:", "", *largest(inventory), "",
             "## How it grew", "", *history_section(message["history"]), "", "## What the checks found", ""]
    for key, check in checks.items():
        lines += check_section(key, check)
    task.answer("\n".join(lines).rstrip() + "\n")


main()
