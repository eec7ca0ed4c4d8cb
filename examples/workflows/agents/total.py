#!/usr/bin/env python3
import json
import sys

counts = json.load(sys.stdin)["message"]["counts"]
json.dump({"words": sum(count or 0 for count in counts), "counted": len(counts) - counts.count(None),
           "of": len(counts)}, sys.stdout)
