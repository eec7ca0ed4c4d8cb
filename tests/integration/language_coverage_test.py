#!/usr/bin/env python3
"""docs/coverage.md against docs/definitions.md, which is made of the validator's own table: every key is
named in an example or a test definition, every rule in a test. It starts nothing."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFINITIONS = ROOT / "docs" / "definitions.md"
COVERAGE = ROOT / "docs" / "coverage.md"
RULES = 16
LATER = "*later*"


def tables(path):
    """{"an agent": {key: the other cells of its row}}, of the headings "Keys of an agent"; and
    "Rules", by number."""
    found, rows = {}, None
    for line in path.read_text(encoding="utf-8").splitlines():
        heading = re.match(r"##+ (?:Keys of )?(.*)", line)
        if heading:
            is_known = "Keys of" in line or heading[1] == "Rules"
            rows = found.setdefault(heading[1], {}) if is_known else None
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if rows is not None and line.startswith("| ") and cells[0] not in ("key", "rule", "---"):
            rows[cells[0].strip("`")] = cells[1:]
    return found


def files_of(cells):
    return [(COVERAGE.parent / path).resolve() for path in re.findall(r"\]\(([^)]*)\)", cells[-1])]


def names_key(text, key):
    return re.search(rf"(?<![\w.]){re.escape(key)}[\"']?\s*:", text) is not None


def names_rule(text, number):
    marks = re.findall(r"\b[Rr]ules? ((?:\d+(?:, | and )?)+)", text)
    return any(str(number) in re.findall(r"\d+", mark) for mark in marks)


def problems_of_files(what, cells, names):
    files = files_of(cells)
    found = [] if files else [f"{what}: names no file"]
    for path in files:
        if not path.is_file():
            found.append(f"{what}: there is no {path}")
        elif not names(path.read_text(encoding="utf-8")):
            found.append(f"{what}: does not stand in {path.relative_to(ROOT)}")
    return found


def tell(problems):
    if problems:
        raise AssertionError("docs/coverage.md:\n" + "\n".join(problems))


def every_key_is_run():
    coverage, problems = tables(COVERAGE), []
    owners = {owner: rows for owner, rows in tables(DEFINITIONS).items() if owner != "Rules"}
    if len(owners) < 15 or sum(map(len, owners.values())) < 100:
        raise AssertionError(f"the tables of definitions.md are read wrongly: {owners}")
    for owner, keys in owners.items():
        rows = coverage.get(owner, {})
        run = {key for key, cells in keys.items() if cells[1] != LATER}
        problems += [f"`{key}` of {owner}: has no row; name an example or a test definition that has it"
                     for key in sorted(run - set(rows))]
        problems += [f"`{key}` of {owner}: is no key that this version runs"
                     for key in sorted(set(rows) - run)]
        for key in sorted(run & set(rows)):
            problems += problems_of_files(f"`{key}` of {owner}", rows[key],
                                          lambda text, key=key: names_key(text, key))
    problems += [f"{owner}: is not in definitions.md" for owner in coverage
                 if owner not in owners and owner != "Rules"]
    tell(problems)


def every_rule_is_run():
    rows, problems = tables(COVERAGE)["Rules"], []
    if list(rows) != [str(number) for number in range(1, RULES + 1)]:
        problems.append(f"the rules are {', '.join(rows)}, not 1 to {RULES}")
    for number, cells in rows.items():
        if cells[-1] != LATER:
            problems += problems_of_files(f"rule {number}", cells,
                                          lambda text, number=number: names_rule(text, number))
    tell(problems)


def what_is_missing_is_found():
    for text, key, found in (("  retry: 3", "retry", True), ('{"retry": 3}', "retry", True),
                             ("no_retry: 3", "retry", False), ("a.retry: 3", "retry", False),
                             ("retry 3", "retry", False)):
        if names_key(text, key) != found:
            raise AssertionError(f"{text}: {key}")
    for text, number, found in (("# rule 9", 9, True), ("/* Rules 3 and 12. */", 12, True),
                                ("# rule 12", 1, False), ("# rules 1, 2 and 3", 2, True)):
        if names_rule(text, number) != found:
            raise AssertionError(f"{text}: {number}")


def test():
    run_cases((every_key_is_run, every_rule_is_run, what_is_missing_is_found))


main(test)
