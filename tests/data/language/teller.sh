#!/bin/sh
cat >/dev/null
echo "\"$GREETING $FROM\""
