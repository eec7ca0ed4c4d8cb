#!/usr/bin/env python3
import json
import sys

count = json.load(sys.stdin)["message"]["megabytes"]
json.dump(len(bytearray(count << 20)), sys.stdout)
