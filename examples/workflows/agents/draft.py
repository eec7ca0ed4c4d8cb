#!/usr/bin/env python3
import json
import sys

json.dump("Dear all: " + json.load(sys.stdin)["message"], sys.stdout)
