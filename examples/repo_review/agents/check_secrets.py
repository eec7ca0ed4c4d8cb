#!/usr/bin/env python3
"""Looks for what should not be in a tree: private keys, tokens of well-known services, passwords in
addresses. What it finds is shown cut, never whole."""
import math
import re

import task

PATTERNS = (
    ("private key", re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----")),
    ("AWS access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})\b")),
    ("Slack token", re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{20,}\b")),
    ("model provider key", re.compile(r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}\b")),
    ("Google key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b")),
    ("password in an address", re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@\"']+:([^@\s/\"'{}$<>]{4,})@")),
)
ASSIGNED = re.compile(
    r"""(?i)\b(?:api[_-]?key|secret|token|passw(?:or)?d)\b["']?\s*[:=]\s*["']([A-Za-z0-9+/_\-]{20,})["']""")


def entropy(text):
    return -sum(p * math.log2(p) for p in (text.count(c) / len(text) for c in set(text)))


def cut(text):
    return text[:4] + "..." if len(text) > 8 else "..."


def look(name, number, line):
    for kind, pattern in PATTERNS:
        match = pattern.search(line)
        if match:
            return task.finding(name, number, f"{kind}: {cut(match.group())}", "error")
    match = ASSIGNED.search(line)
    if match and entropy(match.group(1)) > 3.5:
        return task.finding(name, number, f"a secret is assigned: {cut(match.group(1))}")
    return None


def main():
    path = task.read_task()["path"]
    checked, findings = 0, []
    for name in task.walk(path):
        text = task.read_text(path, name)
        if text is None:
            continue
        checked += 1
        for number, line in enumerate(text.split("\n"), 1):
            found = look(name, number, line[:2000])
            if found:
                findings.append(found)
    task.check("Secrets", checked, findings)


main()
