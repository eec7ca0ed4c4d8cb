#!/usr/bin/env python3
import json
import sys

task = json.load(sys.stdin)
if task["message"] == "wall":
    print("that is no door", file=sys.stderr)
    sys.exit(65)                     # EX_DATAERR: no use in trying again
if task["attempt"] < 3:
    sys.exit("nobody has heard")
json.dump(f"opened at knock {task['attempt']}", sys.stdout)
