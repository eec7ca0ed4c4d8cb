#!/usr/bin/env python3
import json
import sys

given = json.load(sys.stdin)
print(given["a"] + given["b"])
