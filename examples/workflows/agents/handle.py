#!/usr/bin/env python3
import json
import sys

message = json.load(sys.stdin)["message"]
what = message.get("text") or message["paged"] or message["queued"]
json.dump(f"{message['how']}: {what}", sys.stdout)
