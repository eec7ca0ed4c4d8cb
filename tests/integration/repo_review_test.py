#!/usr/bin/env python3
"""The repository review (examples/repo_review) on trees made here: what is in the tree stands in the
report, and another tree gives another report."""
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main
from installation import ROOT, Installation, check

EXAMPLE = ROOT / "examples" / "repo_review"
WHO = ["-c", "user.name=Ada Example", "-c", "user.email=ada@example.org"]


def make_tree(path, commits):
    """A git tree of these commits, each a {file: text}."""
    path.mkdir()
    git = ["git", "-C", str(path), *WHO]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    for number, files in enumerate(commits):
        for name, text in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text, encoding="utf-8")
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", f"Commit {number}"], check=True)
    return path


def review(here, path):
    document = here.run("repo_review", "-i", f"path={path}")
    check(document["status"] == "succeeded", document.get("failure"))
    statuses = {task["path"]: task["status"] for task in document["tasks"]}
    check(set(statuses.values()) == {"succeeded"} and len(statuses) == 9, statuses)
    return document["output"]


def has(report, *words):
    for word in words:
        check(word in report, f"{word!r} is not in the report:\n{report}")


def test():
    with Installation(up=False) as here:
        here.project = EXAMPLE
        here.up()
        first = make_tree(here.base / "first", [
            {"src/main.c": "int main(void)\n{\n    int unused[2];\n    return unused[2];\n}\n",
             "README.md": "# First\n\nSee [the guide](docs/guide.md) and [main](src/main.c).\n",
             "tool.py": "def broken(:\n    pass\n"},
            {"src/main.c": "int main(void)\n{\n    return 0;\n}\n", "LICENSE": "MIT License\n"},
        ])
        second = make_tree(here.base / "second", [
            {"run.sh": "#!/bin/sh\nrm -rf $1/*\n",
             "page.js": "export const answer = 42;\n" * 30,
             "settings.ini": "[aws]\naws_secret_access_key = "
                             "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzKEY\n"},
        ])
        one = review(here, first)
        check(isinstance(one, str) and one.startswith("# "), f"no Markdown: {one!r:.200}")
        has(one, "first", "Python", "Ada Example", "src/main.c", "docs/guide.md", "tool.py")
        check("run.sh" not in one and "JavaScript" not in one, one)
        two = review(here, second)
        has(two, "second", "Shell", "JavaScript", "settings.ini")
        check("guide.md" not in two and "wJalrXUtnFEMI" not in two, two)
        if shutil.which("shellcheck"):
            has(two, "run.sh")
        done = here.try_ctl("run", "repo_review", "-i", f"path={here.base}/absent")
        check(done.returncode == 10 and "absent" in done.stderr, done)


main(test)
