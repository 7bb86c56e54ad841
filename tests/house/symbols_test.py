#!/usr/bin/env python3
"""symbols_test.py ROOT LIBRARY - the shared library exports exactly what include/weir declares, and lacks nothing."""
import subprocess
import sys
from pathlib import Path
import house

listing = subprocess.run(["nm", "-D", sys.argv[2]], capture_output=True, text=True, check=True).stdout
lines = [line.split() for line in listing.splitlines()]
names = {words[2].split("@")[0] for words in lines if len(words) == 3}
lacking = [f"{sys.argv[2]}:1: needs {words[1]}, which no room has" for words in lines
           if words[0] == "U" and words[1].startswith("weir_")]
sys.exit(house.report("symbols", [*house.symbols(Path(sys.argv[1]), names), *lacking]))
