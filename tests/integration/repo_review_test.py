#!/usr/bin/env python3
"""The repository review (examples/repo_review) on trees made here: the lead asks those for whom there is
something in the tree, looks again where something was found, and what is in the tree stands in the
report. Another tree gives another choice and another report."""
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import ROOT, Installation, check

EXAMPLE = ROOT / "examples" / "repo_review"
WHO = ["-c", "user.name=Ada Example", "-c", "user.email=ada@example.org"]


# Who is asked about any tree with texts in it.
ALWAYS = ["check_secrets"]


def make_tree(path, commits, git=True):
    """A tree of these commits, each a {file: text}; with its history, unless git is false."""
    path.mkdir()
    command = ["git", "-C", str(path), *WHO]
    if git:
        subprocess.run([*command, "init", "-q", "-b", "main"], check=True)
    for number, files in enumerate(commits):
        for name, text in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text, encoding="utf-8")
        if git:
            subprocess.run([*command, "add", "-A"], check=True)
            subprocess.run([*command, "commit", "-q", "-m", f"Commit {number}"], check=True)
    return path


def review(here, path):
    """The report, and whom the lead asked: a list for each turn, in the order of its calls."""
    document = here.run("repo_review", "-i", f"path={path}")
    check(document["status"] == "succeeded", document.get("failure"))
    statuses = {task["path"]: task["status"] for task in document["tasks"]}
    check(set(statuses.values()) == {"succeeded"}, statuses)
    rounds = {}
    for event in here.journal(document["id"]):
        check(event["kind"] != "refused", event)
        if event["kind"] == "delegated":
            check(event["task"] == "review", event)
            rounds.setdefault(event["turn"], []).append(event["agent"])
    rounds = [rounds[turn] for turn in sorted(rounds)]
    check(rounds[0] == ["inventory"] and rounds[-1] == ["writer"], rounds)
    return document["output"], rounds[1:-1]


def has(report, *words):
    for word in words:
        check(word in report, f"{word!r} is not in the report:\n{report}")


def a_bit_of_everything(here):
    tree = make_tree(here.base / "first", [
        {"src/main.c": "int main(void)\n{\n    int unused[2];\n    return unused[2];\n}\n",
         "README.md": "# First\n\nSee [the guide](docs/guide.md) and [main](src/main.c).\n",
         "tests/tool.py": "def broken(:\n    pass\n"},
        {"src/main.c": "int main(void)\n{\n    return 0;\n}\n", "LICENSE": "MIT License\n"},
    ])
    report, rounds = review(here, tree)
    check(isinstance(report, str) and report.startswith("# "), f"no Markdown: {report!r:.200}")
    has(report, "first", "Python", "Ada Example", "src/main.c", "docs/guide.md", "tool.py")
    check("run.sh" not in report and "JavaScript" not in report, report)
    check(rounds == [["check_c", "check_python", "check_links", "check_licences", *ALWAYS, "history"],
                     ["second_look"] * 2], rounds)
    has(report, "`tests/tool.py:1`", "(a test, last changed", "(a document, last changed",
        "a second look at findings: 2 times")


def a_script_and_a_secret(here):
    tree = make_tree(here.base / "second", [
        {"run.sh": "#!/bin/sh\nrm -rf $1/*\n",
         "page.js": "export const answer = 42;\n" * 30,
         "settings.ini": "[aws]\naws_secret_access_key = "
                         "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzKEY\n"},
    ])
    report, rounds = review(here, tree)
    has(report, "second", "Shell", "JavaScript", "settings.ini")
    check("guide.md" not in report and "wJalrXUtnFEMI" not in report, report)
    check(rounds[0] == ["check_shell", "check_licences", *ALWAYS, "history"], rounds)
    check(rounds[1:] and set(rounds[1]) == {"second_look"}, rounds)
    if shutil.which("shellcheck"):
        has(report, "run.sh")


def documents_alone(here):
    """Nothing is found, so nobody is asked a second time."""
    tree = make_tree(here.base / "third", [
        {"README.md": "# Third\n\nSee [the guide](docs/guide.md).\n", "docs/guide.md": "# Guide\n"},
    ], git=False)
    report, rounds = review(here, tree)
    check(rounds == [["check_links", *ALWAYS]], rounds)
    has(report, "# Review of third", "There is no git history", "Nothing was found by: Links in docu",
        "Nothing called for a second look")
    (tree / "docs" / "guide.md").unlink()
    report, rounds = review(here, tree)
    check(rounds == [["check_links", *ALWAYS], ["second_look"]], rounds)
    has(report, "docs/guide.md is not there (a document)")


def a_python_package(here):
    tree = make_tree(here.base / "fourth", [
        {"pyproject.toml": "[project]\nname = 'fourth'\n", "fourth/__init__.py": "ANSWER = 42\n",
         "LICENSE": "MIT License\n"},
    ])
    report, rounds = review(here, tree)
    check(rounds == [["check_python", "check_licences", *ALWAYS, "history"]], rounds)
    has(report, "# Review of fourth", "1 commit from", "Who was asked")


def nothing_at_all(here):
    (here.base / "empty").mkdir()
    report, rounds = review(here, here.base / "empty")
    check(rounds == [], rounds)
    has(report, "0 files", "There was nothing to check", "nobody")


def what_is_not_there(here):
    done = here.try_ctl("run", "repo_review", "-i", f"path={here.base}/absent")
    check(done.returncode == 10 and "absent" in done.stderr, done)
    check("no_inventory" in done.stderr, done.stderr)


def this_very_tree(here):
    report, rounds = review(here, ROOT)
    check(len(rounds[0]) >= 6 and "check_c" in rounds[0] and "check_python" in rounds[0], rounds)
    has(report, "C and C++", "Who was asked")


CASES = (a_bit_of_everything, a_script_and_a_secret, documents_alone, a_python_package,
         nothing_at_all, what_is_not_there, this_very_tree)


def test():
    with Installation(up=False) as here:
        here.project = EXAMPLE
        here.up()
        run_cases(CASES, here)


main(test)
