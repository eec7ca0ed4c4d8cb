#!/usr/bin/env python3
import json
import sys

words = json.load(sys.stdin)["message"].split()
json.dump(" ".join(words[:20]) + " ...", sys.stdout)
