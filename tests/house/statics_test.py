#!/usr/bin/env python3
"""statics_test.py OBJECT... - the library rooms keep nothing that can change outside a runtime.

Two runtimes in one process, and a simulator that runs a node's reactors on one thread, both rest on it.
"""
import subprocess
import sys
import house

# name: why it may be there
ALLOWED = {
    "set_memory": "broker/names.c: ck_hs takes its allocator by a pointer that is not const, and never writes to it",
}

if len(sys.argv) < 2:
    sys.exit("statics: no objects given, so nothing was checked")
dump = subprocess.run(["objdump", "-t", *sys.argv[1:]], capture_output=True, text=True, check=True).stdout
sys.exit(house.report("statics", house.statics(dump, ALLOWED)))
