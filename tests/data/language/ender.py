#!/usr/bin/env python3
import json
import os
import sys
import time

message = json.load(sys.stdin)["message"]
if "status" in message:
    sys.exit(message["status"])
if "signal" in message:
    os.kill(os.getpid(), message["signal"])
if "bytes" in message:
    sys.stdout.buffer.write(b"\xff")
if "seconds" in message:
    time.sleep(message["seconds"])
