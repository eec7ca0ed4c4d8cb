#!/usr/bin/env python3
import json
import sys

words = len(json.load(sys.stdin)["message"].split())
json.dump({"words": words, "long": words > 20}, sys.stdout)
