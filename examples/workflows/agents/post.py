#!/usr/bin/env python3
import json
import sys

json.dump(json.load(sys.stdin)["message"].upper(), sys.stdout)
