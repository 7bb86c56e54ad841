#!/usr/bin/env python3
"""arrows_test.py ROOT - holds every #include to the rooms CMakeLists.txt names, and headers to what is installed."""
import sys
from pathlib import Path
import house

root = Path(sys.argv[1])
if len(house.rooms(root)) < 2:
    sys.exit("arrows: no weir_room() lines found, so nothing was checked")
sys.exit(house.report("arrows", [*house.arrows(root), *house.public(root)]))
