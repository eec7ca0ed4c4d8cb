#!/usr/bin/env python3
"""Looks in Markdown for relative links and images whose targets are not there, and for links to
headings that do not exist. Nothing is fetched."""
import os
import re
import urllib.parse

import task

LINK = re.compile(r"!?\[[^\]\n]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.M)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
CODE = re.compile(r"`[^`\n]*`")


def anchors(text):
    found, seen = set(), {}
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"[*`]|\[|\]\([^)]*\)|\]", "", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        found.add(slug if count == 0 else f"{slug}-{count}")
    return found


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def check_link(path, name, text, target):
    parts = urllib.parse.urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    file = urllib.parse.unquote(parts.path)
    base = path if file.startswith("/") else os.path.dirname(os.path.join(path, name))
    full = os.path.normpath(os.path.join(base, file.lstrip("/"))) if file else None
    if full and not os.path.exists(full):
        return f"{target} is not there"
    if parts.fragment and (not full or full.endswith(".md")):
        other = text if not full else task.read_text("", full)
        if other is not None and parts.fragment.lower() not in anchors(other):
            return f"{target}: there is no such heading"
    return None


def main():
    path = task.read_task()["path"]
    files, findings = task.files_of(path, "Markdown"), []
    for name in files:
        text = task.read_text(path, name) or ""
        prose = CODE.sub(blank, FENCE.sub(blank, text))
        for match in LINK.finditer(prose):
            wrong = check_link(path, name, text, match.group(1))
            if wrong:
                findings.append(task.finding(name, prose.count("\n", 0, match.start()) + 1, wrong))
    task.check("Links in documents", len(files), findings,
               "" if files else "there are no such files")


main()
