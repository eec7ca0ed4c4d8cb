#!/usr/bin/env python3
import json
import sys

text = json.load(sys.stdin)["message"].lower()
urgent = any(word in text for word in ("fire", "down", "urgent"))
json.dump({"urgent": urgent, "routine": not urgent}, sys.stdout)
