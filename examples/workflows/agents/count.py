#!/usr/bin/env python3
import json
import sys

message = json.load(sys.stdin)["message"]
if not message["text"]:
    sys.exit(f"text {message['number']} is empty")
json.dump(len(message["text"].split()), sys.stdout)
