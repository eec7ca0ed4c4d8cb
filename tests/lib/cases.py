"""Runs the cases of a test script: each is a function, told by its name; the first failure ends the
script with the reason and its place. Skip("why") leaves out what this machine can't do."""
import concurrent.futures
import sys
import time
import traceback

SKIPPED = 77  # ctest's SKIP_RETURN_CODE


class Skip(Exception):
    pass


def run_one(case, arguments):
    began = time.monotonic()
    try:
        case(*arguments)
    except Skip as reason:
        return "skipped", str(reason), time.monotonic() - began
    except BaseException:  # whatever ends a case is told with its name
        return "failed", traceback.format_exc(), time.monotonic() - began
    return "ok", "", time.monotonic() - began


def run_cases(cases, *arguments, at_once=1):
    """Cases that get the same arguments, some at once where they only wait for the product. Raises at
    the end if one has failed, so that what surrounds them shows its logs."""
    failed = []
    skipped = []
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        runs = {pool.submit(run_one, case, arguments): case.__name__ for case in cases}
        for run in concurrent.futures.as_completed(runs):
            status, why, seconds = run.result()
            print(f"{status:8} {runs[run]} ({seconds:.1f} s)", flush=True)
            if why:
                print("    " + why.replace("\n", "\n    "), flush=True)
            if status == "failed":
                failed.append(runs[run])
            if status == "skipped":
                skipped.append(runs[run])
    if failed:
        raise AssertionError(f"failed: {', '.join(sorted(failed))}")
    if len(skipped) == len(cases):
        raise Skip("all cases")


def main(function):
    """The script's exit status: 77 when all of it was skipped."""
    try:
        function()
    except Skip as reason:
        print(f"skipped: {reason}", flush=True)
        sys.exit(SKIPPED)
