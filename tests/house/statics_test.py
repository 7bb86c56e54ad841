#!/usr/bin/env python3
"""statics_test.py OBJECT... - the library rooms keep nothing that can change outside a runtime.

Two runtimes in one process, and a simulator that runs a node's reactors on one thread, both rest on it.
"""
import subprocess
import sys
import house

ALLOWED = {}  # name: why it may be there

if len(sys.argv) < 2:
    sys.exit("statics: no objects given, so nothing was checked")
dump = subprocess.run(["objdump", "-t", *sys.argv[1:]], capture_output=True, text=True, check=True).stdout
sys.exit(house.report("statics", house.statics(dump, ALLOWED)))
