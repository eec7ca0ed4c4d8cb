#!/usr/bin/env python3
import json
import sys

letter = json.load(sys.stdin)["message"]
json.dump({"filed": letter["short"] or letter["text"], "shortened": letter["short"] is not None},
          sys.stdout)
