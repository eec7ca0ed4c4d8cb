#!/usr/bin/env python3
"""Makes one report in Markdown of what the others were asked and have answered."""
import os

import task

SHOWN = 8


def plural(count, one, many=None):
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def sentence(text):
    return text[:1].upper() + text[1:] + "."


def summary(inventory, checks):
    total = sum(check["found"] for check in checks)
    worst = sum(check["errors"] for check in checks)
    clean = [check["check"] for check in checks if check["checked"] and check["clean"]]
    lines = [f"{plural(inventory['files'], 'file')}, {plural(inventory['lines'], 'line')}; "
             f"{plural(total, 'finding')}, {plural(worst, 'error')} among them."]
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
    if history is None:
        return ["There is no git history, so nobody was asked about it."]
    if "error" in history:
        return [f"The history could not be read: {history['error']['message']}."]
    history = history["output"]
    if not history["commits"]:
        return [sentence(history.get("note", "there is no history"))]
    authors = ", ".join(f"{a['name']} ({a['commits']})" for a in history["top_authors"])
    lines = [f"{plural(history['commits'], 'commit')} from {history['first']} to {history['last']} "
             f"by {plural(history['authors'], 'author')}: {authors}.", "",
             "Hot spots, where change gathers:", ""]
    return lines + [f"- `{h['file']}`: {plural(h['changes'], 'change')}, "
                    f"{plural(h['churn'], 'line')} added or removed" for h in history["hot_spots"][:5]]


def seen(places, item):
    """What the second look says of a finding's place."""
    place = places.get((item["file"], item["line"]))
    if not place:
        return ""
    changed = f", last changed {place['date']} by {place['author']}" if place["date"] else ""
    return f" ({place['kind']}{changed})"


def check_section(check, places):
    lines = [f"### {check['check']}", ""]
    if check["checked"]:
        lines.append(f"{plural(check['checked'], 'file')} checked, "
                     f"{plural(check['found'], 'finding')}."
                     + (f" {sentence(check['note'])}" if check["note"] else ""))
    else:
        lines.append(f"Not checked: {check['note'] or 'nothing to check'}.")
    shown = check["findings"][:SHOWN]
    if shown:
        lines.append("")
    for item in shown:
        place = f"{item['file']}:{item['line']}" if item["line"] else item["file"]
        lines.append(f"- {item['severity']} `{place}` {item['message']}{seen(places, item)}")
    if check["found"] > len(shown):
        lines.append(f"- and {check['found'] - len(shown):,} more")
    return lines + [""]


def failed_section(agent, answer):
    return [f"### {agent}", "", f"This check gave no answer: {answer['error']['message']}.", ""]


def places_by_check(looks):
    found = {}
    for look in looks:
        if "output" in look:
            found[look["output"]["check"]] = {(p["file"], p["line"]): p
                                              for p in look["output"]["places"]}
    return found


def checks_section(answers, looks):
    if not answers:
        return ["There was nothing to check.", ""]
    places, lines = places_by_check(looks), []
    for agent, answer in answers.items():
        if "error" in answer:
            lines += failed_section(agent, answer)
        else:
            check = answer["output"]
            lines += check_section(check, places.get(check["check"], {}))
    return lines


def main():
    message = task.read_task()
    inventory = message["inventory"]
    asked = [call["arguments"]["agent"] for call in message["asked"]]
    answers = dict(zip(asked, message["answers"]))
    history = answers.pop("history", None)
    checks = [answer["output"] for answer in answers.values() if "output" in answer]
    name = os.path.basename(os.path.normpath(message["path"])) or message["path"]
    lines = [f"# Review of {name}", "", *summary(inventory, checks), "", "## What is in it", "",
             *languages(inventory), "", "Largest files:", "", *largest(inventory), "",
             "## How it grew", "", *history_section(history), "", "## What the checks found", "",
             *checks_section(answers, message["looks"])]
    asked = ", ".join(asked) or "nobody"
    looked = len(message["looks"])
    lines += ["## Who was asked", "", f"By what the inventory says: {asked}. "
              + (f"For a second look at findings: {plural(looked, 'time')}." if looked else
                 "Nothing called for a second look.")]
    task.answer("\n".join(lines).rstrip() + "\n")


main()
