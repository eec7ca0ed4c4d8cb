#!/usr/bin/env python3
"""Finds licence files, licence tags in sources, and sources that are covered by neither."""
import collections
import os
import re

import task

TAG = re.compile(r"SPDX-License-Identifier:\s*([\w.\-+() ]+)")
FILE = re.compile(r"^(licen[cs]e|copying|notice|unlicense)([.\-].*)?$", re.I)
KNOWN = (("Apache License", "Apache-2.0"), ("GNU AFFERO GENERAL PUBLIC", "AGPL"),
         ("GNU LESSER GENERAL PUBLIC", "LGPL"), ("GNU GENERAL PUBLIC LICENSE", "GPL"),
         ("Mozilla Public License", "MPL"), ("Permission is hereby granted, free of charge", "MIT"),
         ("Redistribution and use in source and binary forms", "BSD"),
         ("Permission to use, copy, modify, and/or distribute", "ISC"),
         ("This is free and unencumbered software", "Unlicense"))


def name_licence(text):
    return next((name for words, name in KNOWN if words.lower() in text.lower()), "unknown")


def main():
    path = task.read_task()["path"]
    licences, tags, untagged, sources = {}, collections.Counter(), [], 0
    for name in task.walk(path):
        if FILE.match(os.path.basename(name)):
            licences[name] = name_licence(task.read_text(path, name) or "")
            continue
        kind = task.language(path, name)
        if kind is None or kind in task.DOCUMENTS or kind in task.DATA:
            continue
        sources += 1
        tag = TAG.search((task.read_text(path, name) or "")[:4096])
        if tag:
            tags[tag.group(1).strip()] += 1
        else:
            untagged.append(name)
    findings = []
    covering = [os.path.dirname(name) for name in licences]
    bare = [n for n in untagged if not any(c == "" or n.startswith(c + "/") for c in covering)]
    if sources and not licences:
        findings.append(task.finding(".", 0, "there is no licence file", "error"))
    findings += [task.finding(n, 0, "no licence file covers it and it has no tag")
                 for n in bare if licences]
    found = ", ".join(f"{name} ({kind})" for name, kind in sorted(licences.items())) or "none"
    note = f"licence files: {found}; tags: {', '.join(f'{t} x{n}' for t, n in tags.most_common()) or 'none'}"
    task.check("Licences", sources, findings, note)


main()
