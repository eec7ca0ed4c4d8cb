#!/bin/sh
# Ends when the file that its message names exists.
path=$(sed -n 's/.*"message":"\([^"]*\)".*/\1/p')
until [ -e "$path" ]; do sleep 0.05; done
echo '"opened"'
