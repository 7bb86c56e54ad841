#!/usr/bin/env python3
"""symbols_test.py ROOT LIBRARY - the shared library exports exactly what include/weir declares."""
import subprocess
import sys
from pathlib import Path
import house

listing = subprocess.run(["nm", "-D", "--defined-only", sys.argv[2]], capture_output=True, text=True, check=True)
names = {line.split()[2].split("@")[0] for line in listing.stdout.splitlines()}
sys.exit(house.report("symbols", house.symbols(Path(sys.argv[1]), names)))
