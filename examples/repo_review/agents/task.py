"""What every agent of this example shares: the task, the files of a tree, and the answer."""
import datetime
import json
import os
import subprocess
import sys

DATA_ERROR = 65  # of sysexits: a retry can't help
MAX_FILES = 20000
MAX_FILE_BYTES = 2 << 20
MAX_TEXT = 300          # characters of a finding's message
MAX_FINDINGS_BYTES = 5000  # an answer is to fit into messages of others, with those of all checks
SKIPPED = {".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", "build",
           "dist", "target", ".cache", ".mypy_cache"}

LANGUAGES = {
    ".c": "C", ".h": "C", ".cc": "C++", ".cpp": "C++", ".cxx": "C++", ".hpp": "C++", ".hh": "C++",
    ".py": "Python", ".sh": "Shell", ".bash": "Shell", ".js": "JavaScript", ".mjs": "JavaScript",
    ".jsx": "JavaScript", ".ts": "TypeScript", ".tsx": "TypeScript", ".go": "Go", ".rs": "Rust",
    ".java": "Java", ".kt": "Kotlin", ".rb": "Ruby", ".php": "PHP", ".pl": "Perl", ".lua": "Lua",
    ".cs": "C#", ".swift": "Swift", ".sql": "SQL", ".html": "HTML", ".css": "CSS",
    ".md": "Markdown", ".rst": "reStructuredText", ".txt": "Text", ".adoc": "AsciiDoc",
    ".yaml": "YAML", ".yml": "YAML", ".json": "JSON", ".toml": "TOML", ".xml": "XML",
    ".proto": "Protocol Buffers", ".cmake": "CMake", ".mk": "Make", ".ini": "INI",
}
BY_NAME = {"CMakeLists.txt": "CMake", "Makefile": "Make", "Dockerfile": "Dockerfile"}
DOCUMENTS = {"Markdown", "reStructuredText", "Text", "AsciiDoc"}
DATA = {"YAML", "JSON", "TOML", "XML", "INI"}


def fail(message):
    """Ends the task as failed for good, with the reason."""
    print(message, file=sys.stderr)
    sys.exit(DATA_ERROR)


def read_task():
    """The message of the task: an object with at least the path of an existing directory."""
    message = json.load(sys.stdin)["message"]
    path = message.get("path") if isinstance(message, dict) else None
    if not isinstance(path, str) or not path:
        fail("the task names no path")
    if not os.path.isdir(path):
        fail(f"{path} is not a directory that can be read")
    return message


def answer(document):
    json.dump(document, sys.stdout, ensure_ascii=False)


def run(argv, cwd, timeout=240):
    """A program's (exit status, output, error output); the status is None where it is missing."""
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, timeout=timeout, check=False)
    except FileNotFoundError:
        return None, "", ""
    except subprocess.TimeoutExpired:
        return 124, "", f"{argv[0]} took longer than {timeout} s"
    return (done.returncode, done.stdout.decode("utf-8", "replace"),
            done.stderr.decode("utf-8", "replace"))


def git(path, *args):
    return run(["git", "-c", "safe.directory=*", "-c", "core.quotePath=off", *args], path)


def day(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).date().isoformat()


def walk(path):
    """Files below path, relative to it: what git knows and does not ignore, or all but the usual
    folders of built things. Links are not followed."""
    status, out, _ = git(path, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if status == 0 and out:
        names = sorted(set(out.split("\0")) - {""})
    else:
        names = []
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(f for f in folders if f not in SKIPPED)
            names += [os.path.relpath(os.path.join(folder, f), path) for f in sorted(files)]
            if len(names) > MAX_FILES:
                break
    whole = [(name, os.path.join(path, name)) for name in names[:MAX_FILES]]
    return [name for name, full in whole if os.path.isfile(full) and not os.path.islink(full)]


def read_text(path, name):
    """The file's text, or None for a binary or very large one."""
    try:
        full = os.path.join(path, name)
        if os.path.getsize(full) > MAX_FILE_BYTES:
            return None
        with open(full, "rb") as file:
            data = file.read()
    except OSError:
        return None
    return None if b"\0" in data else data.decode("utf-8", "replace")


def language(path, name):
    base = os.path.basename(name)
    found = BY_NAME.get(base) or LANGUAGES.get(os.path.splitext(base)[1].lower())
    if found or "." in base:
        return found
    text = read_text(path, name)
    first = text.split("\n", 1)[0] if text else ""
    if first.startswith("#!"):
        for word, shebang in (("python", "Python"), ("bash", "Shell"), ("sh", "Shell"),
                              ("perl", "Perl"), ("node", "JavaScript")):
            if word in first:
                return shebang
    return None


def files_of(path, *languages):
    return [name for name in walk(path) if language(path, name) in languages]


def rank(item):
    """Errors first."""
    return {"error": 0, "warning": 1}.get(item["severity"], 2), item["file"], item["line"]


def check(name, checked, findings, note=""):
    """The answer of a checker: how much it found, and the findings that matter most."""
    shown, size = [], 0
    for item in sorted(findings, key=rank):
        size += len(json.dumps(item))
        if size > MAX_FINDINGS_BYTES:
            break
        shown.append(item)
    answer({"check": name, "checked": checked, "found": len(findings), "clean": not findings,
            "errors": sum(item["severity"] == "error" for item in findings), "findings": shown,
            "note": note[:MAX_TEXT]})


def finding(name, line, message, severity="warning"):
    return {"file": name, "line": line, "message": message[:MAX_TEXT], "severity": severity}
